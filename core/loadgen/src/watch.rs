//! `loadgen watch`: steady viewers, then joins, then a window of steady watching.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::args::WatchArgs;
use crate::delay::{self, SendLog};
use crate::driver::Driver;
use crate::figures::{CpuTime, ms, percentiles_ms, rounded};
use crate::sys::{dropped_at_socket, unix_ns};
use crate::tally::Counts;
use crate::viewer::Viewer;

/// Whoever had no packet for this long is not playing.
const SILENCE: Duration = Duration::from_secs(1);
/// What a join costs may come a little after it.
const JOIN_TAIL: Duration = Duration::from_millis(1_000);
/// A viewer's steady course is read from what came after this.
const STEADY_AFTER_NS: u64 = 2_500_000_000;
const RTP_CLOCK: f64 = 90_000.0;

/// # Errors
/// Sentences for the user.
pub fn run(args: &WatchArgs) -> Result<Value, String> {
    let mut driver = Driver::new(args.urls.clone(), args.token.as_deref(), args.kernel_times)?;
    if args.steady > 0 {
        phase("steady viewers join");
        driver.join_many(args.steady, 0.0, args.patience)?;
        driver.run_for(args.settle);
    }
    phase("joining");
    let joins = Window::open(&driver, args);
    driver.join_many(args.viewers, args.rate, args.patience)?;
    driver.run_for(JOIN_TAIL);
    let joins = joins.close(&driver, args);
    // Without anybody there is nothing to wait for.
    let anybody = driver.viewers.iter().any(|v| v.times.keyframe != 0);
    let span = |span: Duration| if anybody { span } else { Duration::ZERO };
    phase("settling");
    driver.run_for(span(args.settle));
    phase("measuring");
    let steady = Window::open(&driver, args);
    driver.run_for(span(args.measure));
    let steady = steady.close(&driver, args);
    phase("measured");

    let mut result = summary(&driver);
    result["join"] = join_figures(&driver.viewers[args.steady..], &joins, &steady);
    result["steady"] = steady_figures(&driver, &steady);
    if args.rows {
        result["rows"] = rows(&driver, args.urls.len());
    }
    if let Some(path) = &args.send_log {
        let log = SendLog::read(path)?;
        result["delay"] = delay::figures(&driver.viewers, &args.urls, &log, steady.span_ns());
        let steady_viewers = &driver.viewers[..args.steady];
        result["delay_while_joining"] =
            delay::figures(steady_viewers, &args.urls, &log, joins.span_ns());
    }
    if !args.abandon {
        driver.leave();
    }
    Ok(result)
}

/// Told on stderr, one line each: a script may follow.
fn phase(name: &str) {
    eprintln!("loadgen: {name}");
}

/// A stretch of time, with what was counted at its ends.
struct Window {
    began: Instant,
    began_ns: u64,
    counts: Vec<Counts>,
    cpu: Option<CpuTime>,
}

struct Closed {
    began_ns: u64,
    ended_ns: u64,
    seconds: f64,
    /// Per viewer, what came within.
    counts: Vec<Counts>,
    cpu: Value,
}

impl Window {
    fn open(driver: &Driver, args: &WatchArgs) -> Self {
        Self {
            counts: driver.viewers.iter().map(|v| v.tally.counts()).collect(),
            began: Instant::now(),
            began_ns: unix_ns(),
            cpu: args.pid.and_then(CpuTime::read),
        }
    }

    fn close(self, driver: &Driver, args: &WatchArgs) -> Closed {
        let cpu = args.pid.and_then(CpuTime::read);
        let cpu = match (&self.cpu, cpu) {
            (Some(before), Some(after)) => after.since(before),
            _ => Value::Null,
        };
        let none = Counts::default();
        let before = self.counts.iter().chain(std::iter::repeat(&none));
        let viewers = driver.viewers.iter();
        Closed {
            began_ns: self.began_ns,
            ended_ns: unix_ns(),
            seconds: self.began.elapsed().as_secs_f64(),
            counts: viewers
                .zip(before)
                .map(|(viewer, before)| viewer.tally.counts().since(before))
                .collect(),
            cpu,
        }
    }
}

impl Closed {
    fn span_ns(&self) -> std::ops::Range<u64> {
        self.began_ns..self.ended_ns
    }

    fn cpu_ms(&self) -> Option<f64> {
        self.cpu["total_ms"].as_f64()
    }
}

fn summary(driver: &Driver) -> Value {
    let mut failures = BTreeMap::<&str, usize>::new();
    for viewer in &driver.viewers {
        if let Some(why) = viewer.failure.as_deref().or(viewer.stuck_at()) {
            *failures.entry(why).or_default() += 1;
        }
    }
    let ciphers: std::collections::BTreeSet<_> =
        driver.viewers.iter().filter_map(Viewer::cipher).collect();
    let sum = |of: fn(&Viewer) -> u64| driver.viewers.iter().map(of).sum::<u64>();
    json!({
        "viewers": driver.viewers.len(),
        "connected": driver.viewers.iter().filter(|v| v.is_connected()).count(),
        "playing": driver.viewers.iter().filter(|v| is_playing(v)).count(),
        "failures": failures,
        "srtp_ciphers": ciphers,
        "lost": sum(|v| v.tally.counts().lost),
        "dropped_at_viewer": sum(|v| dropped_at_socket(&v.socket)),
        "opened": sum(|v| v.checks.opened),
        "refused": sum(|v| v.checks.refused),
        "strange": sum(|v| v.checks.strange),
    })
}

/// Each viewer's course: which of the URLs it watches, its last packet and its silences in
/// Unix milliseconds.
fn rows(driver: &Driver, urls: usize) -> Value {
    let row = |(index, viewer): (usize, &Viewer)| {
        let silences = viewer.silences.iter();
        json!({
            "url": index % urls,
            "playing": is_playing(viewer),
            "failure": viewer.failure,
            "packets": viewer.tally.counts().packets,
            "lost": viewer.tally.counts().lost,
            "last_packet": ms(viewer.times.last_packet),
            "silences": silences.map(|(from, to)| (ms(*from), ms(*to))).collect::<Vec<_>>(),
        })
    };
    driver.viewers.iter().enumerate().map(row).collect()
}

fn is_playing(viewer: &Viewer) -> bool {
    let silent_ns = unix_ns().saturating_sub(viewer.times.last_packet);
    viewer.is_connected()
        && viewer.times.keyframe != 0
        && u128::from(silent_ns) < SILENCE.as_nanos()
}

fn steady_figures(driver: &Driver, window: &Closed) -> Value {
    let mut total = Counts::default();
    for counts in &window.counts {
        total.add(counts);
    }
    let silent = window.counts.iter().filter(|c| c.packets == 0).count();
    let mut figures = json!({
        "seconds": rounded(window.seconds),
        "packets": total.packets,
        "bytes": total.bytes,
        "lost": total.lost,
        "duplicates": total.duplicates,
        "late": total.late,
        "units": total.units,
        "silent_viewers": silent,
        "cpu": window.cpu,
        "packets_per_unit": rounded(total.packets as f64 / total.units.max(1) as f64),
        "viewers": driver.viewers.len(),
    });
    if let Some(cpu_ms) = window.cpu_ms().filter(|ms| *ms > 0.0) {
        let packets = total.packets.max(1) as f64;
        figures["us_per_packet"] = json!(rounded(cpu_ms * 1e3 / packets));
        figures["gbps_per_core"] = json!(rounded(total.bytes as f64 * 8.0 / (cpu_ms * 1e6)));
        figures["cores"] = json!(rounded(cpu_ms / 1e3 / window.seconds));
    }
    figures
}

fn join_figures(viewers: &[Viewer], joins: &Closed, steady: &Closed) -> Value {
    let after_post = |of: fn(&Viewer) -> u64| {
        let span = |v: &Viewer| {
            let at = of(v);
            (at != 0 && v.times.posted != 0).then(|| ms(at.saturating_sub(v.times.posted)))
        };
        percentiles_ms(viewers.iter().filter_map(span).collect())
    };
    let mut figures = json!({
        "joins": viewers.len(),
        "seconds": rounded(joins.seconds),
        "answered_ms": after_post(|v| v.times.answered),
        "ice_ms": after_post(|v| v.times.ice),
        "dtls_ms": after_post(|v| v.times.dtls),
        "first_packet_ms": after_post(|v| v.times.first_packet),
        "first_keyframe_ms": after_post(|v| v.times.keyframe),
        "live_ms": percentiles_ms(viewers.iter().filter_map(live_ms).collect()),
        "cpu": joins.cpu,
    });
    let last = viewers.iter().map(|v| v.times.keyframe).max().unwrap_or(0);
    let first = viewers.iter().map(|v| v.times.posted).min().unwrap_or(0);
    if viewers.iter().all(|v| v.times.keyframe != 0) {
        figures["all_playing_ms"] = json!(rounded(ms(last.saturating_sub(first))));
    }
    if let (Some(cpu_ms), Some(steady_ms)) = (joins.cpu_ms(), steady.cpu_ms()) {
        // What the same viewers cost while they only play, for as long as each had been playing.
        let everyone = steady.counts.len() as f64;
        let played = |viewer: &Viewer| {
            let since = viewer.times.keyframe;
            let played = (since != 0).then(|| joins.ended_ns.saturating_sub(since));
            ms(played.unwrap_or(0)) / 1e3
        };
        let older = everyone - viewers.len() as f64;
        let viewer_seconds = viewers.iter().map(played).sum::<f64>() + older * joins.seconds;
        let per_viewer_second = steady_ms / everyone.max(1.0) / steady.seconds;
        let extra = cpu_ms - viewer_seconds * per_viewer_second;
        let joins = viewers.len().max(1) as f64;
        figures["cpu_ms_per_join"] = json!(rounded(extra / joins));
    }
    figures
}

/// From POST until the newest access unit had come: the first one that is as late behind its own
/// media time as those are that come once all is steady, within one picture. Needs kernel times.
fn live_ms(viewer: &Viewer) -> Option<f64> {
    let first = viewer.ends.first()?;
    // Seconds by which a unit came later than its media time says, against the first one.
    let lateness = |rtp_ts: u32, at_ns: u64| {
        let ticks = f64::from(rtp_ts.wrapping_sub(first.rtp_ts).cast_signed());
        (at_ns as f64 - first.at_ns as f64) / 1e9 - ticks / RTP_CLOCK
    };
    let mut steady: Vec<f64> = viewer
        .ends
        .iter()
        .filter(|end| end.at_ns > viewer.times.posted + STEADY_AFTER_NS)
        .map(|end| lateness(end.rtp_ts, end.at_ns))
        .collect();
    steady.sort_by(f64::total_cmp);
    let usual = *steady.get(steady.len() / 2)?;
    let mut gaps: Vec<f64> = viewer
        .ends
        .windows(2)
        .map(|pair| f64::from(pair[1].rtp_ts.wrapping_sub(pair[0].rtp_ts)) / RTP_CLOCK)
        .collect();
    gaps.sort_by(f64::total_cmp);
    let picture = gaps.get(gaps.len() / 2)?;
    let live = viewer
        .ends
        .iter()
        .find(|end| lateness(end.rtp_ts, end.at_ns) <= usual + picture)?;
    Some(ms(live.at_ns.saturating_sub(viewer.times.posted)))
}

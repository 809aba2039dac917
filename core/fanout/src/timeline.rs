//! One output time per stream that outlives its sources.

use std::time::{Duration, Instant};

use crate::{AccessUnit, MEDIA_CLOCK_HZ};

/// A source clock that jumps further ahead than this has been set, not waited.
const MAX_JUMP_AHEAD: u64 = 10 * MEDIA_CLOCK_HZ;
/// A step back up to this is picture reordering (B-slices), beyond it a clock that was set.
const MAX_STEP_BACK: u64 = MEDIA_CLOCK_HZ;
/// Picture interval assumed until two units were seen: 25 pictures a second.
const FIRST_INTERVAL: u64 = MEDIA_CLOCK_HZ / 25;
/// How long a source's rate is watched before it is judged against arrival.
const RATE_WINDOW: Duration = Duration::from_secs(4);
/// Outside these the source's clock is not 90 kHz at all (constant, or milliseconds labelled 90000).
/// Wide, because a source may open with seconds of its own backlog, or stall and catch up.
const RATE_MIN_PERCENT: u64 = 25;
const RATE_MAX_PERCENT: u64 = 400;

/// Windows in a row before the source's clock is given up: one alone may be a network stall.
const ODD_WINDOWS: u32 = 2;

/// Where the source's clock and arrival stood when the current window began.
#[derive(Debug, Clone, Copy)]
struct Window {
    media_time: u64,
    recv_time: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    epoch: u32,
    source_time: u64,
    recv_time: Instant,
    output: u64,
}

/// Maps each unit's source time to the stream's output time: strictly growing, true spacing inside
/// one source, arrival spacing across sources and clock jumps.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    last: Option<Last>,
    /// Output minus source time.
    offset: i128,
    interval: Option<u64>,
    window: Option<Window>,
    /// Windows in a row whose rate was not that of a 90 kHz clock.
    odd_windows: u32,
    by_arrival: bool,
    jumps: u64,
}

impl Timeline {
    /// Output time of the next unit, 90 kHz. A unit of a new source goes on at the last output time
    /// plus the elapsed wall clock, at least one picture interval.
    pub fn map(&mut self, unit: &AccessUnit) -> u64 {
        let Some(last) = self.last else {
            let output = MEDIA_CLOCK_HZ;
            self.anchor(unit, output);
            return self.put(unit, output);
        };
        let arrived = ticks(unit.recv_time.saturating_duration_since(last.recv_time));
        if unit.source_epoch != last.epoch {
            self.by_arrival = false;
            self.odd_windows = 0;
            return self.jump(unit, &last, arrived);
        }
        let ahead = unit.media_time.checked_sub(last.source_time);
        let was_set = match ahead {
            Some(step) => step > MAX_JUMP_AHEAD,
            None => last.source_time - unit.media_time > MAX_STEP_BACK,
        };
        if was_set {
            return self.jump(unit, &last, arrived);
        }
        self.judge_rate(unit);
        let output = if self.by_arrival {
            last.output + arrived.max(1)
        } else {
            if let Some(step @ 1..) = ahead {
                self.interval = Some(step.min(MEDIA_CLOCK_HZ));
            }
            let wanted = i128::from(unit.media_time) + self.offset;
            u64::try_from(wanted).unwrap_or(0).max(last.output + 1)
        };
        self.put(unit, output)
    }

    /// Re-anchorings since the start: reconnects and source clocks that jumped.
    pub fn jumps(&self) -> u64 {
        self.jumps
    }

    /// The source's own clock was found useless, so arrival times are used.
    pub fn is_by_arrival(&self) -> bool {
        self.by_arrival
    }

    fn jump(&mut self, unit: &AccessUnit, last: &Last, arrived: u64) -> u64 {
        self.jumps += 1;
        let output = last.output + arrived.max(self.interval.unwrap_or(FIRST_INTERVAL));
        self.anchor(unit, output);
        self.put(unit, output)
    }

    fn anchor(&mut self, unit: &AccessUnit, output: u64) {
        self.offset = i128::from(output) - i128::from(unit.media_time);
        self.window = Some(Window {
            media_time: unit.media_time,
            recv_time: unit.recv_time,
        });
    }

    fn put(&mut self, unit: &AccessUnit, output: u64) -> u64 {
        self.last = Some(Last {
            epoch: unit.source_epoch,
            source_time: unit.media_time,
            recv_time: unit.recv_time,
            output,
        });
        output
    }

    fn judge_rate(&mut self, unit: &AccessUnit) {
        let Some(window) = self.window else { return };
        let elapsed = unit.recv_time.saturating_duration_since(window.recv_time);
        if elapsed < RATE_WINDOW {
            return;
        }
        let advanced = unit.media_time.saturating_sub(window.media_time);
        let percent = advanced.saturating_mul(100) / ticks(elapsed).max(1);
        if (RATE_MIN_PERCENT..=RATE_MAX_PERCENT).contains(&percent) {
            if self.by_arrival
                && let Some(last) = self.last
            {
                // Back to the source's clock from where arrival has led.
                self.offset = i128::from(last.output) - i128::from(last.source_time);
            }
            self.odd_windows = 0;
        } else {
            // A clock that stands still is judged at once.
            self.odd_windows += if percent == 0 { ODD_WINDOWS } else { 1 };
        }
        self.by_arrival = self.odd_windows >= ODD_WINDOWS;
        self.window = Some(Window {
            media_time: unit.media_time,
            recv_time: unit.recv_time,
        });
    }
}

/// A duration in media clock units.
pub(crate) fn ticks(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos() * u128::from(MEDIA_CLOCK_HZ) / 1_000_000_000)
        .unwrap_or(u64::MAX)
}

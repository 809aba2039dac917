//! A viewer's packets: joining, pacing, and sequence numbers that are spent once.

use std::time::{Duration, Instant};

use fanout::{PACKETS_PER_MS, Ring, Subscriber, SubscriberConfig, SubscriberCounters};
use proptest::prelude::*;
use wire::codec::{PayloadType, PayloadTypes, VideoCodec};
use wire::rtp::RtpHeader;

use crate::camera::*;
use crate::depacketize::nals_of_payloads;

pub const H264: PayloadType = PayloadType {
    media: 102,
    rtx: Some(103),
};

pub const CONFIG: SubscriberConfig = SubscriberConfig {
    ssrc: 0xabcd,
    payload_types: PayloadTypes::only(VideoCodec::H264, H264),
    first_seq: 32_000,
    first_rtp_ts: u32::MAX - 1_000,
    rtx: None,
};

/// A viewer that keeps what it was sent.
pub struct Viewer {
    pub subscriber: Subscriber,
    pub sent: Vec<(Instant, RtpHeader, Vec<u8>)>,
}

impl Viewer {
    pub fn new() -> Self {
        Self::with(CONFIG)
    }

    pub fn with(config: SubscriberConfig) -> Self {
        Self {
            subscriber: Subscriber::new(config),
            sent: Vec::new(),
        }
    }

    /// Sends all that may go at `now`.
    pub fn drain(&mut self, now: Instant, ring: &Ring) {
        while let Some(run) = self.subscriber.next_run(now, ring, 64) {
            for packet in run.packets.clone() {
                self.sent
                    .push((now, run.header_for(packet), run.payload(packet).to_vec()));
            }
            let count = run.packets.len();
            assert!(self.subscriber.commit(now, run, count));
        }
    }

    /// Drains at each wake up to `until`; gives the instant after which there was nothing to do.
    pub fn run(&mut self, mut now: Instant, until: Instant, ring: &Ring) -> Instant {
        self.drain(now, ring);
        while let Some(wake) = self
            .subscriber
            .next_wake(now, ring)
            .filter(|wake| *wake <= until)
        {
            assert!(wake > now, "drained, yet wanted again at once");
            now = wake;
            self.drain(now, ring);
        }
        now
    }

    /// Whole units received: `(rtp_ts, NAL units)`; panics at a unit without its marker.
    pub fn units(&self) -> Vec<(u32, Vec<Vec<u8>>)> {
        let mut units = Vec::new();
        let mut payloads: Vec<&[u8]> = Vec::new();
        let mut begun_ts = None;
        for (_, header, payload) in &self.sent {
            assert_eq!(
                *begun_ts.get_or_insert(header.rtp_ts),
                header.rtp_ts,
                "a unit cut short"
            );
            payloads.push(payload);
            if header.marker {
                units.push((header.rtp_ts, nals_of_payloads(payloads.drain(..))));
                begun_ts = None;
            }
        }
        units
    }

    pub fn check_seq(&self) {
        for (place, (_, header, _)) in self.sent.iter().enumerate() {
            assert_eq!(
                header.seq,
                CONFIG.first_seq.wrapping_add(place as u16),
                "no gap, no repeat"
            );
        }
    }

    pub fn counters(&self) -> SubscriberCounters {
        self.subscriber.counters()
    }
}

pub fn gop(from: Instant, units: u32, key_bytes: usize, bytes: usize) -> Ring {
    let mut ring = Ring::default();
    for number in 0..units {
        let key = number == 0;
        push_picture(
            &mut ring,
            from,
            number,
            key,
            if key { key_bytes } else { bytes },
        );
    }
    ring
}

fn max_in_any_ms(sent: &[(Instant, RtpHeader, Vec<u8>)]) -> usize {
    sent.iter()
        .enumerate()
        .map(|(place, (from, _, _))| {
            sent[place..]
                .iter()
                .take_while(|(at, _, _)| *at < *from + ms(1))
                .count()
        })
        .max()
        .unwrap_or(0)
}

#[test]
fn a_joiner_begins_at_the_newest_keyframe_with_true_spacing() {
    let from = start();
    let ring = gop(from, 50, 150_000, 15_000);
    let now = from + ms(2_000);
    let mut viewer = Viewer::new();
    viewer.run(now, now + ms(1_000), &ring);
    viewer.check_seq();
    let units = viewer.units();
    assert_eq!(units.len(), 50);
    assert_eq!(units[0].1, [SPS.to_vec(), PPS.to_vec(), idr(150_000)]);
    for (number, unit) in (0u32..).zip(&units) {
        assert_eq!(unit.0, CONFIG.first_rtp_ts.wrapping_add(number * PICTURE));
    }
    let header = viewer.sent[0].1;
    assert_eq!(
        (header.ssrc, header.payload_type),
        (CONFIG.ssrc, H264.media)
    );
}

#[test]
fn a_whole_gop_is_out_within_300_ms_however_long_it_is() {
    for (units, bytes) in [(2, 10_000), (30, 4_000), (250, 20_000), (600, 12_000)] {
        let from = start();
        let ring = gop(from, units, 200_000, bytes);
        let now = from + ms(40) * units;
        let mut viewer = Viewer::new();
        let done = viewer.run(now, now + ms(5_000), &ring);
        assert_eq!(viewer.units().len(), units as usize);
        assert!(done - now <= ms(300), "{units} units took {:?}", done - now);
    }
}

#[test]
fn a_short_gop_is_spaced_10_ms_at_most() {
    let from = start();
    let ring = gop(from, 5, 1_000, 1_000);
    let mut viewer = Viewer::new();
    let done = viewer.run(from + ms(200), from + ms(1_000), &ring);
    assert_eq!(done, from + ms(240));
}

#[test]
fn units_that_come_while_catching_up_queue_behind() {
    let from = start();
    let mut ring = gop(from, 50, 50_000, 5_000);
    let mut viewer = Viewer::new();
    let joined = from + ms(2_000);
    for number in 50..60 {
        let now = from + ms(40) * number;
        push_picture(&mut ring, from, number, false, 5_000);
        viewer.run(now, now + ms(40), &ring);
    }
    viewer.check_seq();
    let units = viewer.units();
    assert_eq!(units.len(), 60);
    assert!(units.is_sorted_by(|a, b| a.0.wrapping_sub(b.0) > u32::MAX / 2));
    assert!(viewer.sent.last().unwrap().0 - joined <= ms(400));
    assert_eq!(viewer.counters().units_dropped, 0);
}

#[test]
fn a_live_unit_goes_out_at_once() {
    let from = start();
    let mut ring = gop(from, 1, 10_000, 0);
    let mut viewer = Viewer::new();
    viewer.run(from, from + ms(39), &ring);
    let now = from + ms(40);
    assert_eq!(viewer.subscriber.next_wake(now, &ring), None);
    push_picture(&mut ring, from, 1, false, 10_000);
    assert_eq!(viewer.subscriber.next_wake(now, &ring), Some(now));
    viewer.drain(now, &ring);
    assert_eq!(viewer.units().len(), 2);
}

#[test]
fn without_a_keyframe_a_joiner_waits_for_one() {
    let from = start();
    let mut ring = gop(from, 10, 5_000, 500);
    ring.source_lost();
    let mut viewer = Viewer::new();
    viewer.run(from + ms(400), from + ms(600), &ring);
    push_picture(&mut ring, from, 11, false, 500);
    viewer.run(from + ms(600), from + ms(700), &ring);
    assert!(viewer.sent.is_empty());
    assert!(viewer.subscriber.sender_time(from).is_none());
    push_picture(&mut ring, from, 12, true, 500);
    viewer.run(from + ms(700), from + ms(800), &ring);
    assert_eq!(viewer.units().len(), 1);
    assert_eq!(
        viewer.counters().units_dropped,
        0,
        "what was before the join is not a drop"
    );
}

#[test]
fn never_more_than_32_packets_go_in_a_millisecond() {
    let from = start();
    let ring = gop(from, 3, 250_000, 80_000);
    let mut viewer = Viewer::new();
    viewer.drain(from, &ring);
    assert_eq!(viewer.sent.len(), PACKETS_PER_MS);
    viewer.run(from, from + ms(100), &ring);
    assert_eq!(viewer.units().len(), 3);
    assert_eq!(max_in_any_ms(&viewer.sent), PACKETS_PER_MS);
}

#[test]
fn a_run_is_only_spent_by_its_commit() {
    let from = start();
    let ring = gop(from, 1, 30_000, 0);
    let mut subscriber = Subscriber::new(CONFIG);
    let run = subscriber.next_run(from, &ring, 10).unwrap();
    let again = subscriber.next_run(from, &ring, 10).unwrap();
    assert_eq!(run.header_for(0), again.header_for(0));
    assert!(subscriber.commit(from, run, 4));
    assert!(
        !subscriber.commit(from, again, 10),
        "what was sealed from it must not be"
    );
    let next = subscriber.next_run(from, &ring, 10).unwrap();
    assert_eq!(next.packets.start, 4);
    assert_eq!(next.header_for(4).seq, CONFIG.first_seq + 4);
    assert_eq!(subscriber.counters().packets, 4);
    assert!(subscriber.next_run(from, &ring, 0).is_none());
}

#[test]
fn the_marker_is_on_a_unit_s_last_packet_only() {
    let from = start();
    let ring = gop(from, 1, 30_000, 0);
    let mut viewer = Viewer::new();
    viewer.drain(from, &ring);
    let markers = viewer
        .sent
        .iter()
        .filter(|(_, header, _)| header.marker)
        .count();
    assert_eq!((markers, viewer.sent.last().unwrap().1.marker), (1, true));
}

#[test]
fn sender_reports_follow_the_wall_clock_from_the_last_unit() {
    let from = start();
    let ring = gop(from, 2, 5_000, 500);
    let mut viewer = Viewer::new();
    viewer.run(from + ms(40), from + ms(100), &ring);
    let report = viewer.subscriber.sender_time(from + ms(1_040)).unwrap();
    assert_eq!(
        report.rtp_ts,
        CONFIG.first_rtp_ts.wrapping_add(PICTURE + 90_000)
    );
    assert_eq!(report.packets as usize, viewer.sent.len());
    let octets: usize = viewer
        .sent
        .iter()
        .map(|(_, _, payload)| payload.len())
        .sum();
    assert_eq!(report.octets as usize, octets);
    let before = viewer.subscriber.sender_time(from).unwrap();
    assert_eq!(before.rtp_ts, CONFIG.first_rtp_ts);
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Unit(bool, usize),
    Ask { budget: usize, spend_percent: usize },
    SourceLost,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u64..3_000).prop_map(Step::Wait),
        1 => (0u64..3_000_000).prop_map(Step::Wait),
        4 => (prop::bool::weighted(0.1), 2usize..60_000).prop_map(|(key, len)| Step::Unit(key, len)),
        9 => (0usize..80, 0usize..=100)
            .prop_map(|(budget, spend_percent)| Step::Ask { budget, spend_percent }),
        1 => Just(Step::SourceLost),
    ]
}

fn push(ring: &mut Ring, media_time: &mut u64, now: Instant, keyframe: bool, len_bytes: usize) {
    *media_time += u64::from(PICTURE);
    let mut unit = picture(now, 0, keyframe, len_bytes);
    (unit.media_time, unit.recv_time) = (*media_time, now);
    push_unit(ring, &unit);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_seq_is_spent_twice_time_never_goes_back_and_pacing_holds(
        steps in prop::collection::vec(any_step(), 1..200),
    ) {
        let (mut ring, mut now, mut media_time) = (Ring::default(), start(), 90_000);
        let mut viewer = Viewer::new();
        let mut last_media = None;
        for step in steps {
            match step {
                Step::Wait(us) => now += Duration::from_micros(us),
                Step::Unit(keyframe, len) => push(&mut ring, &mut media_time, now, keyframe, len),
                Step::SourceLost => ring.source_lost(),
                Step::Ask { budget, spend_percent } => {
                    let Some(run) = viewer.subscriber.next_run(now, &ring, budget) else { continue };
                    prop_assert!(!run.packets.is_empty() && run.packets.len() <= budget);
                    prop_assert!(last_media.is_none_or(|last| run.unit.media_time >= last));
                    if last_media.is_none() {
                        prop_assert!(run.unit.keyframe, "a viewer begins at a keyframe");
                    }
                    last_media = Some(run.unit.media_time);
                    let count = run.packets.len() * spend_percent / 100;
                    for packet in run.packets.clone().take(count) {
                        viewer.sent.push((now, run.header_for(packet), run.payload(packet).to_vec()));
                    }
                    prop_assert!(viewer.subscriber.commit(now, run, count));
                }
            }
        }
        viewer.check_seq();
        prop_assert!(max_in_any_ms(&viewer.sent) <= PACKETS_PER_MS);
        let counters = viewer.counters();
        prop_assert_eq!(counters.packets as usize, viewer.sent.len());
        prop_assert!(counters.units + counters.units_dropped <= ring.next_index());
        viewer.units();
    }

    #[test]
    fn a_wake_is_never_too_early_or_for_nothing(
        key_bytes in 1_000usize..200_000, units in 1u32..60, bytes in 10usize..10_000,
    ) {
        let from = start();
        let ring = gop(from, units, key_bytes, bytes);
        let mut now = from + ms(40) * units;
        let mut viewer = Viewer::new();
        viewer.drain(now, &ring);
        while let Some(wake) = viewer.subscriber.next_wake(now, &ring) {
            prop_assert!(wake > now);
            let before = viewer.sent.len();
            viewer.drain(wake - Duration::from_nanos(1), &ring);
            prop_assert_eq!(viewer.sent.len(), before);
            viewer.drain(wake, &ring);
            prop_assert!(viewer.sent.len() > before);
            now = wake;
        }
        prop_assert_eq!(viewer.units().len(), units as usize);
    }
}

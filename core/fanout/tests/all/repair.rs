//! What a viewer lacks and asks for: packets by number, and a keyframe for a lost decoder.

use std::collections::BTreeMap;
use std::time::Instant;

use fanout::{
    KeyframeAnswer, REPLAY_EVERY, Ring, RtxConfig, Subscriber, SubscriberConfig, TAIL_MS,
};
use proptest::prelude::*;
use wire::rtp::RtpHeader;

use crate::camera::*;
use crate::subscriber::{CONFIG, Viewer, gop};

const RTX: RtxConfig = RtxConfig {
    ssrc: 0xef01,
    first_seq: 7,
};

fn viewer() -> Viewer {
    let config = SubscriberConfig {
        rtx: Some(RTX),
        ..CONFIG
    };
    Viewer {
        subscriber: Subscriber::new(config),
        sent: Vec::new(),
    }
}

/// A viewer that has caught up with a GOP of `units` units, and when.
fn caught_up(ring: &Ring, from: Instant) -> (Viewer, Instant) {
    let mut viewer = viewer();
    let now = viewer.run(from, from + ms(2_000), ring);
    (viewer, now)
}

fn again(
    viewer: &mut Viewer,
    now: Instant,
    ring: &Ring,
    seq: u16,
) -> Option<(RtpHeader, u16, Vec<u8>)> {
    let again = viewer.subscriber.retransmit(now, ring, seq)?;
    Some((again.header, again.original_seq, again.payload().to_vec()))
}

#[test]
fn a_packet_goes_again_under_a_number_of_its_own() {
    let from = start();
    let ring = gop(from, 5, 30_000, 3_000);
    let (mut viewer, now) = caught_up(&ring, from + ms(200));
    for (nth, place) in [3usize, 0, viewer.sent.len() - 1].into_iter().enumerate() {
        let (_, sent, payload) = viewer.sent[place].clone();
        let (header, original_seq, same) = again(&mut viewer, now, &ring, sent.seq).unwrap();
        assert_eq!((original_seq, same), (sent.seq, payload));
        let expected = RtpHeader {
            seq: RTX.first_seq + nth as u16,
            ssrc: RTX.ssrc,
            payload_type: 103,
            ..sent
        };
        assert_eq!(header, expected);
    }
    assert_eq!(viewer.subscriber.repair_counters().retransmitted, 3);
}

#[test]
fn asked_for_twice_within_a_moment_it_goes_once() {
    let from = start();
    let ring = gop(from, 2, 9_000, 3_000);
    let (mut viewer, now) = caught_up(&ring, from + ms(80));
    let seq = viewer.sent[2].1.seq;
    assert!(again(&mut viewer, now, &ring, seq).is_some());
    assert!(again(&mut viewer, now + ms(19), &ring, seq).is_none());
    assert!(again(&mut viewer, now + ms(20), &ring, seq).is_some());
}

#[test]
fn what_was_never_sent_or_is_let_go_is_counted_and_not_sent() {
    let from = start();
    let mut ring = gop(from, 2, 9_000, 3_000);
    let (mut viewer, now) = caught_up(&ring, from + ms(80));
    let first = viewer.sent[0].1.seq;
    for seq in [first.wrapping_sub(1), first.wrapping_add(9_000)] {
        assert!(again(&mut viewer, now, &ring, seq).is_none());
    }
    push_picture(&mut ring, from, 2 + TAIL_MS as u32 / 40, true, 9_000);
    push_picture(&mut ring, from, 2 + TAIL_MS as u32 / 20, true, 9_000);
    assert!(again(&mut viewer, now, &ring, first).is_none());
    assert_eq!(viewer.subscriber.repair_counters().gone, 3);
}

#[test]
fn a_viewer_that_lacks_everything_is_sent_a_bounded_share_again() {
    let from = start();
    let ring = gop(from, 50, 400_000, 20_000);
    let (mut viewer, now) = caught_up(&ring, from + ms(2_000));
    let sent: usize = viewer
        .sent
        .iter()
        .map(|(_, _, payload)| payload.len())
        .sum();
    let seqs: Vec<u16> = viewer
        .sent
        .iter()
        .map(|(_, header, _)| header.seq)
        .collect();
    let mut repeated = 0;
    for (nth, seq) in seqs.into_iter().enumerate() {
        let now = now + ms(nth as u64 / 64 * 20);
        repeated += again(&mut viewer, now, &ring, seq).map_or(0, |(_, _, payload)| payload.len());
    }
    assert!(repeated > 0 && repeated <= sent / 4, "{repeated} of {sent}");
    assert!(viewer.subscriber.repair_counters().over_budget > 0);
}

#[test]
fn a_viewer_without_rtx_is_sent_nothing_again() {
    let from = start();
    let ring = gop(from, 2, 9_000, 3_000);
    let mut viewer = Viewer::new();
    let now = viewer.run(from + ms(80), from + ms(900), &ring);
    let seq = viewer.sent[1].1.seq;
    assert!(again(&mut viewer, now, &ring, seq).is_none());
}

#[test]
fn a_lost_decoder_gets_the_gop_again_in_growing_time_and_is_live_at_once() {
    let from = start();
    // GOPs of 4 s: the next keyframe is not due soon.
    let mut ring = gop(from, 60, 30_000, 3_000);
    let (mut viewer, now) = caught_up(&ring, from + ms(60 * 40));
    let before = viewer.units();
    let answer = viewer.subscriber.request_keyframe(now, &ring);
    assert_eq!(answer, KeyframeAnswer::Replay);
    let now = viewer.run(now, now + ms(400), &ring);
    let after = viewer.units();
    assert_eq!(after.len(), 2 * before.len(), "the whole GOP");
    let payloads = |units: &[(u32, Vec<Vec<u8>>)]| -> Vec<_> {
        units.iter().map(|(_, nals)| nals.clone()).collect()
    };
    assert_eq!(payloads(&after[60..]), payloads(&before));
    push_picture(&mut ring, from, 60, false, 3_000);
    viewer.run(now, now + ms(40), &ring);
    let times: Vec<u32> = viewer.units().iter().map(|(rtp_ts, _)| *rtp_ts).collect();
    let steps: Vec<u32> = times.windows(2).map(|t| t[1].wrapping_sub(t[0])).collect();
    assert!(
        steps.iter().all(|step| (1..=PICTURE).contains(step)),
        "{steps:?}"
    );
    let live = times[59].wrapping_add(PICTURE);
    assert_eq!(*times.last().unwrap(), live, "nothing stays behind");
    viewer.check_seq();
}

#[test]
fn a_keyframe_is_waited_for_when_it_is_due_and_a_gop_goes_again_only_once() {
    let from = start();
    let mut ring = Ring::default();
    for number in 0..=150 {
        push_picture(&mut ring, from, number, number % 100 == 0, 3_000);
    }
    let at = |number: u32| from + ms(40) * number;
    let mut viewer = viewer();
    viewer.run(at(150), at(150) + ms(150), &ring);
    let ask = |viewer: &mut Viewer, now, ring: &Ring| viewer.subscriber.request_keyframe(now, ring);
    let now = at(154);
    assert_eq!(ask(&mut viewer, now, &ring), KeyframeAnswer::Replay);
    assert_eq!(ask(&mut viewer, now, &ring), KeyframeAnswer::Wait);
    viewer.run(now, now + ms(300), &ring);
    let later = now + ms(400);
    assert_eq!(ask(&mut viewer, later, &ring), KeyframeAnswer::TooSoon);
    assert_eq!(
        ask(&mut viewer, at(180), &ring),
        KeyframeAnswer::Wait,
        "due in 0.8 s"
    );
    push_picture(&mut ring, from, 200, true, 3_000);
    push_picture(&mut ring, from, 201, false, 3_000);
    viewer.run(at(201), at(202), &ring);
    assert!(at(202) < now + REPLAY_EVERY);
    assert_eq!(
        ask(&mut viewer, at(202), &ring),
        KeyframeAnswer::TooSoon,
        "another GOP"
    );
    ring.source_lost();
    assert_eq!(ask(&mut viewer, at(400), &ring), KeyframeAnswer::Nothing);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Cameras are not even: a unit may come sooner after a replay than the replay has left room for.
    #[test]
    fn time_goes_on_over_replays_whatever_the_camera_does(
        steps in prop::collection::vec(1u64..9_000, 40..120),
        asked in prop::collection::vec(0usize..120, 1..6),
    ) {
        let from = start();
        let (mut ring, mut viewer) = (Ring::default(), viewer());
        let (mut media_time, mut now) = (90_000, from);
        for (number, step) in steps.iter().enumerate() {
            let mut unit = picture(from, 0, number == 0, 2_000);
            media_time += step;
            now += ms(step / 90 + 1);
            (unit.media_time, unit.recv_time) = (media_time, now);
            push_unit(&mut ring, &unit);
            if asked.contains(&number) {
                viewer.subscriber.request_keyframe(now, &ring);
            }
            viewer.run(now, now + ms(1), &ring);
        }
        viewer.run(now, now + ms(2_000), &ring);
        viewer.check_seq();
        let times: Vec<u32> = viewer.units().iter().map(|(rtp_ts, _)| *rtp_ts).collect();
        for pair in times.windows(2) {
            prop_assert!((1..u32::MAX / 2).contains(&pair[1].wrapping_sub(pair[0])), "{times:?}");
        }
    }

    /// Whatever is lost, once or more, and asked for again each 40 ms, comes in the end.
    #[test]
    fn what_a_lossy_way_lost_is_repaired(
        lost in prop::collection::vec(prop::bool::weighted(0.05), 2_000),
        units in 3u32..40,
    ) {
        let from = start();
        let ring = gop(from, units, 60_000, 6_000);
        let (viewer, mut now) = caught_up(&ring, from + ms(40) * units);
        let mut viewer = viewer;
        let mut lost = lost.into_iter();
        let mut got: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
        for (_, header, payload) in &viewer.sent {
            if !lost.next().unwrap_or(false) {
                got.insert(header.seq, payload.clone());
            }
        }
        let all: BTreeMap<u16, Vec<u8>> =
            viewer.sent.iter().map(|(_, h, payload)| (h.seq, payload.clone())).collect();
        for _ in 0..10 {
            now += ms(40);
            let missing: Vec<u16> = all.keys().copied().filter(|s| !got.contains_key(s)).collect();
            for seq in missing {
                let repaired = again(&mut viewer, now, &ring, seq);
                prop_assert!(repaired.is_some());
                let (header, original_seq, payload) = repaired.unwrap();
                prop_assert_eq!((header.ssrc, original_seq), (RTX.ssrc, seq));
                if !lost.next().unwrap_or(false) {
                    got.insert(original_seq, payload);
                }
            }
        }
        prop_assert_eq!(got, all);
    }
}

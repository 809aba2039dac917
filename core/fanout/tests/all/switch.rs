//! Between main and sub: one RTP stream to the viewer, whatever the two clocks of the camera say.

use std::time::Instant;

use fanout::{Ring, Subscriber};
use proptest::prelude::*;
use wire::rtp::RtpHeader;

use crate::camera::*;
use crate::subscriber::{CONFIG, Viewer};

/// One of a camera's streams: a keyframe in each `gop` pictures, each with its own first byte of
/// size, on a clock of its own.
struct Feed {
    ring: Ring,
    gop: u32,
    phase: u32,
    clock: u64,
    len_bytes: usize,
}

impl Feed {
    fn new(gop: u32, phase: u32, clock: u64, len_bytes: usize) -> Self {
        Self {
            ring: Ring::default(),
            gop,
            phase,
            clock,
            len_bytes,
        }
    }

    fn push(&mut self, from: Instant, number: u32) {
        let keyframe = number % self.gop == self.phase % self.gop;
        let mut unit = picture(from, number, keyframe, self.len_bytes);
        unit.media_time += self.clock;
        push_unit(&mut self.ring, &unit);
    }
}

/// Lets both run from picture `numbers.start`, and the viewer follow `feeds[*on]`; it wants the other
/// one from picture `switch_at` on. Gives the picture at which it went over.
fn follow(
    viewer: &mut Viewer,
    feeds: &mut [Feed; 2],
    on: &mut usize,
    from: Instant,
    numbers: std::ops::Range<u32>,
    switch_at: u32,
) -> Option<u32> {
    let mut went_over = None;
    for number in numbers {
        let now = from + ms(40) * number;
        for feed in feeds.iter_mut() {
            feed.push(from, number);
        }
        let other = &feeds[1 - *on].ring;
        if number >= switch_at && went_over.is_none() && viewer.subscriber.switch_to(now, other) {
            *on = 1 - *on;
            went_over = Some(number);
        }
        viewer.run(now, now + ms(39), &feeds[*on].ring);
    }
    went_over
}

fn is_keyframe(unit: &[Vec<u8>]) -> bool {
    unit.first().is_some_and(|nal| nal == SPS)
}

/// Every unit's RTP time is later than the one before, and where its time is: those of a replay are
/// pressed in before the next live one, so may be up to a picture ahead, and the last one is live.
fn check_times(viewer: &Viewer, from: Instant, joined: Instant) {
    let mut before = None;
    let first = viewer.sent[0].1.rtp_ts;
    for (at, header, _) in viewer.sent.iter().filter(|(_, header, _)| header.marker) {
        let RtpHeader { rtp_ts, .. } = *header;
        if let Some(before) = before {
            let step = rtp_ts.wrapping_sub(before);
            assert!(
                (1..u32::MAX / 2).contains(&step),
                "goes back or stands: {step}"
            );
        }
        before = Some(rtp_ts);
        // The joiner's cached GOP began before it joined.
        let live = (*at - from).as_millis() as i64 * 90;
        let gone = i64::from(rtp_ts.wrapping_sub(first));
        let lead = (joined - from).as_millis() as i64 * 90;
        assert!(
            gone < live + i64::from(PICTURE) && gone >= live - lead - 90 * 400,
            "{gone} of {live}"
        );
    }
    let (at, last, _) = viewer.sent.last().unwrap();
    let gone = last.rtp_ts.wrapping_sub(first);
    assert_eq!(gone % PICTURE, 0, "pressed in for good");
    assert!(
        i64::from(gone) <= (*at - from).as_millis() as i64 * 90,
        "stays ahead"
    );
}

#[test]
fn a_viewer_goes_over_at_a_keyframe_that_is_due_soon() {
    let from = start();
    let mut feeds = [
        Feed::new(25, 0, 0, 3_000),
        Feed::new(50, 10, 7_000_000, 20_000),
    ];
    let (mut viewer, mut on) = (Viewer::new(), 0);
    let went_over = follow(&mut viewer, &mut feeds, &mut on, from, 0..150, 90);
    assert_eq!(went_over, Some(110), "due in 0.8 s");
    viewer.check_seq();
    check_times(&viewer, from, from);
    let units = viewer.units();
    assert_eq!(units.len(), 150, "no unit is missing, none comes twice");
    assert!(is_keyframe(&units[110].1));
    assert_eq!(units[110].1.last().unwrap().len(), 20_000);
    let steps = units.windows(2).map(|w| w[1].0.wrapping_sub(w[0].0));
    assert!(steps.into_iter().all(|step| step == PICTURE));
}

#[test]
fn a_cached_gop_is_pressed_in_between_where_the_next_keyframe_is_far() {
    let from = start();
    let mut feeds = [
        Feed::new(25, 0, 9_000_000, 3_000),
        Feed::new(100, 0, 0, 20_000),
    ];
    let (mut viewer, mut on) = (Viewer::new(), 0);
    let went_over = follow(&mut viewer, &mut feeds, &mut on, from, 0..120, 30);
    assert_eq!(went_over, Some(30), "at once");
    viewer.check_seq();
    check_times(&viewer, from, from);
    let units = viewer.units();
    assert!(is_keyframe(&units[30].1));
    assert_eq!(units.len(), 30 + 31 + 89, "the cached GOP, then live");
    let live = units.last().unwrap().0.wrapping_sub(units[0].0);
    assert_eq!(live, 119 * PICTURE, "nothing stays behind");
}

#[test]
fn two_pictures_pressed_in_are_ahead_of_their_time_by_less_than_one() {
    let from = start();
    let mut feeds = [Feed::new(25, 0, 0, 3_000), Feed::new(100, 29, 0, 20_000)];
    let (mut viewer, mut on) = (Viewer::new(), 0);
    let went_over = follow(&mut viewer, &mut feeds, &mut on, from, 0..60, 30);
    assert_eq!(went_over, Some(30), "at once");
    viewer.check_seq();
    check_times(&viewer, from, from);
    let units = viewer.units();
    assert_eq!(units.len(), 30 + 2 + 29, "the cached GOP, then live");
    let gone = |unit: usize| units[unit].0.wrapping_sub(units[0].0);
    assert_eq!(gone(31), 29 * PICTURE + 2 * (2 * PICTURE / 3));
    assert_eq!(gone(32), 31 * PICTURE, "nothing stays ahead");
}

#[test]
fn without_a_keyframe_to_begin_at_nothing_changes() {
    let from = start();
    let mut sub = Feed::new(25, 0, 0, 3_000);
    let mut viewer = Viewer::new();
    let cold = Ring::default();
    for number in 0..10 {
        let now = from + ms(40) * number;
        sub.push(from, number);
        assert!(!viewer.subscriber.switch_to(now, &cold) || number == 0);
        viewer.run(now, now + ms(39), &sub.ring);
    }
    assert_eq!(viewer.units().len(), 10);
    viewer.check_seq();
}

#[test]
fn a_unit_half_sent_is_finished_first() {
    let from = start();
    let mut feeds = [Feed::new(25, 0, 0, 100_000), Feed::new(100, 0, 0, 3_000)];
    for feed in &mut feeds {
        feed.push(from, 0);
    }
    let mut viewer = Viewer::new();
    viewer.drain(from, &feeds[0].ring);
    assert!(
        !viewer.subscriber.switch_to(from, &feeds[1].ring),
        "paced: not all is out"
    );
    viewer.run(from, from + ms(20), &feeds[0].ring);
    feeds[1].push(from, 1);
    assert!(viewer.subscriber.switch_to(from + ms(40), &feeds[1].ring));
    viewer.run(from + ms(40), from + ms(79), &feeds[1].ring);
    assert_eq!(viewer.units().len(), 3);
    viewer.check_seq();
}

#[test]
fn a_viewer_without_a_picture_joins_the_other_stream_as_a_joiner() {
    let from = start();
    let mut main = Feed::new(50, 0, 0, 20_000);
    for number in 0..40 {
        main.push(from, number);
    }
    let now = from + ms(40) * 40;
    let mut viewer = Viewer::new();
    assert!(viewer.subscriber.switch_to(now, &main.ring));
    viewer.run(now, now + ms(400), &main.ring);
    let units = viewer.units();
    assert_eq!(units.len(), 40);
    assert_eq!(units[0].0, CONFIG.first_rtp_ts);
    assert!(
        units
            .windows(2)
            .all(|w| w[1].0.wrapping_sub(w[0].0) == PICTURE)
    );
}

#[test]
fn what_was_lost_before_the_switch_is_not_sent_again_from_the_other_stream() {
    let from = start();
    let rtx = fanout::RtxConfig {
        ssrc: 1,
        first_seq: 7,
    };
    let mut viewer = Viewer {
        subscriber: Subscriber::new(fanout::SubscriberConfig {
            rtx: Some(rtx),
            ..CONFIG
        }),
        sent: Vec::new(),
    };
    let mut feeds = [Feed::new(25, 0, 0, 3_000), Feed::new(100, 0, 0, 3_000)];
    let mut on = 0;
    follow(&mut viewer, &mut feeds, &mut on, from, 0..40, 30).unwrap();
    let now = from + ms(40) * 40;
    let before = viewer.sent[3].1.seq;
    let after = viewer.sent.last().unwrap().1.seq;
    let ring = &feeds[on].ring;
    assert!(viewer.subscriber.retransmit(now, ring, before).is_none());
    assert!(viewer.subscriber.retransmit(now, ring, after).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// To and fro, at any time, between any GOPs and clocks.
    #[test]
    fn rtp_goes_on_over_any_switches(
        gops in prop::array::uniform2(2u32..150),
        phases in prop::array::uniform2(0u32..150),
        clocks in prop::array::uniform2(0u64..1 << 40),
        sizes in prop::array::uniform2(100usize..9_000),
        switches in prop::collection::vec(0u32..120, 1..6),
    ) {
        let from = start();
        let mut feeds = [0, 1].map(|n| Feed::new(gops[n], phases[n], clocks[n], sizes[n]));
        let (mut viewer, mut on) = (Viewer::new(), 0);
        let mut number = 0;
        let mut over = Vec::new();
        for wait in switches {
            let end = number + wait + 160;
            let went = follow(&mut viewer, &mut feeds, &mut on, from, number..end, number + wait);
            prop_assert!(went.is_some(), "two of any GOP have gone by");
            over.push(went);
            number = end;
        }
        viewer.check_seq();
        let joined = from + ms(40) * phases[0].max(gops[0]);
        check_times(&viewer, from, joined);
        let units = viewer.units();
        prop_assert!(is_keyframe(&units[0].1));
        let turns = units.windows(2).filter(|w| {
            let size = |unit: &[Vec<u8>]| unit.last().map(Vec::len);
            size(&w[0].1) != size(&w[1].1)
        });
        if sizes[0] != sizes[1] {
            for turn in turns {
                prop_assert!(is_keyframe(&turn[1].1), "goes over at a keyframe");
            }
        }
    }
}

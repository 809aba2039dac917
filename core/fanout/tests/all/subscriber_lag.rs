//! Viewers that are behind: whole units are dropped, up to a keyframe, and nobody else notices.

use fanout::{MAX_LAG_BYTES, MAX_LAG_MS};

use crate::camera::*;
use crate::subscriber::{CONFIG, Viewer, gop};

#[test]
fn a_viewer_too_late_goes_to_the_newest_keyframe_without_a_seq_gap() {
    let from = start();
    let mut ring = gop(from, 40, 20_000, 3_000);
    let mut viewer = Viewer::new();
    viewer.run(from + ms(1_600), from + ms(2_000), &ring);
    for number in 40..120 {
        push_picture(&mut ring, from, number, number % 50 == 0, 3_000);
    }
    let now = from + ms(40 * 120);
    viewer.run(now, now + ms(300), &ring);
    viewer.check_seq();
    let units = viewer.units();
    assert_eq!(units.len(), 40 + 20);
    assert_eq!(
        units[40].0,
        CONFIG.first_rtp_ts.wrapping_add(100 * PICTURE),
        "rtp_ts follows"
    );
    let counters = viewer.counters();
    assert_eq!((counters.lags, counters.units_dropped), (1, 60));
}

#[test]
fn a_viewer_late_in_its_gop_catches_up_when_there_is_no_keyframe_ahead() {
    let from = start();
    let mut ring = gop(from, 1, 20_000, 0);
    let mut viewer = Viewer::new();
    viewer.run(from, from + ms(10), &ring);
    for number in 1..100 {
        push_picture(&mut ring, from, number, false, 3_000);
    }
    let now = from + ms(4_000);
    viewer.run(now, now + ms(100), &ring);
    assert_eq!(viewer.units().len(), 100);
    assert_eq!(viewer.counters().units_dropped, 0);
}

#[test]
fn a_viewer_with_too_much_unsent_waits_for_the_next_keyframe() {
    let from = start();
    let mut ring = gop(from, 1, 20_000, 0);
    let mut viewer = Viewer::new();
    viewer.run(from, from + ms(10), &ring);
    let mut number = 1;
    while ring.bytes_since(ring.get(1).unwrap_or(ring.newest().unwrap())) <= MAX_LAG_BYTES {
        push_picture(&mut ring, from, number, false, 60_000);
        number += 1;
    }
    let now = from + ms(20);
    viewer.run(now, now + ms(100), &ring);
    assert_eq!(viewer.units().len(), 1);
    assert_eq!(viewer.subscriber.next_wake(now, &ring), None);
    push_picture(&mut ring, from, number, false, 60_000);
    push_picture(&mut ring, from, number + 1, true, 60_000);
    viewer.run(now, now + ms(200), &ring);
    viewer.check_seq();
    assert_eq!(viewer.units().len(), 2);
    let counters = viewer.counters();
    assert_eq!(
        (counters.lags, counters.units_dropped),
        (1, u64::from(number))
    );
}

#[test]
fn a_unit_begun_is_finished_even_if_the_ring_has_let_it_go() {
    let from = start();
    let mut ring = gop(from, 1, 200_000, 0);
    let mut viewer = Viewer::new();
    viewer.drain(from, &ring);
    for number in 1..200 {
        push_picture(&mut ring, from, number, number % 50 == 0, 3_000);
    }
    assert!(ring.get(0).is_none());
    let now = from + ms(200 * 40);
    viewer.run(now, now + ms(500), &ring);
    viewer.check_seq();
    let units = viewer.units();
    assert_eq!(units[0].1[2], idr(200_000));
    assert_eq!(units.len(), 1 + 50);
}

#[test]
fn one_viewer_behind_takes_nothing_from_another() {
    let from = start();
    let mut ring = gop(from, 1, 20_000, 0);
    let (mut slow, mut quick) = (Viewer::new(), Viewer::new());
    slow.run(from, from + ms(10), &ring);
    quick.run(from, from + ms(10), &ring);
    for number in 1..200 {
        push_picture(&mut ring, from, number, number % 50 == 0, 8_000);
        let now = from + ms(40) * number;
        quick.run(now, now + ms(39), &ring);
    }
    let now = from + ms(MAX_LAG_MS) + ms(200 * 40);
    slow.run(now, now + ms(500), &ring);
    assert_eq!(quick.units().len(), 200);
    assert_eq!(quick.counters().units_dropped, 0);
    assert_eq!(slow.units().len(), 1 + 50);
}

#[test]
fn a_catch_up_overtaken_by_the_next_keyframe_goes_on_there_and_is_no_lag() {
    let from = start();
    let mut ring = gop(from, 250, 20_000, 3_000);
    let joined = from + ms(250 * 40);
    let mut viewer = Viewer::new();
    viewer.run(joined, joined + ms(20), &ring);
    push_picture(&mut ring, from, 250, true, 20_000);
    viewer.run(joined + ms(20), joined + ms(400), &ring);
    viewer.check_seq();
    let counters = viewer.counters();
    assert_eq!(counters.lags, 0);
    assert_eq!(counters.units + counters.units_dropped, 251);
    let last = viewer.units().pop().unwrap();
    assert_eq!(last.1[2], idr(20_000));
}

//! What is kept of a stream, and what is let go.

use fanout::{GOP_MAX_BYTES, GOP_MAX_UNITS, Ring};

use crate::camera::*;
use crate::subscriber::gop;

#[test]
fn the_ring_holds_all_since_the_newest_keyframe() {
    let (mut ring, from) = (Ring::default(), start());
    for number in 0..120 {
        push_picture(&mut ring, from, number, number % 50 == 0, 1_000);
    }
    let keyframe = ring.newest_keyframe().unwrap().index;
    assert_eq!(keyframe, 100);
    assert!((keyframe..120).all(|index| ring.get(index).is_some()));
    assert_eq!((ring.last_index(), ring.next_index()), (Some(119), 120));
}

#[test]
fn a_second_before_the_keyframe_stays_for_those_a_little_behind() {
    let (mut ring, from) = (Ring::default(), start());
    for number in 0..=100 {
        push_picture(&mut ring, from, number, number % 50 == 0, 1_000);
    }
    assert_eq!(ring.first_index(), Some(75));
}

#[test]
fn a_gop_of_too_many_units_is_no_place_to_join_but_live_viewers_go_on() {
    let (mut ring, from) = (Ring::default(), start());
    push_picture(&mut ring, from, 0, true, 5_000);
    for number in 1..GOP_MAX_UNITS as u32 {
        push_picture(&mut ring, from, number, false, 200);
    }
    assert!(ring.newest_keyframe().is_some());
    for number in 0..1_000 {
        push_picture(&mut ring, from, GOP_MAX_UNITS as u32 + number, false, 200);
        assert!(
            ring.len() <= 64,
            "only the tail is kept, not {} units",
            ring.len()
        );
    }
    assert!(ring.newest_keyframe().is_none());
    assert!(ring.get(ring.last_index().unwrap()).is_some());
    assert!(
        ring.keyframe_annexb().is_some(),
        "the still outlives its GOP"
    );
}

#[test]
fn a_gop_of_too_many_bytes_is_let_go() {
    let (mut ring, from) = (Ring::default(), start());
    let mut most_bytes = 0;
    for number in 0..60 {
        push_picture(&mut ring, from, number, number == 0, 400_000);
        most_bytes = most_bytes.max(ring.held_bytes());
    }
    assert!(
        most_bytes <= GOP_MAX_BYTES + 3 * 1024 * 1024,
        "{most_bytes}"
    );
    assert!(ring.held_bytes() <= 3 * 1024 * 1024);
    push_picture(&mut ring, from, 60, true, 1_000);
    assert_eq!(ring.newest_keyframe().map(|unit| unit.index), Some(60));
}

#[test]
fn huge_keyframes_one_after_the_other_do_not_add_up() {
    let (mut ring, from) = (Ring::default(), start());
    for number in 0..40 {
        push_picture(&mut ring, from, number, true, 3_000_000);
        assert!(ring.held_bytes() <= 2 * 3_100_000);
    }
}

#[test]
fn after_the_source_is_lost_nobody_joins_until_the_next_keyframe_but_stills_remain() {
    let (mut ring, from) = (Ring::default(), start());
    push_picture(&mut ring, from, 0, true, 5_000);
    push_picture(&mut ring, from, 1, false, 500);
    ring.source_lost();
    assert!(ring.newest_keyframe().is_none());
    assert_eq!(ring.keyframe_recv_time(), Some(from));
    let still = ring.keyframe_annexb().unwrap();
    assert_eq!(
        wire::h264::annexb_nals(&still).collect::<Vec<_>>(),
        [SPS, PPS, &idr(5_000)]
    );
    push_picture(&mut ring, from, 2, true, 5_000);
    assert_eq!(ring.newest_keyframe().map(|unit| unit.index), Some(2));
}

#[test]
fn an_empty_ring_answers_nothing() {
    let ring = Ring::default();
    assert!(ring.is_empty() && ring.get(0).is_none() && ring.newest_keyframe().is_none());
    assert!(ring.keyframe_annexb().is_none() && ring.first_index().is_none());
}

/// What another shard holds of `ring`, having been handed the units of `handed` only.
fn follower_of(ring: &Ring, handed: impl IntoIterator<Item = u64>) -> Ring {
    let mut follower = Ring::default();
    for index in handed {
        follower.follow(ring.get(index).unwrap().clone());
    }
    follower
}

#[test]
fn a_follower_begins_at_a_keyframe_and_holds_the_same_units() {
    let ring = gop(start(), 30, 9_000, 900);
    let follower = follower_of(&ring, 0..30);
    assert_eq!(follower.newest_keyframe_index(), Some(0));
    assert_eq!(follower.place(), ring.place());
    assert_eq!(follower.held_bytes(), ring.held_bytes());
    for index in 0..30 {
        let lies_at = |ring: &Ring| ring.get(index).unwrap().payload(0).as_ptr();
        let same = lies_at(&follower) == lies_at(&ring);
        assert!(same, "handed on, not copied");
    }
    let late = follower_of(&ring, 5..30);
    assert!(late.is_empty(), "no keyframe to begin at");
}

#[test]
fn a_follower_that_missed_units_goes_on_at_the_next_keyframe() {
    let from = start();
    let mut ring = Ring::default();
    for number in 0..60 {
        push_picture(&mut ring, from, number, number % 20 == 0, 900);
    }
    let kept: Vec<u64> = (ring.first_index().unwrap()..60).collect();
    let first = kept[0];
    assert!(first <= 20, "the test needs a GOP before the last one");
    let handed = (20..60).filter(|index| !(25..30).contains(index));
    let mut follower = follower_of(&ring, handed);
    assert_eq!(follower.newest_keyframe_index(), Some(40));
    assert_eq!(
        follower.first_index(),
        Some(40),
        "nothing lies before the gap"
    );
    assert_eq!(follower.place(), ring.place());
    follower.follow(ring.get(50).unwrap().clone());
    assert_eq!(follower.place(), ring.place(), "handed twice, held once");
}

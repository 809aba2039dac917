//! Output time: true where the source is, forward whatever it does.

use std::time::Instant;

use fanout::{AccessUnit, Timeline};
use proptest::prelude::*;

use crate::camera::{PICTURE, ms, p, start, unit};

const STEP: u64 = PICTURE as u64;

fn at(media_time: u64, recv_time: Instant, source_epoch: u32) -> AccessUnit {
    AccessUnit {
        source_epoch,
        ..unit(false, vec![p(10)], media_time, recv_time)
    }
}

#[test]
fn spacing_is_the_source_s_own_however_it_arrives() {
    let (mut timeline, from) = (Timeline::default(), start());
    let first = timeline.map(&at(500, from, 0));
    assert_eq!(timeline.map(&at(500 + STEP, from, 0)), first + STEP);
    assert_eq!(
        timeline.map(&at(500 + 2 * STEP, from + ms(900), 0)),
        first + 2 * STEP
    );
}

#[test]
fn a_new_source_goes_on_by_the_wall_clock() {
    let (mut timeline, from) = (Timeline::default(), start());
    let first = timeline.map(&at(7_000_000, from, 0));
    let resumed = timeline.map(&at(12, from + ms(5_000), 1));
    assert_eq!(resumed, first + 5 * 90_000);
    assert_eq!(
        timeline.map(&at(12 + STEP, from + ms(5_040), 1)),
        resumed + STEP
    );
    assert_eq!(timeline.jumps(), 1);
}

#[test]
fn a_source_back_at_once_still_moves_on_by_a_picture() {
    let (mut timeline, from) = (Timeline::default(), start());
    timeline.map(&at(0, from, 0));
    let last = timeline.map(&at(6_000, from, 0));
    assert_eq!(timeline.map(&at(99, from, 1)), last + 6_000);
}

#[test]
fn a_clock_set_forward_or_back_is_a_jump_by_the_wall_clock() {
    let (mut timeline, from) = (Timeline::default(), start());
    let first = timeline.map(&at(90_000_000, from, 0));
    let ahead = timeline.map(&at(90_000_000 + 90_000 * 3_600, from + ms(40), 0));
    assert_eq!(ahead, first + STEP);
    let back = timeline.map(&at(5, from + ms(80), 0));
    assert_eq!(back, ahead + STEP);
    assert_eq!(timeline.jumps(), 2);
}

#[test]
fn pictures_out_of_order_never_take_time_back() {
    let (mut timeline, from) = (Timeline::default(), start());
    let outputs: Vec<u64> = [0, 3, 1, 2, 6, 4, 5]
        .iter()
        .map(|place| timeline.map(&at(90_000 + place * STEP, from, 0)))
        .collect();
    assert!(outputs.is_sorted_by(|a, b| a < b));
    assert_eq!(outputs[4] - outputs[0], 6 * STEP);
    assert_eq!(timeline.jumps(), 0);
}

#[test]
fn a_clock_that_stands_still_is_replaced_by_arrival() {
    let (mut timeline, from) = (Timeline::default(), start());
    let mut outputs = Vec::new();
    for picture in 0..250u32 {
        outputs.push(timeline.map(&at(42, from + ms(40) * picture, 0)));
    }
    assert!(timeline.is_by_arrival());
    assert!(outputs.is_sorted_by(|a, b| a < b));
    assert_eq!(outputs[249] - outputs[150], 99 * STEP);
}

#[test]
fn a_clock_in_milliseconds_is_replaced_by_arrival() {
    let (mut timeline, from) = (Timeline::default(), start());
    let mut last = [0; 2];
    for picture in 0..400u32 {
        last = [
            last[1],
            timeline.map(&at(u64::from(picture) * 40, from + ms(40) * picture, 0)),
        ];
    }
    assert!(timeline.is_by_arrival());
    assert_eq!(last[1] - last[0], STEP);
}

#[test]
fn one_stall_of_the_network_does_not_condemn_the_source_s_clock() {
    let (mut timeline, from) = (Timeline::default(), start());
    let mut stall = ms(0);
    for picture in 0..1_000u32 {
        if picture == 300 {
            stall = ms(30_000);
        }
        timeline.map(&at(
            u64::from(picture) * STEP,
            from + ms(40) * picture + stall,
            0,
        ));
        assert!(!timeline.is_by_arrival());
    }
}

proptest! {
    #[test]
    fn output_time_always_grows(
        steps in prop::collection::vec((any::<u64>(), 0u64..5_000, 0u32..20), 1..200),
    ) {
        let (mut timeline, mut now) = (Timeline::default(), start());
        let (mut epoch, mut last) = (0, 0);
        for (media_time, wait_ms, dice) in steps {
            now += ms(wait_ms);
            epoch += u32::from(dice == 0);
            let media_time = if dice > 10 { media_time % 1_000_000 } else { media_time };
            let output = timeline.map(&at(media_time, now, epoch));
            prop_assert!(output > last);
            last = output;
        }
    }
}

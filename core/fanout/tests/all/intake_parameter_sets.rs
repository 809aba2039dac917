//! Parameter sets: where they come from, which wins, and who gets them.

use bytes::Bytes;

use crate::camera::*;

#[test]
fn a_keyframe_without_sets_in_band_gets_those_of_the_sdp() {
    let mut camera = Camera::with_sets(&[SPS, PPS]);
    let units = camera.send(&[idr(100)]);
    assert_eq!(units[0].parameter_sets, [SPS, PPS]);
}

#[test]
fn sets_of_the_sdp_may_be_swapped_glued_or_nonsense() {
    let glued_sets = [[0, 0, 0, 1].as_slice(), PPS, &[0, 0, 1], SPS].concat();
    let mut camera = Camera::with_sets(&[&glued_sets, b"", b"\xff\xff", &[0x67]]);
    assert_eq!(camera.send(&[idr(100)])[0].parameter_sets, [SPS, PPS]);
    assert_eq!(
        camera.intake.video().map(|v| (v.width, v.height)),
        Some((640, 360))
    );
}

#[test]
fn sets_in_band_win_over_those_of_the_sdp() {
    let mut camera = Camera::with_sets(&[SPS, PPS]);
    let units = camera.send(&[SPS_1080, PPS_1080, &idr(100)]);
    assert_eq!(units[0].parameter_sets, [SPS_1080, PPS_1080]);
    let stale = [Bytes::from_static(SPS), Bytes::from_static(PPS)];
    camera.intake.source_resumed(&track(90_000, None, &stale));
    assert_eq!(
        camera.send(&[idr(100)])[0].parameter_sets,
        [SPS_1080, PPS_1080]
    );
}

#[test]
fn after_a_reconnect_the_new_sdp_replaces_the_old_sets() {
    let mut camera = Camera::new();
    camera.key(100);
    camera.intake.reset();
    let sets = [Bytes::from_static(SPS_1080), Bytes::from_static(PPS_1080)];
    camera.intake.source_resumed(&track(90_000, None, &sets));
    assert_eq!(
        camera.send(&[idr(100)])[0].parameter_sets,
        [SPS_1080, PPS_1080]
    );
    let video = camera.intake.video().unwrap();
    assert_eq!(
        (video.width, video.height, video.profile_name),
        (1920, 1080, "High")
    );
}

#[test]
fn a_keyframe_without_any_sets_is_dropped_until_they_come() {
    let mut camera = Camera::new();
    assert!(camera.send(&[idr(100)]).is_empty());
    assert!(camera.send(&[p(100)]).is_empty());
    assert_eq!(camera.intake.counters().without_parameter_sets, 1);
    assert!(camera.intake.video().is_none());
    assert_eq!(camera.key(100).len(), 1);
}

#[test]
fn sets_repeated_before_every_picture_do_not_go_out_with_it() {
    let mut camera = Camera::new();
    camera.key(100);
    let generation = camera.intake.video().unwrap().generation;
    let units = camera.send(&[SPS, PPS, &p(100)]);
    assert!(units[0].parameter_sets.is_empty());
    assert_eq!(camera.intake.video().unwrap().generation, generation);
}

#[test]
fn a_set_that_changes_goes_out_with_the_picture_that_needs_it() {
    let mut camera = Camera::new();
    camera.key(100);
    let generation = camera.intake.video().unwrap().generation;
    let units = camera.send(&[PPS_1080, &p(100)]);
    assert_eq!(units[0].parameter_sets, [PPS_1080]);
    assert!(camera.intake.video().unwrap().generation > generation);
}

#[test]
fn sets_of_two_ids_both_lead_the_keyframe() {
    let mut camera = Camera::new();
    let second_pps = [0x68, 0b0101_1110, 0x0f, 0xc8];
    let units = camera.send(&[SPS, PPS, &second_pps, &idr(100)]);
    assert_eq!(units[0].parameter_sets, [SPS, PPS, second_pps.as_slice()]);
}

#[test]
fn ever_new_ids_do_not_grow_memory() {
    let mut camera = Camera::new();
    for byte in 0..=255u8 {
        let _ = camera.push(&[0x68, byte, byte ^ 0x5a, 0x80], false);
        let _ = camera.push(&[0x67, 66, 0, 30, byte, byte, 0x80], false);
    }
    assert!(camera.intake.parameter_sets().all().len() <= 20);
}

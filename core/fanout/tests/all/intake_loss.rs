//! Loss, repetition, restarts and strangers.

use fanout::IntakeError;

use crate::camera::*;

#[test]
fn a_lost_packet_drops_up_to_the_next_keyframe_and_is_counted() {
    let mut camera = Camera::new();
    camera.key(3_000);
    let parts = fragments(&p(5_000), 1_000);
    camera.push(&parts[0], false).unwrap();
    camera.lose(2);
    for part in &parts[3..] {
        camera.push(part, part[1] & 0x40 != 0).unwrap();
    }
    camera.tick();
    assert!(camera.units().is_empty());
    assert!(camera.send(&[p(100)]).is_empty());
    assert_eq!(camera.key(3_000).len(), 1);
    assert_eq!(camera.send(&[p(100)]).len(), 1);
    let counters = camera.intake.counters();
    assert_eq!(counters.packets_lost, 2);
    assert!(counters.units_dropped >= 2);
}

#[test]
fn a_whole_picture_lost_drops_what_leans_on_it() {
    let mut camera = Camera::new();
    camera.key(3_000);
    camera.lose(1);
    camera.tick();
    assert!(camera.send(&[p(100)]).is_empty());
    assert_eq!(camera.key(100).len(), 1);
}

#[test]
fn a_keyframe_whose_first_slice_was_lost_is_not_handed_out() {
    let mut camera = Camera::with_sets(&[SPS, PPS]);
    camera.key(100);
    camera.lose(1);
    assert!(camera.send(&[slice(0x65, 80, 7, 300)]).is_empty());
    assert_eq!(camera.send(&[idr(300), slice(0x65, 80, 7, 300)]).len(), 1);
}

#[test]
fn a_keyframe_right_behind_a_gap_is_handed_out() {
    let mut camera = Camera::new();
    camera.key(100);
    camera.lose(3);
    assert_eq!(camera.key(3_000).len(), 1);
}

#[test]
fn joining_in_the_middle_of_a_gop_waits_for_a_keyframe() {
    let mut camera = Camera::with_sets(&[SPS, PPS]);
    let parts = fragments(&p(5_000), 1_000);
    assert!(camera.payloads(&parts[2..]).is_empty());
    assert!(camera.send(&[p(100)]).is_empty());
    assert_eq!(camera.key(100).len(), 1);
    assert!(camera.intake.counters().orphan_fragments > 0);
}

#[test]
fn repeated_and_overtaken_packets_change_nothing() {
    let mut camera = Camera::new();
    let first = camera.packet(SPS, false);
    let second = camera.packet(PPS, false);
    for packet in [&first, &second, &first, &second] {
        let _ = camera.intake.push(camera.now, packet);
    }
    assert!(matches!(
        camera.intake.push(camera.now, &first),
        Err(IntakeError::Late { .. })
    ));
    assert_eq!(camera.send(&[idr(100)]).len(), 1);
    assert_eq!(camera.intake.counters().late_or_repeated, 3);
    assert_eq!(camera.intake.counters().packets_lost, 0);
}

#[test]
fn a_camera_that_counts_anew_is_followed_without_calling_it_loss() {
    let mut camera = Camera::new();
    camera.seq = 40_000;
    camera.key(100);
    camera.seq = 7;
    assert_eq!(camera.key(100).len(), 1);
    assert_eq!(camera.intake.counters().packets_lost, 0);
    assert_eq!(camera.intake.counters().resyncs, 1);
}

#[test]
fn packets_of_a_dead_dialogue_do_not_disturb_the_living_one() {
    let mut camera = Camera::new();
    camera.key(100);
    for _ in 0..50 {
        let (seq, ssrc) = (camera.seq, camera.ssrc);
        camera.ssrc = 0xdead;
        camera.seq = 30_000;
        assert!(matches!(
            camera.push(&p(50), true),
            Err(IntakeError::ForeignSsrc { .. })
        ));
        (camera.seq, camera.ssrc) = (seq, ssrc);
        assert_eq!(camera.send(&[p(100)]).len(), 1);
    }
    assert_eq!(camera.intake.counters().foreign_ssrc, 50);
}

#[test]
fn a_source_that_changes_its_ssrc_for_good_is_followed_from_its_next_keyframe() {
    let mut camera = Camera::new();
    let epoch = camera.key(100)[0].source_epoch;
    camera.ssrc = 0x9999;
    for _ in 0..10 {
        let _ = camera.push(&p(100), true);
        camera.tick();
    }
    assert!(camera.units().is_empty());
    let units = camera.key(100);
    assert_eq!(units.len(), 1);
    assert!(units[0].source_epoch > epoch);
}

#[test]
fn another_payload_type_is_dropped_and_counted() {
    let mut camera = Camera::new();
    camera.key(100);
    camera.payload_type = 107;
    let error = camera.push(&p(100), true).unwrap_err();
    assert!(matches!(
        error,
        IntakeError::PayloadType {
            got: 107,
            want: 96,
            ..
        }
    ));
    camera.payload_type = 96;
    camera.seq = camera.seq.wrapping_sub(1);
    assert_eq!(camera.send(&[p(100)]).len(), 1);
    assert_eq!(camera.intake.counters().unexpected_payload_type, 1);
}

#[test]
fn a_camera_whose_sdp_names_a_payload_type_it_never_sends_is_still_seen() {
    let mut camera = Camera::new();
    camera.intake.source_resumed(&track(90_000, Some(97), &[]));
    for _ in 0..10 {
        let _ = camera.push(&p(100), true);
        camera.tick();
    }
    assert_eq!(camera.key(100).len(), 1);
    assert_eq!(camera.intake.counters().unexpected_payload_type, 7);
}

#[test]
fn bytes_that_are_not_rtp_are_an_error_and_the_stream_goes_on() {
    let mut camera = Camera::new();
    camera.key(100);
    assert!(camera.intake.push(camera.now, &[0x80, 0x60, 1]).is_err());
    assert!(camera.intake.push(camera.now, &[]).is_err());
    assert_eq!(camera.send(&[p(100)]).len(), 1);
    assert_eq!(camera.intake.counters().malformed, 2);
}

#[test]
fn an_aggregate_cut_short_damages_only_up_to_the_next_keyframe() {
    let mut camera = Camera::new();
    camera.key(100);
    let mut payload = stap_a(&[&p(300), &slice(0x41, 80, 5, 300)]);
    payload.truncate(500);
    assert!(matches!(
        camera.push(&payload, true),
        Err(IntakeError::Payload { .. })
    ));
    camera.tick();
    assert!(camera.send(&[p(100)]).is_empty());
    assert_eq!(camera.key(100).len(), 1);
}

#[test]
fn after_a_reset_the_next_unit_is_a_keyframe_of_a_new_epoch() {
    let mut camera = Camera::new();
    let epoch = camera.key(100)[0].source_epoch;
    camera.push(&fragments(&p(5_000), 1_000)[0], false).unwrap();
    camera.intake.reset();
    (camera.seq, camera.ssrc, camera.payload_type) = (5, 0x77, 98);
    assert!(camera.send(&[p(100)]).is_empty());
    let units = camera.send(&[idr(100)]);
    assert_eq!(units[0].parameter_sets, [SPS, PPS]);
    assert!(units[0].source_epoch > epoch);
    assert_eq!(camera.intake.counters().packets_lost, 0);
}

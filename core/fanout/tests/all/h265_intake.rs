//! Access units of H.265: the walk is H.264's, so these are the hazards that are its own.

use bytes::Bytes;
use fanout::{IntakeConfig, IntakeError};
use wire::codec::VideoCodec;

use crate::camera::{Camera, glued, nals};
use crate::h265_camera::*;

#[test]
fn a_keyframe_carries_all_three_sets_and_the_rest_its_slices() {
    let mut camera = camera();
    camera.push(&aggregate(&[VPS, SPS, PPS]), false).unwrap();
    let units = send(&mut camera, &[SEI, &idr(9_000), SUFFIX_SEI]);
    assert_eq!(units.len(), 1);
    assert!(units[0].keyframe && !units[0].needs_past && !units[0].has_b_slices);
    assert_eq!(units[0].codec, VideoCodec::H265);
    assert_eq!(units[0].parameter_sets, [VPS, SPS, PPS]);
    assert_eq!(
        nals(&units[0]),
        [SEI.to_vec(), idr(9_000), SUFFIX_SEI.to_vec()]
    );
    let units = send(&mut camera, &[p(3_000, 1)]);
    assert_eq!(nals(&units[0]), [p(3_000, 1)]);
    assert!(!units[0].keyframe && units[0].parameter_sets.is_empty());
    let video = camera.intake.video().unwrap();
    assert_eq!(
        (video.codec, video.width, video.height),
        (VideoCodec::H265, 640, 360)
    );
    assert_eq!(
        (video.profile, video.profile_name, video.level),
        (1, "Main", 63)
    );
}

#[test]
fn decoding_begins_at_idr_cra_and_bla_and_nowhere_else() {
    for kind in [16, 17, 18, 19, 20, 21] {
        let mut camera = camera();
        let units = send(&mut camera, &[VPS, SPS, PPS, &slice(kind, true, 4, 900)]);
        assert!(units[0].keyframe, "{kind}");
    }
    for kind in (0..=9).chain([22, 23]) {
        let mut camera = camera();
        let units = send(&mut camera, &[VPS, SPS, PPS, &slice(kind, true, 4, 900)]);
        assert!(units.is_empty(), "{kind}");
    }
}

#[test]
fn leading_pictures_that_need_the_past_are_left_out_where_decoding_begins() {
    let mut camera = camera();
    let cra = |order| slice(CRA, true, order, 900);
    assert!(send(&mut camera, &[VPS, SPS, PPS, &cra(10)])[0].keyframe);
    assert!(send(&mut camera, &[slice(RASL, true, 8, 300)]).is_empty());
    let units = send(&mut camera, &[slice(RADL, true, 9, 300)]);
    assert_eq!(
        nals(&units[0]),
        [slice(RADL, true, 9, 300)],
        "it needs nothing else"
    );
    assert_eq!(
        send(&mut camera, &[p(300, 11)]).len(),
        1,
        "nothing is lost by it"
    );
    assert_eq!(camera.intake.counters().leading_left_out, 1);
    assert_eq!(camera.intake.counters().units_dropped, 0);

    // In the middle of the stream it can be decoded by those who were there before.
    assert!(send(&mut camera, &[cra(20)])[0].keyframe);
    let units = send(&mut camera, &[slice(RASL, true, 18, 300)]);
    assert!(units[0].needs_past && !units[0].keyframe);
    // After a broken link by nobody.
    assert!(send(&mut camera, &[slice(BLA, true, 30, 900)])[0].keyframe);
    assert!(send(&mut camera, &[slice(RASL, true, 28, 300)]).is_empty());
    // Nor after loss.
    camera.lose(1);
    assert!(send(&mut camera, &[p(300, 31)]).is_empty());
    assert!(send(&mut camera, &[cra(40)])[0].keyframe);
    assert!(send(&mut camera, &[slice(RASL, true, 38, 300)]).is_empty());
    assert_eq!(camera.intake.counters().leading_left_out, 3);
}

#[test]
fn without_a_vps_no_decoder_starts() {
    let mut camera = camera();
    assert!(send(&mut camera, &[SPS, PPS, &idr(900)]).is_empty());
    assert_eq!(camera.intake.counters().without_parameter_sets, 1);
    assert_eq!(key(&mut camera, 900).len(), 1);
}

#[test]
fn sets_of_the_sdp_are_enough_and_those_of_the_stream_win() {
    let mut camera = Camera::of(VideoCodec::H265, &[PPS, SPS, VPS]);
    let units = send(&mut camera, &[idr(900)]);
    assert_eq!(units[0].parameter_sets, [VPS, SPS, PPS]);
    let changed: &[u8] = &[0x44, 0x01, 0xc1, 0x73, 0xc0, 0x89];
    let units = send(&mut camera, &[changed, &idr(900)]);
    assert_eq!(units[0].parameter_sets, [VPS, SPS, changed]);
    camera.intake.source_resumed(&IntakeConfig {
        codec: VideoCodec::H265,
        parameter_sets: vec![Bytes::from_static(PPS)],
        ..IntakeConfig::default()
    });
    assert_eq!(send(&mut camera, &[idr(900)])[0].parameter_sets[2], changed);
}

#[test]
fn a_camera_that_never_marks_is_cut_where_pictures_begin() {
    let mut camera = camera();
    camera.marks = false;
    let mut units = Vec::new();
    for nal in [
        VPS,
        SPS,
        PPS,
        &idr(3_000),
        &slice(IDR, false, 0, 2_000),
        &p(200, 1),
        &slice(TRAIL, false, 1, 200),
        AUD,
        &p(201, 2),
        VPS,
        &p(202, 3),
        &p(203, 4),
    ] {
        units.extend(send(&mut camera, &[nal]));
        camera.rtp_ts = 77;
    }
    let nals: Vec<usize> = units.iter().map(|unit| unit.nals.len()).collect();
    assert_eq!(nals, [2, 2, 1, 1]);
}

#[test]
fn a_marker_on_every_slice_is_not_believed() {
    let mut camera = camera();
    key(&mut camera, 900);
    camera.push(&slice(TRAIL, true, 1, 300), true).unwrap();
    camera.push(&slice(TRAIL, false, 1, 300), true).unwrap();
    camera.tick();
    assert_eq!(camera.intake.counters().early_markers, 1);
    camera.units();
    key(&mut camera, 900);
    camera.push(&slice(TRAIL, true, 1, 300), true).unwrap();
    camera.push(&slice(TRAIL, false, 1, 300), true).unwrap();
    camera.tick();
    send(&mut camera, &[p(300, 2)]);
    camera.units();
    send(&mut camera, &[p(300, 3)]);
    assert_eq!(camera.intake.counters().early_markers, 1, "said once");
}

#[test]
fn start_codes_inside_a_fragmented_nal_unit_separate_nal_units() {
    let mut camera = camera();
    let all = glued(&[VPS, SPS, PPS, &idr(5_000)]);
    let units = send(&mut camera, &[all]);
    assert_eq!(units[0].parameter_sets, [VPS, SPS, PPS]);
    assert_eq!(nals(&units[0]), [idr(5_000)]);
    assert_eq!(camera.intake.counters().annexb_inside, 1);
}

#[test]
fn a_fragment_that_is_lost_drops_up_to_the_next_keyframe() {
    let mut camera = camera();
    key(&mut camera, 900);
    let parts = fragments(&p(9_000, 1), 1_300);
    camera.push(&parts[0], false).unwrap();
    camera.lose(1);
    assert!(camera.payloads(&parts[2..]).is_empty());
    assert!(send(&mut camera, &[p(300, 2)]).is_empty());
    assert_eq!(key(&mut camera, 900).len(), 1);
    assert!(camera.intake.counters().orphan_fragments > 0);
}

#[test]
fn what_cameras_do_not_send_is_counted_and_never_half_a_picture() {
    let mut camera = camera();
    key(&mut camera, 900);
    // An extension's layer is left out, its picture goes on without.
    let mut layer = p(300, 1);
    layer[1] |= 1 << 3;
    let units = send(&mut camera, &[p(300, 1), layer]);
    assert_eq!(nals(&units[0]), [p(300, 1)]);
    assert_eq!(camera.intake.counters().other_nals, 1);
    // What PACI wraps is missing from the picture.
    assert!(send(&mut camera, &[&p(300, 2), PACI]).is_empty());
    assert_eq!(camera.intake.counters().paci_packets, 1);
    assert!(send(&mut camera, &[p(300, 3)]).is_empty());
    assert_eq!(key(&mut camera, 900).len(), 1);
}

#[test]
fn payloads_cut_short_are_malformed() {
    let mut camera = camera();
    key(&mut camera, 900);
    let mut cut = aggregate(&[SEI, &p(300, 1)]);
    cut.truncate(200);
    for payload in [&[0x62][..], &[], &[0x62, 0x01], &cut] {
        let outcome = camera.push(payload, false);
        assert!(
            matches!(outcome, Err(IntakeError::Payload { .. })),
            "{payload:?}"
        );
    }
    assert_eq!(camera.intake.counters().malformed, 4);
}

#[test]
fn another_order_of_display_is_seen_by_the_picture_order_count() {
    let mut camera = camera();
    key(&mut camera, 900);
    // B slices that only look back: encoders without delay write nothing else.
    for order in 1..=300 {
        let nal = slice_of_type(TRAIL, true, 0, order, 100);
        assert!(!send(&mut camera, &[nal])[0].has_b_slices, "{order}");
    }
    let orders = [304, 302, 301, 303, 308, 306];
    let back = orders.map(|order| send(&mut camera, &[p(100, order)])[0].has_b_slices);
    assert_eq!(back, [false, true, true, true, false, true]);
    assert_eq!(camera.intake.counters().b_slice_units, 4);
    assert!(
        !key(&mut camera, 900)[0].has_b_slices,
        "it counts from 0 again"
    );
    assert!(!send(&mut camera, &[p(100, 1)])[0].has_b_slices);
}

#[test]
fn a_camera_set_to_another_codec_begins_with_new_sets() {
    let mut camera = Camera::new();
    assert_eq!(camera.key(900).len(), 1);
    camera.intake.reset();
    camera.intake.source_resumed(&IntakeConfig {
        codec: VideoCodec::H265,
        ..IntakeConfig::default()
    });
    assert_eq!(camera.intake.video(), None);
    assert!(send(&mut camera, &[idr(900)]).is_empty());
    let units = key(&mut camera, 900);
    assert_eq!(units[0].codec, VideoCodec::H265);
    assert_eq!(units[0].parameter_sets, [VPS, SPS, PPS]);
}

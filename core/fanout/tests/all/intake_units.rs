//! Where access units end, whatever the camera does with markers, times and fragments.

use crate::camera::*;

#[test]
fn a_unit_ends_at_the_marker_at_once() {
    let mut camera = Camera::new();
    let units = camera.key(5_000);
    assert_eq!(units.len(), 1);
    assert!(units[0].keyframe);
    assert_eq!(nals(&units[0]), [idr(5_000)]);
    assert_eq!(units[0].parameter_sets, [SPS, PPS]);
    assert_eq!(camera.send(&[p(300)]).len(), 1);
}

#[test]
fn a_camera_that_never_marks_still_gives_units() {
    let mut camera = Camera::new();
    camera.marks = false;
    assert_eq!(camera.key(5_000).len(), 0);
    let units = camera.send(&[p(300)]);
    assert_eq!(units.len(), 1);
    assert_eq!(nals(&units[0]), [idr(5_000)]);
    assert_eq!(nals(&camera.send(&[p(400)])[0]), [p(300)]);
}

#[test]
fn a_camera_without_markers_and_with_a_constant_time_is_cut_where_pictures_begin() {
    let mut camera = Camera::new();
    camera.marks = false;
    let mut units = Vec::new();
    for nal in [
        SPS,
        PPS,
        &idr(3_000),
        &p(200),
        &slice(0x41, 80, 5, 200),
        &p(201),
        AUD,
        &p(202),
    ] {
        units.extend(camera.send(&[nal]));
        camera.rtp_ts = 77;
    }
    let nals: Vec<usize> = units.iter().map(|unit| unit.nals.len()).collect();
    assert_eq!(nals, [1, 2, 1]);
    let arrivals = units.iter().map(|unit| unit.recv_time);
    assert!(
        arrivals.is_sorted_by(|a, b| a < b),
        "each has its own arrival"
    );
}

#[test]
fn two_fields_at_one_time_stay_one_unit() {
    let mut camera = Camera::new();
    camera.send(&[SPS_INTERLACED, PPS, &idr(3_000)]);
    let units = camera.send(&[p(200), p(200)]);
    assert_eq!(units.len(), 1);
    assert_eq!(units[0].nals.len(), 2);
}

#[test]
fn a_marker_on_parameter_sets_or_sei_ends_nothing() {
    let mut camera = Camera::new();
    for nal in [SPS, PPS, SEI] {
        camera.push(nal, true).unwrap();
    }
    camera.push(&idr(900), true).unwrap();
    let units = camera.units();
    assert_eq!(units.len(), 1);
    assert_eq!(nals(&units[0]), [SEI.to_vec(), idr(900)]);
}

#[test]
fn parameter_sets_with_an_older_time_belong_to_the_picture_they_lead() {
    let mut camera = Camera::new();
    camera.push(SPS, true).unwrap();
    camera.push(PPS, true).unwrap();
    camera.tick();
    let picture_ts = camera.rtp_ts;
    let units = camera.send(&[idr(2_000)]);
    assert_eq!(units.len(), 1);
    assert!(units[0].keyframe);
    assert_eq!(units[0].media_time as u32, picture_ts);
}

#[test]
fn a_marker_on_every_slice_is_found_out_and_then_ignored() {
    let mut camera = Camera::new();
    let slices = |kind: u8, ty| [slice(kind, 0, ty, 300), slice(kind, 80, ty, 300)];
    let mut units = Vec::new();
    for picture in 0..6 {
        let key = picture % 2 == 0;
        if key {
            camera.push(SPS, false).unwrap();
            camera.push(PPS, false).unwrap();
        }
        for nal in if key {
            slices(0x65, 7)
        } else {
            slices(0x41, 5)
        } {
            camera.push(&nal, true).unwrap();
        }
        camera.tick();
        units.extend(camera.units());
    }
    assert_eq!(camera.intake.counters().early_markers, 1);
    // The first was cut; its sequel waits for the second keyframe, from which all are whole.
    let slices: Vec<usize> = units.iter().map(|unit| unit.nals.len()).collect();
    assert_eq!(slices, [1, 2, 2, 2]);
    assert!(units[1].keyframe);
}

#[test]
fn annex_b_inside_one_nal_unit_is_taken_apart() {
    let mut camera = Camera::new();
    let units = camera.payloads(&[glued(&[SPS, PPS, &idr(800)])]);
    assert_eq!(units.len(), 1);
    assert!(units[0].keyframe);
    assert_eq!(nals(&units[0]), [idr(800)]);
    assert_eq!(camera.intake.counters().annexb_inside, 1);
}

#[test]
fn annex_b_inside_fragments_is_taken_apart() {
    let mut camera = Camera::new();
    let units = camera.payloads(&fragments(&glued(&[SPS, PPS, &idr(8_000)]), 1_000));
    assert_eq!(units.len(), 1);
    assert_eq!(nals(&units[0]), [idr(8_000)]);
    let two_slices = glued(&[&p(3_000), &slice(0x41, 80, 5, 3_000)]);
    assert_eq!(
        camera.payloads(&fragments(&two_slices, 1_000))[0]
            .nals
            .len(),
        2
    );
}

#[test]
fn a_leading_start_code_is_not_part_of_the_nal_unit() {
    let mut camera = Camera::new();
    let marked = |nal: &[u8]| [[0, 0, 0, 1].as_slice(), nal].concat();
    let units = camera.payloads(&[marked(SPS), marked(PPS), marked(&idr(700))]);
    assert_eq!(nals(&units[0]), [idr(700)]);
}

#[test]
fn a_fragment_that_starts_and_ends_is_a_whole_nal_unit() {
    let mut camera = Camera::with_sets(&[SPS, PPS]);
    let nal = idr(600);
    let mut payload = fragments(&nal, 5_000).remove(0);
    payload[1] |= 0xc0;
    assert_eq!(nals(&camera.payloads(&[payload])[0]), [nal]);
}

#[test]
fn fragments_that_change_their_type_follow_the_first() {
    let mut camera = Camera::with_sets(&[SPS, PPS]);
    let mut payloads = fragments(&idr(4_000), 1_000);
    for payload in &mut payloads[1..] {
        payload[1] = (payload[1] & 0xe0) | 1;
    }
    assert_eq!(nals(&camera.payloads(&payloads)[0]), [idr(4_000)]);
}

#[test]
fn empty_fragments_and_a_missing_end_lose_no_bytes() {
    let mut camera = Camera::with_sets(&[SPS, PPS]);
    let mut payloads = fragments(&idr(4_000), 1_000);
    payloads.insert(2, vec![0x7c, 0x05]);
    payloads.last_mut().unwrap()[1] &= !0x40;
    // Without an end, the marker is not believed: the next time ends the unit.
    assert_eq!(camera.payloads(&payloads).len(), 0);
    let units = camera.send(&[p(100)]);
    assert_eq!(nals(&units[0]), [idr(4_000)]);
    assert_eq!(units.len(), 2);
}

#[test]
fn zeros_behind_aggregated_nal_units_are_padding() {
    let mut camera = Camera::new();
    let mut payload = stap_a(&[SPS, PPS, &idr(500)]);
    payload.extend([0; 7]);
    assert_eq!(nals(&camera.payloads(&[payload])[0]), [idr(500)]);
}

#[test]
fn delimiters_and_filler_are_left_out() {
    let mut camera = Camera::new();
    let filler = [0x0c, 0xff, 0xff, 0x80];
    let units = camera.send(&[AUD, SPS, PPS, SEI, &idr(500), &filler]);
    assert_eq!(units.len(), 1);
    assert_eq!(nals(&units[0]), [SEI.to_vec(), idr(500)]);
}

#[test]
fn the_order_delimiter_sps_pps_sei_picture_with_one_nal_unit_a_packet_makes_one_unit_each() {
    let mut camera = Camera::new();
    for _ in 0..3 {
        let units = camera.send(&[AUD, SPS, PPS, SEI, &idr(2_000)]);
        assert_eq!(units.len(), 1);
        assert!(units[0].keyframe);
    }
}

#[test]
fn b_slices_are_said() {
    let mut camera = Camera::new();
    assert!(!camera.key(100)[0].has_b_slices);
    assert!(camera.send(&[b(100)])[0].has_b_slices);
    assert_eq!(camera.intake.counters().b_slice_units, 1);
}

#[test]
fn a_stream_without_idr_starts_at_sps_and_recovery_point() {
    let mut camera = Camera::new();
    assert!(camera.send(&[p(300)]).is_empty());
    let units = camera.send(&[SPS, PPS, RECOVERY_POINT, &p(300)]);
    assert!(units[0].keyframe);
    // Once there are IDRs, recovery points mean nothing to joiners.
    camera.key(300);
    assert!(!camera.send(&[SPS, PPS, RECOVERY_POINT, &p(300)])[0].keyframe);
}

#[test]
fn a_clock_other_than_90_khz_is_converted() {
    let mut camera = Camera::new();
    camera.intake.source_resumed(&track(1_000, None, &[]));
    let first = camera.key(100)[0].media_time;
    camera.rtp_ts = camera.rtp_ts.wrapping_sub(PICTURE).wrapping_add(40);
    assert_eq!(camera.send(&[p(100)])[0].media_time - first, 3_600);
}

#[test]
fn a_unit_over_its_bound_is_dropped_up_to_the_next_keyframe() {
    let mut camera = Camera::new();
    camera.key(100);
    let mut refused = 0;
    for payload in fragments(&p(fanout::MAX_ACCESS_UNIT_BYTES + 100_000), 60_000) {
        refused += u32::from(camera.push(&payload, false).is_err());
        assert!(camera.intake.held_bytes() <= fanout::MAX_ACCESS_UNIT_BYTES + 65_536);
    }
    assert_eq!((refused, camera.intake.counters().oversize), (1, 1));
    camera.tick();
    assert!(camera.send(&[p(100)]).is_empty());
    assert_eq!(camera.key(100).len(), 1);
}

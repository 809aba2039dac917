//! RTP payloads: nothing lost, nothing over size, long runs of equal size.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use fanout::{MAX_RTP_PAYLOAD_BYTES, PackedUnit, Place, packetize};
use proptest::prelude::*;

use crate::camera::*;
use crate::depacketize::nals_of;

fn packed(keyframe: bool, nals: Vec<Vec<u8>>) -> Arc<PackedUnit> {
    packetize(&unit(keyframe, nals, 0, start()), 0, Place::default()).unwrap()
}

fn sizes(unit: &PackedUnit, packets: Range<usize>) -> Vec<usize> {
    packets.map(|packet| unit.payload(packet).len()).collect()
}

#[test]
fn parameter_sets_lead_a_keyframe_in_one_packet() {
    let unit = packed(true, vec![idr(50_000)]);
    assert_eq!(unit.payload(0)[0], 0x78);
    assert_eq!(nals_of(&unit), [SPS.to_vec(), PPS.to_vec(), idr(50_000)]);
}

#[test]
fn sei_goes_to_no_viewer_and_a_unit_of_sei_alone_is_none() {
    let unit_with = packed(false, vec![SEI.to_vec(), p(300), SEI.to_vec()]);
    assert_eq!(nals_of(&unit_with), [p(300)]);
    assert!(
        packetize(
            &unit(false, vec![SEI.to_vec()], 0, start()),
            0,
            Place::default()
        )
        .is_none()
    );
    assert!(packetize(&unit(true, vec![], 0, start()), 0, Place::default()).is_none());
}

#[test]
fn a_keyframe_of_one_slice_is_two_messages_for_the_kernel() {
    let unit = packed(true, vec![idr(200_000)]);
    let runs: Vec<_> = unit.equal_runs().collect();
    assert_eq!(runs, [0..1, 1..unit.len()]);
    let sizes = sizes(&unit, 1..unit.len());
    let (last, full) = sizes.split_last().unwrap();
    assert!(full.iter().all(|size| *size == full[0]));
    assert!(full[0] - last < unit.len());
}

#[test]
fn each_slice_of_a_picture_is_one_message() {
    let slices = (0..4)
        .map(|n| slice(0x41, n * 80, 5, 9_000 + n as usize * 700))
        .collect();
    let unit = packed(false, slices);
    assert_eq!(unit.equal_runs().count(), 4);
}

#[test]
fn a_run_cut_by_pacing_is_still_of_equal_sizes() {
    let unit = packed(true, vec![idr(200_000)]);
    let runs: Vec<_> = unit.equal_runs_in(0..32).collect();
    assert_eq!(runs, [0..1, 1..32]);
    assert_eq!(unit.equal_runs_in(32..64).next(), Some(32..64));
    assert_eq!(unit.equal_runs_in(32..64).count(), 1);
    assert_eq!(unit.equal_runs_in(5..5).count(), 0);
}

#[test]
fn parameter_sets_too_long_for_one_packet_still_arrive() {
    let mut unit = unit(true, vec![idr(100)], 0, start());
    let long = |byte: u8, len: usize| Bytes::from([vec![byte], vec![7; len]].concat());
    unit.parameter_sets = vec![
        long(0x67, 700),
        long(0x67, 600),
        long(0x68, 1_900),
        long(0x68, 9),
    ];
    let nals = nals_of(&packetize(&unit, 0, Place::default()).unwrap());
    assert_eq!(nals[..4], unit.parameter_sets);
    assert_eq!(nals[4], idr(100));
}

#[test]
fn a_keyframe_as_annex_b_begins_with_its_parameter_sets() {
    let unit = packed(true, vec![idr(30_000), slice(0x65, 80, 7, 400)]);
    let expected = [
        SPS.to_vec(),
        PPS.to_vec(),
        idr(30_000),
        slice(0x65, 80, 7, 400),
    ];
    let stream = unit.to_annexb();
    assert_eq!(stream[..5], [0, 0, 0, 1, 0x67]);
    let nals: Vec<&[u8]> = wire::h264::annexb_nals(&stream).collect();
    assert_eq!(nals, expected);
}

#[test]
fn a_packet_that_is_not_there_is_empty() {
    let unit = packed(false, vec![p(10)]);
    assert_eq!(
        (unit.len(), unit.payload(1), unit.bytes_of(0..9)),
        (1, [].as_slice(), 0)
    );
}

fn any_nals() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let len_bytes = prop_oneof![
        2usize..100,
        1_150usize..1_170,
        2_310usize..2_330,
        2usize..60_000
    ];
    prop::collection::vec((len_bytes, 0u32..3_000), 1..8).prop_map(|slices| {
        slices
            .into_iter()
            .map(|(len, first_mb)| slice(0x41, first_mb, 5, len))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn every_nal_unit_comes_back_whole(nals in any_nals(), keyframe: bool) {
        let unit = packed(keyframe, nals.clone());
        let mut expected = if keyframe { vec![SPS.to_vec(), PPS.to_vec()] } else { vec![] };
        expected.extend(nals);
        prop_assert_eq!(nals_of(&unit), expected.clone());
        let stream = unit.to_annexb();
        prop_assert_eq!(wire::h264::annexb_nals(&stream).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn no_payload_is_over_size_and_runs_are_equal_but_for_their_last(nals in any_nals()) {
        let count = nals.len();
        let unit = packed(true, nals);
        let mut next = 0;
        for run in unit.equal_runs() {
            prop_assert_eq!(run.start, next);
            next = run.end;
            let sizes = sizes(&unit, run);
            let (last, full) = sizes.split_last().unwrap();
            prop_assert!(full.iter().all(|size| *size == sizes[0]));
            prop_assert!(*last <= sizes[0] && sizes[0] <= MAX_RTP_PAYLOAD_BYTES && *last > 0);
        }
        prop_assert_eq!(next, unit.len());
        prop_assert!(unit.equal_runs().count() <= count + 1, "a run for the sets and one a slice");
        prop_assert_eq!(unit.bytes_of(0..unit.len()), unit.size_bytes());
    }

    #[test]
    fn runs_of_any_part_cover_just_that_part(nals in any_nals(), a in 0usize..200, b in 0usize..200) {
        let unit = packed(true, nals);
        let (a, b) = (a.min(unit.len()), b.min(unit.len()));
        let part = a.min(b)..a.max(b);
        let mut next = part.start;
        for run in unit.equal_runs_in(part.clone()) {
            prop_assert_eq!(run.start, next);
            prop_assert!(!run.is_empty());
            let sizes = sizes(&unit, run.clone());
            prop_assert!(sizes[..sizes.len() - 1].iter().all(|size| *size == sizes[0]));
            next = run.end;
        }
        prop_assert_eq!(next, part.end);
    }
}

//! RTP payloads: nothing lost, nothing over size, long runs of equal size.

use std::ops::Range;

use bytes::Bytes;
use fanout::{MAX_RTP_PAYLOAD_BYTES, PackedUnit, Packer, Place};
use proptest::prelude::*;

use crate::camera::*;
use crate::depacketize::nals_of;

fn packed(keyframe: bool, nals: Vec<Vec<u8>>) -> PackedUnit {
    Packer::default()
        .pack(&unit(keyframe, nals, 0, start()), 0, Place::default())
        .unwrap()
}

fn sizes(unit: &PackedUnit, packets: Range<usize>) -> Vec<usize> {
    packets
        .map(|packet| unit.padded_payload(packet).len())
        .collect()
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
        Packer::default()
            .pack(
                &unit(false, vec![SEI.to_vec()], 0, start()),
                0,
                Place::default()
            )
            .is_none()
    );
    assert!(
        Packer::default()
            .pack(&unit(true, vec![], 0, start()), 0, Place::default())
            .is_none()
    );
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

fn slices_of(sizes: &[usize]) -> Vec<Vec<u8>> {
    let numbers = (0u32..).map(|n| n * 80);
    let each = numbers.zip(sizes);
    each.map(|(first_mb, size)| slice(0x41, first_mb, 5, *size))
        .collect()
}

#[test]
fn the_slices_of_a_picture_are_one_message_by_a_little_padding() {
    let slices = slices_of(&[9_000, 9_700, 10_400, 11_100]);
    let unit = packed(false, slices.clone());
    assert_eq!(unit.equal_runs().count(), 1);
    assert_eq!(nals_of(&unit), slices);
    let bytes: usize = slices.iter().map(Vec::len).sum();
    assert!(
        unit.size_bytes() < bytes + bytes / 16,
        "{}",
        unit.size_bytes()
    );
    assert!(!unit.is_padded(unit.len() - 1), "a run may end shorter");
    let media: usize = (0..unit.len())
        .map(|packet| unit.payload(packet).len())
        .sum();
    assert_eq!(unit.size_bytes() - unit.padding_of(0..unit.len()), media);
    assert!(unit.padding_of(0..unit.len()) > 0);
    for packet in (0..unit.len()).filter(|packet| unit.is_padded(*packet)) {
        let (payload, whole) = (unit.payload(packet), unit.padded_payload(packet));
        assert_eq!(
            payload.len() + usize::from(whole[whole.len() - 1]),
            whole.len()
        );
    }
}

#[test]
fn slices_that_would_need_much_padding_go_as_they_are() {
    for sizes in [&[700, 20_000][..], &[300, 1_100, 200, 1_000]] {
        let unit = packed(false, slices_of(sizes));
        assert!(unit.equal_runs().count() > 1);
        assert!((0..unit.len()).all(|packet| !unit.is_padded(packet)));
    }
}

#[test]
fn a_picture_in_one_slice_is_never_padded() {
    let unit = packed(true, vec![idr(123_457)]);
    assert!((0..unit.len()).all(|packet| !unit.is_padded(packet)));
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
    let nals = nals_of(&Packer::default().pack(&unit, 0, Place::default()).unwrap());
    assert_eq!(nals[..4], unit.parameter_sets);
    assert_eq!(nals[4], idr(100));
}

#[test]
fn a_keyframe_tells_its_parameter_sets_and_another_unit_none() {
    let keyframe = packed(true, vec![idr(30_000), slice(0x65, 80, 7, 400)]);
    assert_eq!(keyframe.parameter_sets(), [SPS, PPS]);
    let small = packed(true, vec![idr(100)]);
    assert_eq!(small.parameter_sets(), [SPS, PPS]);
    let other = packed(false, vec![slice(0x41, 0, 7, 400)]);
    assert!(other.parameter_sets().is_empty());
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
        let media: usize = (0..unit.len()).map(|packet| unit.payload(packet).len()).sum();
        prop_assert!(unit.size_bytes() <= media + media / 8 + 1);
    }

    #[test]
    fn slices_of_about_one_size_are_one_message(sizes in prop::collection::vec(9_000usize..11_000, 2..9)) {
        let unit = packed(false, slices_of(&sizes));
        prop_assert_eq!(unit.equal_runs().count(), 1);
        prop_assert_eq!(nals_of(&unit), slices_of(&sizes));
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

#[test]
fn small_units_lie_one_behind_the_other_and_large_ones_alone() {
    let mut packer = Packer::default();
    let mut pack = |size| {
        let unit = unit(false, vec![p(size)], 0, start());
        packer.pack(&unit, 0, Place::default()).unwrap()
    };
    let range = |unit: &PackedUnit| {
        let first = unit.padded_payload(0).as_ptr() as usize;
        first..first + unit.size_bytes()
    };
    let (first, second, large, third) = (pack(900), pack(2_500), pack(60_000), pack(700));
    assert_eq!(range(&first).end, range(&second).start);
    assert_eq!(range(&second).end, range(&third).start);
    assert!(range(&large).end <= range(&first).start || range(&third).end <= range(&large).start);
    // What others of its block have left behind is of no matter to a unit that stays.
    drop((first, third));
    let more: Vec<_> = (0..100).map(|_| pack(2_000)).collect();
    assert_eq!(nals_of(&second), [p(2_500)]);
    assert!(more.iter().all(|unit| nals_of(unit) == [p(2_000)]));
}

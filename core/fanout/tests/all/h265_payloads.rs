//! RTP payloads of H.265: nothing lost, nothing over size, long runs of equal size.

use bytes::Bytes;
use fanout::{MAX_RTP_PAYLOAD_BYTES, PackedUnit, Packer, Place};
use proptest::prelude::*;
use wire::h264::annexb_nals;

use crate::camera::start;
use crate::h265_camera::*;

fn packed(nals: &[Vec<u8>]) -> PackedUnit {
    Packer::default()
        .pack(&unit(start(), 0, nals), 0, Place::default())
        .unwrap()
}

/// A depacketiser of our own, strict where a decoder is (RFC 7798 section 4.4).
fn nals_of(unit: &PackedUnit) -> Vec<Vec<u8>> {
    let mut nals = Vec::new();
    let mut open: Option<Vec<u8>> = None;
    for payload in unit.payloads(0..unit.len()) {
        assert_eq!(
            (payload[0] & 0x81, payload[1]),
            (0, 1),
            "layer 0, temporal id 0"
        );
        match payload[0] >> 1 {
            49 => {
                let (start, end) = (payload[2] & 0x80 != 0, payload[2] & 0x40 != 0);
                assert!(!(start && end), "a NAL unit in one fragment");
                assert!(payload.len() > 3, "an empty fragment");
                assert_eq!(start, open.is_none(), "a start exactly where none is open");
                let header = [(payload[2] & 0x3f) << 1, payload[1]];
                let nal = open.get_or_insert_with(|| header.to_vec());
                assert_eq!(nal[..2], header, "the same kind in every fragment");
                nal.extend(&payload[3..]);
                if end {
                    nals.extend(open.take());
                }
            }
            48 => {
                assert!(open.is_none());
                let mut rest = &payload[2..];
                let before = nals.len();
                while !rest.is_empty() {
                    let len_bytes = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
                    nals.push(rest[2..2 + len_bytes].to_vec());
                    rest = &rest[2 + len_bytes..];
                }
                assert!(nals.len() >= before + 2, "an aggregate of one is forbidden");
            }
            kind => {
                assert!(open.is_none() && kind < 48, "kind {kind}");
                nals.push(payload.to_vec());
            }
        }
    }
    assert!(open.is_none(), "a NAL unit without an end");
    nals
}

#[test]
fn parameter_sets_lead_a_keyframe_in_one_packet_and_it_is_two_messages() {
    let unit = packed(&[
        SEI.to_vec(),
        idr(200_000),
        SUFFIX_SEI.to_vec(),
        AUD.to_vec(),
    ]);
    assert_eq!(unit.payload(0)[..2], [0x60, 0x01]);
    let expected = [VPS.to_vec(), SPS.to_vec(), PPS.to_vec(), idr(200_000)];
    assert_eq!(nals_of(&unit), expected);
    assert_eq!(unit.parameter_sets(), expected[..3]);
    let runs: Vec<_> = unit.equal_runs().collect();
    assert_eq!(runs, [0..1, 1..unit.len()]);
    let stream = unit.to_annexb();
    assert_eq!(annexb_nals(&stream).collect::<Vec<_>>(), expected);
}

#[test]
fn sets_too_long_for_one_packet_still_arrive() {
    let mut unit = unit(start(), 0, &[idr(100)]);
    let long = |byte: u8, len: usize| Bytes::from([vec![byte, 1], vec![7; len]].concat());
    unit.parameter_sets = vec![
        long(0x40, 700),
        long(0x42, 600),
        long(0x44, 1_900),
        long(0x44, 9),
    ];
    let nals = nals_of(&Packer::default().pack(&unit, 0, Place::default()).unwrap());
    assert_eq!(nals[..4], unit.parameter_sets);
    assert_eq!(nals[4], idr(100));
}

fn any_nals() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let len_bytes = prop_oneof![
        4usize..100,
        1_150usize..1_170,
        2_310usize..2_330,
        4usize..60_000
    ];
    prop::collection::vec((len_bytes, any::<bool>()), 1..8).prop_map(|slices| {
        let slices = slices.into_iter();
        slices
            .map(|(len, key)| slice(if key { CRA } else { TRAIL }, true, 3, len))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn every_nal_unit_comes_back_whole(nals in any_nals()) {
        let whole = unit(start(), 0, &nals);
        let unit = packed(&nals);
        let mut expected: Vec<Vec<u8>> = whole.parameter_sets.iter().map(|set| set.to_vec()).collect();
        expected.extend(nals);
        prop_assert_eq!(nals_of(&unit), expected.clone());
        let stream = unit.to_annexb();
        prop_assert_eq!(annexb_nals(&stream).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn no_payload_is_over_size_and_runs_are_equal_but_for_their_last(nals in any_nals()) {
        let unit = packed(&nals);
        let mut next = 0;
        for run in unit.equal_runs() {
            prop_assert_eq!(run.start, next);
            next = run.end;
            let sizes: Vec<usize> = run.map(|packet| unit.padded_payload(packet).len()).collect();
            let (last, full) = sizes.split_last().unwrap();
            prop_assert!(full.iter().all(|size| *size == sizes[0]));
            prop_assert!(*last <= sizes[0] && sizes[0] <= MAX_RTP_PAYLOAD_BYTES && *last > 0);
        }
        prop_assert_eq!(next, unit.len());
        prop_assert!(unit.equal_runs().count() <= nals.len() + 1, "a run for the sets and one a slice");
        prop_assert_eq!(unit.bytes_of(0..unit.len()), unit.size_bytes());
    }
}

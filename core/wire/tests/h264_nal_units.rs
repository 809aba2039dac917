//! H.264 bytes: splitting, parameter sets, slice headers and SEI, on sets written by x264.

use proptest::prelude::*;
use wire::h264::{
    NalType, SEI_RECOVERY_POINT, Sps, annexb_nals, find_start_code, is_vcl, nal_type, pps_ids,
    sei_payload_types, sei_user_data_unregistered, slice_info, sps_id,
};

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

const CONSTRAINED_BASELINE_640X360: &str = "6742c01eda0280bfe584000003000400000300ca3c58ba80";
const HIGH_1920X1080: &str = "67640028acd940780227e584000003000400000300c83c60c658";
const MAIN_INTERLACED_1920X1080: &str = "674d4028eca03c0227ee1000000300100000030321f162d960";
const HIGH_444_320X242: &str = "67f4000d9196814087e3e1000003000100000300320f142aa0";

#[test]
fn picture_size_is_read_with_cropping() {
    let sps = Sps::parse(&hex(CONSTRAINED_BASELINE_640X360)).unwrap();
    assert_eq!((sps.width, sps.height), (640, 360));
    assert_eq!(
        (sps.profile_name(), sps.profile_level_id().as_str()),
        ("Constrained Baseline", "42c01e")
    );
    let sps = Sps::parse(&hex(HIGH_1920X1080)).unwrap();
    assert_eq!(
        (sps.width, sps.height, sps.profile_name()),
        (1920, 1080, "High")
    );
    assert!(sps.frame_mbs_only);
}

#[test]
fn interlaced_and_full_chroma_pictures_are_measured_too() {
    let sps = Sps::parse(&hex(MAIN_INTERLACED_1920X1080)).unwrap();
    assert_eq!(
        (sps.width, sps.height, sps.frame_mbs_only),
        (1920, 1080, false)
    );
    let sps = Sps::parse(&hex(HIGH_444_320X242)).unwrap();
    assert_eq!((sps.width, sps.height, sps.profile), (320, 242, 244));
}

#[test]
fn a_parameter_set_cut_short_is_no_parameter_set() {
    let whole = hex(HIGH_1920X1080);
    for len_bytes in 0..10 {
        assert_eq!(Sps::parse(&whole[..len_bytes]), None, "{len_bytes} bytes");
    }
}

#[test]
fn garbage_behind_a_parameter_set_does_not_matter() {
    let mut nal = hex(CONSTRAINED_BASELINE_640X360);
    nal.extend([0xff; 40]);
    assert_eq!(
        Sps::parse(&nal).map(|sps| (sps.width, sps.height)),
        Some((640, 360))
    );
}

#[test]
fn parameter_set_ids_are_read() {
    assert_eq!(sps_id(&hex(HIGH_1920X1080)), Some(0));
    // An emulation prevention byte before the id is none of its bits.
    assert_eq!(sps_id(&hex("6700000300da")), Some(0));
    assert_eq!(pps_ids(&hex("68ce0fc8")), Some((0, 0)));
    assert_eq!(pps_ids(&[0x68, 0b0101_1110]), Some((1, 0)));
    assert_eq!(pps_ids(&hex(HIGH_1920X1080)), None);
}

#[test]
fn slice_headers_tell_the_start_of_a_picture_and_its_kind() {
    let idr = slice_info(&hex("6588843a118a0002")).unwrap();
    assert!(idr.begins_picture() && !idr.is_b());
    assert_eq!(idr.slice_type, 7);
    let second = slice_info(&hex("6500f088843a118a")).unwrap();
    assert!(!second.begins_picture());
    let p = slice_info(&hex("419a2022bc291400")).unwrap();
    assert!(p.begins_picture() && !p.is_b());
    let b = slice_info(&hex("019e427885df0000")).unwrap();
    assert!(b.is_b());
    assert_eq!(slice_info(&hex("68ce0fc8")), None);
}

#[test]
fn annex_b_is_split_on_long_and_short_start_codes() {
    let stream = [
        0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x65, 4, 0, 0,
    ];
    let nals: Vec<&[u8]> = annexb_nals(&stream).collect();
    assert_eq!(nals, [[0x67, 1, 2].as_slice(), &[0x68, 3], &[0x65, 4]]);
}

#[test]
fn bytes_before_the_first_start_code_are_a_nal_unit() {
    let nals: Vec<&[u8]> = annexb_nals(&[0x67, 1, 0, 0, 1, 0x68, 2]).collect();
    assert_eq!(nals, [[0x67, 1], [0x68, 2]]);
    assert_eq!(annexb_nals(&[0, 0, 1, 0, 0, 1]).count(), 0);
}

#[test]
fn kinds_follow_table_7_1() {
    assert_eq!(nal_type(&[]), None);
    assert_eq!(nal_type(&[0x65]), Some(NalType::IdrSlice));
    assert_eq!(nal_type(&[0x7c]), Some(NalType::FuA));
    assert!(is_vcl(&[0x41]) && !is_vcl(&[0x06]) && !is_vcl(&[]));
}

fn user_data(uuid: [u8; 16], body: &[u8]) -> Vec<u8> {
    let mut raw = vec![5];
    let mut left = 16 + body.len();
    while left >= 255 {
        raw.push(255);
        left -= 255;
    }
    raw.push(left as u8);
    raw.extend(uuid);
    raw.extend(body);
    raw.push(0x80);
    let mut nal = vec![0x06];
    let mut zeros = 0;
    for byte in raw {
        if zeros == 2 && byte <= 3 {
            nal.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        nal.push(byte);
    }
    nal
}

#[test]
fn user_data_is_found_behind_other_messages() {
    let mut nal = vec![0x06, 6, 1, 0xc4];
    nal.extend(&user_data([7; 16], b"hello")[1..]);
    assert!(sei_payload_types(&nal).eq([SEI_RECOVERY_POINT, 5]));
    assert_eq!(
        sei_user_data_unregistered(&nal),
        Some(([7; 16], b"hello".to_vec()))
    );
}

#[test]
fn sei_cut_short_gives_nothing() {
    let nal = user_data([1; 16], &[2; 20]);
    for len_bytes in 0..nal.len() - 2 {
        assert_eq!(sei_user_data_unregistered(&nal[..len_bytes]), None);
    }
}

proptest! {
    #[test]
    fn user_data_with_many_zeros_comes_back_whole(
        uuid: [u8; 16],
        body in prop::collection::vec(prop_oneof![4 => Just(0u8), 1 => 0u8..5, 1 => any::<u8>()], 0..600),
    ) {
        let nal = user_data(uuid, &body);
        prop_assert_eq!(find_start_code(&nal), None);
        prop_assert_eq!(sei_user_data_unregistered(&nal), Some((uuid, body)));
    }

    #[test]
    fn the_start_code_search_finds_what_a_plain_search_finds(
        bytes in prop::collection::vec(prop_oneof![3 => Just(0u8), 2 => Just(1u8), 2 => any::<u8>()], 0..200),
    ) {
        prop_assert_eq!(find_start_code(&bytes), bytes.windows(3).position(|w| w == [0, 0, 1]));
    }

    #[test]
    fn a_lone_start_code_is_found_wherever_it_lies(before in 0usize..120, after in 0usize..120) {
        let mut bytes = vec![7; before];
        bytes.extend([0, 0, 1]);
        bytes.extend(vec![9; after]);
        prop_assert_eq!(find_start_code(&bytes), Some(before));
    }

    #[test]
    fn nal_units_joined_by_start_codes_come_apart_again(
        nals in prop::collection::vec(prop::collection::vec(2u8..=255, 1..50), 0..10),
    ) {
        let mut stream = Vec::new();
        for (place, nal) in nals.iter().enumerate() {
            stream.extend(if place % 2 == 0 { [0, 0, 0, 1].as_slice() } else { &[0, 0, 1] });
            stream.extend(nal);
        }
        let split: Vec<Vec<u8>> = annexb_nals(&stream).map(<[u8]>::to_vec).collect();
        prop_assert_eq!(split, nals);
    }

    #[test]
    fn no_bytes_panic(first: u8, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut nal = vec![first];
        nal.extend(bytes);
        for kind in [1, 5, 6, 7, 8, first] {
            nal[0] = (nal[0] & 0xe0) | (kind & 0x1f);
            let _ = (Sps::parse(&nal), slice_info(&nal), pps_ids(&nal), sps_id(&nal));
            let _ = (sei_payload_types(&nal).count(), sei_user_data_unregistered(&nal));
        }
        let _ = annexb_nals(&nal).count();
    }

    #[test]
    fn mutated_parameter_sets_never_claim_absurd_pictures(
        which in 0usize..4, at in 1usize..24, bit in 0u8..8, at2 in 1usize..24, bit2 in 0u8..8,
    ) {
        let set = [CONSTRAINED_BASELINE_640X360, HIGH_1920X1080, MAIN_INTERLACED_1920X1080, HIGH_444_320X242][which];
        let mut nal = hex(set);
        nal[at] ^= 1 << bit;
        nal[at2] ^= 1 << bit2;
        if let Some(sps) = Sps::parse(&nal) {
            prop_assert!((1..=16_384).contains(&sps.width) && (1..=16_384).contains(&sps.height));
        }
    }
}

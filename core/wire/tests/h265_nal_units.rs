//! H.265 bytes: kinds, parameter sets and slice headers, on NAL units written by x265.

use proptest::prelude::*;
use wire::h265::{NalType, Pps, Sps, layer_id, nal_type, slice_info, slice_order, vps_id};

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

const VPS: &str = "40010c01ffff01600000030090000003000003003fba0240";
const PPS: &str = "4401c173c189";
const MAIN_640X360: &str =
    "42010101600000030090000003000003003fa00502016965bab930b9a02000000300200000030321";
const MAIN_1920X1080: &str =
    "420101016000000300900000030000030078a003c08010e596eae4c2e68080000003008000000c84";
const MAIN_322X242: &str =
    "42010101600000030090000003000003003ca00a480f9c92659596e4c2e68080000003008000000c84";
const REXT_444_320X242: &str =
    "4201010408000003009e0800000300003c90014101f3e7cb757261734040000003004000000642";
const SETS: [&str; 4] = [MAIN_640X360, MAIN_1920X1080, MAIN_322X242, REXT_444_320X242];

fn sps(text: &str) -> Sps {
    Sps::parse(&hex(text)).unwrap()
}

#[test]
fn picture_size_is_read_inside_the_conformance_window() {
    let read = SETS.map(|set| (sps(set).width, sps(set).height, sps(set).profile_name()));
    assert_eq!(
        read,
        [
            (640, 360, "Main"),
            (1920, 1080, "Main"),
            (322, 242, "Main"),
            (320, 242, "Range Extensions"),
        ]
    );
    let main = sps(MAIN_1920X1080);
    assert_eq!(
        (main.id, main.profile, main.level, main.high_tier),
        (0, 1, 120, false)
    );
    assert_eq!((main.order_bits, main.separate_planes), (8, false));
}

/// Bits of a parameter set as a NAL unit, emulation prevention included.
fn nal_of_bits(header: [u8; 2], bits: &str) -> Vec<u8> {
    let mut bits = format!("{bits}1");
    while !bits.len().is_multiple_of(8) {
        bits.push('0');
    }
    let mut nal = header.to_vec();
    let mut zeros = 0;
    for at in (0..bits.len()).step_by(8) {
        let byte = u8::from_str_radix(&bits[at..at + 8], 2).unwrap();
        if zeros >= 2 && byte <= 3 {
            nal.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        nal.push(byte);
    }
    nal
}

fn ue(value: u32) -> String {
    let plus1 = format!("{:b}", value + 1);
    "0".repeat(plus1.len() - 1) + &plus1
}

#[test]
fn the_levels_of_temporal_layers_are_stepped_over() {
    for layers in 0..=6usize {
        let general = format!("00100001{}{:08b}", "0".repeat(80), 93);
        // The first layer says both, the second its level alone.
        let present: String = (0..layers)
            .map(|layer| ["11", "01", "00"][layer.min(2)])
            .collect();
        let padding = if layers > 0 {
            "00".repeat(8 - layers)
        } else {
            String::new()
        };
        let said = ["1".repeat(88 + 8), "1".repeat(8)];
        let said: String = said.into_iter().take(layers).collect();
        let picture = [0, 1, 704, 576].map(ue).concat() + "0" + &[0, 0, 4].map(ue).concat();
        let bits = format!("0000{layers:03b}1{general}{present}{padding}{said}{picture}");
        let sps = Sps::parse(&nal_of_bits([0x42, 1], &bits)).unwrap();
        assert_eq!(
            (sps.width, sps.height, sps.level),
            (704, 576, 93),
            "{layers} layers"
        );
        assert!(sps.high_tier && sps.profile == 1 && sps.order_bits == 8);
    }
}

#[test]
fn a_parameter_set_cut_short_is_no_parameter_set() {
    let whole = hex(MAIN_1920X1080);
    for len_bytes in 0..20 {
        assert_eq!(Sps::parse(&whole[..len_bytes]), None, "{len_bytes} bytes");
    }
    for len_bytes in 0..3 {
        assert_eq!(Pps::parse(&hex(PPS)[..len_bytes]), None);
        assert_eq!(vps_id(&hex(VPS)[..len_bytes.min(2)]), None);
    }
}

#[test]
fn parameter_set_ids_are_read() {
    assert_eq!(vps_id(&hex(VPS)), Some(0));
    assert_eq!(vps_id(&[0x40, 1, 0x3f]), Some(3));
    assert_eq!(vps_id(&hex(PPS)), None);
    let pps = Pps::parse(&hex(PPS)).unwrap();
    assert_eq!(
        (
            pps.id,
            pps.sps_id,
            pps.has_output_flag,
            pps.extra_slice_header_bits
        ),
        (0, 0, false, 0)
    );
    let pps = Pps::parse(&nal_of_bits([0x44, 1], &format!("{}{}01010", ue(5), ue(2)))).unwrap();
    assert_eq!(
        (
            pps.id,
            pps.sps_id,
            pps.has_output_flag,
            pps.extra_slice_header_bits
        ),
        (5, 2, true, 2)
    );
    assert_eq!(Pps::parse(&hex(VPS)), None);
}

#[test]
fn kinds_follow_table_7_1() {
    assert_eq!((nal_type(&[]), nal_type(&[0x40])), (None, None));
    let kinds = [
        0x02u8, 0x0c, 0x10, 0x20, 0x26, 0x28, 0x2a, 0x40, 0x46, 0x50, 0x60, 0x62, 0x64,
    ];
    let kinds = kinds.map(|header| nal_type(&[header, 1]).unwrap());
    assert_eq!(
        kinds,
        [
            NalType::Slice(1),
            NalType::Radl(6),
            NalType::Rasl(8),
            NalType::Bla(16),
            NalType::Idr(19),
            NalType::Idr(20),
            NalType::Cra,
            NalType::Vps,
            NalType::Aud,
            NalType::Sei(40),
            NalType::Ap,
            NalType::Fu,
            NalType::Paci,
        ]
    );
    let decoding_begins: Vec<u8> = (0..64)
        .filter(|kind| NalType::from_header(kind << 1).is_irap())
        .collect();
    assert_eq!(decoding_begins, [16, 17, 18, 19, 20, 21]);
    let pictures = (0..64).filter(|kind| NalType::from_header(kind << 1).is_vcl());
    assert_eq!(
        pictures.collect::<Vec<u8>>(),
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 18, 19, 20, 21]
    );
    assert_eq!(layer_id(&[0x42, 1]), Some(0));
    assert_eq!(layer_id(&[0x43, 0x09]), Some(33));
    assert_eq!(layer_id(&[0x43]), None);
}

#[test]
fn slices_tell_the_start_of_a_picture_and_its_place_in_display_order() {
    let (pps, sps) = (Pps::parse(&hex(PPS)).unwrap(), sps(MAIN_322X242));
    // Three B pictures between two others, then an open GOP: a CRA with a RASL picture behind it.
    let sent = [
        "2a01ac04b4744164731ce634",
        "0201d02949881c082c949421",
        "0201e06495608080206781f7",
        "0001e044fd7a2404410681a6",
        "0001e086b5e0808a20d034ba",
        "2a01ac1c4a2242c10579cc63",
        "1001e0c22d57820228819c1d",
    ];
    let orders = sent.map(|nal| slice_order(&hex(nal), &pps, &sps));
    assert_eq!(orders, [1, 5, 3, 2, 4, 7, 6].map(Some));
    assert!(slice_info(&hex(sent[0])).unwrap().begins_picture);
    assert_eq!(
        slice_order(&hex("2801ac04b4744164"), &pps, &sps),
        Some(0),
        "an IDR"
    );
    let second = hex("02014029e0b1c2");
    assert!(!slice_info(&second).unwrap().begins_picture);
    assert_eq!(slice_order(&second, &pps, &sps), None);
    assert_eq!(slice_info(&hex(PPS)), None);
    assert_eq!(slice_info(&hex("0201")), None);
}

#[test]
fn bits_that_the_parameter_sets_announce_are_stepped_over() {
    let plain = sps(MAIN_640X360);
    let pps = Pps {
        id: 0,
        sps_id: 0,
        has_output_flag: true,
        extra_slice_header_bits: 3,
    };
    let planes = Sps {
        separate_planes: true,
        order_bits: 5,
        ..plain
    };
    // first, pps 0, three extra bits, a P slice, output, plane, order 19.
    let nal = nal_of_bits(
        [0x02, 1],
        &format!("1{}101{}1{}{}", ue(0), ue(1), "10", "10011"),
    );
    assert_eq!(slice_order(&nal, &pps, &planes), Some(19));
}

proptest! {
    #[test]
    fn no_bytes_panic(first: u8, second: u8, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut nal = vec![first, second];
        nal.extend(bytes);
        let (pps, sps) = (Pps::parse(&hex(PPS)).unwrap(), sps(MAIN_640X360));
        for kind in [1, 8, 16, 19, 21, 32, 33, 34, 49, first >> 1] {
            nal[0] = (kind & 0x3f) << 1;
            let _ = (Sps::parse(&nal), Pps::parse(&nal), vps_id(&nal), layer_id(&nal));
            let _ = (slice_info(&nal), slice_order(&nal, &pps, &sps));
        }
        for len_bytes in 0..nal.len().min(4) {
            let _ = (nal_type(&nal[..len_bytes]), slice_info(&nal[..len_bytes]));
        }
    }

    #[test]
    fn mutated_parameter_sets_never_claim_absurd_pictures(
        which in 0usize..4, at in 2usize..36, bit in 0u8..8, at2 in 2usize..36, bit2 in 0u8..8,
    ) {
        let mut nal = hex(SETS[which]);
        nal[at] ^= 1 << bit;
        nal[at2] ^= 1 << bit2;
        if let Some(sps) = Sps::parse(&nal) {
            prop_assert!((1..=16_384).contains(&sps.width) && (1..=16_384).contains(&sps.height));
            prop_assert!((4..=16).contains(&sps.order_bits) && sps.id <= 15);
        }
    }
}

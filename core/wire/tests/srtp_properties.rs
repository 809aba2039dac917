//! What must hold for any packet: an index is sealed once, a roundtrip is exact, and nothing that
//! is not authentic comes out.

use std::collections::HashSet;

use proptest::prelude::*;
use wire::srtp::{MAX_SOURCES, SrtpError, SrtpOpener, SrtpProfile, SrtpSealer};

fn pair(profile: SrtpProfile) -> (SrtpSealer, SrtpOpener) {
    let key: Vec<u8> = (0..profile.key_bytes() as u8)
        .map(|byte| byte ^ 0x5A)
        .collect();
    let salt: Vec<u8> = (0..profile.salt_bytes() as u8)
        .map(|byte| byte ^ 0xA5)
        .collect();
    let sealer = SrtpSealer::new(profile, &key, &salt).expect("sealer");
    let opener = SrtpOpener::new(profile, &key, &salt).expect("opener");
    (sealer, opener)
}

fn header(ssrc: u32, seq: u16) -> [u8; 12] {
    let mut header = [0x80, 0x60, 0, 0, 9, 8, 7, 6, 0, 0, 0, 0];
    header[2..4].copy_from_slice(&seq.to_be_bytes());
    header[8..].copy_from_slice(&ssrc.to_be_bytes());
    header
}

fn any_profile() -> impl Strategy<Value = SrtpProfile> {
    prop::sample::select(SrtpProfile::ALL.to_vec())
}

#[test]
fn the_same_or_an_older_index_is_never_sealed_twice() {
    for profile in SrtpProfile::ALL {
        let (mut sealer, _) = pair(profile);
        let mut out = Vec::new();
        sealer
            .seal(&header(1, 65_530), b"a", &mut out)
            .expect("first");
        let length = out.len();
        for seq in [65_530, 65_529, 40_000] {
            let refused = sealer.seal(&header(1, seq), b"b", &mut out);
            assert_eq!(refused, Err(SrtpError::IndexSpent { ssrc: 1, seq }));
            assert_eq!(out.len(), length, "a refusal must leave no bytes behind");
        }
        sealer
            .seal(&header(1, 3), b"c", &mut out)
            .expect("over the rollover");
        let late = sealer.seal(&header(1, 65_531), b"d", &mut out);
        assert_eq!(
            late,
            Err(SrtpError::IndexSpent {
                ssrc: 1,
                seq: 65_531
            })
        );
    }
}

#[test]
fn roundtrip_holds_over_two_rollovers_with_gaps() {
    for profile in SrtpProfile::ALL {
        let (mut sealer, mut opener) = pair(profile);
        let (mut out, mut clear) = (Vec::new(), Vec::new());
        let mut index: u32 = 32_000;
        while index < 3 * 65_536 {
            out.clear();
            sealer
                .seal(&header(7, index as u16), &index.to_be_bytes(), &mut out)
                .expect("sealed");
            opener.open(&out, &mut clear).expect("opened");
            assert_eq!(clear[12..], index.to_be_bytes());
            index += 611;
        }
    }
}

#[test]
fn late_packets_open_once_within_the_window_and_not_beyond() {
    for profile in SrtpProfile::ALL {
        let (mut sealer, mut opener) = pair(profile);
        let mut clear = Vec::new();
        let packets: Vec<Vec<u8>> = (65_400..65_700_u32)
            .map(|index| {
                let mut out = Vec::new();
                sealer
                    .seal(&header(7, index as u16), b"x", &mut out)
                    .expect("sealed");
                out
            })
            .collect();
        opener.open(&packets[0], &mut clear).expect("first");
        opener
            .open(&packets[299], &mut clear)
            .expect("newest, past the rollover");
        opener
            .open(&packets[200], &mut clear)
            .expect("late, within the window");
        assert_eq!(
            opener.open(&packets[200], &mut clear),
            Err(SrtpError::Replayed)
        );
        assert_eq!(
            opener.open(&packets[150], &mut clear),
            Err(SrtpError::Replayed)
        );
        assert_eq!(
            opener.open(&packets[299], &mut clear),
            Err(SrtpError::Replayed)
        );
    }
}

#[test]
fn rtcp_roundtrip_refuses_replays_and_packets_in_clear() {
    for profile in SrtpProfile::ALL {
        let (mut sealer, mut opener) = pair(profile);
        let report = [0x81, 201, 0, 1, 1, 2, 3, 4];
        let (mut first, mut second, mut clear) = (Vec::new(), Vec::new(), Vec::new());
        sealer.seal_rtcp(&report, &mut first).expect("sealed");
        sealer.seal_rtcp(&report, &mut second).expect("sealed");
        assert_ne!(first, second);
        opener.open_rtcp(&second, &mut clear).expect("opened");
        assert_eq!(clear, report);
        opener.open_rtcp(&first, &mut clear).expect("late is fine");
        assert_eq!(
            opener.open_rtcp(&first, &mut clear),
            Err(SrtpError::Replayed)
        );
        let mut in_clear = report.to_vec();
        in_clear.resize(40, 0);
        assert_eq!(
            opener.open_rtcp(&in_clear, &mut clear),
            Err(SrtpError::NotEncrypted)
        );
        assert_eq!(
            sealer.seal_rtcp(&report[..7], &mut clear),
            Err(SrtpError::Truncated)
        );
    }
}

#[test]
fn sources_under_one_key_are_bounded() {
    let (mut sealer, _) = pair(SrtpProfile::AeadAes256Gcm);
    let mut out = Vec::new();
    for ssrc in 0..MAX_SOURCES as u32 {
        sealer
            .seal(&header(ssrc, 1), b"x", &mut out)
            .expect("sealed");
    }
    let refused = sealer.seal(&header(999, 1), b"x", &mut out);
    assert_eq!(refused, Err(SrtpError::TooManySources));
}

#[test]
fn keys_of_a_wrong_length_are_refused_and_never_shown() {
    let refused = SrtpSealer::new(SrtpProfile::AeadAes256Gcm, &[0; 16], &[0; 12]);
    assert_eq!(refused.err(), Some(SrtpError::BadKeyLength));
    let (sealer, _) = pair(SrtpProfile::AeadAes128Gcm);
    assert!(format!("{sealer:?}").contains("***"));
}

proptest! {
    #[test]
    fn no_run_of_seqs_spends_an_index_twice(
        profile in any_profile(),
        steps in prop::collection::vec((0_u32..3, any::<u16>()), 1..200),
    ) {
        let (mut sealer, mut opener) = pair(profile);
        let mut seen = HashSet::new();
        let (mut out, mut clear) = (Vec::new(), Vec::new());
        for (ssrc, seq) in steps {
            out.clear();
            if sealer.seal(&header(ssrc, seq), b"same payload", &mut out).is_ok() {
                // Equal plaintext under a new index can only give a new ciphertext.
                prop_assert!(seen.insert((ssrc, out[12..].to_vec())));
                opener.open(&out, &mut clear).expect("in order, so the receiver follows");
            }
        }
    }

    #[test]
    fn any_payload_comes_back_and_any_flipped_bit_does_not(
        profile in any_profile(),
        payload in prop::collection::vec(any::<u8>(), 0..1400),
        seq: u16,
        flip in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let (mut sealer, mut opener) = pair(profile);
        let (mut out, mut clear) = (Vec::new(), Vec::new());
        sealer.seal(&header(5, seq), &payload, &mut out).expect("sealed");
        prop_assert_eq!(out.len(), sealer.sealed_bytes(payload.len()));
        let mut damaged = out.clone();
        damaged[flip.index(out.len())] ^= 1 << bit;
        prop_assert!(opener.open(&damaged, &mut clear).is_err());
        opener.open(&out, &mut clear).expect("opened after the forgery was refused");
        prop_assert_eq!(&clear[12..], &payload[..]);
    }

    #[test]
    fn random_bytes_never_open(profile in any_profile(), packet in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_, mut opener) = pair(profile);
        let mut clear = Vec::new();
        prop_assert!(opener.open(&packet, &mut clear).is_err());
        prop_assert!(opener.open_rtcp(&packet, &mut clear).is_err());
    }
}

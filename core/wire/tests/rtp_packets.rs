//! RTP headers: what is accepted, what is refused, and that nothing panics.

use proptest::prelude::*;
use wire::rtp::{RTP_HEADER_BYTES, RtpError, RtpHeader, RtpPacket, SeqExtender, TsExtender};

const HEADER: RtpHeader = RtpHeader {
    marker: true,
    payload_type: 96,
    seq: 0xfffe,
    rtp_ts: 0x0102_0304,
    ssrc: 0xdead_beef,
};

#[test]
fn header_bytes_are_those_of_rfc_3550() {
    assert_eq!(
        HEADER.to_bytes(),
        [0x80, 0xe0, 0xff, 0xfe, 1, 2, 3, 4, 0xde, 0xad, 0xbe, 0xef]
    );
}

#[test]
fn csrcs_extension_and_padding_are_not_payload() {
    let mut bytes = HEADER.to_bytes().to_vec();
    bytes[0] |= 0x20 | 0x10 | 2; // padding, extension, two CSRCs
    bytes.extend([0; 8]);
    bytes.extend([0xab, 0xac, 0, 1, 9, 9, 9, 9]);
    bytes.extend([1, 2, 3, 0, 0, 3]);
    let packet = RtpPacket::parse(&bytes).unwrap();
    assert_eq!(packet.payload(), [1, 2, 3]);
    assert_eq!(packet.extension(), Some((0xabac, [9u8; 4].as_slice())));
    assert_eq!(packet.header(), HEADER);
}

#[test]
fn padding_that_reaches_into_the_header_is_refused() {
    let mut bytes = HEADER.to_bytes().to_vec();
    bytes[0] |= 0x20;
    bytes.extend([1, 2, 4]);
    let error = RtpError::Padding {
        padding_bytes: 4,
        available_bytes: 3,
    };
    assert_eq!(RtpPacket::parse(&bytes), Err(error));
    *bytes.last_mut().unwrap() = 0;
    assert!(matches!(
        RtpPacket::parse(&bytes),
        Err(RtpError::Padding { .. })
    ));
    bytes.truncate(RTP_HEADER_BYTES);
    assert!(matches!(
        RtpPacket::parse(&bytes),
        Err(RtpError::Padding { .. })
    ));
}

#[test]
fn short_and_foreign_bytes_are_refused_with_the_reason() {
    assert!(matches!(
        RtpPacket::parse(&[]),
        Err(RtpError::Short { len_bytes: 0, .. })
    ));
    assert_eq!(RtpPacket::parse(&[0; 12]), Err(RtpError::Version(0)));
    let mut bytes = HEADER.to_bytes();
    bytes[0] |= 15;
    let error = RtpError::Short {
        len_bytes: 12,
        need_bytes: 72,
    };
    assert_eq!(RtpPacket::parse(&bytes), Err(error));
}

#[test]
fn unwrapping_survives_the_wrap_and_a_step_back() {
    let mut seq = SeqExtender::default();
    assert_eq!(seq.extend(65_535), 65_536 + 65_535);
    assert_eq!(seq.extend(1), 2 * 65_536 + 1);
    assert_eq!(seq.extend(65_534), 65_536 + 65_534);
    let mut ts = TsExtender::default();
    let first = ts.extend(u32::MAX - 1);
    assert_eq!(ts.extend(8), first + 10);
    assert_eq!(ts.extend(u32::MAX), first + 1);
}

#[test]
fn unwrapping_never_underflows() {
    let (mut seq, mut ts) = (SeqExtender::default(), TsExtender::default());
    for step in 0..10u32 {
        seq.extend((step.wrapping_mul(0x8001)) as u16);
        ts.extend(step.wrapping_mul(0x8000_0001));
    }
}

proptest! {
    #[test]
    fn a_written_header_reads_back(marker: bool, pt in 0u8..128, seq: u16, rtp_ts: u32, ssrc: u32,
                                   payload in prop::collection::vec(any::<u8>(), 0..64)) {
        let header = RtpHeader { marker, payload_type: pt, seq, rtp_ts, ssrc };
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend(&payload);
        let packet = RtpPacket::parse(&bytes).unwrap();
        prop_assert_eq!(packet.header(), header);
        prop_assert_eq!(packet.payload(), payload.as_slice());
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), first in 0x80u8..0xc0) {
        let _ = RtpPacket::parse(&bytes);
        let mut bytes = bytes;
        if let Some(byte) = bytes.first_mut() {
            *byte = first;
        }
        let _ = RtpPacket::parse(&bytes);
    }

    #[test]
    fn unwrapped_steps_are_the_nearest(start: u32, steps in prop::collection::vec(-1_000_000i32..1_000_000, 1..50)) {
        let mut ts = TsExtender::default();
        let mut wire = start;
        let mut wide = ts.extend(wire);
        for step in steps {
            wire = wire.wrapping_add_signed(step);
            let next = ts.extend(wire);
            prop_assert_eq!(next as i64 - wide as i64, i64::from(step));
            wide = next;
        }
    }
}

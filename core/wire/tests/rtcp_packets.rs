//! RTCP: what browsers send is read, what we send is laid out as the RFCs draw it, and bad bytes
//! end in an error after what was good.

use proptest::prelude::*;
use wire::rtcp::{self, ReportBlock, RtcpError, RtcpItem, SenderReport};

fn read(datagram: &[u8]) -> Vec<RtcpItem> {
    rtcp::items(datagram)
        .collect::<Result<_, _>>()
        .expect("well formed")
}

#[test]
fn a_sender_report_with_its_name_is_laid_out_as_rfc_3550() {
    let report = SenderReport {
        ssrc: 0x0102_0304,
        ntp: 0xE000_0001_8000_0000,
        rtp_ts: 90_000,
        packets: 17,
        octets: 20_000,
    };
    let mut out = Vec::new();
    rtcp::write_sender_report(&report, "sh-1", &mut out);
    let mut expected = vec![0x80, 200, 0, 6, 1, 2, 3, 4, 0xE0, 0, 0, 1, 0x80, 0, 0, 0];
    expected.extend_from_slice(&[0, 1, 0x5F, 0x90, 0, 0, 0, 17, 0, 0, 0x4E, 0x20]);
    expected.extend_from_slice(&[0x81, 202, 0, 3, 1, 2, 3, 4, 1, 4]);
    expected.extend_from_slice(b"sh-1\0\0");
    assert_eq!(out, expected);
    let blocks = Vec::new();
    let other = RtcpItem::Other { packet_type: 202 };
    assert_eq!(
        read(&out),
        [RtcpItem::SenderReport { report, blocks }, other]
    );
}

#[test]
fn names_of_any_length_keep_the_chunk_ended_and_aligned() {
    for length in 0..300 {
        let mut out = Vec::new();
        rtcp::write_receiver_report(1, &[], &"n".repeat(length), &mut out);
        assert_eq!(out.len() % 4, 0);
        assert_eq!(out.last(), Some(&0));
        assert_eq!(read(&out).len(), 2);
    }
}

#[test]
fn receiver_reports_roundtrip_with_negative_loss() {
    let block = ReportBlock {
        ssrc: 9,
        fraction_lost: 200,
        cumulative_lost: -3,
        highest_seq: 0x0001_0005,
        jitter: 44,
        last_sr: 0x8899_AABB,
        delay_since_last_sr: 65_536,
    };
    let mut out = Vec::new();
    rtcp::write_receiver_report(5, &[block, ReportBlock::default()], "x", &mut out);
    let blocks = vec![block, ReportBlock::default()];
    assert_eq!(read(&out)[0], RtcpItem::ReceiverReport { ssrc: 5, blocks });
}

#[test]
fn feedback_of_a_browser_is_read_in_compound_and_alone() {
    let nack = [
        0x81, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0x10, 0, 0, 3, 0x20, 0, 0xFF, 0xFF,
    ];
    let fir = [
        0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 7, 0, 0, 0,
    ];
    // 3 << 18 mantissa bits: exponent 4, mantissa 0x1_0000.
    let mut remb = vec![0x8F, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0];
    remb.extend_from_slice(b"REMB");
    remb.extend_from_slice(&[1, 0b0001_0001, 0, 0, 0, 0, 0, 2]);
    let mut pli = Vec::new();
    rtcp::write_pli(1, 2, &mut pli);
    let mut bye = Vec::new();
    rtcp::write_bye(2, &mut bye);
    let pairs = vec![(0x1000, 3), (0x2000, 0xFFFF)];
    let expected = [
        RtcpItem::Nack {
            media_ssrc: 2,
            pairs,
        },
        RtcpItem::Fir { targets: vec![2] },
        RtcpItem::Remb {
            bitrate_bps: 0x1_0000 << 4,
            ssrcs: vec![2],
        },
        RtcpItem::Pli { media_ssrc: 2 },
        RtcpItem::Bye { ssrcs: vec![2] },
    ];
    let packets = [&nack[..], &fir, &remb, &pli, &bye];
    assert_eq!(read(&packets.concat()), expected);
    for (packet, item) in packets.iter().zip(expected) {
        assert_eq!(read(packet), [item]);
    }
}

#[test]
fn padding_is_cut_and_bad_padding_is_an_error() {
    let padded = [0xA1, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4];
    assert_eq!(read(&padded), [RtcpItem::Pli { media_ssrc: 2 }]);
    let mut bad = padded;
    bad[15] = 13;
    let first = rtcp::items(&bad).next();
    assert_eq!(first, Some(Err(RtcpError::BadPadding { offset: 0 })));
}

#[test]
fn what_came_before_the_damage_is_delivered_and_nothing_after() {
    let mut out = Vec::new();
    rtcp::write_pli(1, 2, &mut out);
    out.extend_from_slice(&[0x40, 0, 0, 0]);
    rtcp::write_pli(1, 3, &mut out);
    let seen: Vec<_> = rtcp::items(&out).collect();
    let expected = [
        Ok(RtcpItem::Pli { media_ssrc: 2 }),
        Err(RtcpError::BadVersion {
            offset: 12,
            version: 1,
        }),
    ];
    assert_eq!(seen, expected);
}

proptest! {
    #[test]
    fn random_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(rtcp::items(&bytes).count() <= bytes.len() / 4 + 1);
    }

    #[test]
    fn well_framed_noise_ends(
        packets in prop::collection::vec((any::<u8>(), 198_u8..210, prop::collection::vec(any::<u32>(), 0..20)), 0..8),
    ) {
        let mut bytes = Vec::new();
        for (first, packet_type, words) in packets {
            bytes.extend_from_slice(&[0x80 | (first & 0x3F), packet_type, 0, words.len() as u8]);
            bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        }
        prop_assert!(rtcp::items(&bytes).count() <= bytes.len() / 4 + 1);
    }
}

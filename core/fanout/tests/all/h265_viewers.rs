//! Viewers of H.265: the numbers of its codec, and joining where leading pictures follow.

use fanout::{Ring, RtxConfig, SubscriberConfig};
use wire::codec::{PayloadType, PayloadTypes, VideoCodec};

use crate::camera::{ms, push_picture, push_unit, start};
use crate::h265_camera::*;
use crate::subscriber::{CONFIG, H264, Viewer};

const H265: PayloadType = PayloadType {
    media: 49,
    rtx: Some(50),
};

fn viewer(payload_types: PayloadTypes) -> Viewer {
    Viewer::with(SubscriberConfig {
        payload_types,
        rtx: Some(RtxConfig {
            ssrc: 0xef01,
            first_seq: 7,
        }),
        ..CONFIG
    })
}

fn both() -> Viewer {
    viewer(CONFIG.payload_types.with(VideoCodec::H265, H265))
}

/// Kinds of the first slices that a viewer was sent, in order.
fn kinds(viewer: &Viewer) -> Vec<u8> {
    let payloads = viewer.sent.iter().map(|(_, _, payload)| payload[0] >> 1);
    payloads.filter(|kind| *kind < 48).collect()
}

#[test]
fn each_codec_goes_under_its_own_numbers_and_one_sequence() {
    let from = start();
    let mut ring = Ring::default();
    let mut viewer = both();
    push_picture(&mut ring, from, 0, true, 900);
    push_picture(&mut ring, from, 1, false, 300);
    viewer.run(from + ms(50), from + ms(60), &ring);
    ring.source_lost();
    push_unit(&mut ring, &unit(from, 2, &[idr(900)]));
    push_unit(&mut ring, &unit(from, 3, &[p(300, 1)]));
    let now = viewer.run(from + ms(130), from + ms(140), &ring);
    let numbers: Vec<u8> = viewer
        .sent
        .iter()
        .map(|(_, header, _)| header.payload_type)
        .collect();
    assert_eq!(numbers, [102, 102, 102, 49, 49, 49]);
    viewer.check_seq();
    assert!(
        viewer
            .sent
            .is_sorted_by_key(|(_, header, _)| header.rtp_ts.wrapping_sub(CONFIG.first_rtp_ts))
    );
    let again = |viewer: &mut Viewer, place: usize| {
        let seq = viewer.sent[place].1.seq;
        viewer
            .subscriber
            .retransmit(now, &ring, seq)
            .unwrap()
            .header
    };
    assert_eq!(again(&mut viewer, 0).payload_type, 103);
    assert_eq!(again(&mut viewer, 3).payload_type, 50);
}

#[test]
fn a_viewer_is_never_sent_a_codec_that_it_did_not_offer() {
    let from = start();
    let mut ring = Ring::default();
    let mut only_h264 = viewer(CONFIG.payload_types);
    let mut only_h265 = viewer(PayloadTypes::only(VideoCodec::H265, H265));
    for number in 0..3 {
        push_picture(&mut ring, from, number, number == 0, 900);
    }
    ring.source_lost();
    for number in 3..100 {
        let nal = if number % 25 == 3 {
            idr(900)
        } else {
            p(300, number)
        };
        push_unit(&mut ring, &unit(from, number, &[nal]));
        let now = from + ms(40) * number;
        // Nothing is due for it, so that nobody spins.
        only_h264.run(now, now + ms(39), &ring);
        only_h265.run(now, now + ms(39), &ring);
    }
    assert!(
        only_h264
            .sent
            .iter()
            .all(|(_, header, _)| header.payload_type == 102)
    );
    assert!(
        only_h265
            .sent
            .iter()
            .all(|(_, header, _)| header.payload_type == 49)
    );
    assert!(only_h265.counters().units >= 97);
}

#[test]
fn packets_of_a_codec_without_retransmission_are_not_sent_again() {
    let from = start();
    let mut ring = Ring::default();
    let bare = PayloadType { rtx: None, ..H265 };
    let mut viewer =
        viewer(PayloadTypes::only(VideoCodec::H264, H264).with(VideoCodec::H265, bare));
    push_unit(&mut ring, &unit(from, 0, &[idr(900)]));
    let now = viewer.run(from, from + ms(10), &ring);
    let seq = viewer.sent[0].1.seq;
    assert!(viewer.subscriber.retransmit(now, &ring, seq).is_none());
}

#[test]
fn who_joins_at_an_open_gop_is_not_sent_what_leads_it() {
    let from = start();
    let mut ring = Ring::default();
    let mut early = both();
    push_unit(&mut ring, &unit(from, 0, &[idr(900)]));
    early.run(from, from + ms(39), &ring);
    let gop = [
        slice(CRA, true, 9, 900),
        slice(RASL, true, 7, 300),
        slice(RADL, true, 8, 300),
        slice(RASL, true, 6, 300),
        p(300, 10),
    ];
    for (number, nal) in (1..).zip(&gop) {
        push_unit(&mut ring, &unit(from, number, std::slice::from_ref(nal)));
        early.run(
            from + ms(40) * number,
            from + ms(40) * number + ms(39),
            &ring,
        );
    }
    assert_eq!(kinds(&early), [IDR, CRA, RASL, RADL, RASL, TRAIL]);
    let mut late = both();
    let now = late.run(from + ms(240), from + ms(600), &ring);
    assert_eq!(kinds(&late), [CRA, RADL, TRAIL]);
    late.check_seq();
    // The next one leads to a picture that it has had.
    push_unit(&mut ring, &unit(from, 16, &[slice(CRA, true, 20, 900)]));
    push_unit(&mut ring, &unit(from, 17, &[slice(RASL, true, 19, 300)]));
    late.run(now.max(from + ms(700)), from + ms(900), &ring);
    assert_eq!(kinds(&late)[3..], [CRA, RASL]);
}

#[test]
fn a_leading_picture_that_is_left_out_at_the_end_of_the_ring_wakes_nobody() {
    let from = start();
    let mut ring = Ring::default();
    push_unit(&mut ring, &unit(from, 0, &[slice(CRA, true, 9, 900)]));
    push_unit(&mut ring, &unit(from, 1, &[slice(RASL, true, 8, 300)]));
    let mut viewer = both();
    let now = viewer.run(from + ms(50), from + ms(90), &ring);
    assert_eq!(kinds(&viewer), [CRA]);
    assert_eq!(viewer.subscriber.next_wake(now, &ring), None);
}

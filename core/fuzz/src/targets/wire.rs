//! Formats of single datagrams and header values.

use std::net::SocketAddr;

use wire::digest::{
    Authorization, Challenge, base64_decode, base64_encode, basic_authorization, parse_challenges,
};
use wire::framing::{Deframer, FRAME_HEADER_BYTES, MAX_FRAME_BYTES, write_frame};
use wire::rtcp::{self, ReportBlock, RtcpItem, SenderReport};
use wire::rtp::{RTP_HEADER_BYTES, RtpPacket, SeqExtender, TsExtender};
use wire::srtp::{SrtpError, SrtpOpener, SrtpProfile, SrtpSealer};
use wire::stun::{
    self, BindingRequest, BindingResponse, CheckParams, Demux, IceRole, IntegrityKey,
};

use crate::input::{Input, text};

/// What was read can be written, and reads back the same.
pub fn rtp(bytes: &[u8]) {
    let (mut seqs, mut times) = (SeqExtender::default(), TsExtender::default());
    let mut input = Input::new(bytes);
    while !input.is_empty() {
        let packet = input.piece();
        let Ok(read) = RtpPacket::parse(packet) else {
            continue;
        };
        assert!(read.payload().len() + RTP_HEADER_BYTES <= packet.len());
        if let Some((_, body)) = read.extension() {
            assert!(body.len().is_multiple_of(4) && body.len() < packet.len());
        }
        let written = [&read.header().to_bytes(), read.payload()].concat();
        let again = RtpPacket::parse(&written).expect("written by us");
        assert_eq!(again.header(), read.header());
        assert_eq!(again.payload(), read.payload());
        assert_eq!(seqs.extend(read.seq()) as u16, read.seq());
        assert_eq!(times.extend(read.rtp_ts()) as u32, read.rtp_ts());
    }
}

/// As many items as bytes allow, and reports that are written from them read back the same.
pub fn rtcp(bytes: &[u8]) {
    let items: Vec<_> = rtcp::items(bytes).collect();
    assert!(items.len() <= bytes.len().div_ceil(4));
    let failed = items.iter().position(Result::is_err);
    assert!(failed.is_none_or(|at| at + 1 == items.len()));
    for item in items.into_iter().flatten() {
        match item {
            RtcpItem::SenderReport { report, blocks } => {
                assert_eq!(sent(&report), report);
                assert_eq!(received(report.ssrc, &blocks), blocks);
            }
            RtcpItem::ReceiverReport { ssrc, blocks } => {
                assert_eq!(received(ssrc, &blocks), blocks);
            }
            RtcpItem::Nack { pairs, .. } => assert!(4 * pairs.len() <= bytes.len()),
            RtcpItem::Remb { ssrcs, .. } | RtcpItem::Bye { ssrcs } => {
                assert!(4 * ssrcs.len() <= bytes.len());
            }
            RtcpItem::Fir { targets } => assert!(8 * targets.len() <= bytes.len()),
            RtcpItem::Pli { .. } | RtcpItem::Other { .. } => {}
        }
    }
}

fn sent(report: &SenderReport) -> SenderReport {
    let mut written = Vec::new();
    rtcp::write_sender_report(report, "cname", &mut written);
    match rtcp::items(&written).next() {
        Some(Ok(RtcpItem::SenderReport { report, .. })) => report,
        other => panic!("{other:?}"),
    }
}

fn received(ssrc: u32, blocks: &[ReportBlock]) -> Vec<ReportBlock> {
    let mut written = Vec::new();
    rtcp::write_receiver_report(ssrc, blocks, "cname", &mut written);
    match rtcp::items(&written).next() {
        Some(Ok(RtcpItem::ReceiverReport { blocks, .. })) => blocks,
        other => panic!("{other:?}"),
    }
}

/// The quick look and the thorough one name the same viewer, and a check of ours with any user name
/// is taken with its key alone.
pub fn stun(bytes: &[u8]) {
    let (ours, theirs) = (IntegrityKey::new("ours"), IntegrityKey::new("theirs"));
    let _kind = Demux::of(bytes);
    let quick = stun::local_ufrag(bytes);
    if let Ok(request) = BindingRequest::parse(bytes) {
        assert_eq!(quick, Some(request.local_ufrag()));
        let (ours, theirs) = (request.verify(&ours), request.verify(&theirs));
        assert!(ours.is_err() || theirs.is_err());
    }
    let _ = BindingResponse::parse(bytes, &ours);

    let mut input = Input::new(bytes);
    let port = input.word() as u16;
    let mapped: SocketAddr = match input.byte() % 2 {
        0 => ([input.byte(), 2, 3, 4], port).into(),
        _ => ([u16::from(input.byte()), 0, 0, 0, 0, 0, 0, 1], port).into(),
    };
    let mut transaction_id = [0; 12];
    for byte in &mut transaction_id {
        *byte = input.byte();
    }
    let answer = stun::binding_success(&transaction_id, mapped, &ours);
    let read = BindingResponse::parse(&answer, &ours).expect("our own answer");
    let expected = BindingResponse::Success {
        transaction_id,
        mapped: Some(mapped),
    };
    assert_eq!(read, expected);
    let name = text(input.take(400));
    let check = CheckParams {
        username: &name,
        priority: 1,
        role: IceRole::Controlling(1),
        use_candidate: port.is_multiple_of(2),
    };
    let check = stun::binding_request(&transaction_id, &check, &ours);
    if let Ok(request) = BindingRequest::parse(&check) {
        assert!(name.starts_with(request.local_ufrag()));
        assert_eq!(request.verify(&ours), Ok(()));
        assert!(request.verify(&theirs).is_err());
        assert_eq!(stun::local_ufrag(&check), Some(request.local_ufrag()));
    }
}

/// What is sealed opens once; what was touched does not, and no garbage does.
pub fn srtp(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let profile = SrtpProfile::ALL[usize::from(input.byte()) % SrtpProfile::ALL.len()];
    let (key, salt) = (vec![7; profile.key_bytes()], vec![9; profile.salt_bytes()]);
    let mut sealer = SrtpSealer::new(profile, &key, &salt).expect("lengths of the profile");
    let mut opener = SrtpOpener::new(profile, &key, &salt).expect("lengths of the profile");
    let (mut sealed, mut clear) = (Vec::new(), Vec::new());
    while !input.is_empty() {
        sealed.clear();
        let kind = input.byte();
        let flip = usize::from(input.byte());
        match kind % 4 {
            0 => assert!(opener.open(input.piece(), &mut clear).is_err()),
            1 => assert!(opener.open_rtcp(input.piece(), &mut clear).is_err()),
            2 => {
                let mut header = [0x80; RTP_HEADER_BYTES];
                header[1..4].copy_from_slice(&[96, kind, flip as u8]);
                header[8] = kind >> 4;
                let payload = input.piece();
                if sealer.seal(&header, payload, &mut sealed).is_err() {
                    assert!(sealed.is_empty());
                    continue;
                }
                assert_eq!(sealed.len(), sealer.sealed_bytes(payload.len()));
                touched(&sealed, flip, &mut |packet| opener.open(packet, &mut clear));
                match opener.open(&sealed, &mut clear) {
                    Ok(()) => assert_eq!(clear, [&header, payload].concat()),
                    // Sources past the bound, and a first seq that both ends took for different.
                    Err(error) => assert_ne!(error, SrtpError::Malformed),
                }
                assert!(opener.open(&sealed, &mut clear).is_err(), "opened twice");
            }
            _ => {
                // A report whose header is right, as a peer that has the keys may send it.
                let mut packet = vec![0x80, 201, 0, 1, 0, 0, 0, kind];
                packet.extend_from_slice(input.piece());
                if sealer.seal_rtcp(&packet, &mut sealed).is_err() {
                    continue;
                }
                touched(&sealed, flip, &mut |packet| {
                    opener.open_rtcp(packet, &mut clear)
                });
                if opener.open_rtcp(&sealed, &mut clear).is_ok() {
                    assert_eq!(clear, packet);
                    rtcp(&clear);
                }
                assert!(opener.open_rtcp(&sealed, &mut clear).is_err());
            }
        }
    }
}

fn touched(sealed: &[u8], at: usize, open: &mut dyn FnMut(&[u8]) -> Result<(), SrtpError>) {
    let mut touched = sealed.to_vec();
    let at = at % touched.len();
    touched[at] ^= 0x20;
    assert!(open(&touched).is_err(), "touched at {at}");
}

/// What comes out does not depend on the cuts; one frame is kept at most; frames read back.
pub fn framing(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let step = usize::from(input.byte()) + 1;
    let stream = input.rest();
    let mut whole: Vec<Vec<u8>> = Vec::new();
    let at_once = Deframer::default().push(stream, &mut |frame| whole.push(frame.to_vec()));
    let (mut cut, mut deframer) = (Vec::new(), Deframer::default());
    let by_steps = stream
        .chunks(step)
        .try_for_each(|chunk| deframer.push(chunk, &mut |frame: &[u8]| cut.push(frame.to_vec())));
    assert_eq!(whole, cut);
    assert_eq!(at_once, by_steps);
    let taken: usize = whole.iter().map(|f| f.len() + FRAME_HEADER_BYTES).sum();
    assert!(taken <= stream.len());
    let mut written = Vec::new();
    for frame in &whole {
        assert!(!frame.is_empty() && frame.len() <= MAX_FRAME_BYTES);
        assert!(write_frame(&mut written, frame));
    }
    let mut again = Vec::new();
    let read = Deframer::default().push(&written, &mut |frame| again.push(frame.to_vec()));
    assert!(read.is_ok() && again == whole);
}

/// A challenge written by us reads the same; an answer to it proves the password and no other.
pub fn digest(bytes: &[u8]) {
    let value = text(bytes);
    let challenges = parse_challenges(value.split('\n'));
    for challenge in &challenges {
        let Challenge::Digest(challenge) = challenge else {
            continue;
        };
        let written = challenge.header_value();
        assert!(!written.contains(['\r', '\n']));
        if !challenge.nonce.contains(['\r', '\n']) {
            let again = Challenge::parse(&written).expect("written by us");
            let Challenge::Digest(again) = again else {
                panic!("another scheme");
            };
            assert_eq!(again.algorithm, challenge.algorithm);
        }
        let answer = challenge.authorization("user", "secret", "PLAY", &value, "cnonce", 7);
        assert!(!answer.contains("secret") || value.contains("secret"));
        assert!(!answer.contains(['\r', '\n']));
    }
    if let Ok(authorization) = Authorization::parse(&value) {
        let _ = (authorization.nonce(), authorization.uri());
        let _ = authorization.verify("user", "secret", "realm", "PLAY");
        let _shown = format!("{authorization:?}");
    }
    let (user, password) = value.split_once(':').unwrap_or((&value, ""));
    let basic = Authorization::parse(&basic_authorization(user, password));
    let basic = basic.expect("written by us");
    assert!(basic.verify(user, password, "", ""));
    assert!(!basic.verify(user, "another", "", "") || password == "another");
    assert_eq!(base64_decode(&base64_encode(bytes)).as_deref(), Some(bytes));
    if let Some(decoded) = base64_decode(&value) {
        assert!(decoded.len() <= value.len());
    }
}

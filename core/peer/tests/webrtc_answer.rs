//! Offer to answer: what a browser is told, what it is refused, and that no text breaks it.

#[path = "support/webrtc.rs"]
mod support;

use std::net::SocketAddr;

use peer::webrtc::{AnswerParams, Fingerprint, NegotiateError, Negotiated, negotiate};
use proptest::prelude::*;
use support::{Random, addr, browser_fingerprint};
use wire::codec::{PayloadType, PayloadTypes, VideoCodec};

const CHROMIUM: &str = include_str!("fixtures/chromium_156_offer.sdp");
const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

/// What another browser writes: no audio, one H.264 with other numbers, session-level transport.
const MINIMAL: &str = "v=0\n\
o=mozilla...THIS_IS_SDPARTA-99.0 5 0 IN IP4 0.0.0.0\n\
s=-\n\
t=0 0\n\
a=fingerprint:sha-256 8C:1F:5E:07:33:A9:5B:42:DE:90:64:F1:0C:7B:28:E3:11:96:AD:4F:70:BB:02:C8:5D:E7:3A:14:F9:61:86:2B\n\
a=group:BUNDLE v\n\
a=ice-options:trickle\n\
m=video 9 UDP/TLS/RTP/SAVPF 120 126 97\n\
c=IN IP4 0.0.0.0\n\
a=recvonly\n\
a=fmtp:126 profile-level-id=42e01f;level-asymmetry-allowed=1;packetization-mode=1\n\
a=fmtp:97 profile-level-id=42e01f;level-asymmetry-allowed=1\n\
a=ice-pwd:0123456789abcdef0123456789abcdef\n\
a=ice-ufrag:8f2c1a90\n\
a=mid:v\n\
a=rtcp-fb:* ccm fir\n\
a=rtcp-mux\n\
a=rtpmap:120 VP8/90000\n\
a=rtpmap:126 H264/90000\n\
a=rtpmap:97 H264/90000\n\
a=setup:actpass\n";

fn answer_with(
    offer: &str,
    candidates: &[SocketAddr],
    profile_idc: Option<u8>,
    extensions: &[&str],
) -> Result<Negotiated, NegotiateError> {
    answer_wanting(offer, candidates, profile_idc, extensions, false)
}

fn answer_wanting(
    offer: &str,
    candidates: &[SocketAddr],
    profile_idc: Option<u8>,
    extensions: &[&str],
    remb: bool,
) -> Result<Negotiated, NegotiateError> {
    let fingerprint: Fingerprint = browser_fingerprint();
    negotiate(
        offer,
        &AnswerParams {
            local_ufrag: "shardA1b2C3d4",
            local_pwd: "0123456789abcdefABCDEF+/",
            fingerprint: &fingerprint,
            candidates,
            tcp_candidates: &[addr("192.0.2.1:8190")],
            video_ssrc: 0x1234_5678,
            rtx_ssrc: 0x1234_5679,
            audio_ssrc: 0x1234_567A,
            cname: "streamhub",
            stream_id: "camera",
            track_id: "video",
            origin_id: 42,
            profile_idc,
            extensions,
            remb,
        },
    )
}

fn answer(offer: &str) -> Result<Negotiated, NegotiateError> {
    answer_with(offer, &[addr("192.0.2.1:8189")], None, &[])
}

fn numbers(media: u8, rtx: Option<u8>) -> PayloadType {
    PayloadType { media, rtx }
}

fn only_h264(media: u8, rtx: Option<u8>) -> PayloadTypes {
    PayloadTypes::only(VideoCodec::H264, numbers(media, rtx))
}

fn h264_of(negotiated: &Negotiated) -> u8 {
    let h264 = negotiated.payload_types.get(VideoCodec::H264);
    h264.expect("H.264 was agreed").media
}

/// The offer of a Chromium whose machine decodes H.265: Main and Main 10, in front of the rest.
fn with_h265() -> String {
    let h265 = |payload_type: u8, profile: u8| {
        let rtx = payload_type + 1;
        format!(
            "a=rtpmap:{payload_type} H265/90000\r\na=rtcp-fb:{payload_type} ccm fir\r\n\
             a=rtcp-fb:{payload_type} nack\r\na=rtcp-fb:{payload_type} nack pli\r\n\
             a=fmtp:{payload_type} level-id=180;profile-id={profile};tier-flag=0;tx-mode=SRST\r\n\
             a=rtpmap:{rtx} rtx/90000\r\na=fmtp:{rtx} apt={payload_type}\r\n"
        )
    };
    CHROMIUM
        .replace("SAVPF 96 97 ", "SAVPF 51 52 47 48 96 97 ")
        .replace(
            "a=rtpmap:96 ",
            &(h265(51, 2) + &h265(47, 1) + "a=rtpmap:96 "),
        )
}

fn lines(negotiated: &Negotiated) -> Vec<&str> {
    negotiated.answer.split_terminator("\r\n").collect()
}

#[test]
fn chromium_is_answered_line_by_line() {
    let candidates = [addr("192.0.2.1:8189"), addr("[2001:db8::1]:8189")];
    let negotiated = answer_with(CHROMIUM, &candidates, None, &[]).expect("answered");
    let fingerprint = format!("a=fingerprint:{}", browser_fingerprint());
    let expected = [
        "v=0",
        "o=- 42 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0 1",
        "a=ice-lite",
        "m=video 9 UDP/TLS/RTP/SAVPF 108 109",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=ice-ufrag:shardA1b2C3d4",
        "a=ice-pwd:0123456789abcdefABCDEF+/",
        &fingerprint,
        "a=setup:passive",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=sendonly",
        "a=rtpmap:108 H264/90000",
        "a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        "a=rtcp-fb:108 nack pli",
        "a=rtcp-fb:108 ccm fir",
        "a=rtcp-fb:108 nack",
        "a=rtpmap:109 rtx/90000",
        "a=fmtp:109 apt=108",
        "a=ssrc-group:FID 305419896 305419897",
        "a=msid:camera video",
        "a=ssrc:305419896 cname:streamhub",
        "a=ssrc:305419897 cname:streamhub",
        "a=candidate:1 1 udp 2130706431 192.0.2.1 8189 typ host",
        "a=candidate:2 1 udp 2130706175 2001:db8::1 8189 typ host",
        "a=candidate:3 1 tcp 1526726655 192.0.2.1 8190 typ host tcptype passive",
        "a=end-of-candidates",
        "m=audio 9 UDP/TLS/RTP/SAVPF 8 0",
        "c=IN IP4 0.0.0.0",
        "a=mid:1",
        "a=ice-ufrag:shardA1b2C3d4",
        "a=ice-pwd:0123456789abcdefABCDEF+/",
        &fingerprint,
        "a=setup:passive",
        "a=rtcp-mux",
        "a=candidate:1 1 udp 2130706431 192.0.2.1 8189 typ host",
        "a=candidate:2 1 udp 2130706175 2001:db8::1 8189 typ host",
        "a=candidate:3 1 tcp 1526726655 192.0.2.1 8190 typ host tcptype passive",
        "a=end-of-candidates",
        "a=sendonly",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:0 PCMU/8000",
        "a=msid:camera audio",
        "a=ssrc:305419898 cname:streamhub",
    ];
    assert_eq!(lines(&negotiated), expected);
    assert_eq!(negotiated.payload_types, only_h264(108, Some(109)));
    let formats = negotiated.audio.expect("sound is offered");
    assert_eq!((formats.pcma, formats.pcmu), (Some(8), Some(0)));
    assert_eq!(negotiated.mid.as_deref(), Some("0"));
    assert_eq!(negotiated.remote_ufrag, "Qx7d");
    assert_eq!(negotiated.remote_pwd, "n2V+8sZ0bYt1LkqUeR6oHw4C");
    assert_eq!(negotiated.fingerprints.len(), 1);
    assert!(negotiated.reduced_size_rtcp);
}

#[test]
fn the_streams_own_profile_is_preferred_where_it_is_known_and_offered() {
    let chosen = |profile_idc| {
        let negotiated = answer_with(CHROMIUM, &[], profile_idc, &[]).expect("answered");
        (
            h264_of(&negotiated),
            negotiated.profile_level_id.expect("offered"),
        )
    };
    assert_eq!(chosen(Some(0x4D)), (116, "4d001f".to_owned()));
    assert_eq!(
        chosen(Some(0x64)),
        (108, "42e01f".to_owned()),
        "High is not offered"
    );
    assert_eq!(chosen(None), (108, "42e01f".to_owned()));
}

#[test]
fn another_browser_with_its_own_numbers_and_session_level_fingerprint() {
    let negotiated = answer(MINIMAL).expect("answered");
    assert_eq!(negotiated.payload_types, only_h264(126, None));
    assert!(!negotiated.reduced_size_rtcp);
    let lines = lines(&negotiated);
    assert!(lines.contains(&"a=group:BUNDLE v"));
    assert!(lines.contains(&"a=rtcp-fb:126 ccm fir"));
    assert!(
        !lines
            .iter()
            .any(|line| line.contains("nack") || line.contains("rsize"))
    );
    assert!(!negotiated.answer.contains("transport-cc") && !negotiated.answer.contains("remb"));
}

#[test]
fn extensions_use_the_offers_ids_and_only_wanted_ones_are_answered() {
    let wanted = [PLAYOUT_DELAY, "urn:not:offered"];
    let negotiated = answer_with(CHROMIUM, &[], None, &wanted).expect("answered");
    assert_eq!(negotiated.extensions, [(5, PLAYOUT_DELAY.to_owned())]);
    let extmaps: Vec<_> = lines(&negotiated)
        .into_iter()
        .filter(|l| l.contains("extmap"))
        .collect();
    assert_eq!(extmaps, [format!("a=extmap:5 {PLAYOUT_DELAY}")]);
    let far = CHROMIUM.replace("a=extmap:5 ", "a=extmap:15 ");
    let negotiated = answer_with(&far, &[], None, &wanted).expect("answered");
    assert_eq!(
        negotiated.extensions,
        [],
        "15 does not fit a one-byte header"
    );
}

#[test]
fn an_estimate_of_bandwidth_is_taken_where_it_is_wanted_and_offered_and_nothing_else_changes() {
    let wanting =
        |offer: &str, remb| answer_wanting(offer, &[], None, &[], remb).expect("answered");
    let line = "a=rtcp-fb:108 goog-remb\r\n";
    let (without, with) = (wanting(CHROMIUM, false), wanting(CHROMIUM, true));
    assert!(!without.answer.contains("goog-remb"));
    assert!(with.answer.contains(line));
    assert_eq!(with.answer.replace(line, ""), without.answer);
    assert_eq!(
        wanting(MINIMAL, true),
        wanting(MINIMAL, false),
        "not offered"
    );
}

#[test]
fn a_video_section_that_is_not_first_keeps_its_place() {
    let (session, media) = CHROMIUM.split_once("m=video").expect("video");
    let (video, audio) = media.split_once("m=audio").expect("audio");
    let swapped = format!(
        "{session}m=audio{audio}m=video{video}m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:d\r\n"
    );
    let negotiated = answer(&swapped).expect("answered");
    let sections: Vec<_> = lines(&negotiated)
        .into_iter()
        .filter(|l| l.starts_with("m="))
        .collect();
    let expected = [
        "m=audio 9 UDP/TLS/RTP/SAVPF 8 0",
        "m=video 9 UDP/TLS/RTP/SAVPF 108 109",
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
    ];
    assert_eq!(sections, expected);
    assert!(lines(&negotiated).contains(&"a=group:BUNDLE 0 1"));
}

#[test]
fn sound_is_refused_where_it_is_not_in_the_bundle_does_not_receive_or_has_no_g711() {
    let (session, media) = CHROMIUM.split_once("m=video").expect("video");
    let (video, audio) = media.split_once("m=audio").expect("audio");
    let with = |session: &str, audio: &str| {
        answer(&format!("{session}m=video{video}m=audio{audio}")).expect("answered")
    };
    assert!(with(session, audio).audio.is_some());
    let alone = session.replace("BUNDLE 0 1", "BUNDLE 0");
    let only_pcmu = audio.replace("8 PCMA/8000", "8 G722/8000");
    for (session, audio) in [
        (alone.as_str(), audio.to_owned()),
        (session, audio.replace("a=recvonly", "a=sendonly")),
        (session, audio.replace("a=recvonly", "a=inactive")),
        (session, audio.replace(" 9 UDP", " 0 UDP")),
        (session, audio.replace("SAVPF", "AVP")),
        (session, audio.replace("a=mid:1", "a=mid:0")),
        (session, only_pcmu.replace("0 PCMU/8000", "0 PCMU/16000")),
    ] {
        let negotiated = with(session, &audio);
        assert_eq!(negotiated.audio, None, "{audio}");
        assert!(negotiated.answer.contains("m=audio 0 "));
        assert!(lines(&negotiated).contains(&"a=group:BUNDLE 0"));
    }
    let formats = with(session, &only_pcmu).audio.expect("PCMU is left");
    assert_eq!((formats.pcma, formats.pcmu), (None, Some(0)));
}

#[test]
fn a_bundle_only_section_takes_its_transport_from_the_first() {
    let (session, media) = CHROMIUM.split_once("m=video").expect("video");
    let (video, audio) = media.split_once("m=audio").expect("audio");
    let transport = ["a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup"];
    let bare: String = video
        .split_inclusive("\r\n")
        .filter(|line| !transport.iter().any(|name| line.starts_with(name)))
        .collect();
    let bare = bare.replacen(" 9 ", " 0 ", 1) + "a=bundle-only\r\n";
    let negotiated = answer(&format!("{session}m=audio{audio}m=video{bare}")).expect("answered");
    assert_eq!(negotiated.remote_ufrag, "Qx7d");
    assert_eq!(negotiated.fingerprints.len(), 1);
}

#[test]
fn without_a_usable_codec_it_is_no_common_codec() {
    let no_common = Err(NegotiateError::NoCommonCodec);
    assert_eq!(answer(&CHROMIUM.replace("H264", "H266")), no_common);
    let only_mode_0 = CHROMIUM.replace("packetization-mode=1", "packetization-mode=0");
    assert_eq!(answer(&only_mode_0), no_common);
    let (session, media) = CHROMIUM.split_once("m=video").expect("video");
    let (_, audio) = media.split_once("m=audio").expect("audio");
    assert_eq!(
        answer(&format!("{session}m=audio{audio}")),
        no_common,
        "no video at all"
    );
    assert_eq!(
        answer(&CHROMIUM.replace("m=video 9 ", "m=video 0 ")),
        no_common,
        "refused already"
    );
}

#[test]
fn every_codec_that_both_speak_is_answered_h264_first() {
    let negotiated = answer(&with_h265()).expect("answered");
    let both = only_h264(108, Some(109)).with(VideoCodec::H265, numbers(47, Some(48)));
    assert_eq!(negotiated.payload_types, both);
    let lines = lines(&negotiated);
    let first = lines.iter().position(|line| line.starts_with("m=video"));
    assert_eq!(
        lines[first.expect("video")],
        "m=video 9 UDP/TLS/RTP/SAVPF 108 109 47 48"
    );
    let from = lines
        .iter()
        .position(|line| line.starts_with("a=rtpmap:108"));
    let from = from.expect("H.264");
    let expected = [
        "a=rtpmap:108 H264/90000",
        "a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        "a=rtcp-fb:108 nack pli",
        "a=rtcp-fb:108 ccm fir",
        "a=rtcp-fb:108 nack",
        "a=rtpmap:109 rtx/90000",
        "a=fmtp:109 apt=108",
        "a=rtpmap:47 H265/90000",
        "a=fmtp:47 level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST",
        "a=rtcp-fb:47 nack pli",
        "a=rtcp-fb:47 ccm fir",
        "a=rtcp-fb:47 nack",
        "a=rtpmap:48 rtx/90000",
        "a=fmtp:48 apt=47",
        "a=ssrc-group:FID 305419896 305419897",
    ];
    assert_eq!(lines[from..from + expected.len()], expected);
}

#[test]
fn h265_alone_is_answered_too_with_what_was_said_of_it() {
    let offer = |fmtp: &str| {
        let h264 =
            "a=fmtp:126 profile-level-id=42e01f;level-asymmetry-allowed=1;packetization-mode=1\n";
        MINIMAL.replace("H264", "H265").replace(h264, fmtp)
    };
    let negotiated = answer(&offer("")).expect("answered");
    let h265 = |media| PayloadTypes::only(VideoCodec::H265, numbers(media, None));
    assert_eq!(negotiated.payload_types, h265(126));
    assert!(
        !negotiated.answer.contains("a=fmtp"),
        "no parameters, none repeated"
    );
    // Parameters of another profile, several streams, or text that is no number.
    let negotiated = answer(&offer("a=fmtp:126 profile-id=2\n")).expect("answered");
    assert_eq!(negotiated.payload_types, h265(97));
    let negotiated = answer(&offer("a=fmtp:126 tx-mode=MRST\n")).expect("answered");
    assert_eq!(negotiated.payload_types, h265(97));
    let negotiated = answer(&offer("a=fmtp:126 level-id=93;tier-flag=<b>\n")).expect("answered");
    assert!(lines(&negotiated).contains(&"a=fmtp:126 level-id=93"));
}

#[test]
fn what_cannot_be_answered_is_malformed_with_a_reason_of_our_own() {
    let broken = [
        ("", "neither"),
        ("hello", "neither"),
        ("v=0\r\ns=-\r\n", "no media"),
        (
            &CHROMIUM.replace("a=ice-ufrag:Qx7d", "a=ice-ufrag:Q"),
            "ice-ufrag",
        ),
        (
            &CHROMIUM.replace("a=ice-ufrag:Qx7d", "a=ice-ufrag:Qx7d bad"),
            "ice-ufrag",
        ),
        (&CHROMIUM.replace("a=ice-pwd:", "a=ice-key:"), "ice-pwd"),
        (&CHROMIUM.replace("sha-256", "sha-1"), "fingerprint"),
        (&CHROMIUM.replace("8C:1F:", "8C:"), "fingerprint"),
        (
            &CHROMIUM.replace("a=setup:actpass", "a=setup:passive"),
            "setup",
        ),
        (&CHROMIUM.replace("a=rtcp-mux", "a=x-mux"), "rtcp-mux"),
        (&CHROMIUM.replace("a=recvonly", "a=sendonly"), "receives"),
        (&CHROMIUM.replace("a=mid:0", "a=mid:0 0"), "mid"),
        (
            &CHROMIUM.replace(
                "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126",
                "m=audio",
            ),
            "m= line",
        ),
        (&"v=0\r\n".repeat(20_000), "bytes"),
    ];
    for (offer, reason) in broken {
        let result = answer(offer);
        let Err(NegotiateError::Malformed(said)) = result else {
            panic!("{reason}: {result:?}");
        };
        assert!(said.contains(reason), "{said} should say {reason}");
    }
}

/// Whatever was accepted must be an answer that could be sent.
fn check_invariants(negotiated: &Negotiated, offered_sections: usize) {
    let text = &negotiated.answer;
    assert!(text.starts_with("v=0\r\n") && text.ends_with("\r\n"));
    assert!(text.is_ascii() && !text.replace("\r\n", "").contains(['\r', '\n', '\0']));
    assert_eq!(text.matches("\r\nm=").count(), offered_sections);
    let accepted = 1 + usize::from(negotiated.audio.is_some());
    assert_eq!(text.matches("a=sendonly\r\n").count(), accepted);
    assert_eq!(text.matches("a=ice-lite\r\n").count(), 1);
    assert_eq!(text.matches("a=setup:passive\r\n").count(), accepted);
    assert!(negotiated.payload_types.iter().count() > 0);
    for (_, numbers) in negotiated.payload_types.iter() {
        assert!(numbers.media < 128 && numbers.rtx.is_none_or(|rtx| rtx < 128));
    }
    assert!(!negotiated.fingerprints.is_empty());
    assert!(negotiated.remote_pwd.len() >= 22);
}

#[test]
fn mutated_offers_end_in_an_answer_or_an_error() {
    let mut random = Random::new(7);
    let with_h265 = with_h265();
    let mut answered = 0;
    for round in 0..1_500_u64 {
        let source = [CHROMIUM, MINIMAL, &with_h265][round as usize % 3];
        let mut lines: Vec<Vec<u8>> = source.lines().map(|l| l.as_bytes().to_vec()).collect();
        for _ in 0..=random.below(6) {
            let at = random.below(lines.len() as u64) as usize;
            let line = lines[at].clone();
            match random.below(6) {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, line),
                2 => {
                    let other = random.below(lines.len() as u64) as usize;
                    lines.swap(at, other);
                }
                3 => lines[at].truncate(random.below(line.len() as u64 + 1) as usize),
                _ => {
                    if let Some(last) = line.len().checked_sub(1) {
                        let byte = random.below(last as u64 + 1) as usize;
                        lines[at][byte] = random.next() as u8;
                    }
                }
            }
            if lines.is_empty() {
                break;
            }
        }
        let text = String::from_utf8_lossy(&lines.join(&b"\r\n"[..])).into_owned();
        if let Ok(negotiated) = answer(&text) {
            answered += 1;
            let sections = wire::sdp::Sdp::parse(&text)
                .expect("parsed before")
                .media
                .len();
            check_invariants(&negotiated, sections);
        }
    }
    assert!(
        answered > 250,
        "the mutations must leave something to answer: {answered}"
    );
}

proptest! {
    #[test]
    fn any_text_ends(text in "\\PC{0,400}") {
        let _either = answer(&text);
    }

    #[test]
    fn sdp_like_text_ends(
        lines in prop::collection::vec("(v=0|m=video [0-9]{1,5} UDP/TLS/RTP/SAVPF [0-9 ]{1,9}|a=(rtpmap|fmtp|mid|group|ice-ufrag|extmap|fingerprint)(:[ -~]{0,30})?)", 0..40),
    ) {
        let _either = answer(&lines.join("\r\n"));
    }

    #[test]
    fn fingerprints_never_panic(text in "\\PC{0,120}") {
        let _maybe = Fingerprint::parse(&text);
    }
}

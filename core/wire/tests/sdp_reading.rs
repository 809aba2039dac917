//! Session descriptions as cameras and browsers write them.

use proptest::prelude::*;
use wire::sdp::{Direction, MAX_MEDIA, MAX_SDP_BYTES, Media, Sdp, SdpError, sprop_parameter_sets};

const CAMERA: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=Media Presentation\r\na=control:*\r\n\
    m=video 0 RTP/AVP 96\r\nb=AS:5000\r\na=recvonly\r\na=control:trackID=1\r\n\
    a=rtpmap:96 H264/90000\r\n\
    a=fmtp:96 profile-level-id=420029; packetization-mode=1; sprop-parameter-sets=Z0IAKeKQ,aM48gA==\r\n\
    m=audio 0 RTP/AVP 8\r\na=control:trackID=2\r\n";

#[test]
fn a_cameras_description_is_read() {
    let sdp = Sdp::parse(CAMERA).unwrap();
    assert_eq!(sdp.control(), Some("*"));
    let [video, audio] = sdp.media.as_slice() else {
        panic!("{} sections", sdp.media.len());
    };
    assert_eq!(
        (video.kind.as_str(), video.control()),
        ("video", Some("trackID=1"))
    );
    assert_eq!(video.direction(), Some(Direction::RecvOnly));
    let map = video.rtp_map(96).unwrap();
    assert_eq!((map.encoding.as_str(), map.clock_rate), ("H264", 90_000));
    let fmtp = video.fmtp(96);
    assert_eq!(fmtp.get("Packetization-Mode"), Some("1"));
    let sets = sprop_parameter_sets(fmtp.get("sprop-parameter-sets").unwrap());
    assert_eq!(sets[0][0], 0x67);
    assert_eq!(sets[1], [0x68, 0xCE, 0x3C, 0x80]);
    // A static payload type needs no rtpmap.
    assert_eq!(audio.rtp_maps()[0].encoding, "PCMA");
}

#[test]
fn what_is_written_is_read_back() {
    let sdp = Sdp::parse(CAMERA).unwrap();
    assert_eq!(sdp.to_string(), CAMERA);
    let built = Sdp::default()
        .line('v', "0")
        .with_media(Media::new("video", 0, "RTP/AVP", &["96"]).line('a', "control:t\r\na=evil"));
    assert_eq!(
        built.to_string(),
        "v=0\r\nm=video 0 RTP/AVP 96\r\na=control:t  a=evil\r\n"
    );
}

#[test]
fn missing_doubled_broken_and_unknown_lines_do_not_matter() {
    let text = "\u{feff}v=0\ns=a\ns=b\nc=IN IP4\nnonsense\n=\nz\nm=application/TP-LINK 0 x\n\
        m=video\nm=video 0/2 RTP/AVP 96  \na=rtpmap:96  H264/90000 extra\na=fmtp:96\n\
        a=fmtp:97 packetization-mode=1\na=framerate:25.0\0\n";
    let sdp = Sdp::parse(text).unwrap();
    assert_eq!(sdp.media.len(), 3);
    let video = &sdp.media[2];
    assert_eq!(video.rtp_maps()[0].clock_rate, 90_000);
    assert!(video.fmtp(96).is_empty());
    assert_eq!(video.attribute("framerate"), Some("25.0"));
    assert_eq!(sdp.media[0].kind, "application/TP-LINK");
}

#[test]
fn rtpmaps_are_believed_where_the_media_line_names_other_payload_types() {
    let sdp = Sdp::parse("m=video 0 RTP/AVP 35\na=rtpmap:96 H264/90000\n").unwrap();
    assert_eq!(sdp.media[0].rtp_maps()[0].payload_type, 96);
}

#[test]
fn a_browsers_offer_keeps_its_order_and_its_bare_attributes() {
    let text = "v=0\r\na=group:BUNDLE 0\r\na=extmap-allow-mixed\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:0\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n\
        a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n";
    let sdp = Sdp::parse(text).unwrap();
    assert_eq!(sdp.attribute("extmap-allow-mixed"), Some(""));
    let video = &sdp.media[0];
    assert_eq!((video.mid(), video.has("rtcp-mux")), (Some("0"), true));
    assert_eq!(video.payload_types().collect::<Vec<_>>(), [96, 97]);
    assert_eq!(video.fmtp(97).get("apt"), Some("96"));
    assert_eq!(video.attributes("rtcp-fb").count(), 2);
}

#[test]
fn parameter_sets_in_annex_b_are_cut_and_bad_ones_left_out() {
    // 00 00 00 01 67 42 | 00 00 01 68 CE, in one value; then text that is no base64.
    let sets = sprop_parameter_sets("AAAAAWdCAAABaM4=,***,");
    assert_eq!(sets, [vec![0x67, 0x42], vec![0x68, 0xCE]]);
}

#[test]
fn too_much_is_refused_or_left_out() {
    assert_eq!(
        Sdp::parse(&"a".repeat(MAX_SDP_BYTES + 1)),
        Err(SdpError::TooLarge)
    );
    assert_eq!(Sdp::parse("hello"), Err(SdpError::NotSdp));
    assert_eq!(Sdp::parse(""), Err(SdpError::NotSdp));
    let many = "m=video 0 RTP/AVP 96\na=x\n".repeat(MAX_MEDIA + 9);
    let sdp = Sdp::parse(&many).unwrap();
    assert_eq!(sdp.media.len(), MAX_MEDIA);
    assert_eq!(sdp.media[MAX_MEDIA - 1].lines.len(), 1);
}

fn use_everything(sdp: &Sdp) {
    let _ = (sdp.control(), sdp.to_string());
    for media in &sdp.media {
        let _ = (
            media.rtp_maps(),
            media.direction(),
            media.mid(),
            media.control(),
        );
        for payload_type in media.payload_types() {
            let fmtp = media.fmtp(payload_type);
            let _ = fmtp.get("sprop-parameter-sets").map(sprop_parameter_sets);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_without_a_panic(text in "(v=0|m=video 0 RTP/AVP 96|a=\\PC{0,40}|\\PC{0,40}|\r\n|\n){0,30}") {
        if let Ok(sdp) = Sdp::parse(&text) {
            use_everything(&sdp);
            let again = Sdp::parse(&sdp.to_string());
            prop_assert_eq!(again.map(|again| again.media.len()), Ok(sdp.media.len()));
        }
    }
}

#[test]
fn twenty_thousand_mutated_descriptions_never_panic() {
    let mut state = 11_u64;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for _ in 0..20_000 {
        let mut bytes = CAMERA.as_bytes().to_vec();
        for _ in 0..1 + random() % 8 {
            let at = random() % bytes.len();
            match random() % 3 {
                0 => bytes[at] = random() as u8,
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, random() as u8),
            }
        }
        if let Ok(sdp) = Sdp::parse(&String::from_utf8_lossy(&bytes)) {
            use_everything(&sdp);
        }
    }
}

//! A camera's sound is set up beside its picture, and never in its way.

mod rtsp_client_support;

use peer::rtsp_client::{AudioCodec, MediaTransport};
use rtsp_client_support::*;

const PICTURE: &str = "v=0\r\ns=cam\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\n\
    a=rtpmap:96 H264/90000\r\na=control:trackID=1\r\n";
const SOUND: &str = "m=audio 0 RTP/AVP 8\r\na=control:trackID=2\r\n";
const SOUND_SETUP: &str =
    "Session: 77;timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved=2-3\r\n";

fn sdp(sound: &str) -> String {
    format!("{PICTURE}{sound}")
}

/// Answered up to the SETUP that comes after the picture's.
fn past_picture(sdp: &str) -> Scene {
    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.answer(200, "");
    scene.asked("DESCRIBE");
    scene.describe(sdp);
    scene.asked("SETUP");
    scene.answer(200, SETUP_FIELDS);
    scene
}

fn playing_with_sound() -> Scene {
    let mut scene = past_picture(&sdp(SOUND));
    scene.asked("SETUP");
    scene.answer(200, SOUND_SETUP);
    scene.asked("PLAY");
    scene.answer(200, "");
    scene
}

fn sound(seq: u16) -> Vec<u8> {
    rtp_of(8, 0xBEEF, seq, 160)
}

#[test]
fn g711_is_set_up_after_the_picture_and_both_go_through() {
    let mut scene = past_picture(&sdp(SOUND));
    let setup = scene.asked("SETUP");
    assert_eq!(setup.uri, format!("{URL}/trackID=2"));
    assert_eq!(setup.headers.get("Session"), Some("77"));
    assert_eq!(
        setup.headers.get("Transport"),
        Some("RTP/AVP/TCP;unicast;interleaved=2-3")
    );
    assert_eq!(scene.client.audio_codec(), None);
    scene.answer(200, SOUND_SETUP);
    scene.asked("PLAY");
    scene.answer(200, "");
    scene.feed(&interleaved(2, &sound(1)));
    scene.feed_rtp(1);
    scene.feed(&interleaved(3, &[0x80, 200, 0, 6]));
    scene.feed(&interleaved(2, &sound(2)));
    assert!(scene.is_playing());
    assert_eq!(scene.client.audio_codec(), Some(AudioCodec::Pcma));
    assert_eq!(scene.audio, [sound(1), sound(2)]);
    assert_eq!(scene.media, [(0, rtp(1, 100))]);
    let counters = scene.client.counters();
    assert_eq!((counters.audio_packets, counters.rtp_packets), (2, 1));
    assert_eq!(counters.unassigned_channel, 0);
}

#[test]
fn a_camera_whose_sound_is_refused_or_goes_astray_is_pulled_for_its_picture() {
    for (status, fields) in [
        (400, ""),
        (404, ""),
        (454, ""),
        (461, ""),
        (500, ""),
        (302, "Location: rtsp://10.0.0.9/\r\n"),
        // The picture's channels again, and UDP.
        (
            200,
            "Session: 77\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n",
        ),
        (
            200,
            "Session: 77\r\nTransport: RTP/AVP;server_port=5000-5001\r\n",
        ),
    ] {
        let mut scene = past_picture(&sdp(SOUND));
        scene.asked("SETUP");
        scene.answer(status, fields);
        scene.asked("PLAY");
        scene.answer(200, "");
        scene.feed_rtp(1);
        assert!(scene.is_playing(), "{status}");
        assert_eq!(scene.client.audio_codec(), None);
        scene.feed(&interleaved(2, &sound(1)));
        assert_eq!((scene.audio.len(), scene.media.len()), (0, 1));
    }
    let mut scene = past_picture(&sdp(SOUND));
    scene.asked("SETUP");
    scene.pass(secs(5));
    scene.asked("PLAY");
    scene.answer(200, "");
    assert!(scene.is_playing(), "never answered");
}

#[test]
fn an_rtsp_id_that_changes_with_the_second_setup_stays_the_first() {
    let mut scene = past_picture(&sdp(SOUND));
    scene.asked("SETUP");
    scene.answer(200, &SOUND_SETUP.replace("77", "78"));
    let play = scene.asked("PLAY");
    assert_eq!(play.headers.get("Session"), Some("77"));
}

#[test]
fn channels_of_the_sound_are_those_the_camera_assigns() {
    let mut scene = past_picture(&sdp(SOUND));
    scene.asked("SETUP");
    scene.answer(
        200,
        "Session: 77\r\nTransport: RTP/AVP/TCP;interleaved=6-7\r\n",
    );
    scene.asked("PLAY");
    scene.answer(200, "");
    scene.feed(&interleaved(6, &sound(1)));
    assert_eq!(scene.audio.len(), 1);
    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.answer(200, "");
    scene.asked("DESCRIBE");
    scene.describe(&sdp(SOUND));
    scene.asked("SETUP");
    scene.answer(
        200,
        "Session: 77\r\nTransport: RTP/AVP/TCP;interleaved=2-3\r\n",
    );
    let setup = scene.asked("SETUP");
    let wanted = setup.headers.get("Transport").unwrap();
    assert!(wanted.ends_with("interleaved=4-5"), "{wanted}");
}

#[test]
fn only_g711_of_8_khz_is_set_up() {
    for other in [
        "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/16000\r\na=control:trackID=2\r\n",
        "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 PCMA/16000\r\na=control:trackID=2\r\n",
        "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 PCMU/8000/2\r\na=control:trackID=2\r\n",
        "m=audio 0 RTP/AVP 9\r\na=control:trackID=2\r\n",
        "m=application 0 RTP/AVP 8\r\na=control:trackID=2\r\n",
        "m=audio 0 RTP/AVP 8\r\n",
        "m=audio 0 RTP/AVP 8\r\na=control:trackID=1\r\n",
    ] {
        past_picture(&sdp(other)).asked("PLAY");
    }
    for (line, codec) in [
        ("m=audio 0 RTP/AVP 0\r\n", AudioCodec::Pcmu),
        (
            "m=audio 0 RTP/AVP 98\r\na=rtpmap:98 pcma/8000\r\n",
            AudioCodec::Pcma,
        ),
        ("m=audio 0 RTP/AVP 8\r\na=sendonly\r\n", AudioCodec::Pcma),
    ] {
        let mut scene = past_picture(&sdp(&format!("{line}a=control:trackID=2\r\n")));
        scene.asked("SETUP");
        scene.answer(200, SOUND_SETUP);
        assert_eq!(scene.client.audio_codec(), Some(codec));
    }
}

#[test]
fn the_track_for_talking_back_is_not_taken_for_the_cameras_own() {
    let both = "m=audio 0 RTP/AVP 0\r\na=sendonly\r\na=control:trackID=5\r\n\
        m=audio 0 RTP/AVP 8\r\na=recvonly\r\na=control:trackID=6\r\n";
    let setup = past_picture(&sdp(both)).asked("SETUP");
    assert!(setup.uri.ends_with("trackID=6"), "{}", setup.uri);
}

#[test]
fn by_udp_the_picture_comes_alone() {
    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.answer(200, "");
    scene.asked("DESCRIBE");
    scene.describe(&sdp(SOUND));
    scene.asked("SETUP");
    scene.answer(461, "");
    scene.bind_udp();
    scene.asked("SETUP");
    scene.answer(
        200,
        "Session: 77\r\nTransport: RTP/AVP;unicast;client_port=7000-7001\r\n",
    );
    scene.asked("PLAY");
    assert_eq!(scene.client.transport(), MediaTransport::Udp);
}

#[test]
fn what_is_no_sound_is_counted_and_sound_alone_does_not_keep_a_pull_alive() {
    let mut scene = playing_with_sound();
    scene.feed(&interleaved(2, &rtp_of(97, 1, 1, 10)));
    scene.feed(&interleaved(2, b"\x01"));
    scene.feed(&interleaved(2, b""));
    let counters = scene.client.counters();
    assert_eq!(
        (counters.unexpected_payload_type, counters.malformed_rtp),
        (1, 2)
    );
    for seq in 0..9 {
        scene.feed(&interleaved(2, &sound(seq)));
        scene.pass(secs(1));
    }
    scene.pass(secs(1));
    assert_eq!(scene.failed(), ("stalled", "first_packet"));
}

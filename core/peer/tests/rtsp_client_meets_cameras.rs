//! The dialogue with cameras as they are: one hazard, one test.

mod rtsp_client_support;

use peer::rtsp_client::{ClientConfig, ClientEvent, Failure, MAX_TRANSMITS, Step};
use rtsp_client_support::{
    SDP, SETUP_FIELDS, Scene, Sent, URL, config, interleaved, rtp, secs, with_password,
};
use wire::codec::VideoCodec;
use wire::rtsp::Request;

#[test]
fn the_plain_dialogue_reaches_playing_step_by_step() {
    let mut scene = Scene::plain();
    let asked = scene.until_play(SDP, SETUP_FIELDS);
    scene.answer(200, "RTP-Info: url=x;seq=0;rtptime=9;\r\n");
    scene.feed_rtp(1);
    let steps: Vec<_> = scene
        .events
        .iter()
        .filter_map(|event| match event {
            ClientEvent::Step(step) => Some(step.code()),
            _ => None,
        })
        .collect();
    let expected = [
        "connected",
        "options",
        "describe",
        "setup",
        "play",
        "first_packet",
    ];
    assert_eq!(steps, expected);
    let uris: Vec<_> = asked.iter().map(|request| request.uri.as_str()).collect();
    assert_eq!(
        uris,
        [URL, URL, "rtsp://10.0.0.5:8554/live/main/trackID=1", URL]
    );
    for (at, request) in asked.iter().enumerate() {
        assert_eq!(request.headers.cseq(), Some(at as u32 + 1));
        assert!(
            request
                .headers
                .get("User-Agent")
                .unwrap()
                .starts_with("StreamHub/")
        );
    }
    assert_eq!(asked[1].headers.get("Accept"), Some("application/sdp"));
    let transport = asked[2].headers.get("Transport");
    assert_eq!(transport, Some("RTP/AVP/TCP;unicast;interleaved=0-1"));
    assert_eq!(asked[3].headers.get("Session"), Some("77"));
    assert_eq!(asked[3].headers.get("Range"), Some("npt=0.000-"));
    assert_eq!(scene.client.step(), Step::Streaming);
}

#[test]
fn the_track_carries_its_decoded_parameter_sets() {
    let scene = Scene::playing();
    let track = scene.track();
    assert_eq!((track.codec, track.payload_type), (VideoCodec::H264, 96));
    assert_eq!(
        (track.clock_rate, track.packetization_mode),
        (90_000, Some(1))
    );
    assert_eq!(
        track.parameter_sets[0],
        [0x67, 0x42, 0x00, 0x29, 0xE2, 0x90]
    );
    assert_eq!(track.parameter_sets[1], [0x68, 0xCE, 0x3C, 0x80]);
    assert_eq!(scene.client.track(), Some(&track));
}

#[test]
fn parameter_sets_that_are_none_are_left_out() {
    let mut scene = Scene::plain();
    // An access unit delimiter, then text that is no base64, then a PPS.
    let sdp = SDP.replace("Z0IAKeKQ,aM48gA==", "CfA=,!!!,aM48gA==");
    scene.until_play(&sdp, SETUP_FIELDS);
    assert_eq!(scene.track().parameter_sets, [[0x68, 0xCE, 0x3C, 0x80]]);
}

#[test]
fn an_address_that_cannot_be_read_is_a_failure_that_trying_again_does_not_mend() {
    let failure = Failure::from(ClientConfig::new("http://10.0.0.5/").unwrap_err());
    assert_eq!(
        (failure.code(), failure.retryable()),
        ("bad_address", false)
    );
}

#[test]
fn another_codec_is_refused_by_name() {
    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.answer(200, "");
    scene.asked("DESCRIBE");
    scene.describe(
        "v=0\r\nm=video 0 RTP/AVP 26\r\n\
         m=video 0 RTP/AVP 97\r\na=rtpmap:97 MP4V-ES/90000\r\n",
    );
    assert_eq!(scene.failed(), ("codec_unsupported", "describe"));
    assert!(scene.failure().detail.contains("JPEG, MP4V-ES"));
    assert!(!scene.failure().retryable());
    assert!(
        scene.sent().is_empty(),
        "nothing was set up, so there is nothing to tear down"
    );
}

/// The session part of an SDP, then this media.
fn described(media: &str) -> String {
    format!("v=0\r\n{media}")
}

#[test]
fn an_h265_track_is_pulled_with_the_sets_of_its_three_parameters() {
    let mut scene = Scene::plain();
    // As cameras write it: two sets in one, a start code, and one that is no base64.
    let sdp = described(
        "m=video 0 RTP/AVP 98\r\na=rtpmap:98 H265/90000\r\n\
         a=fmtp:98 profile-id=1; sprop-sps=QgEBAQ==; sprop-vps=QAEMAQ==,%%;sprop-pps=AAAAAUQBwXM=,RAHAcw==;\
         sprop-max-don-diff=0\r\na=control:trackID=1\r\n",
    );
    scene.until_play(&sdp, SETUP_FIELDS);
    let track = scene.track();
    assert_eq!((track.codec, track.payload_type), (VideoCodec::H265, 98));
    let sets: [&[u8]; 4] = [
        &[0x40, 1, 0x0c, 1],
        &[0x42, 1, 1, 1],
        &[0x44, 1, 0xc1, 0x73],
        &[0x44, 1, 0xc0, 0x73],
    ];
    assert_eq!(track.parameter_sets, sets);
}

#[test]
fn an_h265_track_without_rtpmap_is_known_by_its_parameters() {
    let mut scene = Scene::plain();
    let sdp = described(
        "m=video 0 RTP/AVP 96\r\na=fmtp:96 sprop-vps=QAEMAQ==\r\na=control:trackID=1\r\n",
    );
    scene.until_play(&sdp, SETUP_FIELDS);
    assert_eq!(scene.track().codec, VideoCodec::H265);
}

#[test]
fn of_two_video_tracks_the_one_that_every_viewer_takes_is_pulled() {
    let mut scene = Scene::plain();
    let sdp = described(
        "m=video 0 RTP/AVP 98\r\na=rtpmap:98 H265/90000\r\na=control:trackID=1\r\n\
         m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=2\r\n",
    );
    let asked = scene.until_play(&sdp, SETUP_FIELDS);
    assert!(asked[2].uri.ends_with("/trackID=2"));
    assert_eq!(scene.track().codec, VideoCodec::H264);
}

#[test]
fn h265_with_decoding_order_numbers_is_refused_by_its_parameter() {
    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.answer(200, "");
    scene.asked("DESCRIBE");
    scene.describe(&described(
        "m=video 0 RTP/AVP 98\r\na=rtpmap:98 H265/90000\r\na=fmtp:98 sprop-max-don-diff=2\r\n",
    ));
    assert_eq!(scene.failed(), ("codec_unsupported", "describe"));
    assert!(scene.failure().detail.contains("sprop-max-don-diff"));
}

#[test]
fn h264_behind_a_video_track_of_another_codec_is_found() {
    let mut scene = Scene::plain();
    let sdp = format!(
        "{}m=video 0 RTP/AVP 26\r\na=control:trackID=9\r\n",
        "v=0\r\n"
    ) + SDP.split_once("a=control:*\r\n").unwrap().1;
    let asked = scene.until_play(&sdp, SETUP_FIELDS);
    assert!(asked[2].uri.ends_with("/trackID=1"));
}

#[test]
fn a_description_without_video_says_so() {
    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.answer(200, "");
    scene.asked("DESCRIBE");
    scene.describe("v=0\r\nm=audio 0 RTP/AVP 8\r\nm=application/TP-LINK 0 RTP/AVP 1\r\n");
    assert_eq!(scene.failed(), ("no_video", "describe"));
}

#[test]
fn an_h264_track_without_rtpmap_is_known_by_its_parameters() {
    let mut scene = Scene::plain();
    let sdp = "v=0\r\nm=video 0 RTP/AVP 97\r\na=fmtp:97 packetization-mode=1\r\n";
    let asked = scene.until_play(sdp, SETUP_FIELDS);
    // No control and one track: the base itself.
    assert_eq!(asked[2].uri, URL);
    assert_eq!(scene.track().payload_type, 97);
}

#[test]
fn options_may_be_refused_and_keep_alive_is_options_then() {
    for status in [401, 404, 405, 501] {
        let mut scene = Scene::plain();
        scene.asked("OPTIONS");
        scene.answer(status, "");
        scene.asked("DESCRIBE");
        scene.describe(SDP);
        scene.asked("SETUP");
        scene.answer(200, "Session: 1;timeout=6\r\n");
        scene.asked("PLAY");
        scene.answer(200, "");
        scene.pass(secs(3));
        assert_eq!(scene.asked("OPTIONS").headers.get("Session"), Some("1"));
    }
}

#[test]
fn sdp_without_content_type_is_taken_and_other_text_is_not() {
    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.answer(200, "");
    scene.asked("DESCRIBE");
    scene.answer_with(200, "", SDP);
    scene.asked("SETUP");

    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.answer(200, "");
    scene.asked("DESCRIBE");
    scene.answer_with(200, "Content-Type: text/html\r\n", "<html>");
    assert_eq!(scene.failed(), ("bad_response", "describe"));
}

#[test]
fn a_content_base_of_another_host_is_dialled_where_we_are() {
    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.answer(200, "");
    scene.asked("DESCRIBE");
    let fields =
        "Content-Base: rtsp://192.168.1.10:554/inner/\r\nContent-Type: application/sdp\r\n";
    scene.answer_with(200, fields, SDP);
    assert_eq!(
        scene.asked("SETUP").uri,
        "rtsp://10.0.0.5:8554/inner/trackID=1"
    );
    scene.answer(200, SETUP_FIELDS);
    assert_eq!(scene.asked("PLAY").uri, "rtsp://10.0.0.5:8554/inner/");
}

#[test]
fn a_query_stays_in_front_of_the_track() {
    let mut scene = Scene::new(config(
        "rtsp://10.0.0.5/cam/realmonitor?channel=1&subtype=0",
    ));
    let asked = scene.until_play(SDP, SETUP_FIELDS);
    let expected = "rtsp://10.0.0.5/cam/realmonitor?channel=1&subtype=0/trackID=1";
    assert_eq!(asked[2].uri, expected);
}

#[test]
fn a_redirect_on_the_same_host_and_port_keeps_the_connection() {
    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.answer(200, "");
    scene.asked("DESCRIBE");
    scene.answer(302, "Location: rtsp://10.0.0.5:8554/elsewhere\r\n");
    assert_eq!(
        scene.asked("DESCRIBE").uri,
        "rtsp://10.0.0.5:8554/elsewhere"
    );
    scene.answer(301, "Location: /third\r\n");
    assert_eq!(scene.asked("DESCRIBE").uri, "rtsp://10.0.0.5:8554/third");
}

#[test]
fn a_redirect_to_another_host_dials_it_without_our_credentials() {
    let mut scene = Scene::new(with_password());
    scene.asked("OPTIONS");
    scene.answer(200, "");
    scene.asked("DESCRIBE");
    scene.answer(302, "Location: rtsp://10.0.0.6/x\r\n");
    let redial = ClientEvent::Redial {
        host: "10.0.0.6".to_owned(),
        port: 554,
    };
    assert_eq!(scene.events.last(), Some(&redial));
    assert_eq!(scene.client.dial_target(), ("10.0.0.6", 554));
    assert_eq!(scene.client.poll_timeout(), None);
    scene.close();
    scene.connect();
    scene.asked("OPTIONS");
    scene.answer(200, "");
    assert_eq!(scene.asked("DESCRIBE").uri, "rtsp://10.0.0.6/x");
    scene.answer(401, "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n");
    assert_eq!(scene.failed().0, "auth_failed");
}

#[test]
fn a_circle_of_redirects_ends() {
    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.answer(200, "");
    for _ in 0..3 {
        scene.asked("DESCRIBE");
        scene.answer(302, &format!("Location: {URL}\r\n"));
    }
    scene.asked("DESCRIBE");
    scene.answer(302, &format!("Location: {URL}\r\n"));
    assert_eq!(scene.failed(), ("too_many_redirects", "describe"));
}

#[test]
fn a_redirect_to_nowhere_is_a_bad_response() {
    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.answer(200, "");
    scene.asked("DESCRIBE");
    scene.answer(302, "Location: http://x/\r\n");
    assert_eq!(scene.failed(), ("bad_response", "describe"));
}

#[test]
fn channels_are_those_the_camera_assigns() {
    for (fields, rtp_channel, rtcp_channel) in [
        (
            "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=4-5\r\n",
            4,
            5,
        ),
        (
            "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0\r\n",
            0,
            1,
        ),
        (
            "Session: 1\r\nTransport: RTP/AVP;unicast;ssrc= 12 34\r\n",
            0,
            1,
        ),
        ("Session: 1\r\n", 0, 1),
        ("", 0, 1),
    ] {
        let mut scene = Scene::plain();
        scene.until_play(SDP, fields);
        scene.answer(200, "");
        let track = scene.track();
        assert_eq!(
            (track.rtp_channel, track.rtcp_channel),
            (rtp_channel, rtcp_channel)
        );
        scene.feed(&interleaved(rtp_channel, &rtp(1, 10)));
        scene.pass(secs(5));
        let report = scene.sent();
        let channel = |sent: &Sent| matches!(sent, Sent::Packet(c, _) if *c == rtcp_channel);
        assert!(report.iter().any(channel), "{report:?}");
        assert_eq!(scene.media.len(), 1);
    }
}

#[test]
fn an_answer_of_udp_to_a_request_for_tcp_is_asked_again_by_udp() {
    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.answer(200, "");
    scene.asked("DESCRIBE");
    scene.describe(SDP);
    scene.asked("SETUP");
    let udp = "Transport: RTP/AVP;unicast;client_port=1-2;server_port=3-4\r\nSession: 5\r\n";
    scene.answer(200, udp);
    scene.bind_udp();
    let again = scene.asked("SETUP");
    assert_eq!(again.headers.get("Session"), Some("5"));
    let wanted = again.headers.get("Transport");
    assert_eq!(wanted, Some("RTP/AVP;unicast;client_port=7000-7001"));
    scene.answer(461, "");
    assert_eq!(scene.failed(), ("unsupported_transport", "setup"));
    assert_eq!(scene.asked("TEARDOWN").headers.get("Session"), Some("5"));
}

#[test]
fn each_refusal_has_its_reason() {
    for (status, code, retryable) in [
        (403, "auth_failed", false),
        (404, "not_found", false),
        (453, "busy", true),
        (503, "busy", true),
        (454, "pull_forgotten", true),
        (461, "unsupported_transport", false),
        (400, "bad_response", true),
        (451, "bad_response", true),
        (500, "bad_response", true),
    ] {
        let mut scene = Scene::plain();
        scene.asked("OPTIONS");
        scene.answer(200, "");
        scene.asked("DESCRIBE");
        scene.describe(SDP);
        scene.asked("SETUP");
        scene.answer(status, "");
        if matches!(status, 400 | 451 | 461) {
            scene.bind_udp();
            scene.asked("SETUP");
            scene.answer(status, "");
        }
        let failure = scene.failure();
        assert_eq!((failure.code(), failure.step), (code, Step::Setup));
        assert_eq!(
            (failure.retryable(), failure.status),
            (retryable, Some(status))
        );
    }
}

#[test]
fn a_camera_that_never_answers_fails_at_the_step_it_left_open() {
    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.pass(secs(4));
    assert!(!scene.client.is_ended());
    scene.pass(secs(1));
    assert_eq!(scene.failed(), ("options_timeout", "options"));

    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.pass(secs(4));
    scene.answer(200, "");
    scene.asked("DESCRIBE");
    scene.pass(secs(5));
    assert_eq!(scene.failed(), ("describe_timeout", "describe"));
    assert!(scene.failure().retryable());

    let mut scene = Scene::plain();
    scene.until_play(SDP, SETUP_FIELDS);
    scene.pass(secs(5));
    assert_eq!(scene.failed(), ("play_timeout", "play"));
    scene.asked("TEARDOWN");
}

#[test]
fn a_provisional_answer_is_not_the_answer() {
    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.answer(100, "");
    assert!(scene.sent().is_empty());
    scene.answer(200, "");
    scene.asked("DESCRIBE");
}

#[test]
fn an_answer_without_cseq_or_with_one_never_sent_is_for_the_oldest_request() {
    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.feed(b"RTSP/1.0 200 OK\r\n\r\n");
    scene.asked("DESCRIBE");
    scene.feed(b"RTSP/1.0 404 Not Found\r\nCSeq: 900\r\n\r\n");
    assert_eq!(scene.failed(), ("not_found", "describe"));
}

#[test]
fn an_answer_given_twice_is_a_stray() {
    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.answer(200, "");
    scene.answer(200, "");
    scene.asked("DESCRIBE");
    assert_eq!(scene.client.counters().stray_responses, 1);
}

#[test]
fn data_before_the_answer_to_play_is_taken_and_can_stand_for_it() {
    let mut scene = Scene::plain();
    scene.until_play(SDP, SETUP_FIELDS);
    scene.feed_rtp(1);
    assert_eq!(scene.media.len(), 1);
    assert!(!scene.is_playing());
    scene.pass(secs(5));
    assert!(scene.is_playing());
    assert_eq!(scene.client.step(), Step::Streaming);
}

#[test]
fn data_of_a_dead_pull_before_ours_is_dropped() {
    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.feed_rtp(1);
    scene.answer(200, "");
    scene.asked("DESCRIBE");
    scene.describe(SDP);
    scene.asked("SETUP");
    scene.answer(200, SETUP_FIELDS);
    scene.feed_rtp(2);
    assert!(scene.media.is_empty());
    assert_eq!(scene.client.counters().unassigned_channel, 2);
}

#[test]
fn a_description_longer_than_announced_still_plays() {
    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.answer(200, "");
    let cseq = scene.asked("DESCRIBE").headers.cseq().unwrap();
    let short = SDP.len() - 30;
    scene.feed(
        format!("RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nContent-Length: {short}\r\n\r\n{SDP}")
            .as_bytes(),
    );
    scene.asked("SETUP");
    scene.answer(200, SETUP_FIELDS);
    scene.asked("PLAY");
    assert_eq!(scene.client.counters().desyncs, 1);
}

#[test]
fn a_giant_description_is_a_bad_response_at_once() {
    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.answer(200, "");
    scene.asked("DESCRIBE");
    scene.feed(b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 99999999\r\n\r\n");
    assert_eq!(scene.failed(), ("bad_response", "describe"));
}

#[test]
fn a_cameras_own_requests_are_answered() {
    let mut scene = Scene::playing();
    for (method, status) in [
        ("OPTIONS", 200),
        ("ANNOUNCE", 200),
        ("SET_PARAMETER", 200),
        ("REDIRECT", 405),
        ("NONSENSE", 405),
    ] {
        scene.feed(&Request::new(method, URL).header("CSeq", "31").encode());
        assert_eq!(scene.sent(), [Sent::Response(status, "31".to_owned())]);
    }
    assert_eq!(scene.client.counters().camera_requests, 5);
    scene.feed(&Request::new("TEARDOWN", URL).header("CSeq", "32").encode());
    assert_eq!(scene.failed(), ("closed_by_peer", "first_packet"));
}

#[test]
fn a_flood_of_requests_fills_no_memory() {
    let mut scene = Scene::playing();
    let flood = Request::new("OPTIONS", URL)
        .header("CSeq", "1")
        .encode()
        .repeat(5000);
    scene.feed(&flood);
    assert_eq!(scene.sent().len(), MAX_TRANSMITS);
    assert_eq!(scene.client.counters().unsent, 5000 - MAX_TRANSMITS as u64);
}

#[test]
fn a_closed_connection_names_the_step() {
    let mut scene = Scene::plain();
    scene.close();
    assert_eq!(scene.failed(), ("closed_by_peer", "options"));
    let mut scene = Scene::playing();
    scene.feed_rtp(1);
    scene.close();
    scene.close();
    assert_eq!(scene.failed(), ("closed_by_peer", "streaming"));
    assert!(scene.sent().is_empty(), "nobody is there to be told");
}

#[test]
fn goodbye_is_said_once_and_only_where_something_was_set_up() {
    let mut scene = Scene::playing();
    scene.client.teardown();
    scene.client.teardown();
    assert_eq!(scene.asked("TEARDOWN").uri, URL);
    assert!(scene.client.is_ended());
    scene.feed_rtp(1);
    assert!(scene.media.is_empty());

    let mut scene = Scene::plain();
    scene.asked("OPTIONS");
    scene.client.teardown();
    assert!(scene.sent().is_empty());
}

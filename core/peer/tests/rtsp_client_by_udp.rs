//! A camera that refuses interleaved TCP is pulled by UDP, and only the camera is listened to.

mod rtsp_client_support;

use peer::rtsp_client::{ClientEvent, MediaTransport, Step, UdpPort};
use rtsp_client_support::*;
use wire::rtcp::{self, RtcpItem, SenderReport};

const SETUP_UDP: &str = "Session: 77;timeout=60\r\n\
    Transport: RTP/AVP;unicast;client_port=7000-7001;server_port=9000-9001;ssrc=CAFE\r\n";
const SETUP_NO_PORT: &str =
    "Session: 77;timeout=60\r\nTransport: RTP/AVP;unicast;client_port=7000-7001\r\n";

fn dialogue_to_setup(scene: &mut Scene) {
    scene.asked("OPTIONS");
    scene.answer(200, "");
    scene.asked("DESCRIBE");
    scene.describe(SDP);
}

#[test]
fn a_camera_that_refuses_tcp_is_asked_for_udp_and_plays() {
    for status in [461, 400, 451] {
        let mut scene = Scene::plain();
        dialogue_to_setup(&mut scene);
        let first = scene.asked("SETUP");
        let wanted = first.headers.get("Transport").unwrap();
        assert!(wanted.starts_with("RTP/AVP/TCP;"), "{wanted}");
        scene.answer(status, "");
        assert!(
            scene.sent().is_empty(),
            "nothing before the ports are there"
        );
        scene.bind_udp();
        let second = scene.asked("SETUP");
        assert_eq!(second.uri, first.uri);
        assert_eq!(
            second.headers.get("Transport"),
            Some("RTP/AVP;unicast;client_port=7000-7001")
        );
        scene.answer(200, SETUP_UDP);
        scene.asked("PLAY");
        scene.answer(200, "");
        scene.feed_datagram(UdpPort::Rtp, "10.0.0.5:9000", &rtp(1, 100));
        assert!(scene.is_playing());
        assert_eq!(scene.client.transport(), MediaTransport::Udp);
        assert_eq!(scene.client.step(), Step::Streaming);
        assert_eq!(scene.media, [(0, rtp(1, 100))]);
    }
}

#[test]
fn a_camera_that_was_pulled_by_udp_is_asked_for_udp_at_once_and_for_tcp_if_it_refuses_now() {
    let mut config = config(URL);
    config.first_transport = MediaTransport::Udp;
    let mut scene = Scene::new(config);
    dialogue_to_setup(&mut scene);
    assert!(scene.sent().is_empty());
    scene.bind_udp();
    let asked = scene.asked("SETUP");
    assert!(
        asked
            .headers
            .get("Transport")
            .unwrap()
            .contains("client_port")
    );
    scene.answer(461, "");
    let again = scene.asked("SETUP");
    assert!(
        again
            .headers
            .get("Transport")
            .unwrap()
            .contains("interleaved")
    );
    scene.answer(200, SETUP_FIELDS);
    scene.asked("PLAY");
    scene.answer(200, "");
    scene.feed_rtp(1);
    assert_eq!(scene.client.transport(), MediaTransport::Tcp);
    assert_eq!(scene.media.len(), 1);
    scene.feed_datagram(UdpPort::Rtp, "10.0.0.5:9000", &rtp(2, 100));
    assert_eq!(scene.media.len(), 1, "by UDP nothing is expected any more");
}

#[test]
fn each_transport_is_asked_for_once() {
    let mut scene = Scene::plain();
    dialogue_to_setup(&mut scene);
    scene.asked("SETUP");
    scene.answer(461, "");
    scene.bind_udp();
    scene.asked("SETUP");
    scene.answer(461, "");
    assert_eq!(scene.failed(), ("unsupported_transport", "setup"));
    assert!(scene.sent().is_empty());
}

#[test]
fn a_sign_in_at_setup_asks_for_the_same_ports_again() {
    let mut scene = Scene::new(with_password());
    dialogue_to_setup(&mut scene);
    scene.asked("SETUP");
    scene.answer(461, "");
    scene.bind_udp();
    scene.asked("SETUP");
    scene.answer(401, "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n");
    let signed = scene.asked("SETUP");
    assert!(signed.headers.get("Authorization").is_some());
    assert!(
        signed
            .headers
            .get("Transport")
            .unwrap()
            .contains("7000-7001")
    );
    assert!(!scene.events.contains(&ClientEvent::UdpWanted));
}

#[test]
fn an_answer_of_tcp_to_a_request_for_udp_is_taken() {
    let mut scene = Scene::plain();
    dialogue_to_setup(&mut scene);
    scene.asked("SETUP");
    scene.answer(451, "");
    scene.bind_udp();
    scene.asked("SETUP");
    scene.answer(200, SETUP_FIELDS);
    scene.asked("PLAY");
    scene.answer(200, "");
    scene.feed_rtp(1);
    assert_eq!(
        (scene.media.len(), scene.client.transport()),
        (1, MediaTransport::Tcp)
    );
}

#[test]
fn multicast_is_refused_with_its_name() {
    let mut scene = Scene::plain();
    dialogue_to_setup(&mut scene);
    scene.asked("SETUP");
    scene.answer(461, "");
    scene.bind_udp();
    scene.asked("SETUP");
    scene.answer(
        200,
        "Session: 7\r\nTransport: RTP/AVP;multicast;port=5000-5001\r\n",
    );
    assert_eq!(scene.failed(), ("unsupported_transport", "setup"));
    assert!(scene.failure().detail.contains("multicast"));
}

#[test]
fn only_the_cameras_address_and_the_port_it_named_are_listened_to() {
    let mut scene = Scene::playing_by_udp(SETUP_UDP);
    for stranger in ["10.0.0.6:9000", "10.0.0.5:9002", "[2001:db8::5]:9000"] {
        scene.feed_datagram(UdpPort::Rtp, stranger, &rtp(1, 100));
    }
    let bye = rtcp_bye(0xCAFE);
    scene.feed_datagram(UdpPort::Rtp, "10.0.0.5:9000", &rtp(2, 100));
    scene.feed_datagram(UdpPort::Rtcp, "10.0.0.6:9001", &bye);
    assert_eq!(scene.media, [(0, rtp(2, 100))]);
    assert_eq!(scene.client.counters().foreign_datagrams, 4);
    assert!(scene.is_playing(), "a stranger cannot end it");
    scene.feed_datagram(UdpPort::Rtp, "[::ffff:10.0.0.5]:9000", &rtp(3, 100));
    assert_eq!(
        scene.media.len(),
        2,
        "the same address, as another socket shows it"
    );
    scene.feed_datagram(UdpPort::Rtcp, "10.0.0.5:9001", &bye);
    assert_eq!(scene.failed(), ("closed_by_peer", "streaming"));
}

fn rtcp_bye(ssrc: u32) -> Vec<u8> {
    let mut packet = Vec::new();
    rtcp::write_bye(ssrc, &mut packet);
    packet
}

#[test]
fn a_port_that_was_not_named_is_learnt_from_the_first_packet_of_the_track() {
    for setup in [
        SETUP_NO_PORT,
        "Session: 77\r\nTransport: RTP/AVP;unicast;server_port=0-0\r\n",
        "Session: 77\r\n",
    ] {
        let mut scene = Scene::playing_by_udp(setup);
        assert!(scene.datagrams().is_empty(), "no port, no hole to punch");
        scene.feed_datagram(UdpPort::Rtp, "10.0.0.5:4000", b"not RTP");
        scene.feed_datagram(UdpPort::Rtp, "10.0.0.5:4010", &rtp(1, 100));
        scene.feed_datagram(UdpPort::Rtp, "10.0.0.5:4012", &rtp(2, 100));
        scene.feed_datagram(UdpPort::Rtp, "10.0.0.5:4010", &rtp(3, 100));
        assert_eq!(scene.media.len(), 2);
        assert_eq!(scene.client.counters().foreign_datagrams, 1);
        scene.feed_datagram(UdpPort::Rtp, "10.0.0.5:4010", &rtp(4, 100));
        scene.pass(secs(4));
        scene.feed_datagram(UdpPort::Rtp, "10.0.0.5:4010", &rtp(5, 100));
        scene.pass(secs(1));
        let reports = scene.datagrams();
        assert_eq!(reports.len(), 1);
        assert_eq!(reports[0].to, "10.0.0.5:4011".parse().unwrap());
    }
}

#[test]
fn a_source_that_the_camera_names_is_listened_to_and_sent_nothing_before_it_spoke() {
    let setup =
        "Session: 77\r\nTransport: RTP/AVP;unicast;source=10.9.9.9;server_port=9000-9001\r\n";
    let mut scene = Scene::playing_by_udp(setup);
    assert!(scene.datagrams().iter().all(|sent| sent.to.ip() == CAMERA));
    scene.pass(secs(4));
    scene.feed_datagram(UdpPort::Rtp, "10.9.9.9:9000", &rtp(1, 100));
    scene.pass(secs(1));
    assert_eq!(scene.media.len(), 1);
    assert_eq!(scene.datagrams()[0].to, "10.9.9.9:9001".parse().unwrap());
}

#[test]
fn holes_are_punched_for_both_ports_before_play_is_asked_for() {
    let mut scene = Scene::plain();
    dialogue_to_setup(&mut scene);
    scene.asked("SETUP");
    scene.answer(461, "");
    scene.bind_udp();
    scene.asked("SETUP");
    assert!(scene.datagrams().is_empty());
    scene.answer(200, SETUP_UDP);
    let punches = scene.datagrams();
    assert_eq!(punches.len(), 2);
    assert_eq!(
        (punches[0].port, punches[1].port),
        (UdpPort::Rtp, UdpPort::Rtcp)
    );
    assert_eq!(punches[0].to, "10.0.0.5:9000".parse().unwrap());
    assert_eq!(punches[1].to, "10.0.0.5:9001".parse().unwrap());
    assert_eq!(punches[0].bytes.len(), 12);
    let report: Vec<_> = rtcp::items(&punches[1].bytes).collect();
    assert!(matches!(
        report.as_slice(),
        [Ok(RtcpItem::ReceiverReport { .. })]
    ));
    scene.asked("PLAY");
}

#[test]
fn reports_go_by_udp_and_keep_alive_by_tcp() {
    let mut scene = Scene::playing_by_udp(SETUP_UDP);
    scene.datagrams();
    let mut sr = Vec::new();
    let report = SenderReport {
        ssrc: 0xCAFE,
        ntp: 0x1234_5678_9ABC_0000,
        rtp_ts: 0,
        packets: 1,
        octets: 1,
    };
    rtcp::write_sender_report(&report, "cam", &mut sr);
    scene.feed_datagram(UdpPort::Rtcp, "10.0.0.5:9001", &sr);
    for seq in [1, 2, 5] {
        scene.feed_datagram(UdpPort::Rtp, "10.0.0.5:9000", &rtp(seq, 100));
    }
    for _ in 0..10 {
        scene.pass(secs(3));
        scene.feed_datagram(UdpPort::Rtp, "10.0.0.5:9000", &rtp(6, 100));
    }
    let reports = scene.datagrams();
    assert_eq!(reports.len(), 6, "every 5 s");
    let mut items = rtcp::items(&reports[0].bytes);
    let Some(Ok(RtcpItem::ReceiverReport { blocks, .. })) = items.next() else {
        panic!("a receiver report comes first");
    };
    assert_eq!((blocks[0].ssrc, blocks[0].cumulative_lost), (0xCAFE, 2));
    assert!(blocks[0].fraction_lost > 0);
    let keepalive = scene.asked("GET_PARAMETER");
    assert_eq!(keepalive.headers.get("Session"), Some("77"));
}

#[test]
fn five_seconds_without_a_packet_by_udp_are_a_stall_that_says_where_to_look() {
    let mut scene = Scene::playing_by_udp(SETUP_UDP);
    scene.pass(secs(4));
    assert!(scene.is_playing());
    scene.pass(secs(1));
    assert_eq!(scene.failed(), ("stalled", "first_packet"));
    assert!(scene.failure().detail.contains("firewall"));
    scene.asked("TEARDOWN");

    let mut scene = Scene::playing_by_udp(SETUP_UDP);
    scene.feed_datagram(UdpPort::Rtp, "10.0.0.5:9004", &rtp(1, 100));
    scene.pass(secs(5));
    assert!(scene.failure().detail.contains("another address or port"));
}

#[test]
fn datagrams_before_play_and_after_the_end_are_not_taken() {
    let mut scene = Scene::plain();
    dialogue_to_setup(&mut scene);
    scene.asked("SETUP");
    scene.feed_datagram(UdpPort::Rtp, "10.0.0.5:9000", &rtp(1, 100));
    scene.answer(461, "");
    scene.bind_udp();
    scene.asked("SETUP");
    scene.feed_datagram(UdpPort::Rtp, "10.0.0.5:9000", &rtp(1, 100));
    scene.answer(200, SETUP_UDP);
    scene.feed_datagram(UdpPort::Rtp, "10.0.0.5:9000", &rtp(1, 100));
    assert!(scene.media.is_empty());
    assert_eq!(scene.client.counters().foreign_datagrams, 3);
    scene.asked("PLAY");
    scene.answer(200, "");
    scene.client.teardown();
    scene.feed_datagram(UdpPort::Rtp, "10.0.0.5:9000", &rtp(1, 100));
    assert!(scene.media.is_empty());
    let goodbye = scene.asked("TEARDOWN");
    assert_eq!(goodbye.headers.get("Session"), Some("77"));
}

#[test]
fn ports_that_nobody_asked_for_change_nothing() {
    let mut scene = Scene::playing();
    scene.client.udp_bound(scene.now, CAMERA, RTP_PORT);
    assert!(scene.sent().is_empty());
    scene.feed_rtp(1);
    assert_eq!(
        (scene.media.len(), scene.client.transport()),
        (1, MediaTransport::Tcp)
    );
}

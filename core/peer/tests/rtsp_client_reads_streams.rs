//! The client and bytes: cut anywhere, damaged, silent, or without end.

mod rtsp_client_support;

use peer::rtsp_client::{MAX_TRANSMITS, RtspClient};
use proptest::prelude::*;
use rtsp_client_support::{
    SDP, SETUP_FIELDS, Scene, Sent, URL, config, interleaved, rtp, rtp_of, secs,
};
use wire::rtcp::{RtcpItem, items};
use wire::rtsp::{Reader, Request, Response};

#[test]
fn packets_that_are_whole_are_not_copied() {
    let mut scene = Scene::playing();
    let mut bytes = interleaved(0, &rtp(1, 50));
    bytes.extend(interleaved(0, &rtp(2, 50)));
    let mut seen = Vec::new();
    let (now, client) = (scene.now, &mut scene.client);
    client.receive(now, &bytes, &mut |received| {
        if let peer::rtsp_client::Received::Rtp { packet, .. } = received {
            seen.push(packet.as_ptr());
        }
    });
    assert_eq!(seen, [bytes[4..].as_ptr(), bytes[4 + 62 + 4..].as_ptr()]);
    assert_eq!(client.buffered_bytes(), 0);
}

#[test]
fn packets_that_are_no_rtp_of_ours_are_counted_and_dropped() {
    let mut scene = Scene::playing();
    scene.feed(&interleaved(0, &[]));
    scene.feed(&interleaved(0, &[0x80, 96, 0]));
    scene.feed(&interleaved(0, &[0x40; 20]));
    scene.feed(&interleaved(0, &rtp_of(50, 1, 1, 10)));
    scene.feed(&interleaved(7, &rtp(1, 10)));
    assert!(scene.media.is_empty());
    let counters = scene.client.counters();
    assert_eq!(counters.malformed_rtp, 3);
    assert_eq!(
        (
            counters.unexpected_payload_type,
            counters.unassigned_channel
        ),
        (1, 1)
    );
    assert_eq!(counters.rtp_packets, 0);
}

#[test]
fn ten_seconds_without_rtp_is_a_stall_whatever_else_comes() {
    let mut scene = Scene::playing();
    scene.pass(secs(9));
    scene.sent();
    scene.answer(200, "");
    scene.pass(secs(1));
    assert_eq!(scene.failed(), ("stalled", "first_packet"));
    scene.asked("TEARDOWN");

    let mut scene = Scene::playing();
    for seq in 0..5 {
        scene.feed_rtp(seq);
        scene.pass(secs(9));
    }
    assert!(scene.is_playing());
    scene.pass(secs(1));
    assert_eq!(scene.failed(), ("stalled", "streaming"));
    assert!(scene.failure().retryable());
}

#[test]
fn a_stall_says_what_came_instead_of_pictures() {
    let mut scene = Scene::playing();
    scene.feed(&interleaved(0, &rtp_of(97, 1, 1, 10)));
    scene.pass(secs(10));
    assert!(scene.failure().detail.contains("payload type"));
    let mut scene = Scene::playing();
    scene.feed(&interleaved(6, &rtp(1, 10)));
    scene.pass(secs(10));
    assert!(scene.failure().detail.contains("channel"));
}

fn minutes_of(scene: &mut Scene, seconds: u16) -> Vec<(u16, Sent)> {
    let mut sent = Vec::new();
    for second in 1..=seconds {
        scene.feed_rtp(second);
        scene.pass(secs(1));
        sent.extend(scene.sent().into_iter().map(|each| (second, each)));
    }
    sent
}

#[test]
fn keep_alive_comes_at_half_the_timeout_and_needs_no_answer() {
    let mut scene = Scene::plain();
    scene.until_play(SDP, "Session: 9;timeout=40\r\n");
    scene.answer(200, "");
    let sent = minutes_of(&mut scene, 100);
    let times: Vec<_> = sent
        .iter()
        .filter_map(|(at, each)| match each {
            Sent::Request(request) => {
                assert_eq!(request.method, "GET_PARAMETER");
                assert_eq!(request.headers.get("Session"), Some("9"));
                assert!(request.body.is_empty());
                Some(*at)
            }
            _ => None,
        })
        .collect();
    assert_eq!(times, [20, 40, 60, 80, 100]);
    assert!(scene.is_playing());
}

#[test]
fn keep_alive_comes_at_least_every_30_seconds() {
    let mut scene = Scene::plain();
    scene.until_play(SDP, "Session: 9;timeout=3600\r\n");
    scene.answer(200, "");
    let sent = minutes_of(&mut scene, 61);
    let requests = sent
        .iter()
        .filter(|(_, each)| matches!(each, Sent::Request(_)));
    assert_eq!(requests.map(|(at, _)| *at).collect::<Vec<_>>(), [30, 60]);
}

#[test]
fn a_camera_that_drops_early_can_be_kept_alive_more_often() {
    let mut impatient = config(URL);
    impatient.max_keepalive_interval = secs(10);
    let mut scene = Scene::new(impatient);
    scene.until_play(SDP, SETUP_FIELDS);
    scene.answer(200, "");
    let sent = minutes_of(&mut scene, 20);
    let requests = sent
        .iter()
        .filter(|(_, each)| matches!(each, Sent::Request(_)));
    assert_eq!(requests.map(|(at, _)| *at).collect::<Vec<_>>(), [10, 20]);
}

#[test]
fn a_get_parameter_that_is_refused_becomes_options() {
    let mut scene = Scene::playing();
    minutes_of(&mut scene, 29);
    scene.pass(secs(1));
    let sent = scene.sent();
    assert!(
        sent.iter()
            .any(|s| matches!(s, Sent::Request(r) if r.method == "GET_PARAMETER"))
    );
    scene.answer(501, "");
    let sent = minutes_of(&mut scene, 30);
    assert!(
        sent.iter()
            .any(|(_, s)| matches!(s, Sent::Request(r) if r.method == "OPTIONS"))
    );
    assert!(scene.is_playing());
}

#[test]
fn a_camera_that_forgot_the_pull_is_believed() {
    let mut scene = Scene::playing();
    minutes_of(&mut scene, 29);
    scene.pass(secs(1));
    scene.sent();
    scene.answer(454, "");
    assert_eq!(scene.failed(), ("pull_forgotten", "streaming"));
    assert!(scene.sent().is_empty());
}

#[test]
fn a_receiver_report_goes_out_every_5_seconds_on_the_odd_channel() {
    let mut scene = Scene::playing();
    let reports: Vec<_> = minutes_of(&mut scene, 16)
        .into_iter()
        .filter_map(|(at, each)| match each {
            Sent::Packet(1, packet) => Some((at, packet)),
            _ => None,
        })
        .collect();
    assert_eq!(
        reports.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
        [5, 10, 15]
    );
    let Some(Ok(RtcpItem::ReceiverReport { ssrc, blocks })) = items(&reports[2].1).next() else {
        panic!("no receiver report");
    };
    assert_eq!(ssrc, 0x0101_0101);
    assert_eq!((blocks[0].ssrc, blocks[0].highest_seq), (0xCAFE, 15));
    assert_eq!((blocks[0].cumulative_lost, blocks[0].fraction_lost), (0, 0));
}

#[test]
fn losses_and_sender_reports_show_in_the_receiver_report() {
    let mut scene = Scene::playing();
    for seq in [65_530_u16, 65_531, 65_535, 1] {
        scene.feed_rtp(seq);
    }
    let mut report = vec![0x80, 200, 0, 6];
    report.extend(0xCAFE_u32.to_be_bytes());
    report.extend(0x1111_2222_3333_4444_u64.to_be_bytes());
    report.extend([0; 12]);
    scene.feed(&interleaved(1, &report));
    assert_eq!(scene.media.last(), Some(&(1, report)));
    scene.pass(secs(5));
    let sent = scene.sent();
    let [Sent::Packet(1, packet)] = sent.as_slice() else {
        panic!("{sent:?}");
    };
    let Some(Ok(RtcpItem::ReceiverReport { blocks, .. })) = items(packet).next() else {
        panic!("no receiver report");
    };
    assert_eq!(blocks[0].highest_seq, 0x1_0001);
    assert_eq!(
        (blocks[0].cumulative_lost, blocks[0].fraction_lost),
        (4, 128)
    );
    assert_eq!(blocks[0].last_sr, 0x2222_3333);
    assert_eq!(blocks[0].delay_since_last_sr, 5 * 65_536);
}

#[test]
fn a_camera_that_restarts_its_counters_is_followed() {
    let mut scene = Scene::playing();
    scene.feed_rtp(100);
    scene.feed(&interleaved(0, &rtp_of(96, 0xBEEF, 40_000, 20)));
    scene.feed(&interleaved(0, &rtp_of(96, 0xBEEF, 9, 20)));
    scene.pass(secs(5));
    let Some(Sent::Packet(1, packet)) = scene.sent().pop() else {
        panic!("no report");
    };
    let Some(Ok(RtcpItem::ReceiverReport { blocks, .. })) = items(&packet).next() else {
        panic!("no receiver report");
    };
    assert_eq!((blocks[0].ssrc, blocks[0].highest_seq), (0xBEEF, 9));
    assert_eq!(blocks[0].cumulative_lost, 0);
    assert_eq!(scene.media.len(), 3);
}

#[test]
fn a_bye_of_the_stream_ends_it_and_one_of_a_stranger_does_not() {
    let bye = |ssrc: u32| {
        let mut packet = vec![0x81, 203, 0, 1];
        packet.extend(ssrc.to_be_bytes());
        interleaved(1, &packet)
    };
    let mut scene = Scene::playing();
    scene.feed_rtp(1);
    scene.feed(&bye(0xDEAD));
    assert!(scene.is_playing());
    scene.feed(&bye(0xCAFE));
    assert_eq!(scene.failed(), ("closed_by_peer", "streaming"));
}

#[test]
fn a_packet_of_a_wrong_length_costs_a_search_and_not_the_pull() {
    let mut scene = Scene::playing();
    let mut wrong = interleaved(0, &rtp(1, 100));
    wrong[3] = 60;
    scene.feed(&wrong);
    scene.feed_rtp(2);
    scene.feed_rtp(3);
    assert_eq!(scene.media.len(), 3);
    assert!(scene.is_playing());
    assert_eq!(scene.client.counters().desyncs, 1);
}

#[test]
fn a_stream_that_loses_its_place_again_and_again_is_given_up() {
    let mut scene = Scene::playing();
    for seq in 0..4 {
        assert!(!scene.client.is_ended());
        scene.feed(&[0xFF; 9]);
        scene.feed_rtp(seq);
    }
    assert_eq!(scene.failed(), ("desync", "streaming"));
    assert!(scene.failure().retryable());
}

#[test]
fn endless_garbage_is_given_up_after_64_kilobytes() {
    let mut scene = Scene::playing();
    let mut fed_bytes = 0;
    while !scene.client.is_ended() {
        scene.feed(&[0xFF; 1000]);
        fed_bytes += 1000;
        assert!(fed_bytes <= 67_000);
    }
    assert_eq!(scene.failed(), ("desync", "first_packet"));
}

#[test]
fn a_driver_that_cannot_write_grows_no_queue() {
    let mut scene = Scene::playing();
    for seq in 0..500 {
        scene.feed_rtp(seq);
        scene.pass(secs(5));
    }
    assert!(scene.is_playing());
    assert_eq!(scene.sent().len(), MAX_TRANSMITS);
    assert!(scene.client.counters().unsent > 400);
}

fn stream_part() -> impl Strategy<Value = Vec<u8>> {
    let media = (any::<u16>(), 0_usize..1500).prop_map(|(seq, n)| interleaved(0, &rtp(seq, n)));
    let report = Just(interleaved(1, &{
        let mut report = vec![0x80, 200, 0, 6];
        report.extend([7; 24]);
        report
    }));
    let ask = Just(Request::new("OPTIONS", URL).header("CSeq", "5").encode());
    let answer = Just(Response::new(200).header("CSeq", "1").encode());
    let wrong = (1_u8..90).prop_map(|length| {
        let mut bytes = interleaved(0, &rtp(9, 90));
        bytes[3] = length;
        bytes
    });
    prop_oneof![8 => media, 1 => report, 1 => ask, 1 => answer, 1 => wrong]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_cuts_between_chunks_change_nothing(
        parts in prop::collection::vec(stream_part(), 1..20),
        cuts in prop::collection::vec(1_usize..2000, 0..60),
    ) {
        let bytes = parts.concat();
        let mut whole = Scene::playing();
        whole.feed(&bytes);
        let mut cut = Scene::playing();
        let mut rest = bytes.as_slice();
        for size in cuts {
            let (chunk, after) = rest.split_at(size.min(rest.len()));
            cut.feed(chunk);
            rest = after;
        }
        cut.feed(rest);
        prop_assert_eq!(&cut.media, &whole.media);
        prop_assert_eq!(&cut.events, &whole.events);
        prop_assert_eq!(cut.client.counters(), whole.client.counters());
        prop_assert_eq!(cut.sent(), whole.sent());
    }
}

/// A small linear congruential generator: the same inputs on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(5) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes[at] = self.below(256) as u8,
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, self.below(256) as u8),
                _ => {
                    let end = (at + self.below(40)).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    bytes.extend(copy);
                }
            }
        }
    }
}

fn drain(client: &mut RtspClient) {
    let bound = Reader::MAX_BUFFERED_BYTES + (MAX_TRANSMITS + 4) * 2048;
    assert!(client.buffered_bytes() <= bound);
    while client.poll_transmit().is_some() {}
    while client.poll_event().is_some() {}
}

#[test]
fn ten_thousand_damaged_dialogues_never_panic_and_stay_bounded() {
    let answers = [
        "RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, GET_PARAMETER\r\n\r\n".to_owned(),
        "RTSP/1.0 401 No\r\nCSeq: 2\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n\r\n"
            .to_owned(),
        format!(
            "RTSP/1.0 200 OK\r\nCSeq: 3\r\nContent-Base: {URL}/\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{SDP}",
            SDP.len()
        ),
        format!("RTSP/1.0 200 OK\r\nCSeq: 4\r\n{SETUP_FIELDS}\r\n"),
        "RTSP/1.0 200 OK\r\nCSeq: 5\r\nRTP-Info: url=x;seq=1\r\n\r\n".to_owned(),
    ];
    let mut media = interleaved(0, &rtp(1, 100));
    media.extend(interleaved(1, &rtp(2, 40)));
    media.extend(Request::new("OPTIONS", URL).header("CSeq", "1").encode());
    media.extend(interleaved(0, &rtp(3, 30)));
    let mut random = Random(3);
    let mut reached_playing = 0;
    for round in 0..10_000 {
        let mut scene_config = config("rtsp://admin:pw@10.0.0.5:8554/live/main");
        scene_config.transcript = round % 16 == 0;
        let mut client = RtspClient::new(scene_config);
        let mut now = std::time::Instant::now();
        client.connected(now);
        drain(&mut client);
        let damaged = random.below(answers.len() + 2);
        let texts = answers
            .iter()
            .map(|text| text.as_bytes())
            .chain([media.as_slice()]);
        for (at, text) in texts.enumerate() {
            let mut bytes = text.to_vec();
            if at == damaged || damaged > answers.len() {
                random.mutate(&mut bytes);
            }
            let (first, second) = bytes.split_at(random.below(bytes.len() + 1));
            for chunk in [first, second] {
                client.receive(now, chunk, &mut |_| {});
                drain(&mut client);
            }
            now += secs(1);
            client.handle_timeout(now);
        }
        reached_playing += usize::from(client.counters().rtp_packets > 0);
        client.teardown();
        drain(&mut client);
    }
    assert!(
        reached_playing > 1000,
        "the inputs are too broken to tell: {reached_playing}"
    );
}

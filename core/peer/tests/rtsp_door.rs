//! The RTSP door: tickets, the wait for a word and for a keyframe, and clients that behave badly.

use std::sync::Arc;
use std::time::{Duration, Instant};

use peer::rtsp_door::{
    ANSWER_WITHIN, Description, DoorEvent, MAX_TICKETS_REFUSED, Over, RTSP_SESSION_TIMEOUT,
    RtspDoor,
};
use peer::rtsp_server::{ConnectionSeeds, MAX_WAITING_BYTES};
use proptest::prelude::*;
use wire::codec::VideoCodec;
use wire::digest::basic_authorization;
use wire::rtsp::{Message, Request, Response, write_interleaved};
use wire::ticket::{Ticket, TicketKey};

const URL: &str = "rtsp://192.0.2.9:8554/ch_a/main";
const NOW_S: u64 = 1_800_000_000;
const SPS: &[u8] = &[0x67, 0x64, 0, 0x28, 1, 2];
const PPS: &[u8] = &[0x68, 0xEE, 3];

fn key() -> Arc<TicketKey> {
    Arc::new(TicketKey::new(&[7; 32]))
}

fn ticket_for(channel_id: &str) -> String {
    ticket_of(&key(), channel_id)
}

fn ticket_of(key: &TicketKey, channel_id: &str) -> String {
    key.seal(&Ticket {
        expires_unix_s: NOW_S + 60,
        ticket_id: "rtk_1".to_owned(),
        profiles: vec!["main".to_owned()],
        channel_id: channel_id.to_owned(),
        subject_id: "sub_x".to_owned(),
        subject_version: 3,
    })
}

fn description() -> Description {
    Description {
        codec: VideoCodec::H264,
        payload_type: 96,
        parameter_sets: vec![SPS.into(), PPS.into()],
    }
}

struct Client {
    door: RtspDoor,
    now: Instant,
    cseq: u32,
}

impl Client {
    fn new() -> Self {
        let now = Instant::now();
        let seeds = ConnectionSeeds {
            nonce: 1,
            rtsp_session_id: 0x55,
            ssrc: 9,
            first_seq: 100,
            first_rtp_ts: 200,
        };
        Self {
            door: RtspDoor::new(key(), seeds, now),
            now,
            cseq: 0,
        }
    }

    fn send(&mut self, request: Request) {
        self.cseq += 1;
        let bytes = request.header("CSeq", &self.cseq.to_string()).encode();
        self.door.receive(self.now, NOW_S, &bytes);
    }

    fn answer(&mut self) -> Option<Response> {
        let bytes = self.door.poll_transmit()?;
        let Ok((Message::Response(mut response), body_bytes)) = Message::parse_head(&bytes) else {
            panic!("unreadable: {}", String::from_utf8_lossy(&bytes));
        };
        response.body = bytes[bytes.len() - body_bytes..].to_vec();
        Some(response)
    }

    fn ask(&mut self, request: Request) -> Response {
        self.send(request);
        self.answer().expect("an answer")
    }

    fn events(&mut self) -> Vec<DoorEvent> {
        std::iter::from_fn(|| self.door.poll_event()).collect()
    }

    /// A client that waits for its description.
    fn asked() -> Self {
        let mut client = Self::new();
        let url = format!("{URL}?ticket={}", ticket_for("ch_a"));
        client.send(Request::new("DESCRIBE", &url));
        let events = client.events();
        let [DoorEvent::Asked(asked)] = &events[..] else {
            panic!("{events:?}");
        };
        assert_eq!((&*asked.channel_id, &*asked.profile), ("ch_a", "main"));
        assert_eq!(asked.ticket.subject_version, 3);
        assert_eq!(client.answer(), None, "it waits");
        client
    }

    fn described() -> Self {
        let mut client = Self::asked();
        client.door.accept();
        client.door.describe(client.now, &description());
        assert_eq!(client.answer().map(|answer| answer.status), Some(200));
        client
    }

    fn playing() -> Self {
        let mut client = Self::described();
        let set_up = Request::new("SETUP", &format!("{URL}/trackID=0"))
            .header("Transport", "RTP/AVP/TCP;unicast;interleaved=2-3");
        assert_eq!(client.ask(set_up).status, 200);
        let play = Request::new("PLAY", URL).header("Session", "0000000000000055");
        let played = client.ask(play);
        let info = played.headers.get("RTP-Info").expect("RTP-Info");
        assert!(info.contains("seq=100;rtptime=200"), "{info}");
        assert_eq!(client.events(), [DoorEvent::Play { rtp_channel: 2 }]);
        client
    }
}

#[test]
fn a_ticket_in_the_query_opens_a_stream_and_is_not_repeated() {
    let mut client = Client::asked();
    client.door.accept();
    assert!(client.door.wants_description());
    client.door.describe(client.now, &description());
    let answer = client.answer().expect("an answer");
    assert_eq!(answer.status, 200);
    let base = format!("{URL}/");
    assert_eq!(answer.headers.get("Content-Base"), Some(base.as_str()));
    let sdp = String::from_utf8(answer.body).expect("text");
    assert!(sdp.contains("a=rtpmap:96 H264/90000"), "{sdp}");
    assert!(sdp.contains("profile-level-id=640028"), "{sdp}");
    assert!(sdp.contains("sprop-parameter-sets=Z2QAKAEC,aO4D"), "{sdp}");
}

#[test]
fn a_ticket_is_the_password_of_whatever_user() {
    let mut client = Client::new();
    let refused = client.ask(Request::new("DESCRIBE", URL));
    assert_eq!(refused.status, 401);
    let challenge = refused.headers.get("WWW-Authenticate");
    assert_eq!(challenge, Some("Basic realm=\"StreamHub\""));
    let basic = basic_authorization("camera wall", &ticket_for("ch_a"));
    client.send(Request::new("DESCRIBE", URL).header("Authorization", &basic));
    assert_eq!(client.answer(), None);
    let events = client.events();
    assert_eq!(events[0], DoorEvent::TicketRefused(None));
    assert!(matches!(events[1], DoorEvent::Asked(_)), "{events:?}");
}

#[test]
fn an_expired_or_foreign_ticket_is_401_and_one_for_another_stream_404() {
    let url = |ticket: &str| format!("{URL}?ticket={ticket}");
    let mut client = Client::new();
    assert_eq!(client.ask(Request::new("OPTIONS", URL)).status, 200);
    let forged = ticket_of(&TicketKey::new(&[8; 32]), "ch_a");
    assert_eq!(
        client.ask(Request::new("DESCRIBE", &url(&forged))).status,
        401
    );
    let mut other = ticket_for("ch_a");
    assert_eq!(
        client.ask(Request::new("DESCRIBE", &url("x.y"))).status,
        401
    );
    other.push('A');
    assert_eq!(
        client.ask(Request::new("DESCRIBE", &url(&other))).status,
        401
    );
    let foreign = ticket_for("ch_b");
    assert_eq!(
        client.ask(Request::new("DESCRIBE", &url(&foreign))).status,
        404
    );
    let sub = URL.replace("main", "sub");
    let sub = format!("{sub}?ticket={}", ticket_for("ch_a"));
    assert_eq!(client.ask(Request::new("DESCRIBE", &sub)).status, 404);
    client.cseq += 1;
    let late = Request::new("DESCRIBE", &url(&ticket_for("ch_a"))).encode();
    client.door.receive(client.now, NOW_S + 60, &late);
    assert_eq!(client.answer().map(|answer| answer.status), Some(401));
}

#[test]
fn guessing_ends_the_connection() {
    let mut client = Client::new();
    for _ in 0..MAX_TICKETS_REFUSED {
        assert_eq!(client.ask(Request::new("DESCRIBE", URL)).status, 401);
    }
    assert_eq!(
        client.events().pop(),
        Some(DoorEvent::Over(Over::Misbehaved))
    );
}

#[test]
fn a_genuine_ticket_that_is_refused_does_not_ask_for_ever() {
    let url = format!("{URL}?ticket={}", ticket_for("ch_a"));
    let mut client = Client::new();
    for _ in 0..MAX_TICKETS_REFUSED {
        client.send(Request::new("DESCRIBE", &url));
        client.door.refuse(client.now, 403, 0);
        assert_eq!(client.answer().map(|answer| answer.status), Some(403));
    }
    assert_eq!(
        client.events().pop(),
        Some(DoorEvent::Over(Over::Misbehaved))
    );
}

#[test]
fn a_client_plays_pauses_and_leaves() {
    let mut client = Client::playing();
    let named = |method: &str| Request::new(method, URL).header("Session", "0000000000000055");
    assert_eq!(client.ask(named("PAUSE")).status, 200);
    assert_eq!(client.events(), [DoorEvent::Pause]);
    assert_eq!(client.ask(named("PLAY")).status, 200);
    assert_eq!(client.events(), [DoorEvent::Play { rtp_channel: 2 }]);
    let strange = Request::new("GET_PARAMETER", URL).header("Session", "nobody");
    assert_eq!(client.ask(strange).status, 454);
    assert_eq!(client.ask(named("TEARDOWN")).status, 200);
    assert_eq!(client.events(), [DoorEvent::Over(Over::TornDown)]);
}

#[test]
fn udp_is_461_and_another_stream_on_the_same_connection_455() {
    let mut client = Client::described();
    let set_up = Request::new("SETUP", &format!("{URL}/trackID=0"))
        .header("Transport", "RTP/AVP;unicast;client_port=5000-5001");
    assert_eq!(client.ask(set_up).status, 461);
    let other = format!("rtsp://h/ch_b/main?ticket={}", ticket_for("ch_b"));
    assert_eq!(client.ask(Request::new("DESCRIBE", &other)).status, 455);
    assert_eq!(client.ask(Request::new("ANNOUNCE", URL)).status, 501);
}

#[test]
fn a_kept_sdp_needs_no_describe_and_a_glued_track_name_is_understood() {
    let mut client = Client::new();
    let url = format!("{URL}?ticket={}/trackID=0", ticket_for("ch_a"));
    client.send(Request::new("SETUP", &url).header("Transport", "RTP/AVP/TCP;interleaved=0-1"));
    client.door.accept();
    client.door.describe(client.now, &description());
    let answer = client.answer().expect("an answer");
    assert_eq!(answer.status, 200);
}

#[test]
fn a_refusal_is_answered_and_another_ticket_may_be_tried() {
    for (status, retry_after_s) in [(404, 0), (453, 5), (503, 7)] {
        let mut client = Client::asked();
        client.door.refuse(client.now, status, retry_after_s);
        let answer = client.answer().expect("an answer");
        assert_eq!(answer.status, status);
        let header = answer.headers.get("Retry-After").map(str::to_owned);
        assert_eq!(
            header,
            (retry_after_s > 0).then(|| retry_after_s.to_string())
        );
        let url = format!("{URL}?ticket={}", ticket_for("ch_a"));
        client.send(Request::new("DESCRIBE", &url));
        assert!(matches!(client.events()[..], [DoorEvent::Asked(_)]));
    }
}

#[test]
fn no_word_and_no_keyframe_are_504_in_time() {
    let mut client = Client::asked();
    let due = client.door.poll_timeout().expect("a deadline");
    assert_eq!(due, client.now + ANSWER_WITHIN);
    client.door.handle_timeout(due);
    assert_eq!(client.answer().map(|answer| answer.status), Some(504));
    assert_eq!(client.events(), []);

    let mut client = Client::asked();
    client.door.accept();
    let due = client.door.poll_timeout().expect("a deadline");
    client.door.handle_timeout(due);
    assert_eq!(client.answer().map(|answer| answer.status), Some(504));
    assert_eq!(client.events(), [DoorEvent::Over(Over::NoKeyframe)]);
}

#[test]
fn what_is_sent_on_while_a_request_waits_is_answered_in_order_or_ends_it() {
    let mut client = Client::asked();
    client.send(Request::new("OPTIONS", URL));
    let set_up = Request::new("SETUP", &format!("{URL}/trackID=0"))
        .header("Transport", "RTP/AVP/TCP;interleaved=0-1");
    client.send(set_up);
    assert_eq!(client.answer(), None);
    client.door.accept();
    client.door.describe(client.now, &description());
    for cseq in 1..=3 {
        let answer = client.answer().expect("an answer");
        assert_eq!((answer.status, answer.headers.cseq()), (200, Some(cseq)));
    }
    let mut client = Client::asked();
    for _ in 0..MAX_WAITING_BYTES / 20 {
        client.send(Request::new("OPTIONS", URL));
    }
    assert_eq!(client.events(), [DoorEvent::Over(Over::Misbehaved)]);
}

#[test]
fn silence_ends_it_and_a_receiver_report_is_a_sign_of_life() {
    let mut client = Client::playing();
    client.now += RTSP_SESSION_TIMEOUT / 2;
    let mut report = Vec::new();
    assert!(write_interleaved(
        &mut report,
        3,
        &[0x80, 201, 0, 1, 0, 0, 0, 1]
    ));
    client.door.receive(client.now, NOW_S, &report);
    client
        .door
        .handle_timeout(client.now + RTSP_SESSION_TIMEOUT - Duration::from_millis(1));
    assert_eq!(client.events(), []);
    client
        .door
        .handle_timeout(client.now + RTSP_SESSION_TIMEOUT);
    assert_eq!(client.events(), [DoorEvent::Over(Over::Silent)]);
    assert_eq!(client.door.poll_timeout(), None);
}

fn talk() -> Vec<u8> {
    let ticket = ticket_for("ch_a");
    let set_up = Request::new("SETUP", &format!("{URL}/trackID=0"))
        .header("CSeq", "3")
        .header("Transport", "RTP/AVP/TCP;interleaved=0-1");
    [
        Request::new("OPTIONS", URL).header("CSeq", "1").encode(),
        Request::new("DESCRIBE", &format!("{URL}?ticket={ticket}"))
            .header("CSeq", "2")
            .encode(),
        set_up.encode(),
    ]
    .concat()
}

proptest! {
    /// Half requests and pipelined ones: the answers do not depend on the cuts.
    #[test]
    fn the_cuts_of_a_stream_do_not_matter(cuts in prop::collection::vec(1usize..200, 0..40)) {
        let mut client = Client::new();
        let bytes = talk();
        let mut rest = &bytes[..];
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            client.door.receive(client.now, NOW_S, piece);
            rest = after;
        }
        client.door.receive(client.now, NOW_S, rest);
        client.door.accept();
        client.door.describe(client.now, &description());
        for cseq in 1..=3 {
            let answer = client.answer();
            prop_assert_eq!(answer.map(|a| (a.status, a.headers.cseq())), Some((200, Some(cseq))));
        }
        prop_assert!(client.answer().is_none());
    }

    /// Garbage ends it, and opens nothing.
    #[test]
    fn garbage_opens_nothing(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let mut client = Client::new();
        client.door.receive(client.now, NOW_S, &bytes);
        client.door.accept();
        client.door.describe(client.now, &description());
        let opened = |event: &DoorEvent| !matches!(event, DoorEvent::Over(_) | DoorEvent::TicketRefused(_));
        prop_assert!(!client.events().iter().any(opened));
    }
}

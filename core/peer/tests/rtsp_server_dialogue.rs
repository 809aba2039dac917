//! The RTSP server's dialogue, as clients and cameras' installers know it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use peer::rtsp_server::{
    CloseCause, ConnectionSeeds, Credentials, MediaTarget, Mount, Mounts, RtspServer, ServerConfig,
    ServerEvent,
};
use wire::digest::{Challenge, DigestChallenge};
use wire::rtsp::{Message, Request, Response};

const BASE: &str = "rtsp://127.0.0.1:8554/cam/7/sub";
const SDP: &str = "v=0\r\nm=video 0 RTP/AVP 96\r\n";

struct Paths;

impl Mounts for Paths {
    fn look_up(&mut self, path: &str, _: &Request) -> Mount {
        match path {
            "/cam/7/sub" => Mount::Stream {
                sdp: SDP.to_owned(),
            },
            "/udp" => Mount::UdpStream {
                sdp: SDP.to_owned(),
            },
            "/busy" => Mount::Refused { status: 453 },
            "/locked" => Mount::Unauthorized,
            "/mute" => Mount::Mute,
            "/reset" => Mount::Reset,
            _ => Mount::Refused { status: 404 },
        }
    }
}

struct Client {
    server: RtspServer,
    now: Instant,
    cseq: u32,
}

impl Client {
    fn new(password: Option<&str>) -> Self {
        let config = ServerConfig {
            server_name: "test".to_owned(),
            realm: "farm".to_owned(),
            credentials: password.map(|password| Credentials {
                username: "admin".to_owned(),
                password: password.to_owned(),
            }),
            rtsp_session_timeout: Duration::from_secs(60),
            server_port: Some((6970, 6971)),
        };
        let seeds = ConnectionSeeds {
            nonce: 0xABCD,
            rtsp_session_id: 0x1234,
            ssrc: 0xDEAD_BEEF,
            first_seq: 65_535,
            first_rtp_ts: 77,
        };
        let now = Instant::now();
        Self {
            server: RtspServer::new(Arc::new(config), seeds, now),
            now,
            cseq: 0,
        }
    }

    fn send(&mut self, request: Request) -> Option<Response> {
        self.cseq += 1;
        let bytes = request.header("CSeq", &self.cseq.to_string()).encode();
        self.server.receive(self.now, &bytes, &mut Paths);
        let answer = self.server.poll_transmit()?;
        assert_eq!(self.server.poll_transmit(), None, "one answer a request");
        let Ok((Message::Response(mut response), body_bytes)) = Message::parse_head(&answer) else {
            panic!("unreadable: {}", String::from_utf8_lossy(&answer));
        };
        assert_eq!(response.headers.cseq(), Some(self.cseq));
        response.body = answer[answer.len() - body_bytes..].to_vec();
        Some(response)
    }

    fn ask(&mut self, request: Request) -> Response {
        self.send(request).expect("an answer")
    }

    fn status(&mut self, method: &str, uri: &str) -> u16 {
        self.ask(Request::new(method, uri)).status
    }

    fn set_up(&mut self) -> String {
        let response = self.ask(
            Request::new("SETUP", &format!("{BASE}/trackID=0"))
                .header("Transport", "RTP/AVP/TCP;unicast;interleaved=4-5"),
        );
        assert_eq!(response.status, 200);
        let transport = response.headers.get("Transport").expect("Transport");
        assert!(transport.contains("interleaved=4-5"), "{transport}");
        assert!(
            transport.to_lowercase().contains("ssrc=deadbeef"),
            "{transport}"
        );
        let header = response.headers.get("Session").expect("Session");
        assert!(header.contains("timeout=60"), "{header}");
        header.split(';').next().expect("an id").to_owned()
    }

    fn challenge(&mut self, method: &str) -> DigestChallenge {
        let response = self.ask(Request::new(method, BASE));
        assert_eq!(response.status, 401);
        let header = response.headers.get("WWW-Authenticate").expect("challenge");
        match Challenge::parse(header) {
            Some(Challenge::Digest(challenge)) => challenge,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_client_plays_and_leaves() {
    let mut client = Client::new(None);
    let options = client.ask(Request::new("OPTIONS", BASE));
    assert!(
        options
            .headers
            .get("Public")
            .is_some_and(|p| p.contains("GET_PARAMETER"))
    );
    let described = client.ask(Request::new("DESCRIBE", BASE));
    assert_eq!(described.body, SDP.as_bytes());
    let base = format!("{BASE}/");
    assert_eq!(described.headers.get("Content-Base"), Some(base.as_str()));
    let id = client.set_up();
    let played = client.ask(Request::new("PLAY", &base).header("Session", &id));
    assert_eq!(played.status, 200);
    let info = played.headers.get("RTP-Info").expect("RTP-Info");
    assert!(
        info.contains("seq=65535") && info.contains("rtptime=77"),
        "{info}"
    );
    let play = ServerEvent::Play {
        path: "/cam/7/sub".to_owned(),
        to: MediaTarget::Interleaved { rtp_channel: 4 },
        audio_channel: None,
    };
    assert_eq!(client.server.poll_event(), Some(play));
    let kept = client.ask(Request::new("GET_PARAMETER", BASE).header("Session", &id));
    assert_eq!(kept.status, 200);
    assert_eq!(client.server.poll_event(), None);
    let left = client.ask(Request::new("TEARDOWN", BASE).header("Session", &id));
    assert_eq!(left.status, 200);
    assert_eq!(client.server.poll_event(), Some(ServerEvent::TornDown));
    assert_eq!(client.server.poll_event(), None);
}

#[test]
fn the_password_opens_and_nothing_else_does() {
    let mut client = Client::new(Some("s3:cr/t"));
    assert_eq!(client.status("OPTIONS", BASE), 200, "OPTIONS is free");
    let challenge = client.challenge("DESCRIBE");
    assert_eq!(challenge.algorithm.name(), "MD5");
    let mut describe = |user: &str, password: &str, method: &str, uri: &str| {
        let header = challenge.authorization(user, password, method, uri, "c0", 1);
        let request = Request::new("DESCRIBE", BASE).header("Authorization", &header);
        client.ask(request).status
    };
    assert_eq!(describe("admin", "s3:cr/t", "DESCRIBE", BASE), 200);
    assert_eq!(describe("admin", "other", "DESCRIBE", BASE), 401);
    assert_eq!(describe("root", "s3:cr/t", "DESCRIBE", BASE), 401);
    assert_eq!(describe("admin", "s3:cr/t", "PLAY", BASE), 401);
    assert_eq!(
        describe("admin", "s3:cr/t", "DESCRIBE", "rtsp://127.0.0.1/x"),
        401
    );
    let stale = DigestChallenge {
        nonce: "0000".to_owned(),
        ..challenge
    };
    let header = stale.authorization("admin", "s3:cr/t", "DESCRIBE", BASE, "c0", 1);
    let request = Request::new("DESCRIBE", BASE).header("Authorization", &header);
    assert_eq!(
        client.ask(request).status,
        401,
        "a nonce of another connection"
    );
    assert_eq!(client.status("SETUP", BASE), 401);
    assert_eq!(client.status("PLAY", BASE), 401);
    let debug = format!("{:?}", client.server);
    assert!(debug.contains("***") && !debug.contains("s3:cr"), "{debug}");
}

#[test]
fn what_cannot_be_is_refused_by_its_status() {
    let mut client = Client::new(None);
    assert_eq!(client.status("DESCRIBE", "rtsp://h/nothing"), 404);
    assert_eq!(client.status("DESCRIBE", "rtsp://h/busy"), 453);
    assert_eq!(client.status("DESCRIBE", "rtsp://h/locked"), 401);
    assert_eq!(client.status("OPTIONS", "*"), 200);
    assert_eq!(client.status("RECORD", BASE), 501);
    assert_eq!(client.status("PLAY", BASE), 455, "PLAY before SETUP");
    let multicast =
        Request::new("SETUP", BASE).header("Transport", "RTP/AVP;multicast;client_port=5000-5001");
    assert_eq!(client.ask(multicast).status, 461);
    let tcp = Request::new("SETUP", "rtsp://h/udp")
        .header("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1");
    assert_eq!(client.ask(tcp).status, 461);
    let two_ways =
        Request::new("DESCRIBE", BASE).header("Require", "www.onvif.org/ver20/backchannel");
    assert_eq!(client.ask(two_ways).status, 551);
    client.set_up();
    let other = Request::new("PLAY", BASE).header("Session", "FFFF");
    assert_eq!(client.ask(other).status, 454);
    assert_eq!(client.server.poll_event(), None);
}

#[test]
fn a_mute_mount_gets_no_answer_and_a_reset_one_a_reset() {
    let mut client = Client::new(None);
    assert_eq!(client.send(Request::new("DESCRIBE", "rtsp://h/mute")), None);
    assert_eq!(client.status("DESCRIBE", BASE), 200, "others are answered");
    assert_eq!(
        client.send(Request::new("DESCRIBE", "rtsp://h/reset")),
        None
    );
    assert_eq!(client.server.poll_event(), Some(ServerEvent::Reset));
}

#[test]
fn a_silent_client_is_closed_and_one_that_reports_is_not() {
    let mut client = Client::new(None);
    client.set_up();
    client.now += Duration::from_secs(59);
    client.server.handle_timeout(client.now);
    assert_eq!(client.server.poll_event(), None);
    let receiver_report = [b'$', 5, 0, 8, 0x80, 201, 0, 1, 0, 0, 0, 1];
    client
        .server
        .receive(client.now, &receiver_report, &mut Paths);
    client.now += Duration::from_secs(59);
    client.server.handle_timeout(client.now);
    assert_eq!(
        client.server.poll_event(),
        None,
        "a report is a sign of life"
    );
    client.now = client.server.poll_timeout().expect("a due time");
    client.server.handle_timeout(client.now);
    let closed = ServerEvent::Close(CloseCause::TimedOut);
    assert_eq!(client.server.poll_event(), Some(closed));
    assert_eq!(client.server.poll_timeout(), None);
}

#[test]
fn a_second_play_does_not_repeat_the_first_numbers() {
    let mut client = Client::new(None);
    let id = client.set_up();
    for (method, has_info) in [("PLAY", true), ("PAUSE", false), ("PLAY", false)] {
        let response = client.ask(Request::new(method, BASE).header("Session", &id));
        assert_eq!(response.status, 200, "{method}");
        assert_eq!(
            response.headers.get("RTP-Info").is_some(),
            has_info,
            "{method}"
        );
    }
}

#[test]
fn media_by_udp_is_sent_where_the_client_wants_it_and_from_where_it_is_told() {
    let mut client = Client::new(None);
    let uri = "rtsp://h/udp/trackID=0";
    let either = "RTP/AVP/TCP;unicast;interleaved=0-1,RTP/AVP;unicast;client_port=5000-5001";
    let response = client.ask(Request::new("SETUP", uri).header("Transport", either));
    assert_eq!(response.status, 200);
    let transport = response.headers.get("Transport").expect("Transport");
    assert_eq!(
        transport,
        "RTP/AVP;unicast;client_port=5000-5001;server_port=6970-6971;ssrc=DEADBEEF"
    );
    let header = response.headers.get("Session").expect("Session");
    let id = header.split(';').next().expect("an id").to_owned();
    let play = Request::new("PLAY", "rtsp://h/udp").header("Session", &id);
    assert_eq!(client.ask(play).status, 200);
    let to = MediaTarget::Udp {
        rtp_port: 5000,
        rtcp_port: 5001,
    };
    let path = "/udp".to_owned();
    assert_eq!(
        client.server.poll_event(),
        Some(ServerEvent::Play {
            path,
            to,
            audio_channel: None
        })
    );
}

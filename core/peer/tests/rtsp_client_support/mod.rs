//! A client with a camera played by the test: answers are text, time is a number.
#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use peer::rtsp_client::{
    ClientConfig, ClientEvent, Datagram, Failure, Received, RtspClient, Secret, Track, UdpPort,
};
use wire::rtsp::{Item, Message, Reader, Request, write_interleaved};

pub const URL: &str = "rtsp://10.0.0.5:8554/live/main";
pub const SDP: &str = "v=0\r\ns=cam\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\n\
    a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0IAKeKQ,aM48gA==\r\n\
    a=control:trackID=1\r\nm=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/16000\r\n\
    a=control:trackID=2\r\n";
pub const SETUP_FIELDS: &str =
    "Session: 77;timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
pub const CAMERA: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5));
pub const RTP_PORT: u16 = 7000;
pub const PAYLOAD_TYPE: u8 = 96;

/// What went over the wire to the camera.
#[derive(Debug, Clone, PartialEq)]
pub enum Sent {
    Request(Request),
    Response(u16, String),
    Packet(u8, Vec<u8>),
}

pub struct Scene {
    pub client: RtspClient,
    pub now: Instant,
    pub events: Vec<ClientEvent>,
    pub media: Vec<(u8, Vec<u8>)>,
    pub audio: Vec<Vec<u8>>,
    camera: Reader,
    last_cseq: u32,
}

pub fn config(url: &str) -> ClientConfig {
    let mut config = ClientConfig::new(url).unwrap();
    config.ssrc = 0x0101_0101;
    config.nonce_seed = 42;
    config
}

pub fn with_password() -> ClientConfig {
    config(URL).credentials("admin", Secret::new("pass@word"))
}

impl Scene {
    /// A client whose connection stands.
    pub fn new(config: ClientConfig) -> Self {
        let mut scene = Self {
            client: RtspClient::new(config),
            now: Instant::now(),
            events: Vec::new(),
            media: Vec::new(),
            audio: Vec::new(),
            camera: Reader::new(),
            last_cseq: 0,
        };
        scene.connect();
        scene
    }

    pub fn plain() -> Self {
        Self::new(config(URL))
    }

    /// A scene past PLAY.
    pub fn playing() -> Self {
        let mut scene = Self::plain();
        scene.until_play(SDP, SETUP_FIELDS);
        scene.answer(200, "");
        scene
    }

    pub fn connect(&mut self) {
        self.client.connected(self.now);
        self.collect_events();
    }

    pub fn close(&mut self) {
        self.client.peer_closed();
        self.collect_events();
    }

    /// Answers everything up to PLAY, whose request is taken and not answered.
    pub fn until_play(&mut self, sdp: &str, setup_fields: &str) -> Vec<Request> {
        let mut asked = vec![self.asked("OPTIONS")];
        self.answer(
            200,
            "Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER\r\n",
        );
        asked.push(self.asked("DESCRIBE"));
        self.describe(sdp);
        asked.push(self.asked("SETUP"));
        self.answer(200, setup_fields);
        asked.push(self.asked("PLAY"));
        asked
    }

    /// Binds the ports that the client wants, once.
    pub fn bind_udp(&mut self) {
        let at = self
            .events
            .iter()
            .position(|e| *e == ClientEvent::UdpWanted);
        self.events.remove(at.expect("ports are wanted"));
        self.client.udp_bound(self.now, CAMERA, RTP_PORT);
        self.collect_events();
    }

    /// A scene past PLAY with a camera that refuses TCP.
    pub fn playing_by_udp(setup_fields: &str) -> Self {
        let mut scene = Self::plain();
        scene.asked("OPTIONS");
        scene.answer(200, "Public: GET_PARAMETER\r\n");
        scene.asked("DESCRIBE");
        scene.describe(SDP);
        scene.asked("SETUP");
        scene.answer(461, "");
        scene.bind_udp();
        scene.asked("SETUP");
        scene.answer(200, setup_fields);
        scene.asked("PLAY");
        scene.answer(200, "");
        scene
    }

    pub fn feed_datagram(&mut self, port: UdpPort, from: &str, bytes: &[u8]) {
        let (media, audio) = (&mut self.media, &mut self.audio);
        let mut sink = |received: Received<'_>| match received {
            Received::Rtp { channel, packet } | Received::Rtcp { channel, packet } => {
                media.push((channel, packet.to_vec()));
            }
            Received::Audio { packet, .. } => audio.push(packet.to_vec()),
        };
        let from = from.parse().unwrap();
        self.client
            .receive_datagram(self.now, port, from, bytes, &mut sink);
        self.collect_events();
    }

    pub fn datagrams(&mut self) -> Vec<Datagram> {
        std::iter::from_fn(|| self.client.poll_datagram()).collect()
    }

    pub fn describe(&mut self, sdp: &str) {
        self.answer_with(200, "Content-Type: application/sdp\r\n", sdp);
    }

    /// All that the client has queued.
    pub fn sent(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(bytes) = self.client.poll_transmit() {
            let mut input = bytes.as_slice();
            while let Some(item) = self.camera.next(&mut input) {
                sent.push(match item {
                    Item::Message(Message::Request(request)) => {
                        self.last_cseq = request.headers.cseq().unwrap();
                        Sent::Request(request)
                    }
                    Item::Message(Message::Response(response)) => {
                        let cseq = response.headers.get("CSeq").unwrap_or_default();
                        Sent::Response(response.status, cseq.to_owned())
                    }
                    Item::Interleaved { channel, payload } => {
                        Sent::Packet(channel, payload.to_vec())
                    }
                    Item::Desync(cause) => panic!("the client wrote garbage: {cause:?}"),
                });
            }
        }
        sent
    }

    /// The one request that was sent, which must be of that method.
    pub fn asked(&mut self, method: &str) -> Request {
        match self.sent().as_slice() {
            [Sent::Request(request)] if request.method == method => request.clone(),
            other => panic!("{method} expected, sent was {other:?}"),
        }
    }

    pub fn answer(&mut self, status: u16, fields: &str) {
        self.answer_with(status, fields, "");
    }

    pub fn answer_with(&mut self, status: u16, fields: &str, body: &str) {
        let (cseq, length) = (self.last_cseq, body.len());
        self.feed(
            format!(
                "RTSP/1.0 {status} Word\r\nCSeq: {cseq}\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
            )
            .as_bytes(),
        );
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        let (media, audio) = (&mut self.media, &mut self.audio);
        let mut sink = |received: Received<'_>| match received {
            Received::Rtp { channel, packet } | Received::Rtcp { channel, packet } => {
                media.push((channel, packet.to_vec()));
            }
            Received::Audio { packet, .. } => audio.push(packet.to_vec()),
        };
        self.client.receive(self.now, bytes, &mut sink);
        self.collect_events();
    }

    pub fn feed_rtp(&mut self, seq: u16) {
        let packet = interleaved(0, &rtp(seq, 100));
        self.feed(&packet);
    }

    /// Lets time pass, calling at each due time.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.client.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.client.handle_timeout(self.now);
            self.collect_events();
            let next = self.client.poll_timeout();
            assert!(
                next.is_none_or(|next| next > due),
                "the same time is due for ever"
            );
        }
        self.now = until;
    }

    pub fn failure(&self) -> Failure {
        let failed: Vec<_> = self
            .events
            .iter()
            .filter_map(|event| match event {
                ClientEvent::Failed(failure) => Some(failure.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(failed.len(), 1, "{:?}", self.events);
        assert!(self.client.is_ended());
        assert_eq!(self.client.poll_timeout(), None);
        failed[0].clone()
    }

    /// Code and step of the failure.
    pub fn failed(&self) -> (&'static str, &'static str) {
        let failure = self.failure();
        (failure.code(), failure.step.code())
    }

    pub fn track(&self) -> Track {
        let tracks = self.events.iter().find_map(|event| match event {
            ClientEvent::Tracks(tracks) => Some(tracks.clone()),
            _ => None,
        });
        tracks.unwrap().remove(0)
    }

    pub fn is_playing(&self) -> bool {
        let playing = |event: &ClientEvent| matches!(event, ClientEvent::Playing { .. });
        self.events.iter().any(playing) && !self.client.is_ended()
    }

    fn collect_events(&mut self) {
        while let Some(event) = self.client.poll_event() {
            self.events.push(event);
        }
    }
}

pub fn rtp_of(payload_type: u8, ssrc: u32, seq: u16, payload_bytes: usize) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend(seq.to_be_bytes());
    packet.extend((u32::from(seq) * 3600).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.resize(12 + payload_bytes, 0x41);
    packet
}

pub fn rtp(seq: u16, payload_bytes: usize) -> Vec<u8> {
    rtp_of(PAYLOAD_TYPE, 0xCAFE, seq, payload_bytes)
}

pub fn interleaved(channel: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(write_interleaved(&mut bytes, channel, payload));
    bytes
}

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

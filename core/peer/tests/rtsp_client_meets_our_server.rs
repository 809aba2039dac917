//! Our two RTSP machines in one memory, on a clock that only the test moves.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use peer::rtsp_client::{
    ClientConfig, ClientEvent, Datagram, Failure, FailureKind, MediaTransport, Received,
    RtspClient, Secret, Step, UdpPort,
};
use peer::rtsp_server::{
    ConnectionSeeds, Credentials, MediaTarget, Mount, Mounts, RtspServer, ServerConfig, ServerEvent,
};
use wire::rtp::RtpHeader;
use wire::rtsp::write_interleaved;

const SDP: &str = "v=0\r\ns=x\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
    a=control:trackID=0\r\n";
const SERVER_PORT: (u16, u16) = (9000, 9001);
const CAMERA: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const SERVER_TIMEOUT: Duration = Duration::from_secs(20);

struct Street;

impl Mounts for Street {
    fn look_up(&mut self, path: &str, _: &wire::rtsp::Request) -> Mount {
        match path {
            "/cam/1/sub" => Mount::Stream {
                sdp: SDP.to_owned(),
            },
            "/udp" => Mount::UdpStream {
                sdp: SDP.to_owned(),
            },
            "/busy" => Mount::Refused { status: 453 },
            "/locked" => Mount::Unauthorized,
            "/mute" => Mount::Mute,
            _ => Mount::Refused { status: 404 },
        }
    }
}

struct Pair {
    client: RtspClient,
    server: RtspServer,
    now: Instant,
    client_events: Vec<ClientEvent>,
    server_events: Vec<ServerEvent>,
    received_seqs: Vec<u16>,
}

impl Pair {
    fn new(path: &str, password: &str) -> Self {
        let now = Instant::now();
        let config = ClientConfig::new(&format!("rtsp://10.0.0.1:8554{path}")).unwrap();
        let server = ServerConfig {
            server_name: "farm".to_owned(),
            realm: "farm".to_owned(),
            credentials: Some(Credentials {
                username: "admin".to_owned(),
                password: "right".to_owned(),
            }),
            rtsp_session_timeout: SERVER_TIMEOUT,
            server_port: Some(SERVER_PORT),
        };
        let seeds = ConnectionSeeds {
            nonce: 7,
            rtsp_session_id: 8,
            ssrc: 9,
            first_seq: 10,
            first_rtp_ts: 11,
        };
        let mut pair = Self {
            client: RtspClient::new(config.credentials("admin", Secret::new(password))),
            server: RtspServer::new(Arc::new(server), seeds, now),
            now,
            client_events: Vec::new(),
            server_events: Vec::new(),
            received_seqs: Vec::new(),
        };
        pair.client.connected(now);
        pair.exchange();
        pair
    }

    /// Carries bytes both ways until neither side has any.
    fn exchange(&mut self) {
        loop {
            let (to_server, to_client) = (self.client.poll_transmit(), self.server.poll_transmit());
            let quiet = to_server.is_none() && to_client.is_none();
            if let Some(bytes) = to_server {
                self.server.receive(self.now, &bytes, &mut Street);
            }
            if let Some(bytes) = to_client {
                self.feed(&bytes);
            }
            while let Some(event) = self.client.poll_event() {
                if event == ClientEvent::UdpWanted {
                    self.client.udp_bound(self.now, CAMERA, 7000);
                }
                self.client_events.push(event);
            }
            while let Some(event) = self.server.poll_event() {
                self.server_events.push(event);
            }
            if quiet {
                return;
            }
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        let seqs = &mut self.received_seqs;
        self.client.receive(self.now, bytes, &mut |received| {
            if let Received::Rtp { packet, .. } = received {
                seqs.push(u16::from_be_bytes([packet[2], packet[3]]));
            }
        });
    }

    fn send_rtp(&mut self, seq: u16) {
        let header = RtpHeader {
            marker: true,
            payload_type: 96,
            seq,
            rtp_ts: u32::from(seq) * 6000,
            ssrc: 9,
        };
        let mut bytes = Vec::new();
        assert!(write_interleaved(&mut bytes, 0, &header.to_bytes()));
        self.feed(&bytes);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.client.handle_timeout(self.now);
        self.exchange();
        self.server.handle_timeout(self.now);
        self.exchange();
    }

    fn failure(&self) -> &Failure {
        let failed = self.client_events.iter().find_map(|event| match event {
            ClientEvent::Failed(failure) => Some(failure),
            _ => None,
        });
        failed.expect("no failure")
    }
}

#[test]
fn a_stream_is_signed_in_to_played_kept_alive_and_torn_down() {
    let mut pair = Pair::new("/cam/1/sub", "right");
    let play = ServerEvent::Play {
        path: "/cam/1/sub".to_owned(),
        to: MediaTarget::Interleaved { rtp_channel: 0 },
        audio_channel: None,
    };
    assert_eq!(pair.server_events, [play]);
    assert_eq!(pair.client.track().unwrap().ssrc, Some(9));
    for seq in 0..600 {
        pair.send_rtp(seq);
        pair.pass(Duration::from_secs(1));
    }
    assert_eq!(pair.received_seqs, (0..600).collect::<Vec<_>>());
    assert_eq!(pair.client.step(), Step::Streaming);
    assert_eq!(pair.server_events.len(), 1, "never timed out");
    assert!(!pair.client.is_ended());
    pair.client.teardown();
    pair.exchange();
    assert!(pair.server_events.len() > 1, "{:?}", pair.server_events);
    let failed = |event: &ClientEvent| matches!(event, ClientEvent::Failed(_));
    assert!(!pair.client_events.iter().any(failed));
}

#[test]
fn a_server_that_is_no_longer_spoken_to_ends_the_pull() {
    let mut pair = Pair::new("/cam/1/sub", "right");
    pair.server_events.clear();
    pair.now += SERVER_TIMEOUT;
    pair.server.handle_timeout(pair.now);
    assert!(matches!(
        pair.server.poll_event(),
        Some(ServerEvent::Close(_))
    ));
}

#[test]
fn each_refusal_reaches_the_client_with_its_reason() {
    for (path, password, kind) in [
        ("/cam/1/sub", "wrong", FailureKind::AuthFailed),
        ("/locked", "right", FailureKind::AuthFailed),
        ("/busy", "right", FailureKind::Busy),
        ("/nowhere", "right", FailureKind::NotFound),
    ] {
        let pair = Pair::new(path, password);
        assert_eq!(pair.failure().kind, kind, "{path}");
        assert_eq!(pair.failure().step, Step::Describe, "{path}");
    }
    let mut pair = Pair::new("/mute", "right");
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.failure().kind, FailureKind::OptionsTimeout);
}

#[test]
fn a_camera_by_udp_only_is_pulled_by_udp_with_holes_punched_and_reports_sent() {
    let mut pair = Pair::new("/udp", "right");
    let play = ServerEvent::Play {
        path: "/udp".to_owned(),
        to: MediaTarget::Udp {
            rtp_port: 7000,
            rtcp_port: 7001,
        },
        audio_channel: None,
    };
    assert_eq!(pair.server_events, [play]);
    assert_eq!(pair.client.transport(), MediaTransport::Udp);
    let punches: Vec<Datagram> = std::iter::from_fn(|| pair.client.poll_datagram()).collect();
    let to = |port| SocketAddr::new(CAMERA, port);
    assert_eq!((punches[0].port, punches[0].to), (UdpPort::Rtp, to(9000)));
    assert_eq!((punches[1].port, punches[1].to), (UdpPort::Rtcp, to(9001)));
    let mut reports = 0;
    for seq in 0..100 {
        let header = RtpHeader {
            marker: true,
            payload_type: 96,
            seq,
            rtp_ts: u32::from(seq) * 6000,
            ssrc: 9,
        };
        let (now, seqs) = (pair.now, &mut pair.received_seqs);
        let mut sink = |received: Received<'_>| {
            if let Received::Rtp { packet, .. } = received {
                seqs.push(u16::from_be_bytes([packet[2], packet[3]]));
            }
        };
        let packet = header.to_bytes();
        pair.client
            .receive_datagram(now, UdpPort::Rtp, to(9000), &packet, &mut sink);
        pair.pass(Duration::from_secs(1));
        while let Some(report) = pair.client.poll_datagram() {
            assert_eq!((report.port, report.to), (UdpPort::Rtcp, to(9001)));
            reports += 1;
        }
    }
    assert_eq!(pair.received_seqs, (0..100).collect::<Vec<_>>());
    assert!((19..=20).contains(&reports), "{reports}");
    assert_eq!(pair.server_events.len(), 1, "kept alive over TCP");
    pair.client.teardown();
    pair.exchange();
    assert_eq!(pair.server_events.last(), Some(&ServerEvent::TornDown));
}

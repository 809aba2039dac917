//! A socket bound to all addresses of the machine: what is said to a viewer leaves from the address
//! that the viewer speaks to. Real sockets, on two addresses of the loopback.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use dimpl::{Dtls, Output};
use engine::command::Select;
use engine::event::EventBody;
use engine::{Engine, EngineConfig, ViewerRequest};
use peer::webrtc::{Fingerprint, FingerprintHash};
use wire::sdp::Sdp;
use wire::stun::{self, BindingResponse, CheckParams, Demux, IceRole, IntegrityKey};

/// For what another thread must do meanwhile; never waited for where it is done.
const DEADLINE: Duration = Duration::from_secs(20);

struct Browser {
    socket: UdpSocket,
    dtls: Dtls,
    username: String,
    key: IntegrityKey,
    checks: u8,
}

impl Browser {
    fn offer(fingerprint: &Fingerprint) -> String {
        format!(
            "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF 108\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:brow\r\n\
             a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:{fingerprint}\r\na=setup:actpass\r\n\
             a=mid:0\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:108 H264/90000\r\n\
             a=fmtp:108 packetization-mode=1;profile-level-id=42e01f\r\n"
        )
    }

    fn open(engine: &Engine) -> Self {
        let certificate = dimpl::certificate::generate_self_signed_certificate().unwrap();
        let fingerprint = Fingerprint::of(FingerprintHash::Sha256, &certificate.certificate);
        let request = ViewerRequest {
            viewer_id: "v".to_owned(),
            stream_id: "cam/main".to_owned(),
            channel_id: "cam".to_owned(),
            subject_id: "someone".to_owned(),
            offer_sdp: Self::offer(&fingerprint),
            until: SystemTime::now() + Duration::from_secs(600),
        };
        let answer = Sdp::parse(&engine.open_viewer(request).unwrap()).unwrap();
        // A check that came before the viewer's command is dropped; browsers repeat theirs.
        let deadline = Instant::now() + DEADLINE;
        while engine.figures().totals_of(0).viewers_open.get() == 0 {
            assert!(Instant::now() < deadline, "the shard has no viewer");
            std::thread::yield_now();
        }
        let said = |name| answer.media[0].attribute(name).unwrap();
        let config = dimpl::Config::builder().mtu(1_150).build().unwrap();
        let mut dtls = Dtls::new_12(Arc::new(config), certificate, Instant::now());
        dtls.set_active(true);
        dtls.handle_timeout(Instant::now()).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self {
            socket,
            dtls,
            username: format!("{}:brow", said("ice-ufrag")),
            key: IntegrityKey::new(said("ice-pwd")),
            checks: 0,
        }
    }

    /// Sends a check to `to`; the address its answer came from.
    fn check(&mut self, to: SocketAddr, use_candidate: bool) -> SocketAddr {
        self.checks += 1;
        let params = CheckParams {
            username: &self.username,
            priority: 1,
            role: IceRole::Controlling(7),
            use_candidate,
        };
        let check = stun::binding_request(&[self.checks; 12], &params, &self.key);
        self.socket.send_to(&check, to).unwrap();
        loop {
            let (datagram, from) = self.receive();
            let answer = BindingResponse::parse(&datagram, &self.key);
            if let Ok(BindingResponse::Success { transaction_id, .. }) = answer
                && transaction_id == [self.checks; 12]
            {
                return from;
            }
        }
    }

    fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut datagram = vec![0; 2_048];
        let (size, from) = self.socket.recv_from(&mut datagram).unwrap();
        datagram.truncate(size);
        (datagram, from)
    }

    /// Shakes hands with `to`, which alone may answer.
    fn connect(&mut self, to: SocketAddr) {
        let mut buffer = vec![0; 4_096];
        loop {
            loop {
                match self.dtls.poll_output(&mut buffer) {
                    Output::Packet(packet) => drop(self.socket.send_to(packet, to).unwrap()),
                    Output::KeyingMaterial(..) => return,
                    Output::Timeout(_) => break,
                    _ => {}
                }
            }
            let (datagram, from) = self.receive();
            if Demux::of(&datagram) == Demux::Dtls {
                assert_eq!(from, to, "the handshake comes from where it is spoken to");
                self.dtls.handle_timeout(Instant::now()).unwrap();
                self.dtls.handle_packet(&datagram).unwrap();
            }
        }
    }
}

fn wait_for(engine: &Engine, wanted: impl Fn(&EventBody) -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !engine.events().drain(64).iter().any(|e| wanted(&e.body)) {
        assert!(Instant::now() < deadline, "no such event");
        std::thread::yield_now();
    }
}

fn follows_the_viewer(bind: &str) {
    let engine = Engine::start(EngineConfig {
        udp_bind: bind.parse().unwrap(),
        advertise: vec![
            "127.0.0.1:0".parse().unwrap(),
            "127.0.0.2:0".parse().unwrap(),
        ],
        tcp_port: None,
        max_viewers: 10,
        remb: false,
        rtsp: None,
        shards: 1,
    })
    .unwrap();
    let at = |last| SocketAddr::from(([127, 0, 0, last], engine.udp_port()));
    let mut browser = Browser::open(&engine);
    // Both pairs of addresses are tried, as browsers do; the second is nominated.
    assert_eq!(browser.check(at(1), false), at(1));
    assert_eq!(browser.check(at(2), false), at(2));
    assert_eq!(browser.check(at(2), true), at(2));
    browser.connect(at(2));
    // A check of the other pair is answered from there, and moves nothing.
    assert_eq!(browser.check(at(1), false), at(1));
    wait_for(&engine, |event| {
        matches!(event, EventBody::ViewerConnected { .. })
    });
    // The other address is nominated: the goodbye comes from there.
    assert_eq!(browser.check(at(1), true), at(1));
    let select = Select::Ids(vec!["v".to_owned()]);
    engine.close_viewers(select, "closed").unwrap();
    let from = loop {
        let (datagram, from) = browser.receive();
        if Demux::of(&datagram) == Demux::Dtls {
            break from;
        }
    };
    assert_eq!(from, at(1));
}

#[test]
fn what_a_viewer_is_sent_leaves_from_the_address_it_speaks_to() {
    follows_the_viewer("0.0.0.0:0");
}

#[test]
fn so_it_does_where_the_socket_is_of_both_families() {
    follows_the_viewer("[::]:0");
}

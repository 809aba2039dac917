//! The RTSP client machine: a camera's bytes, and time.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use peer::rtsp_client::{ClientConfig, ClientEvent, RtspClient, Secret, UdpPort};
use wire::rtsp::Reader;

use crate::input::Input;

/// As `MAX_TRANSMITS` messages of one dialogue may hold, with room.
const MAX_HELD_BYTES: usize = Reader::MAX_BUFFERED_BYTES + 64 * 1024;
const CAMERA: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5));
const PASSWORD: &str = "s3cr3t-of-the-camera";

/// What is held stays bounded, time is never due for ever, the password is nowhere in the clear, and
/// the end is said once.
pub fn client(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let options = input.byte();
    let mut config = ClientConfig::new("rtsp://10.0.0.5:8554/live/main").expect("an address");
    (config.ssrc, config.nonce_seed) = (0x0101_0101, 42);
    config.transcript = options & 1 != 0;
    if options & 2 != 0 {
        config = config.credentials("admin", Secret::new(PASSWORD));
    }
    let mut camera = Camera {
        client: RtspClient::new(config),
        now: Instant::now(),
        failures: 0,
    };
    camera.client.connected(camera.now);
    camera.drain();
    while !input.is_empty() {
        match input.byte() {
            0 => {
                let seconds = Duration::from_millis(u64::from(input.byte()) * 100);
                camera.pass(seconds);
            }
            1 => camera.client.peer_closed(),
            2 => camera.client.teardown(),
            _ => camera.feed(input.piece()),
        }
        camera.drain();
        assert!(camera.client.buffered_bytes() <= MAX_HELD_BYTES);
    }
    camera.pass(Duration::from_secs(100));
    camera.drain();
    let ended = camera.client.is_ended();
    assert!(!ended || camera.client.poll_timeout().is_none());
}

struct Camera {
    client: RtspClient,
    now: Instant,
    failures: usize,
}

impl Camera {
    fn feed(&mut self, bytes: &[u8]) {
        let mut media_bytes = 0;
        let mut count = |received: peer::rtsp_client::Received<'_>| {
            media_bytes += match received {
                peer::rtsp_client::Received::Rtp { packet, .. } => {
                    assert!(packet.len() >= 12 && packet[0] >> 6 == 2);
                    packet.len()
                }
                peer::rtsp_client::Received::Rtcp { packet, .. }
                | peer::rtsp_client::Received::Audio { packet, .. } => packet.len(),
            };
        };
        let held = self.client.buffered_bytes();
        self.client.receive(self.now, bytes, &mut count);
        assert!(media_bytes <= bytes.len() + held);
        // Where it has gone over to UDP, the same bytes are a datagram too.
        let from = (CAMERA, 9000).into();
        for port in [UdpPort::Rtp, UdpPort::Rtcp] {
            let sink = &mut |_: peer::rtsp_client::Received<'_>| {};
            self.client
                .receive_datagram(self.now, port, from, bytes, sink);
        }
        while let Some(datagram) = self.client.poll_datagram() {
            assert_eq!(datagram.to.ip(), CAMERA);
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.client.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.client.handle_timeout(self.now);
            self.drain();
            let next = self.client.poll_timeout();
            assert!(next.is_none_or(|next| next > due), "due for ever");
        }
        self.now = until;
    }

    fn drain(&mut self) {
        while let Some(sent) = self.client.poll_transmit() {
            let sent = String::from_utf8_lossy(&sent).into_owned();
            assert!(!sent.contains(PASSWORD));
        }
        let mut redial = false;
        let mut udp = false;
        while let Some(event) = self.client.poll_event() {
            match event {
                ClientEvent::Failed(failure) => {
                    self.failures += 1;
                    assert!(!failure.to_string().contains(PASSWORD));
                }
                ClientEvent::Redial { port, .. } => {
                    assert!(port != 0);
                    redial = true;
                }
                ClientEvent::UdpWanted => udp = true,
                _ => {}
            }
        }
        if udp {
            self.client.udp_bound(self.now, CAMERA, 7000);
        }
        assert!(self.failures <= 1);
        while let Some(entry) = self.client.poll_transcript() {
            assert!(!format!("{entry:?}").contains(PASSWORD));
        }
        if redial {
            self.client.connected(self.now);
            self.drain();
        }
    }
}

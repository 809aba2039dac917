//! Media by UDP instead of inside the RTSP connection (RFC 2326 section 10.4, RTP/AVP): asked for
//! where a camera refuses interleaved TCP. The dialogue, sign-in and keep-alive stay on TCP.
//!
//! The driver owns the sockets: on [`ClientEvent::UdpWanted`] it binds an even port and the next one,
//! says [`RtspClient::udp_bound`], hands what comes to [`RtspClient::receive_datagram`] and sends all
//! of [`RtspClient::poll_datagram`].

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use wire::rtsp::Transport;

use super::MAX_TRANSMITS;
use super::auth::Attempts;
use super::client::{ClientEvent, Received, RtspClient};
use super::failure::Step;

/// How media reaches us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MediaTransport {
    /// Interleaved in the RTSP connection.
    #[default]
    Tcp,
    Udp,
}

impl MediaTransport {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Tcp => Self::Udp,
            Self::Udp => Self::Tcp,
        }
    }
}

/// Which of the two ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UdpPort {
    /// The even one.
    Rtp,
    /// The one after it.
    Rtcp,
}

/// To be sent from one of our two ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    pub port: UdpPort,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

/// From where datagrams are taken, and where ours go.
#[derive(Debug)]
pub(super) struct UdpPath {
    // given
    camera: IpAddr,
    rtp_port: u16,
    // owned: what the answer to SETUP said
    source: Option<IpAddr>,
    server_port: Option<(u16, u16)>,
    // learnt
    rtp_from: Option<SocketAddr>,
    rtcp_from: Option<SocketAddr>,
}

impl UdpPath {
    fn new(camera: IpAddr, rtp_port: u16) -> Self {
        Self {
            camera: camera.to_canonical(),
            rtp_port,
            source: None,
            server_port: None,
            rtp_from: None,
            rtcp_from: None,
        }
    }

    pub fn wanted(&self) -> Transport {
        Transport::udp(self.rtp_port)
    }

    pub fn set_answer(&mut self, answer: &Transport) {
        let source = answer.source.as_deref().unwrap_or_default();
        let source = source.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        self.source = source.filter(|ip| !ip.is_unspecified());
        self.server_port = answer.server_port.filter(|(rtp, _)| *rtp != 0);
    }

    /// Only the camera's address counts (the one dialled, or the source that it named), with the
    /// port that it named, else with the port that the first packet came from.
    fn takes(&self, port: UdpPort, from: SocketAddr) -> bool {
        let ip = from.ip().to_canonical();
        let known_port = match (port, self.server_port) {
            (UdpPort::Rtp, Some((rtp, _))) => Some(rtp),
            (UdpPort::Rtp, None) => self.rtp_from.map(|from| from.port()),
            (UdpPort::Rtcp, Some((_, rtcp))) => Some(rtcp),
            (UdpPort::Rtcp, None) => None,
        };
        (ip == self.camera || Some(ip) == self.source)
            && known_port.is_none_or(|port| port == from.port())
    }

    /// Nothing goes to an address that only the camera's word names: `source` is believed once
    /// something came from there.
    fn rtcp_to(&self) -> Option<SocketAddr> {
        let ip = self.rtp_from.map_or(self.camera, |from| from.ip());
        let named = self.server_port.map(|(_, rtcp)| SocketAddr::new(ip, rtcp));
        let beside = self.rtp_from.map(|from| {
            // RFC 3550 section 11: RTCP is on the next port.
            SocketAddr::new(ip, from.port().saturating_add(1))
        });
        named.or(self.rtcp_from).or(beside)
    }
}

impl RtspClient {
    /// How media comes, or is asked for at present.
    pub fn transport(&self) -> MediaTransport {
        self.transport
    }

    /// The answer to [`ClientEvent::UdpWanted`]: datagrams to `rtp_port` (even) and the port after
    /// it reach us. `camera` is the address that the TCP connection goes to.
    pub fn udp_bound(&mut self, now: Instant, camera: IpAddr, rtp_port: u16) {
        if self.is_talking() && self.transport == MediaTransport::Udp && self.channels.is_none() {
            self.udp = Some(Box::new(UdpPath::new(camera, rtp_port)));
            self.request(now, Step::Setup, Attempts::default());
        }
    }

    /// One datagram; `sink` gets the media in it. What is not the camera's is counted and dropped.
    pub fn receive_datagram(
        &mut self,
        now: Instant,
        port: UdpPort,
        from: SocketAddr,
        bytes: &[u8],
        sink: &mut dyn FnMut(Received<'_>),
    ) {
        if !self.is_talking() {
            return;
        }
        let is_ours = self.udp.as_ref().is_some_and(|path| path.takes(port, from));
        let Some((rtp, rtcp)) = self.channels.filter(|_| is_ours && self.media_open) else {
            self.counters.foreign_datagrams += 1;
            return;
        };
        let taken_before = self.counters.rtp_packets;
        match port {
            UdpPort::Rtp => self.on_rtp(now, rtp, bytes, sink),
            UdpPort::Rtcp => {
                let channel = rtcp;
                sink(Received::Rtcp {
                    channel,
                    packet: bytes,
                });
                self.on_rtcp(now, bytes);
            }
        }
        let Some(path) = &mut self.udp else { return };
        match port {
            // Only a packet of the track shows where the track comes from.
            UdpPort::Rtp if self.counters.rtp_packets > taken_before => path.rtp_from = Some(from),
            UdpPort::Rtp => {}
            UdpPort::Rtcp => path.rtcp_from = Some(from),
        }
    }

    /// The next datagram to send; lost ones are not repeated.
    pub fn poll_datagram(&mut self) -> Option<Datagram> {
        self.datagrams.pop_front()
    }

    /// SETUP by the transport that is tried now, or first the wish for ports.
    pub(super) fn set_up(&mut self, now: Instant) {
        if self.transport == MediaTransport::Udp && self.udp.is_none() {
            self.step = Step::Setup;
            self.events.push_back(ClientEvent::UdpWanted);
        } else {
            self.request(now, Step::Setup, Attempts::default());
        }
    }

    /// Tries the other transport, if that was not tried before.
    pub(super) fn change_transport(&mut self, now: Instant) -> bool {
        if self.transport_changed {
            return false;
        }
        self.transport_changed = true;
        self.transport = self.transport.other();
        self.udp = None;
        self.set_up(now);
        true
    }

    /// Opens the way through a NAT or firewall that is ours (an empty RTP packet and an empty
    /// receiver report), before the camera sends.
    pub(super) fn punch_holes(&mut self) {
        let Some(path) = &self.udp else { return };
        let Some((rtp, rtcp)) = path.server_port else {
            return;
        };
        let camera = path.camera;
        let [a, b, c, d] = self.config.ssrc.to_be_bytes();
        let empty_rtp = vec![0x80, 0, 0, 0, 0, 0, 0, 0, a, b, c, d];
        let empty_report = vec![0x80, 201, 0, 1, a, b, c, d];
        self.send_datagram(UdpPort::Rtp, SocketAddr::new(camera, rtp), empty_rtp);
        self.send_datagram(UdpPort::Rtcp, SocketAddr::new(camera, rtcp), empty_report);
    }

    pub(super) fn send_report_datagram(&mut self, report: Vec<u8>) {
        if let Some(to) = self.udp.as_deref().and_then(UdpPath::rtcp_to) {
            self.send_datagram(UdpPort::Rtcp, to, report);
        }
    }

    fn send_datagram(&mut self, port: UdpPort, to: SocketAddr, bytes: Vec<u8>) {
        if self.datagrams.len() < MAX_TRANSMITS {
            self.datagrams.push_back(Datagram { port, to, bytes });
        } else {
            self.note_unsent();
        }
    }
}

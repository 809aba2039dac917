//! How a viewer is reached: WebRTC, sealed; or the RTSP connection it came by, which may be TLS.

use std::net::SocketAddr;
use std::time::Instant;

use peer::webrtc::{DatagramError, Origin, PeerEvent, Way, WebrtcPeer};
use wire::rtp::RTP_HEADER_BYTES;
use wire::rtsp::{INTERLEAVED_MAGIC, write_interleaved};

use crate::stats::ViewerTransport;
use crate::tcp::StreamAddress;

#[allow(clippy::large_enum_variant)] // nearly all are the large one
pub(crate) enum Leg {
    Webrtc(WebrtcPeer),
    Rtsp(RtspLeg),
}

/// The dialogue is the connection's; here is only where media goes.
pub(crate) struct RtspLeg {
    address: SocketAddr,
    by_tls: bool,
    /// None while it is not playing.
    pub rtp_channel: Option<u8>,
}

impl RtspLeg {
    pub fn new(address: SocketAddr, by_tls: bool) -> Self {
        Self {
            address,
            by_tls,
            rtp_channel: None,
        }
    }
}

impl Leg {
    pub fn transport(&self) -> ViewerTransport {
        match self {
            Self::Rtsp(leg) if leg.by_tls => ViewerTransport::Rtsps,
            Self::Rtsp(_) => ViewerTransport::Rtsp,
            Self::Webrtc(peer) if peer.remote_addr().is_some_and(|at| StreamAddress::is(&at)) => {
                ViewerTransport::Tcp
            }
            Self::Webrtc(_) => ViewerTransport::Udp,
        }
    }

    /// Where media goes, when there is such a place.
    pub fn way(&self) -> Option<Way> {
        match self {
            Self::Webrtc(peer) => peer.way(),
            Self::Rtsp(leg) => leg.rtp_channel.map(|_| leg.address.into()),
        }
    }

    pub fn remote_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Webrtc(peer) => peer.remote_addr(),
            Self::Rtsp(leg) => Some(leg.address),
        }
    }

    pub fn known_addrs(&self) -> Vec<SocketAddr> {
        match self {
            Self::Webrtc(peer) => peer.known_addrs().collect(),
            Self::Rtsp(leg) => vec![leg.address],
        }
    }

    /// Appends a packet as it leaves. False when it can't, with nothing that counts appended.
    #[inline]
    pub fn seal(
        &mut self,
        header: &[u8; RTP_HEADER_BYTES],
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        match self {
            Self::Webrtc(peer) => peer
                .sealer_mut()
                .is_some_and(|sealer| sealer.seal(header, payload, out).is_ok()),
            Self::Rtsp(leg) => {
                let Some(channel) = leg.rtp_channel else {
                    return false;
                };
                let Ok(length) = u16::try_from(RTP_HEADER_BYTES + payload.len()) else {
                    return false;
                };
                let [high, low] = length.to_be_bytes();
                out.extend_from_slice(&[INTERLEAVED_MAGIC, channel, high, low]);
                out.extend_from_slice(header);
                out.extend_from_slice(payload);
                true
            }
        }
    }

    pub fn seal_rtcp(&mut self, compound: &[u8], out: &mut Vec<u8>) -> bool {
        match self {
            Self::Webrtc(peer) => peer.seal_rtcp(compound, out),
            Self::Rtsp(leg) => leg
                .rtp_channel
                .is_some_and(|rtp| write_interleaved(out, rtp.saturating_add(1), compound)),
        }
    }

    pub fn receive(
        &mut self,
        now: Instant,
        origin: Origin,
        datagram: &[u8],
    ) -> Result<(), DatagramError> {
        match self {
            Self::Webrtc(peer) => peer.handle_from(now, origin, datagram),
            Self::Rtsp(_) => Ok(()),
        }
    }

    pub fn poll_transmit(&mut self) -> Option<(Way, Vec<u8>)> {
        self.webrtc_mut()?.poll_transmit()
    }

    pub fn poll_event(&mut self) -> Option<PeerEvent> {
        self.webrtc_mut()?.poll_event()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Webrtc(peer) => peer.poll_timeout(),
            Self::Rtsp(_) => None,
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if let Self::Webrtc(peer) = self {
            peer.handle_timeout(now);
        }
    }

    pub fn forget(&mut self, address: SocketAddr) {
        if let Self::Webrtc(peer) = self {
            peer.forget(address);
        }
    }

    pub fn close(&mut self, now: Instant) {
        if let Self::Webrtc(peer) = self {
            peer.close(now);
        }
    }

    fn webrtc_mut(&mut self) -> Option<&mut WebrtcPeer> {
        match self {
            Self::Webrtc(peer) => Some(peer),
            Self::Rtsp(_) => None,
        }
    }
}

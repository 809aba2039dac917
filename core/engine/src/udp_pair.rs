//! The two UDP ports of one camera that does not send over TCP.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use peer::rtsp_client::{Received, RtspClient, UdpPort};
use socket2::SockRef;

use crate::source::Left;

/// A main stream's keyframe burst waits here while the shard sends; the kernel grants at most
/// net.core.rmem_max.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;
/// One visit takes at most this many datagrams of one camera: as many bytes as are read of one by
/// TCP, and no more system calls for a flood of small ones.
const DATAGRAMS_PER_VISIT: usize = 192;
/// A camera reports once in some seconds; more is not it, and must not hold up its picture.
const REPORTS_PER_VISIT: usize = 16;
/// The longest that UDP carries.
const MAX_DATAGRAM_BYTES: usize = 65_536;
/// Every second port that the kernel picks is odd, and the next one may be taken.
const BIND_TRIES: usize = 64;

pub(crate) struct UdpPair {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    rtp_port: u16,
}

impl UdpPair {
    /// An even port of `ip` and the one after it (RFC 3550 section 11), not blocking.
    pub fn bind(ip: IpAddr) -> io::Result<Self> {
        let mut tries = 0;
        loop {
            tries += 1;
            match Self::try_bind(ip) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < BIND_TRIES => {}
                bound => return bound,
            }
        }
    }

    fn try_bind(ip: IpAddr) -> io::Result<Self> {
        let rtp = UdpSocket::bind((ip, 0))?;
        let rtp_port = rtp.local_addr()?.port();
        if rtp_port % 2 != 0 {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let rtcp = UdpSocket::bind((ip, rtp_port + 1))?;
        for socket in [&rtp, &rtcp] {
            socket.set_nonblocking(true)?;
        }
        let _ = SockRef::from(&rtp).set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
        Ok(Self {
            rtp,
            rtcp,
            rtp_port,
        })
    }

    pub fn rtp_port(&self) -> u16 {
        self.rtp_port
    }

    pub fn fds(&self) -> [BorrowedFd<'_>; 2] {
        [self.rtp.as_fd(), self.rtcp.as_fd()]
    }

    /// Reads what is there, up to the budget, and hands it through the machine.
    pub fn readable(
        &self,
        now: Instant,
        client: &mut RtspClient,
        scratch: &mut [u8],
        sink: &mut dyn FnMut(Received<'_>),
    ) -> Left {
        let room = scratch.len().min(MAX_DATAGRAM_BYTES);
        let scratch = &mut scratch[..room];
        let mut left = Left::Nothing;
        for (port, socket, budget) in [
            (UdpPort::Rtp, &self.rtp, DATAGRAMS_PER_VISIT),
            (UdpPort::Rtcp, &self.rtcp, REPORTS_PER_VISIT),
        ] {
            let mut read = 0;
            while let Some((bytes, from)) = receive(socket, scratch) {
                client.receive_datagram(now, port, from, &scratch[..bytes], sink);
                read += 1;
                if read == budget {
                    left = Left::More;
                    break;
                }
            }
        }
        left
    }

    /// Sends what the machine wants sent. What the kernel does not take is lost, as on any network.
    pub fn flush(&self, client: &mut RtspClient) {
        while let Some(datagram) = client.poll_datagram() {
            let socket = match datagram.port {
                UdpPort::Rtp => &self.rtp,
                UdpPort::Rtcp => &self.rtcp,
            };
            let _ = socket.send_to(&datagram.bytes, datagram.to);
        }
    }
}

/// The next datagram, or none for now.
fn receive(socket: &UdpSocket, scratch: &mut [u8]) -> Option<(usize, SocketAddr)> {
    loop {
        match socket.recv_from(scratch) {
            Ok(received) => return Some(received),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

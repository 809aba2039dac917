//! Media by UDP: one pair of ports for all clients, and what still waits for its turn to each.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use wire::rtcp::{self, RtcpItem};
use wire::rtsp::INTERLEAVED_HEADER_BYTES;

/// Sent to one client at once. A keyframe of 180 packets as one burst would not fit a receiver's
/// socket buffer; cameras send at the rate of their network.
const PACKETS_PER_MS: usize = 32;
/// An even number is found at every second try; the one after it may be taken.
const BIND_TRIES: usize = 64;
const REPORTS_PER_WAKE: usize = 256;

/// The farm's two ports.
pub struct UdpPorts {
    rtp: UdpSocket,
    pub rtcp: UdpSocket,
    pub numbers: (u16, u16),
}

impl UdpPorts {
    /// Any free even port of `ip`, and the one after it.
    pub fn bind(ip: IpAddr) -> io::Result<Self> {
        let mut tries = 0;
        loop {
            tries += 1;
            let rtp = UdpSocket::bind((ip, 0))?;
            let number = rtp.local_addr()?.port();
            let next = number.checked_add(1).filter(|_| number % 2 == 0);
            match next.map(|next| UdpSocket::bind((ip, next))) {
                Some(Ok(rtcp)) => {
                    rtp.set_nonblocking(true)?;
                    rtcp.set_nonblocking(true)?;
                    let numbers = (number, number + 1);
                    return Ok(Self { rtp, rtcp, numbers });
                }
                Some(Err(error)) if tries == BIND_TRIES => return Err(error),
                None if tries == BIND_TRIES => return Err(io::ErrorKind::AddrInUse.into()),
                _ => {}
            }
        }
    }

    /// How many reports of reception have come since the last call. The empty ones that clients
    /// open their NAT with are none.
    pub fn take_reports(&self, scratch: &mut [u8]) -> u64 {
        let mut reports = 0;
        for _ in 0..REPORTS_PER_WAKE {
            let Ok((count, _)) = self.rtcp.recv_from(scratch) else {
                break;
            };
            let says_something = |item| matches!(item, Ok(RtcpItem::ReceiverReport { blocks, .. }) if !blocks.is_empty());
            reports += u64::from(rtcp::items(&scratch[..count]).any(says_something));
        }
        reports
    }
}

/// The way to one client.
pub struct UdpWay {
    // given
    rtp_to: SocketAddr,
    rtcp_to: SocketAddr,
    // owned
    /// Interleaved frames, of channels 0 and 1; sent up to `sent`.
    waiting: Vec<u8>,
    sent: usize,
    next_us: u64,
}

impl UdpWay {
    pub fn new(client: IpAddr, rtp_port: u16, rtcp_port: u16) -> Self {
        Self {
            rtp_to: (client, rtp_port).into(),
            rtcp_to: (client, rtcp_port).into(),
            waiting: Vec::new(),
            sent: 0,
            next_us: 0,
        }
    }

    /// When [`Self::send`] is due; `None` while nothing waits.
    pub fn due_us(&self) -> Option<u64> {
        (self.sent < self.waiting.len()).then_some(self.next_us)
    }

    pub fn queue(&mut self, now_us: u64, frames: &[u8]) {
        self.waiting.extend_from_slice(frames);
        self.next_us = now_us;
    }

    /// Sends the next ones.
    pub fn send(&mut self, now_us: u64, ports: &UdpPorts) {
        self.next_us = now_us + 1_000;
        for _ in 0..PACKETS_PER_MS {
            let rest = &self.waiting[self.sent..];
            let [_, channel, high, low, ..] = *rest else {
                break;
            };
            let end = INTERLEAVED_HEADER_BYTES + usize::from(u16::from_be_bytes([high, low]));
            let packet = &rest[INTERLEAVED_HEADER_BYTES..end];
            // A datagram that the kernel does not take is lost, as on any network.
            let _maybe_lost = match channel {
                0 => ports.rtp.send_to(packet, self.rtp_to),
                _ => ports.rtcp.send_to(packet, self.rtcp_to),
            };
            self.sent += end;
        }
        if self.sent == self.waiting.len() {
            self.waiting.clear();
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_even_and_next_and_a_burst_is_sent_in_parts_to_the_right_port() {
        let ip: IpAddr = [127, 0, 0, 1].into();
        let (ports, client) = (UdpPorts::bind(ip).unwrap(), UdpPorts::bind(ip).unwrap());
        assert_eq!(ports.numbers.0 % 2, 0);
        assert_eq!(ports.numbers.1, ports.numbers.0 + 1);
        let mut way = UdpWay::new(ip, client.numbers.0, client.numbers.1);
        let mut frames = Vec::new();
        for number in 0..40_u8 {
            frames.extend([b'$', 0, 0, 3, 1, 2, number]);
        }
        frames.extend([b'$', 1, 0, 1, 9]);
        way.queue(500, &frames);
        assert_eq!(way.due_us(), Some(500));
        way.send(500, &ports);
        assert_eq!(way.due_us(), Some(1_500));
        way.send(1_500, &ports);
        assert_eq!(way.due_us(), None);
        let mut scratch = [0; 64];
        client.rtp.set_nonblocking(false).unwrap();
        client.rtcp.set_nonblocking(false).unwrap();
        for number in 0..40_u8 {
            let (count, from) = client.rtp.recv_from(&mut scratch).unwrap();
            assert_eq!(scratch[..count], [1, 2, number]);
            assert_eq!(from.port(), ports.numbers.0);
        }
        let (count, from) = client.rtcp.recv_from(&mut scratch).unwrap();
        assert_eq!(
            (&scratch[..count], from.port()),
            (&[9][..], ports.numbers.1)
        );
    }
}

//! Viewers that reach us by TCP only (RFC 6544, passive): one connection, and the address it goes by.

use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::SockRef;
use wire::framing::{Deframer, write_frame};

use crate::timers::Armed;

/// Unsent bytes of one viewer above which no more media is sealed for it: half a second at 4 Mbit/s.
/// Its cursor waits, and then drops whole access units.
pub const TCP_BACKLOG_BYTES: usize = 256 << 10;
/// Not yet sent bytes that the kernel takes beside those under way: left to itself it holds megabytes,
/// and a viewer whose way is narrow would see the past, seconds of it.
const TCP_NOTSENT_BYTES: u32 = 32 << 10;
/// Above it answers to checks are dropped too: their sender repeats itself.
const TCP_MAX_UNSENT_BYTES: usize = 2 * TCP_BACKLOG_BYTES;
/// A connection that has not shown a viewer's check by then is closed.
pub const PROOF_DEADLINE: Duration = Duration::from_secs(5);
/// A goodbye that the other side does not take within this is dropped.
pub const GOODBYE_DEADLINE: Duration = Duration::from_secs(1);
/// Read of one connection in one visit; viewers send a few hundred bytes a second.
const READ_BUDGET_BYTES: usize = 16 << 10;

/// All layers above know a viewer by its address. A connection gets one of its own, out of the
/// prefix that no packet comes from (RFC 6666), so that it is never taken for the same viewer's UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamAddress;

impl StreamAddress {
    const PREFIX: [u16; 4] = [0x0100, 0, 0, 0];

    /// The `serial`th connection's.
    pub fn of(serial: u64) -> SocketAddr {
        let [a, b, c, d] = Self::PREFIX;
        let [e, f, g, h] = [48, 32, 16, 0].map(|shift| (serial >> shift & 0xFFFF) as u16);
        (Ipv6Addr::new(a, b, c, d, e, f, g, h), 0).into()
    }

    pub fn is(address: &SocketAddr) -> bool {
        match address {
            SocketAddr::V6(v6) => v6.ip().segments()[..4] == Self::PREFIX,
            SocketAddr::V4(_) => false,
        }
    }
}

/// What a visit found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    Goes,
    Over,
}

pub(crate) struct Connection {
    // given
    stream: TcpStream,
    /// Whom it really comes from: what a check is told, and counted by.
    pub from: SocketAddr,
    pub address: SocketAddr,
    // owned
    deframer: Deframer,
    unsent: Vec<u8>,
    pub armed: Armed,
    /// A viewer's check came by it.
    pub proven: bool,
    /// Nothing more is sealed for it; it closes when the last bytes are out, or at the deadline.
    pub closing: bool,
    pub deadline: Option<Instant>,
}

impl Connection {
    pub fn new(stream: TcpStream, from: SocketAddr, address: SocketAddr, now: Instant) -> Self {
        // Refused: the view is only later behind a narrow way.
        let _ = SockRef::from(&stream).set_tcp_notsent_lowat(TCP_NOTSENT_BYTES);
        Self {
            stream,
            from,
            address,
            deframer: Deframer::default(),
            unsent: Vec::new(),
            armed: None,
            proven: false,
            closing: false,
            deadline: Some(now + PROOF_DEADLINE),
        }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Is there so much unsent that no more media should be sealed?
    pub fn is_full(&self) -> bool {
        self.unsent.len() >= TCP_BACKLOG_BYTES
    }

    /// Takes what has come, frame by frame.
    pub fn read(&mut self, scratch: &mut [u8], sink: &mut dyn FnMut(&[u8])) -> Visit {
        let mut budget = READ_BUDGET_BYTES;
        while budget > 0 {
            let want = scratch.len().min(budget);
            match self.stream.read(&mut scratch[..want]) {
                Ok(0) => return Visit::Over,
                Ok(n) => {
                    budget -= n;
                    if self.deframer.push(&scratch[..n], sink).is_err() {
                        return Visit::Over;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Visit::Goes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Visit::Over,
            }
        }
        // More than any viewer sends in a visit.
        Visit::Over
    }

    /// One datagram behind what waits. A frame that was begun is always finished.
    pub fn queue(&mut self, datagram: &[u8]) {
        if self.unsent.len() < TCP_MAX_UNSENT_BYTES {
            // A sealed datagram fits 16 bits by far.
            let _ = write_frame(&mut self.unsent, datagram);
        }
    }

    /// Writes as much as the connection takes.
    pub fn flush(&mut self) -> Visit {
        let mut written = 0;
        let visit = loop {
            if written == self.unsent.len() {
                break if self.closing {
                    Visit::Over
                } else {
                    Visit::Goes
                };
            }
            match self.stream.write(&self.unsent[written..]) {
                Ok(0) => break Visit::Over,
                Ok(n) => written += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Visit::Goes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break Visit::Over,
            }
        };
        self.unsent.drain(..written);
        visit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_has_an_address_that_is_nobody_elses() {
        let (first, far) = (StreamAddress::of(1), StreamAddress::of(u64::MAX));
        assert!(StreamAddress::is(&first) && StreamAddress::is(&far) && first != far);
        for real in ["127.0.0.1:9", "[::1]:9", "[2001:db8::1]:9", "[100:1::1]:9"] {
            assert!(!StreamAddress::is(&real.parse().unwrap()));
        }
    }

    /// A connection as the shard has it, and the viewer's end.
    fn pair() -> (Connection, TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let viewer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, from) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let connection = Connection::new(stream, from, StreamAddress::of(1), Instant::now());
        (connection, viewer)
    }

    #[test]
    fn a_viewer_that_does_not_read_holds_a_bounded_backlog_and_gets_whole_frames_later() {
        let (mut connection, mut viewer) = pair();
        let mut queued: Vec<u8> = Vec::new();
        for number in 0..20_000u32 {
            if connection.is_full() {
                break;
            }
            let datagram = [number.to_be_bytes(); 300].concat();
            connection.queue(&datagram);
            queued.extend(1_200u16.to_be_bytes());
            queued.extend(datagram);
            assert_eq!(connection.flush(), Visit::Goes);
        }
        assert!(connection.is_full(), "the other side reads nothing");
        for _ in 0..2_000 {
            connection.queue(&[9; 1_200]);
        }
        assert!(connection.unsent.len() < TCP_MAX_UNSENT_BYTES + 2_048);
        viewer.set_nonblocking(true).unwrap();
        let (mut got, mut chunk) = (Vec::new(), [0; 65_536]);
        let deadline = Instant::now() + Duration::from_secs(10);
        while got.len() < queued.len() && Instant::now() < deadline {
            if let Ok(n) = viewer.read(&mut chunk) {
                got.extend_from_slice(&chunk[..n]);
            }
            assert_eq!(connection.flush(), Visit::Goes);
        }
        assert!(got[..queued.len()] == queued[..], "in order, none cut");
        assert!(!connection.is_full());
    }

    #[test]
    fn a_goodbye_ends_the_connection_when_it_is_out_and_an_end_is_seen() {
        let (mut connection, viewer) = pair();
        connection.queue(b"bye");
        connection.closing = true;
        assert_eq!(connection.flush(), Visit::Over);
        let (mut connection, other) = pair();
        drop((viewer, other));
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut scratch = [0; 256];
        while connection.read(&mut scratch, &mut |_| {}) == Visit::Goes {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    }
}

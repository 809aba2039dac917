//! One TCP connection of a viewer, and the address it goes by: a browser that has no UDP (RFC 6544,
//! passive), or a client of the RTSP door.

use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use peer::rtsp_door::RtspDoor;
use peer::rtsp_server::ConnectionSeeds;
use peer::tls::{Ended, TlsServer};
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
/// An RTSP client without an accepted ticket by then is closed: two tries and a dial fit well.
pub const TICKET_DEADLINE: Duration = Duration::from_secs(30);
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

    /// Which one it is; `None` for a real address.
    pub fn serial(address: &SocketAddr) -> Option<u64> {
        match address {
            SocketAddr::V6(v6) if Self::is(address) => {
                let [.., e, f, g, h] = v6.ip().segments();
                let tail = [e, f, g, h].into_iter();
                Some(tail.fold(0, |serial, part| serial << 16 | u64::from(part)))
            }
            _ => None,
        }
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

/// What is spoken on a connection.
pub(crate) enum Tongue {
    Ice(Deframer),
    Rtsp(Box<Rtsp>),
}

impl Tongue {
    fn tls_mut(&mut self) -> Option<&mut TlsServer> {
        match self {
            Self::Rtsp(rtsp) => rtsp.tls.as_mut(),
            Self::Ice(_) => None,
        }
    }
}

pub(crate) struct Rtsp {
    pub door: RtspDoor,
    /// What its viewer begins with; the dialogue tells the client.
    pub seeds: ConnectionSeeds,
    /// What the dialogue and its media are sealed by; none on the door in the clear.
    pub tls: Option<TlsServer>,
}

impl Rtsp {
    fn receive(&mut self, now: Instant, now_unix_s: u64, bytes: &[u8]) -> Result<(), Ended> {
        let Self { door, tls, .. } = self;
        let mut hear = |plain: &[u8]| door.receive(now, now_unix_s, plain);
        match tls {
            Some(tls) => tls.receive(bytes, &mut hear),
            None => {
                hear(bytes);
                Ok(())
            }
        }
    }
}

pub(crate) struct Connection {
    // given
    stream: TcpStream,
    /// Whom it really comes from: what a check is told, and counted by.
    pub from: SocketAddr,
    pub address: SocketAddr,
    // owned
    tongue: Tongue,
    unsent: Vec<u8>,
    pub armed: Armed,
    /// A viewer's check came by it, or its ticket was accepted.
    pub proven: bool,
    /// Nothing more is sealed for it; it closes when the last bytes are out, or at the deadline.
    pub closing: bool,
    pub deadline: Option<Instant>,
}

impl Connection {
    pub fn new(
        stream: TcpStream,
        from: SocketAddr,
        address: SocketAddr,
        tongue: Tongue,
        now: Instant,
    ) -> Self {
        let patience = match tongue {
            Tongue::Ice(_) => PROOF_DEADLINE,
            Tongue::Rtsp(_) => TICKET_DEADLINE,
        };
        // Refused: the view is only later behind a narrow way.
        let _ = SockRef::from(&stream).set_tcp_notsent_lowat(TCP_NOTSENT_BYTES);
        Self {
            stream,
            from,
            address,
            tongue,
            unsent: Vec::new(),
            armed: None,
            proven: false,
            closing: false,
            deadline: Some(now + patience),
        }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Is there so much unsent that no more media should be sealed?
    pub fn is_full(&self) -> bool {
        self.unsent.len() >= TCP_BACKLOG_BYTES
    }

    pub fn rtsp(&self) -> Option<&Rtsp> {
        match &self.tongue {
            Tongue::Rtsp(rtsp) => Some(rtsp),
            Tongue::Ice(_) => None,
        }
    }

    pub fn door_mut(&mut self) -> Option<&mut RtspDoor> {
        match &mut self.tongue {
            Tongue::Rtsp(rtsp) => Some(&mut rtsp.door),
            Tongue::Ice(_) => None,
        }
    }

    pub fn tls(&self) -> Option<&TlsServer> {
        self.rtsp().and_then(|rtsp| rtsp.tls.as_ref())
    }

    /// When something is due on it.
    pub fn next_deadline(&self) -> Option<Instant> {
        let door = self.rtsp().and_then(|rtsp| rtsp.door.poll_timeout());
        self.deadline.into_iter().chain(door).min()
    }

    /// Takes what has come: frame by frame, or as RTSP, where `now_unix_s` is what tickets expire by.
    pub fn read(
        &mut self,
        now: Instant,
        now_unix_s: u64,
        scratch: &mut [u8],
        sink: &mut dyn FnMut(&[u8]),
    ) -> Visit {
        let mut budget = READ_BUDGET_BYTES;
        while budget > 0 {
            let want = scratch.len().min(budget);
            match self.stream.read(&mut scratch[..want]) {
                Ok(0) => return Visit::Over,
                Ok(n) => {
                    budget -= n;
                    match &mut self.tongue {
                        Tongue::Ice(deframer) => {
                            if deframer.push(&scratch[..n], sink).is_err() {
                                return Visit::Over;
                            }
                        }
                        Tongue::Rtsp(rtsp) => {
                            if rtsp.receive(now, now_unix_s, &scratch[..n]).is_err() {
                                return Visit::Over;
                            }
                        }
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
            match self.tongue {
                // A sealed datagram fits 16 bits by far.
                Tongue::Ice(_) => drop(write_frame(&mut self.unsent, datagram)),
                // It is a frame already.
                Tongue::Rtsp(_) => self.unsent.extend_from_slice(datagram),
            }
        }
    }

    /// Moves what the dialogue wants sent behind what waits. False when the client takes none of it.
    pub fn queue_answers(&mut self) -> bool {
        let Tongue::Rtsp(rtsp) = &mut self.tongue else {
            return true;
        };
        while let Some(answer) = rtsp.door.poll_transmit() {
            self.unsent.extend_from_slice(&answer);
        }
        self.unsent.len() < TCP_MAX_UNSENT_BYTES
    }

    /// Writes as much as the connection takes. By TLS no more is sealed than it is about to take, so
    /// that what a right's end drops was not sealed either.
    pub fn flush(&mut self) -> Visit {
        let mut taken = 0;
        let visit = loop {
            let rest = &self.unsent[taken..];
            let wrote = match self.tongue.tls_mut() {
                Some(tls) => {
                    if !tls.has_waiting() {
                        taken += tls.seal(rest);
                    }
                    if rest.is_empty() && self.closing {
                        tls.close();
                    }
                    if !tls.has_waiting() {
                        break self.when_flushed();
                    }
                    tls.write_to(&mut self.stream)
                }
                None if rest.is_empty() => break self.when_flushed(),
                None => self.stream.write(rest).inspect(|n| taken += n),
            };
            match wrote {
                Ok(0) => break Visit::Over,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Visit::Goes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break Visit::Over,
            }
        };
        self.unsent.drain(..taken);
        visit
    }

    fn when_flushed(&self) -> Visit {
        match self.closing {
            true => Visit::Over,
            false => Visit::Goes,
        }
    }

    /// It is closed at once, whatever waits: a client by TLS is told that this is the end, where
    /// nothing that was sealed stands before it.
    pub fn say_end(&mut self) {
        if let Some(tls) = self.tongue.tls_mut()
            && !tls.is_handshaking()
            && !tls.has_waiting()
            && tls.close()
        {
            let _ = tls.write_to(&mut self.stream);
        }
    }
}

#[cfg(test)]
mod by_tls;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_has_an_address_that_is_nobody_elses() {
        let (first, far) = (StreamAddress::of(1), StreamAddress::of(u64::MAX));
        assert!(StreamAddress::is(&first) && StreamAddress::is(&far) && first != far);
        assert_eq!(StreamAddress::serial(&far), Some(u64::MAX));
        for real in ["127.0.0.1:9", "[::1]:9", "[2001:db8::1]:9", "[100:1::1]:9"] {
            assert!(!StreamAddress::is(&real.parse().unwrap()));
        }
    }

    /// A connection as the shard has it, and the viewer's end.
    pub fn pair() -> (Connection, TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let viewer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, from) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let (address, tongue) = (StreamAddress::of(1), Tongue::Ice(Deframer::default()));
        let connection = Connection::new(stream, from, address, tongue, Instant::now());
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
        while connection.read(deadline, 0, &mut scratch, &mut |_| {}) == Visit::Goes {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    }
}

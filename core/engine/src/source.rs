//! One camera connection: the TCP socket under the RTSP client machine, and its two UDP ports where
//! the camera sends by UDP.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use peer::rtsp_client::{ClientConfig, Failure, FailureKind, Received, RtspClient, Step};
use socket2::{Domain, Protocol, Socket, Type};

use crate::timers::Armed;
use crate::udp_pair::UdpPair;

/// A camera that does not answer a SYN in this time is off or unreachable.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// One visit reads at most this much of one camera, so that a burst of one does not starve others.
pub(crate) const READ_BUDGET_BYTES: usize = 256 * 1024;
/// A main stream's keyframe burst waits here while the shard sends.
const TCP_RECEIVE_BUFFER_BYTES: usize = 1 << 20;
/// Requests that a camera does not read. A dialogue is a few kB; more means it is stuck.
const MAX_UNSENT_BYTES: usize = 64 * 1024;

/// What a visit left in the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    Nothing,
    /// The budget ran out first: come back without being told.
    More,
}

impl Left {
    fn or(self, other: Self) -> Self {
        match self {
            Self::More => Self::More,
            Self::Nothing => other,
        }
    }
}

pub(crate) struct Source {
    // given
    connect_to: SocketAddr,
    // owned
    socket: TcpStream,
    connect_deadline: Option<Instant>,
    pub client: RtspClient,
    udp: Option<UdpPair>,
    unsent: Vec<u8>,
    pub armed: Armed,
}

impl Source {
    /// Begins to dial.
    pub fn dial(
        connect_to: SocketAddr,
        config: ClientConfig,
        now: Instant,
    ) -> Result<Self, Failure> {
        Ok(Self {
            connect_to,
            socket: connect(connect_to).map_err(|error| dial_failure(&error))?,
            connect_deadline: Some(now + CONNECT_DEADLINE),
            client: RtspClient::new(config),
            udp: None,
            unsent: Vec::new(),
            armed: None,
        })
    }

    /// Dials where the camera sent us to. The machine keeps its state.
    pub fn redial(&mut self, host: &str, port: u16, now: Instant) -> Result<(), Failure> {
        let ip = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(ip) => ip,
            // A camera names itself by the name we came with, at most with another port.
            Err(_) => self.connect_to.ip(),
        };
        self.connect_to = SocketAddr::new(ip, port);
        self.socket = connect(self.connect_to).map_err(|error| dial_failure(&error))?;
        self.connect_deadline = Some(now + CONNECT_DEADLINE);
        self.unsent.clear();
        Ok(())
    }

    /// Binds the two ports that the machine wants, on the address that the camera sees us at.
    pub fn open_udp(&mut self, now: Instant) -> Result<&UdpPair, Failure> {
        let bind = || UdpPair::bind(self.socket.local_addr()?.ip());
        let pair = bind().map_err(|error| {
            let detail = format!("no pair of UDP ports could be bound: {error}");
            Failure::new(FailureKind::Unreachable, Step::Setup, detail)
        })?;
        let rtp_port = pair.rtp_port();
        self.client.udp_bound(now, self.connect_to.ip(), rtp_port);
        Ok(self.udp.insert(pair))
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub fn is_connecting(&self) -> bool {
        self.connect_deadline.is_some()
    }

    /// Should epoll tell when the socket takes bytes?
    pub fn wants_write(&self) -> bool {
        self.is_connecting() || !self.unsent.is_empty()
    }

    /// The socket became writable: connected, or room for what waits.
    pub fn writable(&mut self, now: Instant) -> Result<(), Failure> {
        if self.is_connecting() {
            match self.socket.take_error() {
                Ok(None) => {}
                Ok(Some(error)) | Err(error) => return Err(dial_failure(&error)),
            }
            self.connect_deadline = None;
            let _ = self.socket.set_nodelay(true);
            self.client.connected(now);
        }
        self.flush()
    }

    /// Reads what is there, up to the budget, and hands it through the machine. `hung_up`: the
    /// camera has closed its side, so that what is there ends in an end of file.
    ///
    /// Epoll tells of a socket once, when something comes: a read that brought less than it asked
    /// for has emptied it (epoll(7)), and whoever stops before that must come back by itself.
    pub fn readable(
        &mut self,
        now: Instant,
        scratch: &mut [u8],
        hung_up: bool,
        sink: &mut dyn FnMut(Received<'_>),
    ) -> Left {
        let left = self.read_connection(now, scratch, hung_up, sink);
        match &self.udp {
            Some(pair) => left.or(pair.readable(now, &mut self.client, scratch, sink)),
            None => left,
        }
    }

    fn read_connection(
        &mut self,
        now: Instant,
        scratch: &mut [u8],
        hung_up: bool,
        sink: &mut dyn FnMut(Received<'_>),
    ) -> Left {
        let mut budget = READ_BUDGET_BYTES;
        while budget > 0 {
            let want = scratch.len().min(budget);
            match self.socket.read(&mut scratch[..want]) {
                Ok(0) => {
                    self.client.peer_closed();
                    return Left::Nothing;
                }
                Ok(n) => {
                    budget -= n;
                    self.client.receive(now, &scratch[..n], sink);
                    if n < want && !hung_up {
                        return Left::Nothing;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Left::Nothing,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.client.peer_closed();
                    return Left::Nothing;
                }
            }
        }
        Left::More
    }

    /// Sends what the machine wants sent.
    pub fn flush(&mut self) -> Result<(), Failure> {
        while let Some(bytes) = self.client.poll_transmit() {
            self.unsent.extend_from_slice(&bytes);
        }
        if let Some(pair) = &self.udp {
            pair.flush(&mut self.client);
        }
        if self.is_connecting() {
            return Ok(());
        }
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(0) => break,
                Ok(n) => {
                    self.unsent.drain(..n);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The reader hears of it too, with what the camera said before it left.
                Err(_) => break,
            }
        }
        if self.unsent.len() > MAX_UNSENT_BYTES {
            return Err(Failure::new(
                FailureKind::Stalled,
                Step::Streaming,
                "the camera does not read our requests",
            ));
        }
        Ok(())
    }

    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Failure> {
        if self
            .connect_deadline
            .is_some_and(|deadline| now >= deadline)
        {
            return Err(Failure::new(
                FailureKind::ConnectTimeout,
                Step::Dial,
                format!("no answer from {} within 5 s", self.connect_to),
            ));
        }
        self.client.handle_timeout(now);
        Ok(())
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        [self.connect_deadline, self.client.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// TEARDOWN, as far as the socket takes it now.
    pub fn say_goodbye(&mut self) {
        if !self.is_connecting() {
            self.client.teardown();
            let _ = self.flush();
        }
    }
}

fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    let _ = socket.set_recv_buffer_size(TCP_RECEIVE_BUFFER_BYTES);
    let _ = socket.set_keepalive(true);
    match socket.connect(&to.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}

fn dial_failure(error: &io::Error) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused => FailureKind::ConnectRefused,
        io::ErrorKind::TimedOut => FailureKind::ConnectTimeout,
        _ => FailureKind::Unreachable,
    };
    Failure::new(kind, Step::Dial, error.to_string())
}

//! `loadgen relay --tcp`: the sockets beside [`super::course`].

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};
use socket2::{Domain, SockRef, Socket, Type};

use super::course::{Course, Pipe, TcpWay};
use crate::args::RelayArgs;

/// More viewers than this come from no test.
const MAX_CONNECTIONS: usize = 64;
/// The kernel's own buffers would hide a slow way from its sender for megabytes.
const SOCKET_BUFFER_BYTES: usize = 32 * 1024;
const READ_BYTES: usize = 16 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// # Errors
/// Sentences for the user.
pub fn run(args: &RelayArgs) -> Result<Value, String> {
    let wrong = |error: io::Error| format!("the relay can't go on ({error}).");
    let mut relay = Relay::open(args).map_err(wrong)?;
    let at = relay.listener.local_addr().map_err(wrong)?;
    eprintln!("loadgen: relaying {at} to {} by TCP", args.to);
    relay.serve(args.seconds).map_err(wrong)?;
    let live = relay.connections.drain(..);
    let counts = live.fold(relay.counts, |counts, connection| counts.with(&connection));
    Ok(json!({
        "connections": relay.accepted,
        "cut": counts.cut,
        "stalls": counts.stalls,
        "to_server": { "bytes": counts.to_server_bytes },
        "to_viewers": { "bytes": counts.to_viewers_bytes },
    }))
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    cut: u64,
    stalls: u64,
    to_server_bytes: u64,
    to_viewers_bytes: u64,
}

impl Counts {
    fn with(mut self, connection: &Connection) -> Self {
        self.cut += u64::from(connection.end == End::Cut);
        self.stalls += connection.course.stalls;
        self.to_server_bytes += connection.to_server.pipe.passed_bytes;
        self.to_viewers_bytes += connection.to_viewer.pipe.passed_bytes;
        self
    }
}

struct Relay {
    // given
    to: SocketAddr,
    way: TcpWay,
    seed: u64,
    // owned
    listener: TcpListener,
    connections: Vec<Connection>,
    accepted: u64,
    counts: Counts,
}

impl Relay {
    fn open(args: &RelayArgs) -> io::Result<Self> {
        let listener = TcpListener::bind(args.listen)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            to: args.to,
            way: args.tcp_way(),
            seed: args.seed,
            listener,
            connections: Vec::new(),
            accepted: 0,
            counts: Counts::default(),
        })
    }

    fn serve(&mut self, span: Duration) -> io::Result<()> {
        let ends = Instant::now() + span;
        let mut scratch = vec![0; READ_BYTES];
        loop {
            let now = Instant::now();
            if now >= ends {
                return Ok(());
            }
            self.accept(now);
            for connection in &mut self.connections {
                connection.turn(now, &mut scratch);
            }
            let (over, live) = std::mem::take(&mut self.connections)
                .into_iter()
                .partition(|connection: &Connection| connection.end != End::NotYet);
            self.connections = live;
            let over: Vec<Connection> = over;
            for connection in over {
                self.counts = self.counts.with(&connection);
                connection.close();
            }
            if self.wait(now, ends) {
                return Ok(());
            }
        }
    }

    /// Until something can be done; true when our input has ended.
    fn wait(&mut self, now: Instant, ends: Instant) -> bool {
        let stdin = io::stdin();
        let mut until = ends;
        let mut interests = vec![
            // The end of our input is the end of the relay, so that it never outlives who began it.
            PollFd::new(&stdin, PollFlags::IN),
            PollFd::new(&self.listener, PollFlags::IN),
        ];
        for connection in &mut self.connections {
            let timeouts = [
                connection.course.next_timeout(now),
                connection.to_server.next_timeout(now),
                connection.to_viewer.next_timeout(now),
            ];
            until = timeouts.into_iter().flatten().fold(until, Instant::min);
            interests.extend(connection.interests());
        }
        let wait = until.saturating_duration_since(now);
        let timeout = Timespec {
            tv_sec: wait.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        };
        // Interrupted or not: what is due is looked at all the same.
        let _ = poll(&mut interests, Some(&timeout));
        // A file or /dev/null is always readable: only a pipe that was closed ends us.
        interests[0].revents().contains(PollFlags::HUP)
    }

    fn accept(&mut self, now: Instant) {
        while self.connections.len() < MAX_CONNECTIONS {
            let Ok((viewer, _)) = self.listener.accept() else {
                return;
            };
            // Each connection's fate is its own, and the same for the same seed.
            let seed = self.seed.wrapping_add(self.accepted << 32);
            self.accepted += 1;
            // Refused by the server: the viewer sees its connection close.
            if let Ok(connection) = Connection::open(viewer, self.to, self.way, seed, now) {
                self.connections.push(connection);
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    /// Both sides have said all they had.
    Quiet,
    /// By a side, or by a read or write that failed.
    Broken,
    Cut,
}

/// One direction: what was read of one side and is not yet written to the other.
struct Half {
    pipe: Pipe,
    /// Its reader has come to the end.
    ended: bool,
    /// The end was passed on.
    closed: bool,
    /// The other side takes no more now.
    blocked: bool,
}

impl Half {
    fn new(way: TcpWay, seed: u64, now: Instant) -> Self {
        Self {
            pipe: Pipe::new(way, seed, now),
            ended: false,
            closed: false,
            blocked: false,
        }
    }

    fn wants_more(&self) -> bool {
        !self.ended && self.pipe.room() > 0
    }

    fn next_timeout(&self, now: Instant) -> Option<Instant> {
        // The stall's end, or the socket, wakes us for the rest.
        self.pipe.next_timeout(now).filter(|_| !self.blocked)
    }

    fn read(&mut self, now: Instant, mut from: &TcpStream, scratch: &mut [u8]) -> io::Result<()> {
        while self.wants_more() {
            let want = self.pipe.room().min(scratch.len());
            match from.read(&mut scratch[..want]) {
                Ok(0) => self.ended = true,
                Ok(count) => self.pipe.take(now, &scratch[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write(&mut self, now: Instant, mut to: &TcpStream) -> io::Result<()> {
        self.blocked = false;
        loop {
            let bytes = self.pipe.arriving(now);
            if bytes.is_empty() {
                break;
            }
            match to.write(bytes) {
                Ok(count) => self.pipe.leave(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        if self.ended && self.pipe.is_empty() && !self.closed {
            self.closed = true;
            to.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }
}

struct Connection {
    // given
    viewer: TcpStream,
    server: TcpStream,
    // owned
    course: Course,
    to_server: Half,
    to_viewer: Half,
    end: End,
}

impl Connection {
    fn open(
        viewer: TcpStream,
        to: SocketAddr,
        way: TcpWay,
        seed: u64,
        now: Instant,
    ) -> io::Result<Self> {
        let server = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        // Before connecting: the window is announced then.
        server.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
        server.connect_timeout(&to.into(), CONNECT_TIMEOUT)?;
        SockRef::from(&viewer).set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
        let server = TcpStream::from(server);
        for stream in [&viewer, &server] {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
        }
        Ok(Self {
            viewer,
            server,
            course: Course::new(way, seed, now),
            to_server: Half::new(way, seed.wrapping_add(1), now),
            to_viewer: Half::new(way, seed.wrapping_add(2), now),
            end: End::NotYet,
        })
    }

    fn turn(&mut self, now: Instant, scratch: &mut [u8]) {
        if self.course.is_cut(now) {
            self.end = End::Cut;
        } else if self.go_on(now, scratch).is_err() {
            self.end = End::Broken;
        } else if self.to_server.closed && self.to_viewer.closed {
            self.end = End::Quiet;
        }
    }

    fn go_on(&mut self, now: Instant, scratch: &mut [u8]) -> io::Result<()> {
        self.to_server.read(now, &self.viewer, scratch)?;
        self.to_viewer.read(now, &self.server, scratch)?;
        if !self.course.is_stalled(now) {
            self.to_server.write(now, &self.server)?;
            self.to_viewer.write(now, &self.viewer)?;
        }
        Ok(())
    }

    /// A side is only polled for what can be done with it: else it would wake us for nothing.
    fn interests(&self) -> impl Iterator<Item = PollFd<'_>> {
        let flags = |reads: &Half, writes: &Half| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, reads.wants_more());
            flags.set(PollFlags::OUT, writes.blocked);
            flags
        };
        let viewer = (&self.viewer, flags(&self.to_server, &self.to_viewer));
        let server = (&self.server, flags(&self.to_viewer, &self.to_server));
        [viewer, server]
            .into_iter()
            .filter(|(_, flags)| !flags.is_empty())
            .map(|(stream, flags)| PollFd::from_borrowed_fd(stream.as_fd(), flags))
    }

    /// What ended badly is reset, so that both sides know at once.
    fn close(self) {
        if self.end != End::Quiet {
            for stream in [&self.viewer, &self.server] {
                let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::thread;

    /// A relay to a server that sends back what it gets; `talk` is the viewer. Gives the counts.
    fn relayed(way: TcpWay, talk: impl FnOnce(TcpStream)) -> Counts {
        let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = echo.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (stream, _) = echo.accept().unwrap();
            // Ends with the connection, well or not.
            let _ = io::copy(&mut &stream, &mut &stream);
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let viewer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let mut connection = Connection::open(accepted, to, way, 1, Instant::now()).unwrap();
        let relay = thread::spawn(move || {
            let mut scratch = vec![0; READ_BYTES];
            let deadline = Instant::now() + Duration::from_secs(20);
            while connection.end == End::NotYet && Instant::now() < deadline {
                connection.turn(Instant::now(), &mut scratch);
                thread::yield_now();
            }
            let counts = Counts::default().with(&connection);
            connection.close();
            counts
        });
        talk(viewer);
        server.join().unwrap();
        relay.join().unwrap()
    }

    #[test]
    fn what_is_sent_comes_back_whole_and_the_end_is_passed_on() {
        let way = TcpWay {
            delay: Duration::from_millis(5),
            jitter: Duration::from_millis(5),
            ..TcpWay::default()
        };
        let sent: Vec<u8> = (0..500_000u32).map(|n| (n % 251) as u8).collect();
        let copy = sent.clone();
        let counts = relayed(way, move |viewer| {
            let mut writer = viewer.try_clone().unwrap();
            let writing = thread::spawn(move || {
                writer.write_all(&copy).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            });
            let mut got = Vec::new();
            (&viewer).read_to_end(&mut got).unwrap();
            writing.join().unwrap();
            assert!(got == sent);
        });
        let passed = (counts.to_server_bytes, counts.to_viewers_bytes);
        assert_eq!((passed, counts.cut), ((500_000, 500_000), 0));
    }

    #[test]
    fn a_cut_is_a_reset() {
        let way = TcpWay {
            cut_after: Duration::from_millis(50),
            ..TcpWay::default()
        };
        let counts = relayed(way, |mut viewer| {
            let mut got = [0; 16];
            viewer
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            let error = viewer.read(&mut got).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        });
        assert_eq!(counts.cut, 1);
    }
}

//! `loadgen relay`: a way between viewers and a server that loses, delays and reorders datagrams as
//! it is told, and the same ones each time; or, with `--tcp`, for connections. (Kernels without netem have no other.)

mod course;
mod draws;
mod fate;
mod tcp;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use serde_json::{Value, json};

use crate::args::RelayArgs;
use crate::sys;
pub use course::TcpWay;
use fate::Fate;
pub use fate::Impairment;

const TOKEN_STDIN: u64 = 0;
const TOKEN_LISTEN: u64 = 1;
const TOKEN_CLIENTS: u64 = 2;
/// Each has a socket of its own; more viewers than this come from no test.
const MAX_CLIENTS: usize = 1_024;
/// Datagrams on their way: two seconds of a hundred viewers.
const MAX_WAITING: usize = 100_000;
const DATAGRAMS_PER_VISIT: usize = 256;
const READY_PER_WAKE: usize = 256;

/// # Errors
/// Sentences for the user.
pub fn run(args: &RelayArgs) -> Result<Value, String> {
    if args.tcp.is_some() {
        return tcp::run(args);
    }
    let wrong = |error: io::Error| format!("the relay can't go on ({error}).");
    let mut relay = Relay::open(args).map_err(wrong)?;
    let at = relay.listener.local_addr().map_err(wrong)?;
    eprintln!("loadgen: relaying {at} to {}", args.to);
    relay.serve(args.seconds).map_err(wrong)?;
    Ok(json!({
        "clients": relay.clients.len(),
        "to_server": relay.to_server.counts(),
        "to_viewers": relay.to_viewers.counts(),
    }))
}

/// A datagram on its way: when it arrives, in which order, through which socket, to whom.
type OnItsWay = Reverse<(Instant, u64, usize, bool, Vec<u8>)>;

struct Relay {
    // given
    to: SocketAddr,
    // owned
    epoll: std::os::fd::OwnedFd,
    listener: UdpSocket,
    /// By the order of their coming: the viewer's address, and our socket towards the server.
    clients: Vec<(SocketAddr, UdpSocket)>,
    by_address: HashMap<SocketAddr, usize>,
    waiting: BinaryHeap<OnItsWay>,
    taken: u64,
    to_server: Fate,
    to_viewers: Fate,
}

impl Relay {
    fn open(args: &RelayArgs) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let listener = socket(args.listen)?;
        let read = epoll::EventFlags::IN;
        let token = epoll::EventData::new_u64;
        epoll::add(&epoll, &listener, token(TOKEN_LISTEN), read)?;
        // The end of our input is the end of the relay, so that it never outlives who started it.
        // A file or /dev/null can't be waited for; then the time alone ends it.
        let _ = epoll::add(&epoll, io::stdin(), token(TOKEN_STDIN), read);
        Ok(Self {
            to: args.to,
            epoll,
            listener,
            clients: Vec::new(),
            by_address: HashMap::new(),
            waiting: BinaryHeap::new(),
            taken: 0,
            to_server: Fate::new(args.impairment, args.seed),
            to_viewers: Fate::new(args.impairment, !args.seed),
        })
    }

    fn serve(&mut self, span: Duration) -> io::Result<()> {
        let ends = Instant::now() + span;
        let mut ready = Vec::with_capacity(READY_PER_WAKE);
        loop {
            let now = Instant::now();
            if now >= ends {
                return Ok(());
            }
            self.deliver(now);
            let next = self.waiting.peek().map_or(ends, |Reverse(next)| next.0);
            let wait = next.min(ends).saturating_duration_since(now);
            let timeout = Timespec {
                tv_sec: wait.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: wait.subsec_nanos().into(),
            };
            ready.clear();
            // Interrupted or not: what is due is looked at all the same.
            let _ = epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut ready),
                Some(&timeout),
            );
            for event in &ready {
                match event.data.u64() {
                    TOKEN_STDIN => return Ok(()),
                    TOKEN_LISTEN => self.take_viewers()?,
                    token => self.take_server(usize::try_from(token - TOKEN_CLIENTS).unwrap_or(0)),
                }
            }
        }
    }

    fn take_viewers(&mut self) -> io::Result<()> {
        let mut datagram = [0; 2048];
        for _ in 0..DATAGRAMS_PER_VISIT {
            let Ok((size, from)) = self.listener.recv_from(&mut datagram) else {
                break;
            };
            let client = match self.by_address.get(&from) {
                Some(client) => *client,
                None if self.clients.len() < MAX_CLIENTS => self.welcome(from)?,
                None => continue,
            };
            self.send_on(client, true, &datagram[..size]);
        }
        Ok(())
    }

    fn take_server(&mut self, client: usize) {
        let mut datagram = [0; 2048];
        for _ in 0..DATAGRAMS_PER_VISIT {
            let Ok(size) = self.clients[client].1.recv(&mut datagram) else {
                break;
            };
            self.send_on(client, false, &datagram[..size]);
        }
    }

    fn welcome(&mut self, from: SocketAddr) -> io::Result<usize> {
        let towards = socket((Ipv4Addr::LOCALHOST, 0).into())?;
        towards.connect(self.to)?;
        let client = self.clients.len();
        let token = epoll::EventData::new_u64(TOKEN_CLIENTS + client as u64);
        epoll::add(&self.epoll, towards.as_fd(), token, epoll::EventFlags::IN)?;
        self.clients.push((from, towards));
        self.by_address.insert(from, client);
        Ok(client)
    }

    fn send_on(&mut self, client: usize, to_server: bool, datagram: &[u8]) {
        let fate = match to_server {
            true => &mut self.to_server,
            false => &mut self.to_viewers,
        };
        let Some(after) = fate.next() else { return };
        if self.waiting.len() == MAX_WAITING {
            return;
        }
        self.taken += 1;
        let due = Instant::now() + after;
        let datagram = datagram.to_vec();
        self.waiting
            .push(Reverse((due, self.taken, client, to_server, datagram)));
    }

    fn deliver(&mut self, now: Instant) {
        while let Some(Reverse(next)) = self.waiting.peek()
            && next.0 <= now
        {
            let Some(Reverse((_, _, client, to_server, datagram))) = self.waiting.pop() else {
                return;
            };
            let (viewer, towards) = &self.clients[client];
            // A full socket or a viewer that left loses it, as any way would.
            let _ = match to_server {
                true => towards.send(&datagram),
                false => self.listener.send_to(&datagram, viewer),
            };
        }
    }
}

fn socket(bind: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(bind)?;
    socket.set_nonblocking(true)?;
    sys::enlarge_receive_buffer(&socket)?;
    Ok(socket)
}

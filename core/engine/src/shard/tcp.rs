//! The shard's TCP connections: taken in, proven, written to, closed.

use std::io;
use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use peer::tls::TlsServer;
use peer::webrtc::Origin;
use rustix::event::epoll;
use wire::framing::Deframer;

use super::{Shard, TOKEN_TCP};
use crate::command::Command;
use crate::guard::{Seam, guarded};
use crate::stats::unix_ms;
use crate::tcp::{Connection, GOODBYE_DEADLINE, StreamAddress, Tongue, Visit};
use crate::timers::{Timer, fires};

/// Connections that have not shown a viewer's check (or an accepted ticket) yet; more are closed at
/// once. Those by ICE and those by RTSP are counted apart.
const MAX_UNPROVEN: usize = 256;
/// ...of which so many may come from one address: a browser makes one for each of its tiles.
const MAX_UNPROVEN_PER_IP: usize = 64;
/// Taken in with one wake; the rest in the next.
pub(super) const ACCEPTS_PER_WAKE: usize = 64;

impl Shard {
    pub(super) fn accept(&mut self, now: Instant) {
        for _ in 0..ACCEPTS_PER_WAKE {
            let Some(listener) = &self.listener else {
                return;
            };
            match listener.accept() {
                Ok((stream, from)) => {
                    if stream.set_nonblocking(true).is_ok() && self.has_place_for(from, false) {
                        let _ = stream.set_nodelay(true);
                        self.tcp_serial += 1;
                        let address = StreamAddress::of(self.tcp_serial);
                        let tongue = Tongue::Ice(Deframer::default());
                        self.take_in(Connection::new(stream, from, address, tongue, now));
                    } else {
                        self.totals.tcp_refused.add(1);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // One that left before it was taken in, or no descriptors: the next wake tries on.
                Err(_) => {}
            }
        }
    }

    pub(super) fn has_place_for(&self, from: SocketAddr, by_rtsp: bool) -> bool {
        let alike = |c: &&Connection| !c.proven && c.rtsp().is_some() == by_rtsp;
        let unproven = || self.connections.iter().filter(alike);
        unproven().count() < MAX_UNPROVEN
            && unproven().filter(|c| c.from.ip() == from.ip()).count() < MAX_UNPROVEN_PER_IP
    }

    pub(super) fn take_in(&mut self, connection: Connection) -> usize {
        let (address, deadline) = (connection.address, connection.deadline);
        let key = self.connections.insert(connection);
        self.by_stream_address.insert(address, key);
        let connection = &mut self.connections[key];
        let interest = epoll::EventFlags::IN
            | epoll::EventFlags::OUT
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        let token = epoll::EventData::new_u64(TOKEN_TCP + key as u64);
        self.timers
            .arm(Timer::Tcp(key), deadline, &mut connection.armed);
        if epoll::add(&self.epoll, connection.stream(), token, interest).is_err() {
            self.close_connection(Instant::now(), key);
        }
        key
    }

    pub(super) fn serve_tcp(&mut self, now: Instant, key: usize, flags: epoll::EventFlags) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let address = connection.address;
        let ends = epoll::EventFlags::ERR | epoll::EventFlags::HUP | epoll::EventFlags::RDHUP;
        let mut frames = Vec::new();
        let mut visit = Visit::Goes;
        if flags.intersects(epoll::EventFlags::IN | ends) {
            let keep = &mut |frame: &[u8]| frames.push(frame.to_vec());
            let now_unix_s = unix_ms(SystemTime::now()) / 1_000;
            let read = guarded(Seam::TcpRead, || {
                connection.read(now, now_unix_s, &mut self.scratch.bytes, keep)
            });
            visit = read.unwrap_or_else(|| {
                self.totals.worker_faults.add(1);
                Visit::Over
            });
        }
        if !connection.proven
            && let Some(first) = frames.first()
            && let Some(owner) = self.mesh.other_owner(address, first)
        {
            return self.hand_over(key, owner, frames);
        }
        let by_rtsp = self.connections[key].rtsp().is_some();
        if by_rtsp && !self.settle_rtsp(now, key) || !self.take_frames(now, key, &frames) {
            return;
        }
        if visit == Visit::Goes && flags.contains(epoll::EventFlags::OUT) {
            visit = self.connections[key].flush();
            // There is room again: what was held back for it goes on.
            if let Some(viewer) = self.by_address.get(&address).copied() {
                self.visit_viewer(now, viewer);
            }
        }
        if visit == Visit::Over && self.connections.get(key).is_some() {
            self.close_connection(now, key);
        }
    }

    /// False when the connection is over.
    fn take_frames(&mut self, now: Instant, key: usize, frames: &[Vec<u8>]) -> bool {
        let connection = &self.connections[key];
        let address = connection.address;
        let origin = Origin {
            from: address,
            mapped: connection.from,
            local: None,
        };
        for frame in frames {
            if !self.route_here(now, origin, frame) {
                self.totals.datagrams_unrouted.add(1);
            }
            let proven = self.by_address.contains_key(&address);
            let Some(connection) = self.connections.get_mut(key) else {
                return false;
            };
            connection.proven |= proven;
            if !connection.proven {
                // Whoever does not begin with a viewer's check is none.
                self.totals.tcp_refused.add(1);
                self.close_connection(now, key);
                return false;
            }
            if !connection.closing {
                connection.deadline = None;
            }
        }
        true
    }

    /// The connection is of a viewer of another shard.
    fn hand_over(&mut self, key: usize, owner: usize, frames: Vec<Vec<u8>>) {
        let Some(connection) = self.let_out(key) else {
            return;
        };
        // Not taken: it is closed, and the viewer tries again.
        self.mesh
            .send(owner, Command::Connection { connection, frames });
    }

    /// It goes to another shard.
    pub(super) fn let_out(&mut self, key: usize) -> Option<Box<Connection>> {
        let mut connection = self.connections.remove(key)?;
        self.by_stream_address.remove(&connection.address);
        connection.armed = None;
        let _ = epoll::delete(&self.epoll, connection.stream());
        Some(Box::new(connection))
    }

    pub(super) fn take_connection(
        &mut self,
        now: Instant,
        connection: Connection,
        frames: &[Vec<u8>],
    ) {
        let key = self.take_in(connection);
        if self.connections.get(key).is_some() {
            self.take_frames(now, key, frames);
        }
    }

    /// Hands what was sealed for connections over to them. Before every send by UDP, which forgets
    /// the bytes: so also the last words for those that break meanwhile.
    pub(super) fn flush_tcp(&mut self, now: Instant) {
        while self.outbox.has_framed() {
            self.hand_out_framed(now);
        }
    }

    fn hand_out_framed(&mut self, now: Instant) {
        let mut touched = Vec::new();
        for (to, datagram) in self.outbox.framed() {
            let Some(key) = self.by_stream_address.get(&to) else {
                continue;
            };
            self.connections[*key].queue(datagram);
            if touched.last() != Some(key) {
                touched.push(*key);
            }
        }
        self.outbox.forget_framed();
        for key in touched {
            let flushed = self.connections.get_mut(key).map(Connection::flush);
            if flushed == Some(Visit::Over) {
                self.close_connection(now, key);
            }
        }
    }

    /// Does this address take no more media for now?
    pub(super) fn is_full(&self, to: SocketAddr) -> bool {
        let key = self.by_stream_address.get(&to);
        key.is_some_and(|key| self.connections[*key].is_full())
    }

    /// The viewer of this address has ended: what is queued still goes, for a moment.
    pub(super) fn let_go(&mut self, now: Instant, address: SocketAddr) {
        let Some(key) = self.by_stream_address.get(&address).copied() else {
            return;
        };
        let connection = &mut self.connections[key];
        if connection.rtsp().is_some() && !connection.closing {
            // What is queued is media: the end of a right ends that too.
            return self.close_connection(now, key);
        }
        connection.closing = true;
        connection.deadline = Some(now + GOODBYE_DEADLINE);
        self.timers
            .arm(Timer::Tcp(key), connection.deadline, &mut connection.armed);
    }

    pub(super) fn tcp_timer(&mut self, now: Instant, at: Instant, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if !fires(at, &mut connection.armed) {
            return;
        }
        if connection.deadline.is_some_and(|deadline| deadline <= now) {
            return self.close_connection(now, key);
        }
        if let Some(door) = connection.door_mut() {
            if guarded(Seam::Rtsp, || door.handle_timeout(now)).is_none() {
                self.totals.worker_faults.add(1);
                return self.close_connection(now, key);
            }
            self.settle_rtsp(now, key);
            return;
        }
        let deadline = connection.deadline;
        self.timers
            .arm(Timer::Tcp(key), deadline, &mut connection.armed);
    }

    pub(super) fn close_connection(&mut self, now: Instant, key: usize) {
        let Some(mut connection) = self.connections.remove(key) else {
            return;
        };
        connection.say_end();
        if connection.tls().is_some_and(TlsServer::is_handshaking) {
            self.totals.rtsps_handshakes_failed.add(1);
        }
        self.by_stream_address.remove(&connection.address);
        let viewer = self.by_address.get(&connection.address).copied();
        let Some(viewer) = viewer.filter(|viewer| self.viewers.get(*viewer).is_some()) else {
            return;
        };
        if connection.rtsp().is_some() {
            return self.end_viewer(now, viewer, "client_gone".to_owned());
        }
        self.viewers[viewer].leg.forget(connection.address);
        self.settle_viewer(now, viewer);
    }
}

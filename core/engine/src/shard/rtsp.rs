//! The RTSP door's connections: taken in, asked about, given a viewer, closed.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use peer::rtsp_door::{Description, DoorEvent, RtspDoor};
use peer::rtsp_server::ConnectionSeeds;
use peer::tls::{TlsIdentity, TlsServer};
use wire::ticket::{TicketError, TicketKey};

use super::Shard;
use super::tcp::ACCEPTS_PER_WAKE;
use crate::command::{AcceptRtsp, Command};
use crate::event::EventBody;
use crate::guard::{Seam, guarded};
use crate::tcp::{Connection, GOODBYE_DEADLINE, Rtsp, StreamAddress, Tongue, Visit};
use crate::timers::Timer;
use crate::viewer::{RTSP_PAYLOAD_TYPE, Viewer};

const CONNECTION_PREFIX: &str = "rtsp-";

/// A TLS handshake is the dearest thing that a stranger can ask for: up to a millisecond (an RSA key of
/// 2,048 bits) of the thread that packets run on. So many a second are let in...
pub(super) const HANDSHAKES_PER_S: u32 = 100;
/// ...and so many at once: a district's recorders after their switch was started anew.
pub(super) const HANDSHAKE_BURST: u32 = 32;
/// Wrong tickets that are told of, of each cause: who tries many fills no queue, and hides no other.
const TOLD_PER_S: u32 = 20;
const TOLD_BURST: u32 = 20;

/// What the first shard takes RTSP clients in by, for all.
pub(crate) struct RtspPorts {
    pub plain: Option<TcpListener>,
    pub tls: Option<TlsPort>,
    pub key: Arc<TicketKey>,
    told: [Pace; TicketError::ALL.len()],
}

impl RtspPorts {
    pub fn new(plain: Option<TcpListener>, tls: Option<TlsPort>, key: Arc<TicketKey>) -> Self {
        let told = TicketError::ALL.map(|_| Pace::new(TOLD_PER_S, TOLD_BURST));
        Self {
            plain,
            tls,
            key,
            told,
        }
    }
}

pub(crate) struct TlsPort {
    pub listener: TcpListener,
    /// For connections from here on.
    pub identity: TlsIdentity,
    handshakes: Pace,
}

impl TlsPort {
    pub fn new(listener: TcpListener, identity: TlsIdentity) -> Self {
        let handshakes = Pace::new(HANDSHAKES_PER_S, HANDSHAKE_BURST);
        Self {
            listener,
            identity,
            handshakes,
        }
    }
}

/// Lets so many a second, and so many at once. Handshakes beyond it wait in the kernel's queue, and
/// are refused by nobody.
struct Pace {
    each: Duration,
    burst: u32,
    /// When as many as were let in would be in, one after the other.
    even_at: Option<Instant>,
}

impl Pace {
    fn new(per_s: u32, burst: u32) -> Self {
        Self {
            each: Duration::from_secs(1) / per_s,
            burst,
            even_at: None,
        }
    }

    fn has_room(&self, now: Instant) -> bool {
        let ahead = self.even_at.map(|at| at.saturating_duration_since(now));
        ahead.unwrap_or_default() < self.each * self.burst
    }

    fn take(&mut self, now: Instant) {
        self.even_at = Some(self.even_at.map_or(now, |at| at.max(now)) + self.each);
    }
}

impl Shard {
    pub(super) fn accept_rtsp_clients(&mut self, now: Instant, by_tls: bool) {
        for _ in 0..ACCEPTS_PER_WAKE {
            let Some(ports) = &self.rtsp else {
                return;
            };
            let (listener, tls) = match (&ports.plain, &ports.tls) {
                (_, Some(tls)) if by_tls => (&tls.listener, Some(&tls.handshakes)),
                (Some(plain), _) if !by_tls => (plain, None),
                _ => return,
            };
            if tls.is_some_and(|pace| !pace.has_room(now)) {
                return;
            }
            match listener.accept() {
                Ok((stream, from)) => {
                    if !self.take_rtsp_client(now, stream, from, by_tls) {
                        // No handshake is begun with it: others are not kept waiting for that.
                        self.totals.rtsp_refused.add(1);
                    } else if by_tls {
                        self.pace_handshakes(now);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {}
            }
        }
    }

    fn pace_handshakes(&mut self, now: Instant) {
        if let Some(port) = self.rtsp.as_mut().and_then(|ports| ports.tls.as_mut()) {
            port.handshakes.take(now);
        }
    }

    /// False when there is no place for it.
    fn take_rtsp_client(
        &mut self,
        now: Instant,
        stream: TcpStream,
        from: SocketAddr,
        by_tls: bool,
    ) -> bool {
        if stream.set_nonblocking(true).is_err() || !self.has_place_for(from, true) {
            return false;
        }
        let (Some(ports), Some(seeds)) = (&self.rtsp, random_seeds()) else {
            return false;
        };
        let tls = match &ports.tls {
            Some(port) if by_tls => match TlsServer::new(&port.identity) {
                Some(tls) => Some(tls),
                None => return false,
            },
            _ => None,
        };
        let _ = stream.set_nodelay(true);
        let door = RtspDoor::new(ports.key.clone(), seeds, now);
        let tongue = Tongue::Rtsp(Box::new(Rtsp { door, seeds, tls }));
        if by_tls {
            self.totals.rtsps_accepted.add(1);
        }
        self.tcp_serial += 1;
        let address = StreamAddress::of(self.tcp_serial);
        self.take_in(Connection::new(stream, from, address, tongue, now));
        true
    }

    /// Who comes from here on is shown this one.
    pub(super) fn set_rtsp_identity(&mut self, identity: TlsIdentity) {
        if let Some(port) = self.rtsp.as_mut().and_then(|ports| ports.tls.as_mut()) {
            port.identity = identity;
        }
    }

    /// Sends what the dialogue wants sent and does what it says. False when the connection is over.
    pub(super) fn settle_rtsp(&mut self, now: Instant, key: usize) -> bool {
        let Some(connection) = self.connections.get_mut(key) else {
            return false;
        };
        if !connection.queue_answers() {
            self.close_connection(now, key);
            return false;
        }
        while let Some(event) = self.connections[key]
            .door_mut()
            .and_then(RtspDoor::poll_event)
        {
            self.take_door_event(now, key, event);
            if self.connections.get(key).is_none() {
                return false;
            }
        }
        let connection = &mut self.connections[key];
        if connection.flush() == Visit::Over {
            self.close_connection(now, key);
            return false;
        }
        let next = connection.next_deadline();
        self.timers
            .arm(Timer::Tcp(key), next, &mut connection.armed);
        true
    }

    fn take_door_event(&mut self, now: Instant, key: usize, event: DoorEvent) {
        let connection = &mut self.connections[key];
        let (address, remote) = (connection.address, connection.from);
        let viewer = self.by_address.get(&address).copied();
        match event {
            DoorEvent::Asked(asked) => {
                let Some(serial) = StreamAddress::serial(&address) else {
                    return;
                };
                let owner = format!("{CONNECTION_PREFIX}{serial}");
                self.events
                    .push(&owner, EventBody::RtspAsked { asked, remote });
            }
            DoorEvent::TicketRefused(error) => {
                self.totals.rtsp_tickets_refused.add(1);
                if let Some(error) = error {
                    self.tell_refused_ticket(now, remote, error);
                }
            }
            DoorEvent::Play { .. } | DoorEvent::Pause => {
                let channel = match event {
                    DoorEvent::Play { rtp_channel } => Some(rtp_channel),
                    _ => None,
                };
                if let Some(viewer) = viewer {
                    self.viewers[viewer].play_on(channel, &self.events);
                    self.visit_viewer(now, viewer);
                }
            }
            DoorEvent::Over(over) => {
                // Its last answer goes out; `settle_rtsp` flushes it.
                connection.closing = true;
                connection.deadline = Some(now + GOODBYE_DEADLINE);
                if let Some(viewer) = viewer {
                    self.end_viewer(now, viewer, over.code().to_owned());
                }
            }
        }
    }

    fn tell_refused_ticket(&mut self, now: Instant, remote: SocketAddr, error: TicketError) {
        let told = (self.rtsp.as_mut()).map(|ports| &mut ports.told[error as usize]);
        if let Some(told) = told.filter(|told| told.has_room(now)) {
            told.take(now);
            let (remote, cause) = (remote.ip(), error.code());
            self.events
                .push("", EventBody::RtspTicketRefused { remote, cause });
        }
    }

    /// The stream of an RTSP viewer that waits for it may have a keyframe by now.
    pub(super) fn describe_rtsp(&mut self, now: Instant, key: usize) {
        let viewer = &mut self.viewers[key];
        if !viewer.waits_for_description() {
            return;
        }
        let Some(keyframe) = self.streams[viewer.stream].stream.ring().newest_keyframe() else {
            return;
        };
        let address = viewer.leg.remote_addr();
        let connection = address.and_then(|address| self.by_stream_address.get(&address));
        let Some(connection) = connection.copied() else {
            return;
        };
        let description = Description {
            codec: keyframe.codec,
            payload_type: RTSP_PAYLOAD_TYPE,
            parameter_sets: keyframe.parameter_sets(),
        };
        viewer.described(description.codec, &self.events);
        let door = self.connections[connection].door_mut();
        let told = guarded(Seam::Rtsp, || {
            if let Some(door) = door {
                door.describe(now, &description);
            }
        });
        if told.is_none() {
            return self.viewer_fault(now, key);
        }
        self.settle_rtsp(now, connection);
    }

    /// The control plane's yes, in the shard that took the connection in.
    pub(super) fn accept_rtsp(&mut self, now: Instant, open: Box<AcceptRtsp>) {
        let Some(key) = self.waiting_rtsp(&open.connection_id) else {
            return self.not_attached(&open, "client_gone");
        };
        if open.shard == self.mesh.index {
            return self.attach_rtsp(now, key, *open);
        }
        let Some(connection) = self.let_out(key) else {
            return;
        };
        let lost = AcceptRtsp {
            connection_id: String::new(),
            viewer_id: open.viewer_id.clone(),
            stream_id: String::new(),
            channel_id: String::new(),
            subject_id: String::new(),
            row: open.row.clone(),
            ..*open
        };
        let shard = open.shard;
        if !(self.mesh).send(shard, Command::RtspViewer { connection, open }) {
            self.not_attached(&lost, "client_gone");
        }
    }

    pub(super) fn take_rtsp_viewer(
        &mut self,
        now: Instant,
        connection: Connection,
        open: AcceptRtsp,
    ) {
        let key = self.take_in(connection);
        match self.connections.get(key) {
            Some(_) => self.attach_rtsp(now, key, open),
            None => self.not_attached(&open, "client_gone"),
        }
    }

    pub(super) fn refuse_rtsp(
        &mut self,
        now: Instant,
        connection_id: &str,
        status: u16,
        retry_after_s: u32,
    ) {
        let Some(key) = self.waiting_rtsp(connection_id) else {
            return;
        };
        if let Some(door) = self.connections[key].door_mut() {
            door.refuse(now, status, retry_after_s);
            self.settle_rtsp(now, key);
        }
    }

    fn attach_rtsp(&mut self, now: Instant, key: usize, open: AcceptRtsp) {
        if open.row.is_closing() {
            // It was closed on its way here, where nobody knew it yet.
            self.not_attached(&open, "closed");
            return self.close_connection(now, key);
        }
        let stream = self.watch_stream(&open.stream_id);
        let connection = &mut self.connections[key];
        let address = connection.address;
        let Some(seeds) = connection.rtsp().map(|rtsp| rtsp.seeds) else {
            return;
        };
        (connection.proven, connection.deadline) = (true, None);
        if let Some(door) = connection.door_mut() {
            door.accept();
        }
        let id = open.viewer_id.clone();
        let by_tls = connection.tls().is_some();
        let viewer = Viewer::by_rtsp(open, seeds, address, by_tls, stream);
        let transport = viewer.leg.transport();
        viewer.figures().transport.set(transport as u64);
        let viewer = self.viewers.insert(viewer);
        self.viewer_keys.insert(id, viewer);
        self.by_address.insert(address, viewer);
        self.streams[stream].viewers.push(viewer);
        self.totals.viewers_open.set(self.viewers.len() as u64);
        self.visit_viewer(now, viewer);
        self.settle_rtsp(now, key);
    }

    /// Of each viewer that was opened it is said once that it is closed.
    fn not_attached(&self, open: &AcceptRtsp, cause: &str) {
        self.mesh.mailboxes()[open.shard].remove_viewer();
        self.figures.remove_viewer(&open.viewer_id);
        let (cause, row) = (cause.to_owned(), open.row.clone());
        self.events
            .push(&open.viewer_id, EventBody::ViewerClosed { cause, row });
    }

    /// The connection of that id, if it still waits to hear whether it may.
    fn waiting_rtsp(&self, connection_id: &str) -> Option<usize> {
        let serial = connection_id
            .strip_prefix(CONNECTION_PREFIX)?
            .parse()
            .ok()?;
        let key = *self.by_stream_address.get(&StreamAddress::of(serial))?;
        let rtsp = self.connections[key].rtsp()?;
        rtsp.door.waits_for_word().then_some(key)
    }
}

/// RFC 3550 section 5.1: random starting points; the id of the RTSP session is not guessed either.
fn random_seeds() -> Option<ConnectionSeeds> {
    let mut random = [0u8; 20];
    aws_lc_rs::rand::fill(&mut random).ok()?;
    let word = |at: usize| {
        u32::from_be_bytes([random[at], random[at + 1], random[at + 2], random[at + 3]])
    };
    Some(ConnectionSeeds {
        nonce: 0,
        rtsp_session_id: u64::from(word(0)) << 32 | u64::from(word(4)),
        ssrc: word(8),
        first_seq: (word(12) >> 16) as u16,
        first_rtp_ts: word(16),
    })
}

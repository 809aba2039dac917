//! The thread that owns streams and viewers outright: wake, drain, visit, send, sleep.

mod audio;
#[cfg(test)]
mod faults;
mod follow;
mod rtsp;
#[cfg(test)]
mod rtsp_by_tls;
#[cfg(test)]
mod rtsp_views;
mod sources;
mod switch;
mod tcp;
#[cfg(test)]
mod turns;
mod viewers;

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, Timespec, epoll};

use crate::command::Command;
use crate::event::{EventBody, EventQueue};
use crate::guard::{Seam, guarded};
use crate::mesh::Mesh;
use crate::outbox::{Outbox, UdpSink};
use crate::slots::Slots;
use crate::source::READ_BUDGET_BYTES;
use crate::stats::{Figures, Totals};
use crate::stream::{ReadScratch, StreamSlot};
use crate::sys;
use crate::tcp::Connection;
use crate::timers::{Timer, Timers, fires};
use crate::viewer::Viewer;
pub(crate) use rtsp::{RtspPorts, TlsPort};

const TOKEN_WAKE: u64 = 0;
const TOKEN_UDP: u64 = 1;
const TOKEN_LISTENER: u64 = 2;
const TOKEN_RTSP_LISTENER: u64 = 3;
const TOKEN_RTSPS_LISTENER: u64 = 4;
const TOKEN_STREAMS: u64 = 5;
/// Far beyond any stream's.
const TOKEN_TCP: u64 = 1 << 40;
/// Not woken again within this: a wake per readiness costs three times as much per packet.
const WAKE_SPACING: Duration = Duration::from_millis(1);
/// Datagrams taken in one wake. Viewers send about two a second each; this bounds a flood.
const DATAGRAMS_PER_WAKE: usize = 512;
/// Datagrams from the socket (handshakes above all) and timers (joiners' cached GOPs) are let go on for
/// so long each in one turn. Then those who watch already have theirs.
const TURN_BUDGET: Duration = Duration::from_millis(2);
/// In a turn that takes long, what is sealed waits for no more than this.
const SEND_WITHIN: Duration = Duration::from_micros(500);
/// Ready sockets told of in one wake; the rest are told of in the next.
const READY_PER_WAKE: usize = 1_024;
/// How long the goodbyes may wait for the socket at shutdown.
const GOODBYE_PATIENCE: Duration = Duration::from_millis(200);

pub(crate) struct Shard {
    // given
    commands: Receiver<Command>,
    wake: Arc<OwnedFd>,
    events: Arc<EventQueue>,
    figures: Arc<Figures>,
    totals: Arc<Totals>,
    mesh: Mesh,
    // owned
    epoll: OwnedFd,
    sink: UdpSink,
    outbox: Outbox,
    streams: Slots<StreamSlot>,
    viewers: Slots<Viewer>,
    listener: Option<TcpListener>,
    rtsp: Option<RtspPorts>,
    connections: Slots<Connection>,
    tcp_serial: u64,
    timers: Timers,
    scratch: ReadScratch,
    // derived
    stream_keys: HashMap<String, usize>,
    viewer_keys: HashMap<String, usize>,
    by_ufrag: HashMap<String, usize>,
    by_address: HashMap<SocketAddr, usize>,
    by_stream_address: HashMap<SocketAddr, usize>,
    dirty: Vec<usize>,
    /// Cameras with more to read than a visit's budget, and what epoll said of them.
    unread: Vec<(usize, epoll::EventFlags)>,
    /// Who is being visited; kept for its room only.
    visiting: Vec<usize>,
    udp_blocked: bool,
    /// When the outbox was last handed to the kernel.
    sent_at: Instant,
    shutdown: Option<Instant>,
}

/// What a shard reads and writes by. The first one reads for all.
pub(crate) struct Ports {
    pub socket: UdpSocket,
    pub listener: Option<TcpListener>,
    pub rtsp: Option<RtspPorts>,
}

/// What a shard has in common with who made it.
pub(crate) struct Given {
    pub commands: Receiver<Command>,
    pub wake: Arc<OwnedFd>,
    pub events: Arc<EventQueue>,
    pub figures: Arc<Figures>,
}

/// What wakes a shard when a command waits.
pub(crate) fn new_wake() -> io::Result<Arc<OwnedFd>> {
    let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
    Ok(Arc::new(rustix::event::eventfd(0, flags)?))
}

fn udp_interest(mesh: &Mesh) -> epoll::EventFlags {
    match mesh.reads() {
        true => epoll::EventFlags::IN,
        false => epoll::EventFlags::empty(),
    }
}

impl Shard {
    pub fn new(ports: Ports, mesh: Mesh, given: Given) -> io::Result<Self> {
        let Ports {
            socket,
            listener,
            rtsp,
        } = ports;
        let Given {
            commands,
            wake,
            events,
            figures,
        } = given;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let read = epoll::EventFlags::IN;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(TOKEN_WAKE), read)?;
        epoll::add(
            &epoll,
            &socket,
            epoll::EventData::new_u64(TOKEN_UDP),
            udp_interest(&mesh),
        )?;
        if let Some(listener) = &listener {
            let token = epoll::EventData::new_u64(TOKEN_LISTENER);
            epoll::add(&epoll, listener, token, read)?;
        }
        let plain = rtsp.as_ref().and_then(|ports| ports.plain.as_ref());
        let tls = rtsp.as_ref().and_then(|ports| ports.tls.as_ref());
        let doors = [
            (TOKEN_RTSP_LISTENER, plain),
            (TOKEN_RTSPS_LISTENER, tls.map(|port| &port.listener)),
        ];
        for (token, listener) in doors {
            if let Some(listener) = listener {
                epoll::add(&epoll, listener, epoll::EventData::new_u64(token), read)?;
            }
        }
        Ok(Self {
            commands,
            wake,
            events,
            totals: figures.totals_of(mesh.index),
            figures,
            mesh,
            epoll,
            sink: UdpSink::new(socket),
            outbox: Outbox::default(),
            streams: Slots::default(),
            viewers: Slots::default(),
            listener,
            rtsp,
            connections: Slots::default(),
            tcp_serial: 0,
            timers: Timers::default(),
            scratch: ReadScratch::new(READ_BUDGET_BYTES),
            stream_keys: HashMap::new(),
            viewer_keys: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_address: HashMap::new(),
            by_stream_address: HashMap::new(),
            dirty: Vec::new(),
            unread: Vec::new(),
            visiting: Vec::new(),
            udp_blocked: false,
            sent_at: Instant::now(),
            shutdown: None,
        })
    }

    /// Runs until shutdown. What no machine's own guard has caught is the end of this shard: it is
    /// said, and `/healthz` fails from then on.
    pub fn run_guarded(self) {
        let (events, totals) = (self.events.clone(), self.totals.clone());
        let (mesh, figures) = (self.mesh.clone(), self.figures.clone());
        if guarded(Seam::Shard, || self.run()).is_some() {
            return;
        }
        totals.shards_ended.add(1);
        mesh.mine().end();
        let detail = format!("shard {} has ended; restart the service", mesh.index);
        events.push("", EventBody::WorkerFault { detail });
        for (id, row) in figures.viewers(None) {
            if row.figures.shard.get() == mesh.index as u64 {
                figures.remove_viewer(&id);
                let cause = "worker_fault".to_owned();
                events.push(&id, EventBody::ViewerClosed { cause, row });
            }
        }
    }

    /// Runs until shutdown.
    fn run(mut self) {
        let mut ready = Vec::with_capacity(READY_PER_WAKE);
        while self.shutdown.is_none() {
            self.sleep(&mut ready);
            let woken = Instant::now();
            self.turn(woken, &ready);
            let spent = woken.elapsed();
            if spent < WAKE_SPACING && self.shutdown.is_none() {
                std::thread::sleep(WAKE_SPACING - spent);
            }
        }
        self.say_goodbye();
    }

    /// All that there is to do after one wake.
    fn turn(&mut self, woken: Instant, ready: &[epoll::Event]) {
        self.totals.wakes.add(1);
        // A viewer's first check may have come in the same moment as what opens it.
        self.take_commands(woken);
        self.serve_unread(woken);
        for (place, event) in ready.iter().enumerate() {
            // First where it lies, a visit later what it points to.
            if let Some(key) = stream_of(ready.get(place + 2))
                && let Some(place) = self.streams.place(key)
            {
                sys::prefetch(place);
            }
            if let Some(key) = stream_of(ready.get(place + 1))
                && let Some(slot) = self.streams.get_mut(key)
            {
                sys::prefetch(&*slot.figures);
                if let Some(newest) = slot.stream.ring().newest() {
                    sys::prefetch_behind(newest);
                }
                sys::prefetch_room(slot.stream.next_memory());
            }
            self.serve(woken, event.data.u64(), event.flags);
            // While what was read is still near, and before the other cameras have had their turn.
            if !self.dirty.is_empty() {
                self.visit_dirty(woken);
                self.send_in_time();
            }
        }
        // Once more: what came since has rung the bell that was heard just now.
        self.take_commands(woken);
        self.visit_dirty(woken);
        self.take_timers(woken, TURN_BUDGET);
        self.visit_dirty(woken);
        self.flush();
    }

    fn sleep(&mut self, ready: &mut Vec<epoll::Event>) {
        ready.clear();
        let next = match self.unread.is_empty() {
            true => self.timers.next(),
            false => Some(Instant::now()),
        };
        let timeout = next.map(|at| {
            let wait = at.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: wait.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: wait.subsec_nanos().into(),
            }
        });
        // Interrupted or not: what is due is looked at all the same.
        let _ = epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(ready),
            timeout.as_ref(),
        );
    }

    fn serve(&mut self, now: Instant, token: u64, flags: epoll::EventFlags) {
        match token {
            TOKEN_WAKE => {
                let mut count = [0u8; 8];
                let _ = rustix::io::read(&self.wake, &mut count);
            }
            TOKEN_UDP => {
                if flags.contains(epoll::EventFlags::OUT) {
                    self.unblock_udp();
                }
                if self.mesh.reads() {
                    self.take_datagrams(now);
                }
            }
            TOKEN_LISTENER => self.accept(now),
            TOKEN_RTSP_LISTENER => self.accept_rtsp_clients(now, false),
            TOKEN_RTSPS_LISTENER => self.accept_rtsp_clients(now, true),
            token if token >= TOKEN_TCP => {
                let key = usize::try_from(token - TOKEN_TCP).unwrap_or(usize::MAX);
                self.serve_tcp(now, key, flags);
            }
            token => {
                let key = usize::try_from(token - TOKEN_STREAMS).unwrap_or(usize::MAX);
                self.serve_source(now, key, flags);
            }
        }
    }

    fn take_commands(&mut self, now: Instant) {
        while let Ok(command) = self.commands.try_recv() {
            if command.is_from_shard() {
                self.mesh.mine().handed_over();
            }
            match command {
                Command::OpenSource(command) => self.open_source(now, *command),
                Command::CloseSource { stream_id } => {
                    if let Some(key) = self.stream_keys.get(&stream_id).copied() {
                        self.hang_up(key);
                        self.streams[key].forget_waiters();
                        self.drop_idle(key);
                    }
                }
                Command::OpenViewer(command) => self.open_viewer(now, *command),
                Command::AcceptRtsp(open) => self.accept_rtsp(now, open),
                Command::RefuseRtsp {
                    connection_id,
                    status,
                    retry_after_s,
                } => self.refuse_rtsp(now, &connection_id, status, retry_after_s),
                Command::SetRtspIdentity(identity) => self.set_rtsp_identity(identity),
                Command::RtspViewer { connection, open } => {
                    self.take_rtsp_viewer(now, *connection, *open);
                }
                Command::RenewViewers(leases) => {
                    for (id, until) in leases {
                        if let Some(key) = self.viewer_keys.get(&id).copied() {
                            self.viewers[key].renew(until, now);
                            self.visit_viewer(now, key);
                        }
                    }
                }
                Command::CloseViewers { select, cause } => self.close_viewers(now, &select, &cause),
                Command::SetViewerAudio { viewer_id, on } => self.set_viewer_audio(&viewer_id, on),
                Command::SwitchViewer {
                    viewer_id,
                    stream_id,
                } => self.switch_viewer(now, &viewer_id, &stream_id),
                Command::TakeKeyframe {
                    request_id,
                    stream_id,
                } => {
                    // The dial it waits for may come later than this.
                    let key = self.stream_key(&stream_id);
                    self.streams[key].take_keyframe(now, request_id, &self.events);
                }
                Command::Datagram { origin, bytes } => self.take_handed(now, origin, &bytes),
                Command::Connection { connection, frames } => {
                    self.take_connection(now, *connection, &frames);
                }
                Command::Follow {
                    stream_id,
                    follower,
                } => self.add_follower(&stream_id, follower),
                Command::Unfollow {
                    stream_id,
                    follower,
                } => self.remove_follower(&stream_id, follower),
                Command::Units { stream_id, units } => self.take_units(&stream_id, units),
                Command::StreamLost { stream_id } => self.stream_lost(&stream_id),
                Command::Hear {
                    stream_id,
                    follower,
                    on,
                } => self.follower_hears(&stream_id, follower, on),
                Command::Audio { stream_id, packets } => {
                    self.take_audio(now, &stream_id, packets);
                }
                Command::Shutdown { deadline } => self.shutdown = Some(deadline),
            }
        }
    }

    /// Those that are due; when the budget is spent the rest comes in the next turn, which is not
    /// slept before.
    fn take_timers(&mut self, now: Instant, budget: Duration) {
        let begun = Instant::now();
        while let Some((at, timer)) = self.timers.pop_due(now) {
            match timer {
                Timer::Source(key) => self.source_timer(now, at, key),
                Timer::Viewer(key) => self.viewer_timer(now, at, key),
                Timer::Tcp(key) => self.tcp_timer(now, at, key),
                Timer::Pace(key) => {
                    let viewer = self.viewers.get_mut(key);
                    if viewer.is_some_and(|v| fires(at, &mut v.pace_armed)) {
                        self.visit_viewer(now, key);
                    }
                }
            }
            if begun.elapsed() >= budget {
                return;
            }
        }
    }

    fn visit_dirty(&mut self, now: Instant) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for key in dirty.drain(..) {
            self.feed_followers(key);
            // A copy: a visit may end a viewer, and the stream must count those that are left.
            // Were it taken for idle, its key would be the next stream's, and they would see it.
            let mut visiting = std::mem::take(&mut self.visiting);
            visiting.clear();
            if let Some(slot) = self.streams.get(key) {
                visiting.extend_from_slice(&slot.viewers);
            }
            for (place, viewer) in visiting.iter().enumerate() {
                // Sealing takes long enough to bring the next one's state near.
                if let Some(place) = visiting.get(place + 1).and_then(|&k| self.viewers.place(k)) {
                    sys::prefetch(place);
                }
                self.visit_viewer(now, *viewer);
            }
            self.visiting = visiting;
        }
        self.dirty = dirty;
    }

    /// What is sealed does not wait for the rest of a long turn.
    fn send_in_time(&mut self) {
        if !self.udp_blocked && self.outbox.has_waiting() && self.sent_at.elapsed() >= SEND_WITHIN {
            self.flush();
        }
    }

    /// Hands out what was sealed; true when the UDP socket is full.
    fn send(&mut self) -> bool {
        self.flush_tcp(Instant::now());
        let blocked = self.outbox.flush(&mut self.sink, &self.totals);
        if let Some(error) = self.outbox.take_gso_refusal() {
            let detail = error.to_string();
            self.events.push("", EventBody::GsoRefused { detail });
        }
        blocked
    }

    pub(super) fn flush(&mut self) {
        let blocked = self.send();
        self.sent_at = Instant::now();
        if blocked && !self.udp_blocked {
            self.udp_blocked = true;
            self.watch_udp(udp_interest(&self.mesh) | epoll::EventFlags::OUT);
        }
    }

    /// The socket takes bytes again: what waits goes first, then every viewer gets its turn.
    fn unblock_udp(&mut self) {
        if self.send() {
            return;
        }
        self.udp_blocked = false;
        self.watch_udp(udp_interest(&self.mesh));
        let watched = self.streams.keys_where(|slot| !slot.viewers.is_empty());
        self.dirty.extend(watched);
    }

    fn watch_udp(&self, interest: epoll::EventFlags) {
        let token = epoll::EventData::new_u64(TOKEN_UDP);
        let _ = epoll::modify(&self.epoll, self.sink.socket.as_fd(), token, interest);
    }

    fn say_goodbye(&mut self) {
        let now = Instant::now();
        for key in self.viewers.keys_where(|_| true) {
            self.end_viewer(now, key, "shutdown".to_owned());
        }
        for key in self.streams.keys_where(|_| true) {
            self.hang_up(key);
        }
        let deadline = self.shutdown.unwrap_or(now).min(now + GOODBYE_PATIENCE);
        while self.send() && Instant::now() < deadline {
            std::thread::sleep(WAKE_SPACING);
        }
    }
}

/// The stream that an event is of. Reading one camera is a system call: time enough to bring the next
/// ones' state near.
fn stream_of(event: Option<&epoll::Event>) -> Option<usize> {
    usize::try_from(event?.data.u64().checked_sub(TOKEN_STREAMS)?).ok()
}

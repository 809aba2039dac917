//! The thread that owns streams and viewers outright: wake, drain, visit, send, sleep.

mod sources;
mod tcp;
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
use crate::event::EventQueue;
use crate::outbox::{Outbox, UdpSink};
use crate::slots::Slots;
use crate::source::READ_BUDGET_BYTES;
use crate::stats::Figures;
use crate::stream::{ReadScratch, StreamSlot};
use crate::sys;
use crate::tcp::Connection;
use crate::timers::{Timer, Timers, fires};
use crate::viewer::Viewer;

const TOKEN_WAKE: u64 = 0;
const TOKEN_UDP: u64 = 1;
const TOKEN_LISTENER: u64 = 2;
const TOKEN_STREAMS: u64 = 3;
/// Far beyond any stream's.
const TOKEN_TCP: u64 = 1 << 40;
/// Not woken again within this: a wake per readiness costs three times as much per packet.
const WAKE_SPACING: Duration = Duration::from_millis(1);
/// Datagrams taken in one wake. Viewers send about two a second each; this bounds a flood.
const DATAGRAMS_PER_WAKE: usize = 512;
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
    // owned
    epoll: OwnedFd,
    sink: UdpSink,
    outbox: Outbox,
    streams: Slots<StreamSlot>,
    viewers: Slots<Viewer>,
    listener: Option<TcpListener>,
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
    shutdown: Option<Instant>,
}

impl Shard {
    pub fn new(
        socket: UdpSocket,
        listener: Option<TcpListener>,
        commands: Receiver<Command>,
        events: Arc<EventQueue>,
        figures: Arc<Figures>,
    ) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let wake = Arc::new(rustix::event::eventfd(0, flags)?);
        let read = epoll::EventFlags::IN;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(TOKEN_WAKE), read)?;
        epoll::add(&epoll, &socket, epoll::EventData::new_u64(TOKEN_UDP), read)?;
        if let Some(listener) = &listener {
            let token = epoll::EventData::new_u64(TOKEN_LISTENER);
            epoll::add(&epoll, listener, token, read)?;
        }
        Ok(Self {
            commands,
            wake,
            events,
            figures,
            epoll,
            sink: UdpSink::new(socket),
            outbox: Outbox::default(),
            streams: Slots::default(),
            viewers: Slots::default(),
            listener,
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
            shutdown: None,
        })
    }

    /// What wakes the shard when a command waits.
    pub fn wake(&self) -> Arc<OwnedFd> {
        self.wake.clone()
    }

    /// Runs until shutdown.
    pub fn run(mut self) {
        let mut ready = Vec::with_capacity(READY_PER_WAKE);
        while self.shutdown.is_none() {
            self.sleep(&mut ready);
            let woken = Instant::now();
            self.figures.totals.wakes.add(1);
            self.serve_unread(woken);
            for (place, event) in ready.iter().enumerate() {
                // First where it lies, a turn later what it points to.
                if let Some(place) = self.place_of(ready.get(place + 2)) {
                    sys::prefetch(place);
                }
                if let Some(Some(slot)) = self.place_of(ready.get(place + 1)) {
                    sys::prefetch(&*slot.figures);
                }
                self.serve(woken, event.data.u64(), event.flags);
            }
            self.take_commands(woken);
            self.take_timers(woken);
            self.visit_dirty(woken);
            self.flush();
            let spent = woken.elapsed();
            if spent < WAKE_SPACING && self.shutdown.is_none() {
                std::thread::sleep(WAKE_SPACING - spent);
            }
        }
        self.say_goodbye();
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
                self.take_datagrams(now);
            }
            TOKEN_LISTENER => self.accept(now),
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

    /// The stream that an event is of. Reading one camera is a system call: time enough to bring
    /// the next ones' state near.
    fn place_of(&self, event: Option<&epoll::Event>) -> Option<&Option<StreamSlot>> {
        let key = event?.data.u64().checked_sub(TOKEN_STREAMS)?;
        self.streams.place(usize::try_from(key).ok()?)
    }

    fn take_commands(&mut self, now: Instant) {
        while let Ok(command) = self.commands.try_recv() {
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
                Command::RenewViewers(leases) => {
                    for (id, until) in leases {
                        if let Some(key) = self.viewer_keys.get(&id).copied() {
                            self.viewers[key].renew(until, now);
                            self.visit_viewer(now, key);
                        }
                    }
                }
                Command::CloseViewers { select, cause } => self.close_viewers(now, &select, &cause),
                Command::TakeKeyframe {
                    request_id,
                    stream_id,
                } => {
                    // The dial it waits for may come later than this.
                    let key = self.stream_key(&stream_id);
                    self.streams[key].take_keyframe(now, request_id, &self.events);
                }
                Command::Shutdown { deadline } => self.shutdown = Some(deadline),
            }
        }
    }

    fn take_timers(&mut self, now: Instant) {
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
        }
    }

    fn visit_dirty(&mut self, now: Instant) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for key in dirty.drain(..) {
            // A copy: a visit may end a viewer, and the stream must count those that are left.
            // Were it taken for idle, its key would be the next stream's, and they would see it.
            let mut visiting = std::mem::take(&mut self.visiting);
            visiting.clear();
            if let Some(slot) = self.streams.get(key) {
                visiting.extend_from_slice(&slot.viewers);
            }
            for viewer in &visiting {
                self.visit_viewer(now, *viewer);
            }
            self.visiting = visiting;
        }
        self.dirty = dirty;
    }

    /// Hands out what was sealed; true when the UDP socket is full.
    fn send(&mut self) -> bool {
        self.flush_tcp(Instant::now());
        self.outbox.flush(&mut self.sink, &self.figures.totals)
    }

    pub(super) fn flush(&mut self) {
        let blocked = self.send();
        if blocked && !self.udp_blocked {
            self.udp_blocked = true;
            self.watch_udp(epoll::EventFlags::IN | epoll::EventFlags::OUT);
        }
    }

    /// The socket takes bytes again: what waits goes first, then every viewer gets its turn.
    fn unblock_udp(&mut self) {
        if self.send() {
            return;
        }
        self.udp_blocked = false;
        self.watch_udp(epoll::EventFlags::IN);
        self.dirty = self.streams.keys_where(|slot| !slot.viewers.is_empty());
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

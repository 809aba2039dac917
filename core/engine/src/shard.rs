//! The thread that owns streams and viewers outright: wake, drain, visit, send, sleep.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use peer::rtsp_client::Failure;
use rustix::event::{EventfdFlags, Timespec, epoll};
use wire::stun;

use crate::command::{Command, OpenSource, OpenViewer, Select};
use crate::event::{EventBody, EventQueue};
use crate::outbox::{Outbox, UdpSink};
use crate::slots::Slots;
use crate::source::{READ_BUDGET_BYTES, Source};
use crate::stats::{Figures, SourceState};
use crate::stream::{SourceOutcome, StreamSlot};
use crate::timers::{Timer, Timers, fires};
use crate::viewer::{Outcome, RouteChange, Viewer};

const TOKEN_WAKE: u64 = 0;
const TOKEN_UDP: u64 = 1;
const TOKEN_STREAMS: u64 = 2;
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
    timers: Timers,
    scratch: Vec<u8>,
    // derived
    stream_keys: HashMap<String, usize>,
    viewer_keys: HashMap<String, usize>,
    by_ufrag: HashMap<String, usize>,
    by_address: HashMap<SocketAddr, usize>,
    dirty: Vec<usize>,
    udp_blocked: bool,
    shutdown: Option<Instant>,
}

impl Shard {
    pub fn new(
        socket: UdpSocket,
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
            timers: Timers::default(),
            scratch: vec![0; READ_BUDGET_BYTES],
            stream_keys: HashMap::new(),
            viewer_keys: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_address: HashMap::new(),
            dirty: Vec::new(),
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
            for event in &ready {
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
        let timeout = self.timers.next().map(|at| {
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
            token => {
                let key = usize::try_from(token - TOKEN_STREAMS).unwrap_or(usize::MAX);
                self.serve_source(now, key, flags);
            }
        }
    }

    // --- sources -------------------------------------------------------------------------------

    fn serve_source(&mut self, now: Instant, key: usize, flags: epoll::EventFlags) {
        let Some(slot) = self.streams.get_mut(key) else {
            return;
        };
        let Some(source) = &slot.source else {
            return;
        };
        let was_waiting = source.wants_write();
        let mut outcome = SourceOutcome::Goes;
        let failed = epoll::EventFlags::ERR | epoll::EventFlags::HUP;
        if flags.intersects(epoll::EventFlags::OUT | failed) && was_waiting {
            outcome = slot.writable(now, &self.events);
        }
        let connected = slot.source.as_ref().is_some_and(|s| !s.is_connecting());
        if matches!(outcome, SourceOutcome::Goes)
            && connected
            && flags.intersects(epoll::EventFlags::IN | failed)
        {
            outcome = slot.readable(now, &mut self.scratch, &self.events);
        }
        if slot.dirty {
            slot.dirty = false;
            self.dirty.push(key);
        }
        self.after_source(now, key, outcome, was_waiting);
    }

    fn after_source(
        &mut self,
        now: Instant,
        key: usize,
        outcome: SourceOutcome,
        was_waiting: bool,
    ) {
        match outcome {
            SourceOutcome::Goes => {
                let Some(source) = self.streams.get_mut(key).and_then(|s| s.source.as_mut()) else {
                    return;
                };
                if source.wants_write() != was_waiting {
                    let interest = interest(source.wants_write());
                    let token = epoll::EventData::new_u64(TOKEN_STREAMS + key as u64);
                    let _ = epoll::modify(&self.epoll, source.fd(), token, interest);
                }
                let next = source.next_timeout();
                self.timers.arm(Timer::Source(key), next, &mut source.armed);
            }
            SourceOutcome::Lost(failure) => self.lose_source(key, &failure),
            SourceOutcome::Redial { host, port } => {
                let Some(source) = self.streams.get_mut(key).and_then(|s| s.source.as_mut()) else {
                    return;
                };
                match source.redial(&host, port, now) {
                    Ok(()) => self.watch_source(key),
                    Err(failure) => self.lose_source(key, &failure),
                }
            }
        }
    }

    /// Registers a freshly dialled socket and its first deadline.
    fn watch_source(&mut self, key: usize) {
        let Some(source) = self.streams.get_mut(key).and_then(|s| s.source.as_mut()) else {
            return;
        };
        let token = epoll::EventData::new_u64(TOKEN_STREAMS + key as u64);
        let added = epoll::add(
            &self.epoll,
            source.fd(),
            token,
            interest(source.wants_write()),
        );
        let next = source.next_timeout();
        self.timers.arm(Timer::Source(key), next, &mut source.armed);
        if let Err(error) = added {
            let failure = Failure::new(
                peer::rtsp_client::FailureKind::Unreachable,
                peer::rtsp_client::Step::Dial,
                format!("the socket can't be watched: {error}"),
            );
            self.lose_source(key, &failure);
        }
    }

    fn open_source(&mut self, now: Instant, command: OpenSource) {
        let key = self.stream_key(&command.stream_id);
        self.hang_up(key);
        let dialled = Source::dial(command.connect_to, command.client, now);
        let slot = &mut self.streams[key];
        slot.figures = command.figures;
        match dialled {
            Ok(source) => {
                slot.attach(source);
                self.count_sources();
                self.watch_source(key);
            }
            Err(failure) => self.lose_source(key, &failure),
        }
    }

    fn lose_source(&mut self, key: usize, failure: &Failure) {
        let Some(slot) = self.streams.get_mut(key) else {
            return;
        };
        if let Some(mut source) = slot.detach() {
            // What the machine still wants sent (a TEARDOWN) goes as far as it can.
            let _ = source.flush();
        }
        slot.figures.state.set(SourceState::Lost as u64);
        self.events.push(
            &slot.id,
            EventBody::SourceLost {
                cause: failure.code(),
                retryable: failure.retryable(),
                detail: failure.to_string(),
            },
        );
        self.count_sources();
        self.drop_idle(key);
    }

    fn hang_up(&mut self, key: usize) {
        if let Some(slot) = self.streams.get_mut(key)
            && let Some(mut source) = slot.detach()
        {
            source.say_goodbye();
        }
        self.count_sources();
    }

    fn count_sources(&self) {
        let open = self.streams.iter().filter(|s| s.source.is_some()).count();
        self.figures.totals.sources_open.set(open as u64);
    }

    fn stream_key(&mut self, stream_id: &str) -> usize {
        if let Some(key) = self.stream_keys.get(stream_id) {
            return *key;
        }
        let slot = StreamSlot::new(stream_id.to_owned(), Arc::default());
        let key = self.streams.insert(slot);
        self.stream_keys.insert(stream_id.to_owned(), key);
        key
    }

    fn drop_idle(&mut self, key: usize) {
        if self.streams.get(key).is_some_and(StreamSlot::is_idle)
            && let Some(slot) = self.streams.remove(key)
        {
            self.stream_keys.remove(&slot.id);
        }
    }

    // --- viewers -------------------------------------------------------------------------------

    fn take_datagrams(&mut self, now: Instant) {
        let mut datagram = [0u8; 2048];
        for _ in 0..DATAGRAMS_PER_WAKE {
            match self.sink.socket.recv_from(&mut datagram) {
                Ok((size, from)) => {
                    self.figures.totals.datagrams_in.add(1);
                    self.route(now, from, &datagram[..size]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP answer to an earlier send shows up here; the next read is clean.
                Err(_) => {}
            }
        }
    }

    fn route(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        // A check names its viewer itself: an address may pass from one viewer to another.
        let named = stun::local_ufrag(datagram).and_then(|ufrag| self.by_ufrag.get(ufrag));
        let Some(key) = named.or_else(|| self.by_address.get(&from)).copied() else {
            self.figures.totals.datagrams_unrouted.add(1);
            return;
        };
        let Some(viewer) = self.viewers.get_mut(key) else {
            return;
        };
        match catch_unwind(AssertUnwindSafe(|| viewer.receive(now, from, datagram))) {
            Ok(Ok(())) => {}
            Ok(Err(_)) => self.figures.totals.viewer_datagrams_refused.add(1),
            Err(_) => return self.viewer_fault(now, key),
        }
        self.settle_viewer(now, key);
    }

    /// After anything a viewer's transport handled: its datagrams, routes, media, deadlines, end.
    fn settle_viewer(&mut self, now: Instant, key: usize) {
        let Some(viewer) = self.viewers.get_mut(key) else {
            return;
        };
        let mut routes = Vec::new();
        let settled = catch_unwind(AssertUnwindSafe(|| {
            viewer.settle(now, &mut self.outbox, &self.events, &mut routes)
        }));
        for change in routes {
            match change {
                RouteChange::Add(address) => {
                    self.by_address.insert(address, key);
                }
                RouteChange::Remove(address) => {
                    if self.by_address.get(&address) == Some(&key) {
                        self.by_address.remove(&address);
                    }
                }
            }
        }
        match settled {
            Ok(Outcome::Goes) => self.visit_viewer(now, key),
            Ok(Outcome::Ended(cause)) => self.end_viewer(now, key, cause),
            Err(_) => self.viewer_fault(now, key),
        }
    }

    /// Sends a viewer what is due and arms its next wakes.
    fn visit_viewer(&mut self, now: Instant, key: usize) {
        let Some(viewer) = self.viewers.get_mut(key) else {
            return;
        };
        let Some(slot) = self.streams.get(viewer.stream) else {
            return;
        };
        let ring = slot.stream.ring();
        if !self.udp_blocked {
            let pumped = catch_unwind(AssertUnwindSafe(|| {
                viewer.pump(now, ring, &mut self.outbox, &self.events);
            }));
            if pumped.is_err() {
                return self.viewer_fault(now, key);
            }
            let pace = viewer.next_pace(now, ring);
            self.timers
                .arm(Timer::Pace(key), pace, &mut viewer.pace_armed);
        }
        let next = viewer.next_timeout();
        self.timers.arm(Timer::Viewer(key), next, &mut viewer.armed);
    }

    fn open_viewer(&mut self, now: Instant, command: OpenViewer) {
        let stream = self.stream_key(&command.stream_id);
        let viewer = Viewer::new(command, stream, now);
        let (id, ufrag) = (viewer.id.clone(), viewer.local_ufrag.clone());
        let key = self.viewers.insert(viewer);
        self.viewer_keys.insert(id, key);
        self.by_ufrag.insert(ufrag, key);
        self.streams[stream].viewers.push(key);
        self.figures
            .totals
            .viewers_open
            .set(self.viewers.len() as u64);
        self.visit_viewer(now, key);
    }

    fn end_viewer(&mut self, now: Instant, key: usize, cause: String) {
        let Some(mut viewer) = self.viewers.remove(key) else {
            return;
        };
        let goodbye = AssertUnwindSafe(|| viewer.say_goodbye(now, &mut self.outbox));
        // A machine that panics at its end has nothing left to say.
        let _ = catch_unwind(goodbye);
        for address in viewer.peer.known_addrs() {
            if self.by_address.get(&address) == Some(&key) {
                self.by_address.remove(&address);
            }
        }
        self.viewer_keys.remove(&viewer.id);
        self.by_ufrag.remove(&viewer.local_ufrag);
        if let Some(slot) = self.streams.get_mut(viewer.stream) {
            slot.viewers.retain(|other| *other != key);
        }
        self.figures.remove_viewer(&viewer.id);
        self.figures
            .totals
            .viewers_open
            .set(self.viewers.len() as u64);
        let figures = viewer.figures();
        self.events.push(
            &viewer.id,
            EventBody::ViewerClosed {
                cause,
                bytes: figures.bytes.get(),
                packets: figures.packets.get(),
            },
        );
        self.drop_idle(viewer.stream);
    }

    fn viewer_fault(&mut self, now: Instant, key: usize) {
        self.figures.totals.worker_faults.add(1);
        if let Some(viewer) = self.viewers.get(key) {
            let detail = "a viewer's input made its machine panic; the view was closed".to_owned();
            self.events
                .push(&viewer.id, EventBody::WorkerFault { detail });
        }
        self.end_viewer(now, key, "worker_fault".to_owned());
    }

    fn close_viewers(&mut self, now: Instant, select: &Select, cause: &str) {
        let keys: Vec<usize> = match select {
            Select::Ids(ids) => ids
                .iter()
                .filter_map(|id| self.viewer_keys.get(id).copied())
                .collect(),
            Select::Channel(id) => self.viewers.keys_where(|v| v.channel_id == *id),
            Select::Subject(id) => self.viewers.keys_where(|v| v.subject_id == *id),
        };
        for key in keys {
            self.end_viewer(now, key, cause.to_owned());
        }
    }

    // --- the wake's other parts ----------------------------------------------------------------

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
                Timer::Pace(key) => {
                    let viewer = self.viewers.get_mut(key);
                    if viewer.is_some_and(|v| fires(at, &mut v.pace_armed)) {
                        self.visit_viewer(now, key);
                    }
                }
            }
        }
    }

    fn source_timer(&mut self, now: Instant, at: Instant, key: usize) {
        let Some(slot) = self.streams.get_mut(key) else {
            return;
        };
        let Some(source) = slot.source.as_mut() else {
            return;
        };
        if !fires(at, &mut source.armed) {
            return;
        }
        let was_waiting = source.wants_write();
        let outcome = slot.handle_timeout(now, &self.events);
        self.after_source(now, key, outcome, was_waiting);
    }

    fn viewer_timer(&mut self, now: Instant, at: Instant, key: usize) {
        let Some(viewer) = self.viewers.get_mut(key) else {
            return;
        };
        if !fires(at, &mut viewer.armed) {
            return;
        }
        let outbox = &mut self.outbox;
        match catch_unwind(AssertUnwindSafe(|| viewer.handle_timeout(now, outbox))) {
            Ok(Outcome::Goes) => self.settle_viewer(now, key),
            Ok(Outcome::Ended(cause)) => self.end_viewer(now, key, cause),
            Err(_) => self.viewer_fault(now, key),
        }
    }

    fn visit_dirty(&mut self, now: Instant) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for key in dirty.drain(..) {
            let Some(slot) = self.streams.get_mut(key) else {
                continue;
            };
            let viewers = std::mem::take(&mut slot.viewers);
            for viewer in &viewers {
                self.visit_viewer(now, *viewer);
            }
            // A visit may end a viewer, which took itself out of the (empty) list.
            if let Some(slot) = self.streams.get_mut(key) {
                slot.viewers = viewers;
                let alive = &self.viewers;
                slot.viewers.retain(|viewer| alive.get(*viewer).is_some());
            }
        }
        self.dirty = dirty;
    }

    fn flush(&mut self) {
        let blocked = self.outbox.flush(&mut self.sink, &self.figures.totals);
        if blocked && !self.udp_blocked {
            self.udp_blocked = true;
            self.watch_udp(epoll::EventFlags::IN | epoll::EventFlags::OUT);
        }
    }

    /// The socket takes bytes again: what waits goes first, then every viewer gets its turn.
    fn unblock_udp(&mut self) {
        if self.outbox.flush(&mut self.sink, &self.figures.totals) {
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
        while self.outbox.flush(&mut self.sink, &self.figures.totals) && Instant::now() < deadline {
            std::thread::sleep(WAKE_SPACING);
        }
    }
}

fn interest(wants_write: bool) -> epoll::EventFlags {
    if wants_write {
        epoll::EventFlags::IN | epoll::EventFlags::OUT
    } else {
        epoll::EventFlags::IN
    }
}

//! The shard's viewers: routed to, visited, ended.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use wire::stun;

use super::{DATAGRAMS_PER_WAKE, Shard};
use crate::command::{OpenViewer, Select};
use crate::event::EventBody;
use crate::tcp::StreamAddress;
use crate::timers::{Timer, fires};
use crate::viewer::{Outcome, RouteChange, Viewer};

impl Shard {
    pub(super) fn take_datagrams(&mut self, now: Instant) {
        let mut datagram = [0u8; 2048];
        for _ in 0..DATAGRAMS_PER_WAKE {
            match self.sink.socket.recv_from(&mut datagram) {
                Ok((size, from)) => {
                    self.figures.totals.datagrams_in.add(1);
                    // Nobody is there (RFC 6666), and connections go by such addresses here.
                    if !StreamAddress::is(&from) {
                        self.route(now, from, from, &datagram[..size]);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP answer to an earlier send shows up here; the next read is clean.
                Err(_) => {}
            }
        }
    }

    /// `from`: the address the viewer goes by; `mapped`: where it really is.
    pub(super) fn route(
        &mut self,
        now: Instant,
        from: SocketAddr,
        mapped: SocketAddr,
        datagram: &[u8],
    ) {
        // A check names its viewer itself: an address may pass from one viewer to another.
        let named = stun::local_ufrag(datagram).and_then(|ufrag| self.by_ufrag.get(ufrag));
        let Some(key) = named.or_else(|| self.by_address.get(&from)).copied() else {
            self.figures.totals.datagrams_unrouted.add(1);
            return;
        };
        let Some(viewer) = self.viewers.get_mut(key) else {
            return;
        };
        match catch_unwind(AssertUnwindSafe(|| {
            viewer.receive(now, from, mapped, datagram)
        })) {
            Ok(Ok(())) => {}
            Ok(Err(_)) => self.figures.totals.viewer_datagrams_refused.add(1),
            Err(_) => return self.viewer_fault(now, key),
        }
        self.settle_viewer(now, key);
    }

    /// After anything a viewer's transport handled: its datagrams, routes, media, deadlines, end.
    pub(super) fn settle_viewer(&mut self, now: Instant, key: usize) {
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
                        self.let_go(now, address);
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
    pub(super) fn visit_viewer(&mut self, now: Instant, key: usize) {
        let Some(viewer) = self.viewers.get_mut(key) else {
            return;
        };
        let Some(slot) = self.streams.get(viewer.stream) else {
            return;
        };
        let ring = slot.stream.ring();
        let full = (viewer.peer.remote_addr()).is_some_and(|to| self.is_full(to));
        let viewer = &mut self.viewers[key];
        if !self.udp_blocked && !full {
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
        if self.outbox.is_batch() && !self.udp_blocked {
            self.flush();
        }
    }

    pub(super) fn open_viewer(&mut self, now: Instant, command: OpenViewer) {
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

    pub(super) fn end_viewer(&mut self, now: Instant, key: usize, cause: String) {
        let Some(mut viewer) = self.viewers.remove(key) else {
            return;
        };
        let goodbye = AssertUnwindSafe(|| viewer.say_goodbye(now, &mut self.outbox));
        // A machine that panics at its end has nothing left to say.
        let _ = catch_unwind(goodbye);
        for address in viewer.peer.known_addrs() {
            if self.by_address.get(&address) == Some(&key) {
                self.by_address.remove(&address);
                self.let_go(now, address);
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

    pub(super) fn viewer_fault(&mut self, now: Instant, key: usize) {
        self.figures.totals.worker_faults.add(1);
        if let Some(viewer) = self.viewers.get(key) {
            let detail = "a viewer's input made its machine panic; the view was closed".to_owned();
            self.events
                .push(&viewer.id, EventBody::WorkerFault { detail });
        }
        self.end_viewer(now, key, "worker_fault".to_owned());
    }

    pub(super) fn close_viewers(&mut self, now: Instant, select: &Select, cause: &str) {
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

    pub(super) fn viewer_timer(&mut self, now: Instant, at: Instant, key: usize) {
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
}

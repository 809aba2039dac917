//! The shard's viewers: routed to, visited, ended.

use std::io;
use std::time::Instant;

use peer::webrtc::Origin;
use wire::stun;

use super::{DATAGRAMS_PER_WAKE, Shard, TURN_BUDGET};
use crate::command::{Command, OpenViewer, Select};
use crate::event::EventBody;
use crate::guard::{Seam, guarded};
use crate::tcp::StreamAddress;
use crate::timers::{Timer, fires};
use crate::viewer::{Outcome, RouteChange, Viewer};

/// The camera turned out to send what the viewer's offer lacks; the control plane refuses it so too.
pub(super) const NO_COMMON_CODEC: &str = "no_common_codec";

impl Shard {
    pub(super) fn take_datagrams(&mut self, now: Instant) {
        let mut datagram = [0u8; 2048];
        let begun = Instant::now();
        for _ in 0..DATAGRAMS_PER_WAKE {
            match self.sink.receive(&mut datagram) {
                Ok((size, origin)) => {
                    self.totals.datagrams_in.add(1);
                    // Nobody is there (RFC 6666), and connections go by such addresses here.
                    if !StreamAddress::is(&origin.from) {
                        self.route(now, origin, &datagram[..size]);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP answer to an earlier send shows up here; the next read is clean.
                Err(_) => {}
            }
            if begun.elapsed() >= TURN_BUDGET {
                return;
            }
        }
    }

    /// To its viewer, here or in another shard.
    pub(super) fn route(&mut self, now: Instant, origin: Origin, datagram: &[u8]) {
        // The other shards first: an address may have passed to one of their viewers.
        let Some(owner) = guarded(Seam::Route, || self.mesh.other_owner(origin.from, datagram))
        else {
            self.totals.worker_faults.add(1);
            return;
        };
        let taken = match owner {
            Some(owner) => {
                let bytes = datagram.to_vec();
                self.mesh.send(owner, Command::Datagram { origin, bytes })
            }
            None => self.route_here(now, origin, datagram),
        };
        if !taken {
            self.totals.datagrams_unrouted.add(1);
        }
    }

    /// A datagram for a viewer of this shard that another shard has read.
    pub(super) fn take_handed(&mut self, now: Instant, origin: Origin, bytes: &[u8]) {
        if !self.route_here(now, origin, bytes) {
            self.totals.datagrams_unrouted.add(1);
        }
    }

    /// False when it is of no viewer of this shard.
    pub(super) fn route_here(&mut self, now: Instant, origin: Origin, datagram: &[u8]) -> bool {
        // A check names its viewer itself: an address may pass from one viewer to another.
        let Some(ufrag) = guarded(Seam::Route, || stun::local_ufrag(datagram)) else {
            self.totals.worker_faults.add(1);
            return true;
        };
        let named = ufrag.and_then(|ufrag| self.by_ufrag.get(ufrag));
        let Some(key) = named.or_else(|| self.by_address.get(&origin.from)).copied() else {
            return false;
        };
        let Some(viewer) = self.viewers.get_mut(key) else {
            return true;
        };
        match guarded(Seam::Receive, || viewer.receive(now, origin, datagram)) {
            Some(Ok(())) => {}
            Some(Err(_)) => self.totals.viewer_datagrams_refused.add(1),
            None => {
                self.viewer_fault(now, key);
                return true;
            }
        }
        self.settle_viewer(now, key);
        true
    }

    /// After anything a viewer's transport handled: its datagrams, routes, media, deadlines, end.
    pub(super) fn settle_viewer(&mut self, now: Instant, key: usize) {
        let Some(viewer) = self.viewers.get_mut(key) else {
            return;
        };
        let mut routes = Vec::new();
        let settled = guarded(Seam::Settle, || {
            viewer.settle(now, &mut self.outbox, &self.events, &mut routes)
        });
        for change in routes {
            match change {
                RouteChange::Add(address) => {
                    self.by_address.insert(address, key);
                    self.mesh.add_route(address);
                }
                RouteChange::Remove(address) => {
                    if self.by_address.get(&address) == Some(&key) {
                        self.by_address.remove(&address);
                        self.mesh.remove_route(address);
                        self.let_go(now, address);
                    }
                }
            }
        }
        match settled {
            Some(Outcome::Goes) => self.visit_viewer(now, key),
            Some(Outcome::Ended(cause)) => self.end_viewer(now, key, cause),
            None => self.viewer_fault(now, key),
        }
    }

    /// Sends a viewer what is due and arms its next wakes.
    pub(super) fn visit_viewer(&mut self, now: Instant, key: usize) {
        self.try_switch(now, key);
        let Some(stream) = self.viewers.get(key).map(|viewer| viewer.stream) else {
            return;
        };
        self.follow(stream);
        if self.viewers[key].hears() {
            self.tell_hearing(stream);
        }
        self.describe_rtsp(now, key);
        let Some(viewer) = self.viewers.get(key) else {
            return;
        };
        let slot = &self.streams[stream];
        if slot.codec.is_some_and(|codec| !viewer.takes(codec)) {
            return self.end_viewer(now, key, NO_COMMON_CODEC.to_owned());
        }
        let ring = slot.stream.ring();
        let full = (viewer.leg.remote_addr()).is_some_and(|to| self.is_full(to));
        let viewer = &mut self.viewers[key];
        if !self.udp_blocked && !full {
            let pumped = guarded(Seam::Pump, || {
                viewer.pump(now, ring, &mut self.outbox, &self.events);
            });
            if pumped.is_none() {
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
        let stream = self.watch_stream(&command.stream_id);
        let viewer = Viewer::new(command, stream, now);
        let (id, ufrag) = (viewer.id.clone(), viewer.local_ufrag.clone());
        let key = self.viewers.insert(viewer);
        self.viewer_keys.insert(id, key);
        self.by_ufrag.insert(ufrag, key);
        self.streams[stream].viewers.push(key);
        self.totals.viewers_open.set(self.viewers.len() as u64);
        self.visit_viewer(now, key);
    }

    pub(super) fn end_viewer(&mut self, now: Instant, key: usize, cause: String) {
        let Some(mut viewer) = self.viewers.remove(key) else {
            return;
        };
        // A machine that panics at its end has nothing left to say.
        let _ = guarded(Seam::Goodbye, || {
            viewer.say_goodbye(now, &mut self.outbox);
        });
        for address in viewer.leg.known_addrs() {
            if self.by_address.get(&address) == Some(&key) {
                self.by_address.remove(&address);
                self.mesh.remove_route(address);
                self.let_go(now, address);
            }
        }
        self.mesh.mine().remove_viewer();
        self.viewer_keys.remove(&viewer.id);
        self.by_ufrag.remove(&viewer.local_ufrag);
        self.figures.remove_viewer(&viewer.id);
        self.totals.viewers_open.set(self.viewers.len() as u64);
        let row = viewer.row();
        self.events
            .push(&viewer.id, EventBody::ViewerClosed { cause, row });
        for stream in [Some(viewer.stream), viewer.next_stream]
            .into_iter()
            .flatten()
        {
            self.detach_viewer(key, stream);
        }
    }

    pub(super) fn viewer_fault(&mut self, now: Instant, key: usize) {
        self.totals.worker_faults.add(1);
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
        match guarded(Seam::Timeout, || viewer.handle_timeout(now, outbox)) {
            Some(Outcome::Goes) => self.settle_viewer(now, key),
            Some(Outcome::Ended(cause)) => self.end_viewer(now, key, cause),
            None => self.viewer_fault(now, key),
        }
    }
}

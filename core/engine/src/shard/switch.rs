//! A viewer goes over from one stream of its camera to the other.

use std::time::Instant;

use super::Shard;
use super::viewers::NO_COMMON_CODEC;
use crate::event::EventBody;
use crate::guard::{Seam, guarded};

impl Shard {
    /// Until `stream_id` has a keyframe to begin at, the viewer stays where it is. The last wish
    /// counts; `ViewerSwitched` says when it is fulfilled.
    pub(super) fn switch_viewer(&mut self, now: Instant, viewer_id: &str, stream_id: &str) {
        let Some(key) = self.viewer_keys.get(viewer_id).copied() else {
            return;
        };
        let to = self.watch_stream(stream_id);
        let viewer = &mut self.viewers[key];
        let before = viewer.next_stream.take().filter(|before| *before != to);
        let is_there = viewer.stream == to;
        if !is_there {
            viewer.next_stream = Some(to);
            let slot = &mut self.streams[to];
            if !slot.viewers.contains(&key) {
                slot.viewers.push(key);
            }
        }
        // Only now: a stream that nobody holds goes.
        if let Some(before) = before {
            self.detach_viewer(key, before);
        }
        match is_there {
            true => self.tell_switched(key),
            false => self.visit_viewer(now, key),
        }
    }

    /// Goes over if the viewer wants to and may now. Part of every visit.
    pub(super) fn try_switch(&mut self, now: Instant, key: usize) {
        let Some(to) = self.viewers.get(key).and_then(|viewer| viewer.next_stream) else {
            return;
        };
        self.follow(to);
        let viewer = &mut self.viewers[key];
        let slot = &self.streams[to];
        if slot.codec.is_some_and(|codec| !viewer.takes(codec)) {
            return self.refuse_switch(key, to);
        }
        let ring = slot.stream.ring();
        match guarded(Seam::Switch, || viewer.switch_to(now, ring)) {
            Some(false) => return,
            Some(true) => {}
            None => return self.viewer_fault(now, key),
        }
        viewer.next_stream = None;
        let from = std::mem::replace(&mut viewer.stream, to);
        viewer.note_stream(&self.streams[to].id);
        let hears = viewer.hears();
        viewer.audio_goes_over();
        self.listen(key, to, hears);
        self.detach_viewer(key, from);
        self.tell_switched(key);
    }

    fn refuse_switch(&mut self, key: usize, to: usize) {
        let viewer = &mut self.viewers[key];
        viewer.next_stream = None;
        let body = EventBody::SwitchRefused {
            stream_id: self.streams[to].id.clone(),
            cause: NO_COMMON_CODEC,
        };
        self.events.push(&viewer.id, body);
        self.detach_viewer(key, to);
    }

    pub(super) fn detach_viewer(&mut self, key: usize, stream: usize) {
        if let Some(slot) = self.streams.get_mut(stream) {
            slot.viewers.retain(|other| *other != key);
            slot.listeners.retain(|other| *other != key);
        }
        self.tell_hearing(stream);
        self.drop_idle(stream);
    }

    fn tell_switched(&self, key: usize) {
        let viewer = &self.viewers[key];
        let stream_id = self.streams[viewer.stream].id.clone();
        self.events
            .push(&viewer.id, EventBody::ViewerSwitched { stream_id });
    }
}

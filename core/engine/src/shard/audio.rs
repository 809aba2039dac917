//! Sound goes to those who listen: kept nowhere, and nobody else is visited for it.

use std::time::Instant;

use fanout::AudioPacket;

use super::Shard;
use crate::command::Command;
use crate::guard::{Seam, guarded};
use crate::timers::Timer;

impl Shard {
    pub(super) fn set_viewer_audio(&mut self, viewer_id: &str, on: bool) {
        let Some(key) = self.viewer_keys.get(viewer_id).copied() else {
            return;
        };
        let viewer = &mut self.viewers[key];
        if viewer.set_audio(on) {
            let stream = viewer.stream;
            self.listen(key, stream, on);
        }
    }

    /// Puts a viewer among the stream's listeners, or takes it from there.
    pub(super) fn listen(&mut self, key: usize, stream: usize, on: bool) {
        let Some(slot) = self.streams.get_mut(stream) else {
            return;
        };
        slot.listeners.retain(|other| *other != key);
        if on {
            slot.listeners.push(key);
        }
        self.tell_hearing(stream);
    }

    /// Tells the shard that pulls a stream whether somebody here hears it.
    pub(super) fn tell_hearing(&mut self, key: usize) {
        let Some(slot) = self.streams.get_mut(key) else {
            return;
        };
        let on = !slot.listeners.is_empty();
        // Who does not follow is not heard of; that is mended at a viewer's next visit, and so is this.
        if !slot.following || slot.hearing == on {
            return;
        }
        let command = Command::Hear {
            stream_id: slot.id.clone(),
            follower: self.mesh.index,
            on,
        };
        if self.mesh.send(slot.home, command) {
            slot.hearing = on;
        }
    }

    pub(super) fn follower_hears(&mut self, stream_id: &str, follower: usize, on: bool) {
        let Some(key) = self.stream_keys.get(stream_id).copied() else {
            return;
        };
        let slot = &mut self.streams[key];
        slot.hearing_followers.retain(|known| *known != follower);
        if on && slot.followers.contains(&follower) {
            slot.hearing_followers.push(follower);
        }
    }

    /// Sound of a stream that is followed.
    pub(super) fn take_audio(&mut self, now: Instant, stream_id: &str, packets: Vec<AudioPacket>) {
        if let Some(key) = self.stream_keys.get(stream_id).copied() {
            self.streams[key].audio_packets = packets;
            self.forward_audio(now, key);
        }
    }

    /// Hands what a camera said just now to those who hear it.
    pub(super) fn forward_audio(&mut self, now: Instant, key: usize) {
        let Some(slot) = self.streams.get_mut(key) else {
            return;
        };
        let mut packets = std::mem::take(&mut slot.audio_packets);
        for follower in &slot.hearing_followers {
            let (stream_id, packets) = (slot.id.clone(), packets.clone());
            self.mesh
                .send(*follower, Command::Audio { stream_id, packets });
        }
        let listeners = slot.listeners.clone();
        for viewer_key in listeners {
            let Some(viewer) = self.viewers.get_mut(viewer_key) else {
                continue;
            };
            let to = viewer.leg.remote_addr();
            if self.udp_blocked || to.is_some_and(|to| self.is_full(to)) {
                continue;
            }
            let (viewer, outbox) = (&mut self.viewers[viewer_key], &mut self.outbox);
            let sent = guarded(Seam::Audio, || viewer.send_audio(now, &packets, outbox));
            if sent.is_none() {
                self.viewer_fault(now, viewer_key);
                continue;
            }
            let next = self.viewers[viewer_key].next_timeout();
            let armed = &mut self.viewers[viewer_key].armed;
            self.timers.arm(Timer::Viewer(viewer_key), next, armed);
        }
        packets.clear();
        if let Some(slot) = self.streams.get_mut(key) {
            // Its room is used again.
            slot.audio_packets = packets;
        }
    }
}

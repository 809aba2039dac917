//! Viewers of one stream over several shards: the shard that pulls it hands each access unit on, as
//! it is, to those that follow.

use fanout::PackedUnit;

use super::Shard;
use crate::command::Command;

impl Shard {
    /// The stream's place here, for a viewer; it is followed if another shard pulls it.
    pub(super) fn watch_stream(&mut self, stream_id: &str) -> usize {
        let key = self.stream_key(stream_id);
        self.follow(key);
        key
    }

    /// Asks the shard that pulls the stream for its units, unless that was done. A shard too busy to
    /// take the question is asked again at the viewer's next visit.
    pub(super) fn follow(&mut self, key: usize) {
        let slot = &mut self.streams[key];
        if slot.following || slot.home == self.mesh.index {
            return;
        }
        let command = Command::Follow {
            stream_id: slot.id.clone(),
            follower: self.mesh.index,
        };
        slot.following = self.mesh.send(slot.home, command);
    }

    pub(super) fn unfollow(&self, stream_id: &str, home: usize) {
        let command = Command::Unfollow {
            stream_id: stream_id.to_owned(),
            follower: self.mesh.index,
        };
        // Not taken: the next unit for nobody says it again.
        self.mesh.send(home, command);
    }

    /// Another shard has viewers of a stream that is pulled here: it gets the cached GOP, then each
    /// unit as it comes.
    pub(super) fn add_follower(&mut self, stream_id: &str, follower: usize) {
        let key = self.stream_key(stream_id);
        self.feed_followers(key);
        let slot = &mut self.streams[key];
        if !slot.followers.contains(&follower) {
            slot.followers.push(follower);
        }
        let ring = slot.stream.ring();
        slot.fed_index = ring.next_index();
        let cached = ring.newest_keyframe_index().unwrap_or(slot.fed_index);
        let units = ring.units_from(cached);
        self.hand_on(key, follower, units);
    }

    pub(super) fn remove_follower(&mut self, stream_id: &str, follower: usize) {
        if let Some(key) = self.stream_keys.get(stream_id).copied() {
            let slot = &mut self.streams[key];
            slot.followers.retain(|known| *known != follower);
            slot.hearing_followers.retain(|known| *known != follower);
            self.drop_idle(key);
        }
    }

    /// Hands on what has come since the last time.
    pub(super) fn feed_followers(&mut self, key: usize) {
        let Some(slot) = self.streams.get_mut(key) else {
            return;
        };
        if slot.followers.is_empty() {
            return;
        }
        let ring = slot.stream.ring();
        let units = ring.units_from(slot.fed_index);
        slot.fed_index = ring.next_index();
        for follower in slot.followers.clone() {
            self.hand_on(key, follower, units.clone());
        }
    }

    fn hand_on(&self, key: usize, follower: usize, units: Vec<PackedUnit>) {
        if units.is_empty() {
            return;
        }
        let stream_id = self.streams[key].id.clone();
        // Not taken: the follower misses units, and goes on at the next keyframe.
        self.mesh
            .send(follower, Command::Units { stream_id, units });
    }

    /// Units of a stream that is followed.
    pub(super) fn take_units(&mut self, stream_id: &str, units: Vec<PackedUnit>) {
        let Some(key) = self.stream_keys.get(stream_id).copied() else {
            return self.unfollow(stream_id, self.mesh.home_of(stream_id));
        };
        let slot = &mut self.streams[key];
        for unit in units {
            slot.codec = Some(unit.codec);
            slot.stream.follow(unit);
        }
        self.dirty.push(key);
    }

    /// The source of a stream that is pulled here is gone: nobody joins at its past elsewhere either.
    pub(super) fn tell_followers_lost(&mut self, key: usize) {
        // What it sent last comes before its end.
        self.feed_followers(key);
        let Some(slot) = self.streams.get(key) else {
            return;
        };
        for follower in &slot.followers {
            let stream_id = slot.id.clone();
            self.mesh.send(*follower, Command::StreamLost { stream_id });
        }
    }

    pub(super) fn stream_lost(&mut self, stream_id: &str) {
        if let Some(key) = self.stream_keys.get(stream_id).copied() {
            self.streams[key].stream.source_lost();
        }
    }
}

//! The shared past of one stream: the cached GOP for joiners, a short tail for those a little
//! behind, and the newest keyframe for stills.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wire::codec::VideoCodec;

use crate::{KEYFRAME_SOON, PackedUnit, Place};

/// Largest GOP kept for joining: 16 s of a 4 Mbit/s main stream. At 32 packets per millisecond it
/// takes 230 ms to send, so a joiner is still live within 300 ms.
pub const GOP_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Largest GOP kept for joining, in units: 24 s at 25 pictures a second. A browser decodes some
/// hundreds of pictures a second; a longer backlog would not be live soon anyway.
pub const GOP_MAX_UNITS: usize = 600;
/// What stays before the newest keyframe, for subscribers that have not finished the GOP before.
pub const TAIL_MS: u64 = 1_000;
/// The tail's bound in bytes, should a second hold more than any camera sends.
const TAIL_MAX_BYTES: usize = 2 * 1024 * 1024;
/// The tail's bound in units.
const TAIL_MAX_UNITS: usize = 64;

/// The units of one stream since at least its newest keyframe, bounded.
///
/// A GOP over [`GOP_MAX_BYTES`] or [`GOP_MAX_UNITS`] is given up as a place to join: only the tail
/// stays, for the subscribers that are already live, and joiners wait for the next keyframe. The
/// keyframe itself stays for stills.
#[derive(Debug, Default)]
pub struct Ring {
    units: VecDeque<PackedUnit>,
    next_index: u64,
    /// Payload bytes ever pushed.
    stream_bytes: u64,
    /// Payload bytes in `units`.
    held_bytes: usize,
    keyframe: Option<PackedUnit>,
    joinable: bool,
    /// From the keyframe before to the newest one.
    gop_interval: Option<Duration>,
    // derived
    /// Index and stream offset of `keyframe`, read at each push without a look at the unit itself,
    /// which is cold by then.
    keyframe_index: u64,
    keyframe_offset_bytes: u64,
}

impl Ring {
    /// Where the next unit comes.
    pub fn place(&self) -> Place {
        Place {
            index: self.next_index,
            offset_bytes: self.stream_bytes,
        }
    }

    /// Adds the next unit, made for [`Self::place`], and lets go of what nobody needs any more.
    pub fn push(&mut self, unit: PackedUnit) {
        debug_assert_eq!(unit.index, self.next_index);
        let (keyframe, recv_time) = (unit.keyframe, unit.recv_time);
        let offset_bytes = self.stream_bytes;
        self.next_index += 1;
        self.stream_bytes += unit.size_bytes() as u64;
        self.held_bytes += unit.size_bytes();
        if keyframe {
            let before = self.newest_keyframe().map(|before| before.recv_time);
            self.gop_interval = before.map(|before| recv_time.saturating_duration_since(before));
            self.keyframe = Some(unit.clone());
        }
        self.units.push_back(unit);
        if keyframe {
            self.keyframe_index = self.next_index - 1;
            self.keyframe_offset_bytes = offset_bytes;
            self.joinable = true;
        } else if self.joinable {
            let gop_bytes = self.stream_bytes - self.keyframe_offset_bytes;
            let gop_units = self.next_index - self.keyframe_index;
            self.joinable = gop_bytes <= GOP_MAX_BYTES as u64 && gop_units <= GOP_MAX_UNITS as u64;
        }
        // Within a GOP that can be joined nothing grows old: the tail lies before its keyframe.
        if keyframe || !self.joinable {
            self.evict(recv_time);
        }
    }

    /// Adds a unit of the ring that this one follows, in another shard. After a gap it goes on at the
    /// next keyframe; what was there already, or can't be begun at, is left out.
    pub fn follow(&mut self, unit: PackedUnit) {
        if unit.index < self.next_index {
            return;
        }
        if unit.index > self.next_index || self.stream_bytes != unit.stream_offset_bytes {
            if !unit.keyframe {
                return;
            }
            self.units.clear();
            self.held_bytes = 0;
            self.joinable = false;
            self.next_index = unit.index;
            self.stream_bytes = unit.stream_offset_bytes;
        }
        self.push(unit);
    }

    /// The units held from `index` on, oldest first.
    pub fn units_from(&self, index: u64) -> Vec<PackedUnit> {
        let first = self.first_index().map_or(index, |first| first.max(index));
        (first..self.next_index)
            .filter_map(|index| self.get(index).cloned())
            .collect()
    }

    /// Index of the newest keyframe from which all units are held: where a subscriber joins.
    pub fn newest_keyframe(&self) -> Option<&PackedUnit> {
        self.keyframe.as_ref().filter(|_| self.joinable)
    }

    /// Index of [`Self::newest_keyframe`], without a look at the unit.
    pub fn newest_keyframe_index(&self) -> Option<u64> {
        self.joinable.then_some(self.keyframe_index)
    }

    /// The newest keyframe as a start-code byte stream with its parameter sets, for stills. It
    /// outlives its GOP and its source; see [`Self::keyframe_recv_time`].
    pub fn keyframe_annexb(&self) -> Option<Bytes> {
        self.keyframe.as_ref().map(|unit| unit.to_annexb())
    }

    /// Codec of [`Self::keyframe_annexb`].
    pub fn keyframe_codec(&self) -> Option<VideoCodec> {
        self.keyframe.as_ref().map(|unit| unit.codec)
    }

    /// When the newest keyframe arrived.
    pub fn keyframe_recv_time(&self) -> Option<Instant> {
        self.keyframe.as_ref().map(|unit| unit.recv_time)
    }

    /// When the next keyframe comes, if the GOPs are of one length.
    pub fn next_keyframe_at(&self) -> Option<Instant> {
        Some(self.newest_keyframe()?.recv_time + self.gop_interval?)
    }

    /// Does the next keyframe come within [`KEYFRAME_SOON`], if the GOPs are of one length?
    pub fn keyframe_is_due(&self, now: Instant) -> bool {
        self.next_keyframe_at()
            .is_some_and(|due| due >= now && due <= now + KEYFRAME_SOON)
    }

    /// The unit of that index, if it is held.
    pub fn get(&self, index: u64) -> Option<&PackedUnit> {
        let place = index.checked_sub(self.first_index()?)?;
        self.units.get(usize::try_from(place).ok()?)
    }

    /// Oldest unit held.
    pub fn first_index(&self) -> Option<u64> {
        self.units.front().map(|unit| unit.index)
    }

    /// Newest unit held.
    pub fn last_index(&self) -> Option<u64> {
        self.units.back().map(|unit| unit.index)
    }

    /// Index that the next unit will get.
    pub fn next_index(&self) -> u64 {
        self.next_index
    }

    /// Newest unit held.
    pub fn newest(&self) -> Option<&PackedUnit> {
        self.units.back()
    }

    /// Payload bytes from `unit` (included) to the newest.
    pub fn bytes_since(&self, unit: &PackedUnit) -> u64 {
        self.stream_bytes.saturating_sub(unit.stream_offset_bytes)
    }

    /// Payload bytes held, the keyframe kept for stills not counted twice.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Units held.
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// No unit is held.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// The source went away: what is held is no place to join any more, for it would show the past
    /// as live. Subscribers finish what they have begun; joiners wait for the next keyframe.
    pub fn source_lost(&mut self) {
        self.joinable = false;
    }

    fn evict(&mut self, now: Instant) {
        // With a place to join, the tail is what lies before it; without one, it is all there is.
        let (tail_end, tail_ends_at, gop_bytes) = match self.newest_keyframe() {
            Some(keyframe) => (
                keyframe.index,
                keyframe.recv_time,
                self.bytes_since(keyframe),
            ),
            None => (self.next_index, now, 0),
        };
        let oldest_kept = tail_ends_at.checked_sub(Duration::from_millis(TAIL_MS));
        while let Some(front) = self.units.front() {
            let tail_units = tail_end.saturating_sub(front.index);
            let tail_bytes = self.held_bytes as u64 - gop_bytes;
            let newest_of_tail = tail_units <= 1;
            let too_old = oldest_kept.is_some_and(|oldest| front.recv_time < oldest);
            let too_much = tail_bytes > TAIL_MAX_BYTES as u64 || tail_units > TAIL_MAX_UNITS as u64;
            if front.index >= tail_end || newest_of_tail || !(too_old || too_much) {
                break;
            }
            self.held_bytes -= front.size_bytes();
            self.units.pop_front();
        }
    }
}

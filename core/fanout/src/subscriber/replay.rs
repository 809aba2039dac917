//! The cached GOP once more, for a viewer whose decoder has lost its way (PLI, FIR).
//!
//! A camera over RTSP can rarely be asked for a keyframe. RTP time must not go back, and must not
//! stay behind live, so the units that are sent again get times of their own: still growing, pressed
//! between the last unit sent and the next live one.

use std::time::{Duration, Instant};

use crate::{PackedUnit, Ring};

/// A keyframe that comes within this is waited for.
pub const KEYFRAME_SOON: Duration = Duration::from_secs(1);
/// At most one replay within this, and one of each GOP.
pub const REPLAY_EVERY: Duration = Duration::from_secs(2);

/// What is done about a viewer that asks for a keyframe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyframeAnswer {
    /// The next one is due within [`KEYFRAME_SOON`], or is being waited for anyway.
    Wait,
    /// The cached GOP goes out again.
    Replay,
    /// It went out not long ago.
    TooSoon,
    /// There is no GOP to send again.
    Nothing,
}

/// Units that are being sent again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replay {
    first_index: u64,
    last_index: u64,
    /// Output time of the last unit sent before.
    base: u64,
    step: u64,
}

impl Replay {
    /// All units from the ring's newest keyframe on, after a unit of the output time `base`. `None`
    /// when they don't fit in before the next live one.
    pub(super) fn plan(ring: &Ring, base: u64) -> Option<Self> {
        let keyframe = ring.newest_keyframe()?;
        let newest = ring.newest()?;
        let interval = newest
            .index
            .checked_sub(1)
            .and_then(|index| ring.get(index))
            .map_or(1, |before| {
                newest.media_time.saturating_sub(before.media_time)
            });
        let units = newest.index - keyframe.index + 1;
        let room = (newest.media_time + interval).checked_sub(base)?;
        let step = room / (units + 1);
        (step > 0).then_some(Self {
            first_index: keyframe.index,
            last_index: newest.index,
            base,
            step,
        })
    }

    /// Output time of a unit in it.
    pub(super) fn media_time(&self, unit: &PackedUnit) -> Option<u64> {
        let place = unit.index.checked_sub(self.first_index)? + 1;
        (unit.index <= self.last_index).then(|| self.base + self.step * place)
    }
}

/// When the last one was, and of which GOP.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replayed {
    pub(super) keyframe_index: u64,
    pub(super) at: Instant,
}

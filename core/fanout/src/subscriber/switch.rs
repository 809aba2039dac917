//! From one stream of a camera to another (main, sub) within a viewer's one RTP stream.

use std::time::Instant;

use super::{Replay, Replayed, Subscriber};
use crate::timeline::ticks;
use crate::{PackedUnit, Ring};

impl Subscriber {
    /// Goes over to `to`, the ring of another stream of the same camera: at its keyframe, with the
    /// next sequence number, and with RTP times that go on as time does.
    ///
    /// `false` when it is not time yet, and nothing has changed: a unit is half sent, `to` has no
    /// keyframe to begin at, or its next one is due within [`super::KEYFRAME_SOON`] while the viewer
    /// has a picture. Ask again with each unit of `to`. A cached GOP goes out as in a replay.
    pub fn switch_to(&mut self, now: Instant, to: &Ring) -> bool {
        let (Some(keyframe), Some(newest)) = (to.newest_keyframe(), to.newest()) else {
            return false;
        };
        if self.begun.is_some() {
            return false;
        }
        let Some((media_time, recv_time)) = self.last_sent else {
            self.begin_anew();
            return true;
        };
        let fresh = keyframe.index == newest.index;
        if !fresh && !self.needs_keyframe && to.keyframe_is_due(now) {
            return false;
        }
        let ahead = to_the_other(newest, media_time, recv_time);
        let last_output = u64::try_from(i128::from(self.last_output) - ahead).unwrap_or_default();
        let replay = if keyframe.media_time > last_output {
            self.replayed = None;
            None
        } else {
            let Some(replay) = Replay::plan(to, last_output) else {
                return false;
            };
            self.replayed = Some(Replayed {
                keyframe_index: keyframe.index,
                at: now,
            });
            Some(replay)
        };
        self.replay = replay;
        self.replay_wanted = false;
        self.needs_keyframe = false;
        self.last_output = last_output;
        self.last_sent = Some((newest.media_time, newest.recv_time));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // modulo 2^32
        let moved = ahead as u32;
        self.ts_offset = self.ts_offset.map(|offset| offset.wrapping_add(moved));
        if let Some(repair) = &mut self.repair {
            repair.forget_history();
        }
        self.go_back_to(now, to, keyframe.index);
        true
    }

    /// Nothing was sent yet: the viewer joins the other stream as any other.
    fn begin_anew(&mut self) {
        self.next_index = 0;
        self.needs_keyframe = true;
        self.ts_offset = None;
        self.catch_up = None;
        self.replay_wanted = false;
    }
}

/// How far the output time of the stream left behind is ahead of that of `unit`'s stream, as it was
/// when `unit` came. In 90 kHz ticks; `media_time` came at `recv_time`.
fn to_the_other(unit: &PackedUnit, media_time: u64, recv_time: Instant) -> i128 {
    let later = ticks(unit.recv_time.saturating_duration_since(recv_time));
    let earlier = ticks(recv_time.saturating_duration_since(unit.recv_time));
    i128::from(media_time) + i128::from(later) - i128::from(earlier) - i128::from(unit.media_time)
}

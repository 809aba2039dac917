//! One viewer's walk through one clip: which access unit is due when, and its stamps.
//!
//! Each camera has a clock of its own that runs ahead of the farm's by a phase made from its
//! number, so that cameras spread evenly over the group of pictures. Pictures are counted on that
//! clock without end (a *tick*); the clip's unit is the tick modulo the clip's length.
//! Times are microseconds of the farm's clock.

use std::sync::Arc;

use wire::rtcp::{SenderReport, write_sender_report};
use wire::rtsp::write_interleaved;

use crate::clip::{CLOCK_RATE, Clip, Stamp, Template};
use crate::sei;

const SECOND_US: u64 = 1_000_000;
/// The golden ratio of a 2 s group of pictures, in microseconds, wrapped at any clip's length:
/// consecutive cameras are spread over the group as evenly as any step can do it.
const PHASE_STEP_US: u64 = 1_236_068;
const PHASE_WRAP_US: u64 = 20 * SECOND_US;
/// With less than this to the camera's own next keyframe, PLAY waits for it.
const FORCED_KEYFRAME_MIN_US: u64 = SECOND_US / 4;
/// Further behind than this, pictures are left out instead of sent in a burst.
const LATE_MAX_US: u64 = SECOND_US;
const SENDER_REPORT_EVERY_S: u64 = 5;
/// Seconds from 1900, where NTP starts, to 1970.
const NTP_UNIX_OFFSET_S: u64 = 2_208_988_800;

/// What a connection is given to send with.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    pub camera: u32,
    pub rtp_channel: u8,
    pub ssrc: u32,
    pub first_seq: u16,
    pub first_rtp_ts: u32,
    pub joins_mid_gop: bool,
}

#[derive(Debug)]
pub struct Playback {
    // given
    clip: Arc<Clip>,
    start: Start,
    phase_us: u64,
    // owned
    tick: u64,
    /// Until `skew_ends`, units are taken this many ticks behind: a keyframe was sent out of turn.
    skew: u64,
    skew_ends: u64,
    next_seq: u16,
    /// rtp_ts of tick 0, fixed by the first picture that is sent.
    base_rtp_ts: Option<u32>,
    needs_keyframe: bool,
    packets: u32,
    octets: u32,
    // scratch
    sei: Template,
    nal: Vec<u8>,
}

impl Playback {
    pub fn new(clip: Arc<Clip>, start: Start, now_us: u64) -> Self {
        let mut playback = Self {
            clip,
            phase_us: u64::from(start.camera) * PHASE_STEP_US % PHASE_WRAP_US,
            start,
            tick: 0,
            skew: 0,
            skew_ends: 0,
            next_seq: start.first_seq,
            base_rtp_ts: None,
            needs_keyframe: false,
            packets: 0,
            octets: 0,
            sei: Template::default(),
            nal: Vec::new(),
        };
        playback.resume(now_us);
        playback
    }

    /// Go on at the camera's present place, after a start or a silence: with a keyframe at once
    /// where the clip allows it, as cameras do at PLAY; seq and rtp_ts go on.
    pub fn resume(&mut self, now_us: u64) {
        let fps = u64::from(self.clip.fps);
        let tick = (now_us + self.phase_us) * fps / SECOND_US;
        (self.skew, self.skew_ends) = (0, 0);
        self.needs_keyframe = !self.start.joins_mid_gop;
        self.tick = tick + 1;
        if self.start.joins_mid_gop {
            return;
        }
        let index = self.index_at(tick);
        let next_keyframe = tick + self.clip.units_to_keyframe(index) as u64;
        // Cutting a group of reordered pictures would make rtp_ts go back.
        let may_force = !self.clip.reordered
            && (next_keyframe - tick) * SECOND_US >= FORCED_KEYFRAME_MIN_US * fps;
        if may_force {
            self.tick = tick;
            self.skew = (index - self.clip.keyframe_before(index)) as u64;
            self.skew_ends = next_keyframe;
        } else {
            self.tick = next_keyframe;
        }
    }

    /// When the next picture is due; in the past at a start.
    pub fn due_us(&self) -> u64 {
        (self.tick * SECOND_US)
            .div_ceil(u64::from(self.clip.fps))
            .saturating_sub(self.phase_us)
    }

    fn index_at(&self, tick: u64) -> usize {
        (tick % self.clip.units.len() as u64) as usize
    }

    fn index(&self) -> usize {
        let skew = if self.tick < self.skew_ends {
            self.skew
        } else {
            0
        };
        self.index_at(self.tick - skew)
    }

    /// Leave out the picture that is due, and all up to the next keyframe. Spends nothing.
    pub fn drop_unit(&mut self) {
        self.needs_keyframe = true;
        self.tick += 1;
    }

    /// Append the picture that is due to `out`, and go to the next. Returns how many packets
    /// that were; 0 when it was left out since a keyframe is awaited.
    pub fn write_unit(&mut self, now_us: u64, wall_unix_us: u64, out: &mut Vec<u8>) -> usize {
        if now_us > self.due_us() + LATE_MAX_US {
            self.needs_keyframe = true;
            self.tick = (now_us + self.phase_us) * u64::from(self.clip.fps) / SECOND_US;
        }
        let index = self.index();
        let clip = Arc::clone(&self.clip);
        let unit = &clip.units[index];
        if self.needs_keyframe && !unit.keyframe {
            self.tick += 1;
            return 0;
        }
        self.needs_keyframe = false;
        let ticks_per_picture = CLOCK_RATE / self.clip.fps;
        // Display order: within a group, pictures may be sent before or after their turn.
        let shown = (self.tick + u64::from(unit.picture)).wrapping_sub(index as u64);
        let offset = (shown as u32).wrapping_mul(ticks_per_picture);
        let base = *self
            .base_rtp_ts
            .get_or_insert(self.start.first_rtp_ts.wrapping_sub(offset));
        let stamp = Stamp {
            rtp_channel: self.start.rtp_channel,
            rtp_ts: base.wrapping_add(offset),
            ssrc: self.start.ssrc,
        };
        self.nal.clear();
        sei::write_nal(self.start.camera, wall_unix_us, &mut self.nal);
        self.sei.clear();
        self.sei.push_nal(&self.nal, false);
        let mut packets = 0;
        for template in [&unit.head, &self.sei, &unit.slices] {
            template.write(stamp, &mut self.next_seq, out);
            packets += template.packets();
            self.octets = self.octets.wrapping_add(template.octets() as u32);
        }
        self.packets = self.packets.wrapping_add(packets as u32);
        if self.tick % (u64::from(self.clip.fps) * SENDER_REPORT_EVERY_S) == 0 {
            self.write_report(stamp.rtp_ts, wall_unix_us, out);
        }
        self.tick += 1;
        packets
    }

    fn write_report(&self, rtp_ts: u32, wall_unix_us: u64, out: &mut Vec<u8>) {
        let seconds = wall_unix_us / SECOND_US + NTP_UNIX_OFFSET_S;
        let fraction = ((wall_unix_us % SECOND_US) << 32) / SECOND_US;
        let report = SenderReport {
            ssrc: self.start.ssrc,
            ntp: seconds << 32 | fraction,
            rtp_ts,
            packets: self.packets,
            octets: self.octets,
        };
        let mut rtcp = Vec::new();
        write_sender_report(&report, "farm", &mut rtcp);
        let _fits = write_interleaved(out, self.start.rtp_channel.wrapping_add(1), &rtcp);
    }

    /// Append an RTCP BYE.
    pub fn write_bye(&self, out: &mut Vec<u8>) {
        let mut rtcp = Vec::new();
        wire::rtcp::write_bye(self.start.ssrc, &mut rtcp);
        let _fits = write_interleaved(out, self.start.rtp_channel.wrapping_add(1), &rtcp);
    }
}

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

/// What a written picture is known by in the send log.
#[derive(Debug, Clone, Copy)]
pub struct WrittenUnit {
    pub camera: u32,
    pub rtp_ts: u32,
    pub vcl_bytes: u32,
    pub keyframe: bool,
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
    /// The picture written last.
    pub written: Option<WrittenUnit>,
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
            written: None,
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
        self.written = Some(WrittenUnit {
            camera: self.start.camera,
            rtp_ts: stamp.rtp_ts,
            vcl_bytes: unit.vcl_bytes,
            keyframe: unit.keyframe,
        });
        self.nal.clear();
        sei::write_nal(clip.codec, self.start.camera, wall_unix_us, &mut self.nal);
        self.sei.clear();
        self.sei.push_nal(clip.codec, &self.nal, false);
        let mut packets = 0;
        for template in [&unit.head, &self.sei, &unit.slices] {
            template.write(stamp, &mut self.next_seq, out);
            packets += template.packets();
            self.octets = self.octets.wrapping_add(template.octets() as u32);
        }
        self.packets = self.packets.wrapping_add(packets as u32);
        let report_ticks = u64::from(self.clip.fps) * SENDER_REPORT_EVERY_S;
        if self.tick.is_multiple_of(report_ticks) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::Unit;
    use wire::codec::VideoCodec;
    use wire::rtp::RtpPacket;

    const GOP: u32 = 30;
    const FPS: u32 = 15;

    fn clip(pictures: u32) -> Arc<Clip> {
        let unit = |picture| {
            let mut unit = Unit {
                head: Template::default(),
                slices: Template::default(),
                keyframe: picture % GOP == 0,
                picture,
                vcl_bytes: 3000,
            };
            let kind = if unit.keyframe { 0x65 } else { 0x41 };
            let mut nal = vec![kind; 3000];
            nal[1] = picture as u8;
            unit.slices.push_nal(VideoCodec::H264, &nal, true);
            unit
        };
        Arc::new(Clip {
            codec: VideoCodec::H264,
            fps: FPS,
            units: (0..pictures).map(unit).collect(),
            reordered: false,
            sdp: String::new(),
        })
    }

    fn start(camera: u32) -> Start {
        Start {
            camera,
            rtp_channel: 2,
            ssrc: 0x0102_0304,
            first_seq: 65_530,
            first_rtp_ts: u32::MAX - 9000,
            joins_mid_gop: false,
        }
    }

    /// What one access unit looked like on the wire.
    struct Seen {
        seqs: Vec<u16>,
        rtp_ts: u32,
        keyframe: bool,
        picture: u8,
    }

    fn read(out: &[u8]) -> Seen {
        let (mut rest, mut seqs, mut payloads, mut rtp_ts) = (out, Vec::new(), Vec::new(), 0);
        while let [b'$', channel, high, low, tail @ ..] = rest {
            let (packet, later) = tail.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            rest = later;
            if *channel != 2 {
                continue;
            }
            let packet = RtpPacket::parse(packet).expect("RTP");
            assert_eq!((packet.ssrc(), packet.payload_type()), (0x0102_0304, 96));
            rtp_ts = packet.rtp_ts();
            seqs.push(packet.seq());
            payloads.push((packet.payload().to_vec(), packet.marker()));
        }
        assert!(rest.is_empty());
        assert_eq!(payloads[0].0[0], 6, "the SEI leads");
        let markers: Vec<bool> = payloads.iter().map(|(_, marker)| *marker).collect();
        assert_eq!(markers, [false, false, false, true]);
        let fragment = &payloads[1].0;
        Seen {
            seqs,
            rtp_ts,
            keyframe: fragment[1] & 0x1F == 5,
            picture: fragment[2],
        }
    }

    fn next(playback: &mut Playback) -> (u64, Seen) {
        let due_us = playback.due_us();
        let mut out = Vec::new();
        assert_ne!(playback.write_unit(due_us, 1, &mut out), 0);
        (due_us, read(&out))
    }

    #[test]
    fn any_camera_at_any_moment_starts_soon_with_a_keyframe_and_keeps_its_own_phase() {
        for camera in 1..40 {
            for now_us in [0, 1_111_111, 5_999_999, 123_456_789] {
                let mut playback = Playback::new(clip(150), start(camera), now_us);
                assert!(playback.due_us() <= now_us + FORCED_KEYFRAME_MIN_US + 66_667);
                let (_, first) = next(&mut playback);
                assert!(first.keyframe);
                assert_eq!(first.rtp_ts, u32::MAX - 9000);
                let mut keyframes_us = Vec::new();
                for _ in 0..100 {
                    let (due_us, seen) = next(&mut playback);
                    if seen.keyframe {
                        keyframes_us.push(due_us);
                    }
                }
                let phase_us = u64::from(camera) * PHASE_STEP_US;
                for due_us in keyframes_us {
                    assert!((due_us + phase_us) % (2 * SECOND_US) < 2, "camera {camera}");
                }
            }
        }
    }

    #[test]
    fn numbers_run_on_over_the_loop_and_over_a_silence() {
        let mut playback = Playback::new(clip(60), start(3), 10 * SECOND_US);
        let (mut last_us, mut last) = next(&mut playback);
        for step in 0..200 {
            if step == 100 {
                playback.resume(last_us + 3 * SECOND_US);
            }
            let (due_us, seen) = next(&mut playback);
            let mut expected = *last.seqs.last().expect("packets");
            for seq in &seen.seqs {
                expected = expected.wrapping_add(1);
                assert_eq!(*seq, expected);
            }
            let elapsed_us = due_us - last_us;
            let ticks = u64::from(seen.rtp_ts.wrapping_sub(last.rtp_ts));
            assert!(
                (ticks * 100 / 9).abs_diff(elapsed_us) < 12,
                "{ticks} in {elapsed_us} us"
            );
            if step == 100 {
                assert!(seen.keyframe, "after a silence");
            } else if !seen.keyframe {
                assert_eq!(seen.picture, last.picture + 1);
            }
            (last_us, last) = (due_us, seen);
        }
    }

    #[test]
    fn a_dropped_picture_costs_all_up_to_the_next_keyframe_and_no_sequence_number() {
        let mut playback = Playback::new(clip(150), start(1), 0);
        let (_, before) = next(&mut playback);
        playback.drop_unit();
        let mut left_out = 0;
        let after = loop {
            let mut out = Vec::new();
            if playback.write_unit(playback.due_us(), 1, &mut out) > 0 {
                break read(&out);
            }
            left_out += 1;
        };
        assert!(after.keyframe && left_out > 0 && left_out < GOP);
        let last = *before.seqs.last().expect("packets");
        assert_eq!(after.seqs[0], last.wrapping_add(1));
    }

    #[test]
    fn keyframes_of_many_cameras_do_not_come_together() {
        let mut slots = [0; 100];
        for camera in 1..=3000_u64 {
            slots[(camera * PHASE_STEP_US % (2 * SECOND_US) / 20_000) as usize] += 1;
        }
        assert!(
            slots.iter().all(|count| (25..=35).contains(count)),
            "{slots:?}"
        );
    }

    #[test]
    fn a_farm_that_was_held_up_leaves_pictures_out() {
        let mut playback = Playback::new(clip(150), start(1), 0);
        next(&mut playback);
        let now_us = 60 * SECOND_US;
        let (mut out, mut calls) = (Vec::new(), 0);
        while playback.due_us() <= now_us {
            playback.write_unit(now_us, 1, &mut out);
            calls += 1;
        }
        assert!(calls <= 2, "{calls} pictures at once");
    }

    #[test]
    fn a_mid_gop_start_has_no_keyframe() {
        let start = Start {
            joins_mid_gop: true,
            ..start(0)
        };
        let mut playback = Playback::new(clip(150), start, 500_000);
        assert!(!next(&mut playback).1.keyframe);
    }
}

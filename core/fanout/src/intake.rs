//! From a camera's RTP packets to whole access units, with its quirks undone (RFC 6184, RFC 7798).
//!
//! Rules that hold for every camera, without asking its vendor:
//! - a unit ends at the marker, at a change of RTP time, or where the next picture clearly begins
//!   (delimiter, SPS, first slice), but never before it holds picture data;
//! - a start code inside a NAL unit separates NAL units;
//! - a fragment belongs to the NAL unit that was begun, whatever its own header says;
//! - what is incomplete is dropped, with all that follows up to the next keyframe, and counted.
//!
//! Each byte is copied once, into the unit's buffer, which the next unit uses again.

mod assembly;
mod counters;
mod depacketize;
mod types;

use std::time::Instant;

use bytes::Bytes;
use smallvec::SmallVec;
use wire::codec::VideoCodec;
use wire::rtp::{RtpPacket, TsExtender};

use crate::{MEDIA_CLOCK_HZ, NalUnits, ParameterSets};
use assembly::Assembly;
pub use counters::IntakeCounters;
pub use types::{AccessUnit, IntakeConfig, IntakeError, VideoInfo};

/// Largest access unit believed; a 4K keyframe at 30 Mbit/s stays below 2 MiB.
pub const MAX_ACCESS_UNIT_BYTES: usize = 4 * 1024 * 1024;
/// Most NAL units of one access unit; a 4K picture in slices has some tens.
const MAX_NALS_PER_UNIT: usize = 1_024;
/// Finished units wait for [`Intake::poll`] only while one packet is taken in, so few can gather.
const MAX_READY_UNITS: usize = 64;
/// Bound of what waits for [`Intake::poll`]: two of the largest units.
pub const MAX_READY_BYTES: usize = 2 * MAX_ACCESS_UNIT_BYTES;
/// A sequence number at most this far back is a late or repeated packet; further back the camera
/// has begun to count anew.
const LATE_WINDOW: u16 = 100;
/// A gap over this is a camera that counts anew, not loss.
const RESTART_GAP: u16 = 3_000;
/// Packets in a row of another SSRC or payload type before it is believed. Old servers let the data of a dead RTSP
/// dialogue flow into a new one for a minute; following each packet would never settle.
const FOREIGN_PACKETS: u32 = 8;

/// Whether the marker bit ends units here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MarkerPolicy {
    /// It ends a unit that holds picture data.
    EndsUnit,
    /// It was seen in the middle of a picture (on every slice): only time and content end units.
    Ignored,
}

/// The camera side of one stream.
#[derive(Debug)]
pub struct Intake {
    // given
    clock_rate: u32,
    payload_type: Option<u8>,
    // owned
    sets: ParameterSets,
    unit: Assembly,
    /// Nearly always one at most, so it lies with the rest.
    ready: SmallVec<[AccessUnit; 1]>,
    ready_bytes: usize,
    source_epoch: u32,
    ssrc: Option<u32>,
    foreign: Option<(u32, u32)>,
    foreign_payload_type: Option<(u8, u32)>,
    newest_seq: Option<u16>,
    ts: TsExtender,
    /// When the packet being taken in arrived.
    arrived: Option<Instant>,
    needs_keyframe: bool,
    /// An IDR was seen, so recovery points are not where decoding begins.
    has_entry: bool,
    /// Decoding began at the last keyframe, so leading pictures behind it have nothing to refer to.
    drops_leading: bool,
    /// The latest place in display order since the last keyframe.
    latest_order: Option<u32>,
    marker_policy: MarkerPolicy,
    /// RTP time of the unit that the marker ended last.
    marked_ts: Option<u64>,
    counters: IntakeCounters,
}

impl Intake {
    /// Before the first packet.
    pub fn new(config: IntakeConfig) -> Self {
        let mut intake = Self {
            clock_rate: 0,
            payload_type: None,
            sets: ParameterSets::new(config.codec),
            unit: Assembly::default(),
            ready: SmallVec::new(),
            ready_bytes: 0,
            source_epoch: 0,
            ssrc: None,
            foreign: None,
            foreign_payload_type: None,
            newest_seq: None,
            ts: TsExtender::default(),
            arrived: None,
            needs_keyframe: true,
            has_entry: false,
            drops_leading: true,
            latest_order: None,
            marker_policy: MarkerPolicy::EndsUnit,
            marked_ts: None,
            counters: IntakeCounters::default(),
        };
        intake.source_resumed(&config);
        intake
    }

    /// The source went away: what is unfinished is dropped, the next unit will be a keyframe.
    pub fn reset(&mut self) {
        self.abandon();
        self.adopt(None);
        self.payload_type = None;
        self.marker_policy = MarkerPolicy::EndsUnit;
        self.has_entry = false;
        self.sets.source_changed();
    }

    /// What the SDP of the next source says; parameter sets it leaves out stay as they were, unless
    /// the codec is another.
    pub fn source_resumed(&mut self, track: &IntakeConfig) {
        self.clock_rate = match track.clock_rate {
            0 => 90_000,
            clock_rate => clock_rate,
        };
        self.payload_type = track.payload_type;
        if track.codec != self.sets.codec() {
            self.abandon();
            self.sets = ParameterSets::new(track.codec);
        }
        self.sets.offer(&track.parameter_sets);
    }

    /// How packets are read.
    pub fn codec(&self) -> VideoCodec {
        self.sets.codec()
    }

    /// Takes one RTP packet; finished units are at [`Self::poll`] afterwards.
    ///
    /// # Errors
    /// [`IntakeError`] for what was dropped and counted; go on with the next packet.
    pub fn push(&mut self, now: Instant, rtp: &[u8]) -> Result<(), IntakeError> {
        let packet = RtpPacket::parse(rtp).inspect_err(|_| self.counters.malformed += 1)?;
        self.check_track(&packet)?;
        self.check_order(&packet)?;
        self.counters.packets += 1;
        self.counters.payload_bytes += packet.payload().len() as u64;
        let ts = self.ts.extend(packet.rtp_ts());
        self.arrived = Some(now);
        if self.unit.ts != Some(ts) {
            self.finish_fragment();
            if self.unit.has_vcl {
                self.close();
            }
            // Parameter sets may carry an older time than the picture they lead.
            self.unit.ts = Some(ts);
            self.unit.recv_time = None;
        }
        self.unit.recv_time.get_or_insert(now);
        let outcome = self.payload(packet.payload()).map_err(|what| {
            self.counters.malformed += 1;
            IntakeError::Payload {
                what,
                seq: packet.seq(),
            }
        });
        if self.unit.buffer_bytes() > MAX_ACCESS_UNIT_BYTES
            || self.unit.nal_count() > MAX_NALS_PER_UNIT
        {
            self.counters.oversize += 1;
            self.abandon();
            return Err(IntakeError::Oversize);
        }
        let ends_unit = packet.marker() && self.marker_policy == MarkerPolicy::EndsUnit;
        if ends_unit && self.unit.has_vcl && !self.unit.open {
            self.marked_ts = Some(ts);
            self.close();
        }
        outcome
    }

    /// The next finished unit.
    pub fn poll(&mut self) -> Option<AccessUnit> {
        if self.ready.is_empty() {
            return None;
        }
        let unit = self.ready.remove(0);
        self.ready_bytes -= unit_bytes(&unit);
        Some(unit)
    }

    /// Exchanges buffers while nothing is in the making: a visitor of many streams lends each the
    /// one that is still in the processor's caches, and takes it along when all units are done.
    pub fn exchange_buffer(&mut self, other: &mut NalUnits) {
        self.unit.exchange_buffer(other);
    }

    /// Takes back the buffer of a polled unit that is done with, for the next one.
    pub fn reuse(&mut self, nals: NalUnits) {
        self.unit.reuse(nals);
    }

    /// Counts since the stream began.
    pub fn counters(&self) -> &IntakeCounters {
        &self.counters
    }

    /// The latest parameter sets.
    pub fn parameter_sets(&self) -> &ParameterSets {
        &self.sets
    }

    /// Size and profile, as soon as a sequence parameter set is known.
    pub fn video(&self) -> Option<VideoInfo> {
        self.sets.video()
    }

    /// Bytes held now: the unit in the making and those not polled.
    pub fn held_bytes(&self) -> usize {
        self.unit.buffer_bytes() + self.ready_bytes
    }

    fn check_track(&mut self, packet: &RtpPacket<'_>) -> Result<(), IntakeError> {
        let (got, seq) = (packet.payload_type(), packet.seq());
        let want = *self.payload_type.get_or_insert(got);
        if got != want {
            let in_a_row = match self.foreign_payload_type {
                Some((payload_type, count)) if payload_type == got => count + 1,
                _ => 1,
            };
            // Only where nothing came as announced: cameras exist whose SDP names another type.
            if self.ssrc.is_some() || in_a_row < FOREIGN_PACKETS {
                self.foreign_payload_type = Some((got, in_a_row));
                self.counters.unexpected_payload_type += 1;
                return Err(IntakeError::PayloadType { got, want, seq });
            }
            self.payload_type = Some(got);
        }
        self.foreign_payload_type = None;
        let got = packet.ssrc();
        let Some(want) = self.ssrc else {
            self.ssrc = Some(got);
            return Ok(());
        };
        if got == want {
            self.foreign = None;
            return Ok(());
        }
        let in_a_row = match self.foreign {
            Some((ssrc, count)) if ssrc == got => count + 1,
            _ => 1,
        };
        if in_a_row < FOREIGN_PACKETS {
            self.foreign = Some((got, in_a_row));
            self.counters.foreign_ssrc += 1;
            return Err(IntakeError::ForeignSsrc { got, want, seq });
        }
        self.resync();
        self.adopt(Some(got));
        Ok(())
    }

    fn check_order(&mut self, packet: &RtpPacket<'_>) -> Result<(), IntakeError> {
        let seq = packet.seq();
        let Some(newest) = self.newest_seq else {
            self.newest_seq = Some(seq);
            return Ok(());
        };
        let ahead = seq.wrapping_sub(newest);
        let back = newest.wrapping_sub(seq);
        if back <= LATE_WINDOW {
            self.counters.late_or_repeated += 1;
            return Err(IntakeError::Late { seq, newest });
        }
        self.newest_seq = Some(seq);
        if ahead > RESTART_GAP {
            self.resync();
        } else if ahead > 1 {
            self.counters.packets_lost += u64::from(ahead - 1);
            self.abandon();
        }
        Ok(())
    }

    fn resync(&mut self) {
        self.counters.resyncs += 1;
        self.abandon();
    }

    fn adopt(&mut self, ssrc: Option<u32>) {
        self.ssrc = ssrc;
        self.foreign = None;
        self.foreign_payload_type = None;
        self.newest_seq = None;
        self.ts = TsExtender::default();
        self.marked_ts = None;
        self.source_epoch += 1;
    }

    /// Drops the unit in the making, and what follows up to the next keyframe.
    fn abandon(&mut self) {
        if self.unit.has_vcl || self.unit.open {
            self.counters.units_dropped += 1;
        }
        self.unit.clear();
        self.marked_ts = None;
        self.needs_keyframe = true;
    }

    /// Hands the unit out, if a decoder can use it.
    fn close(&mut self) {
        let finished = self.unit.take();
        self.has_entry |= finished.has_entry;
        let recovery = finished.has_sps && finished.has_recovery_point && !self.has_entry;
        let keyframe = (finished.has_entry || recovery) && finished.begins_picture;
        if finished.needs_past && self.drops_leading {
            // Nothing refers to it but others of its kind, so it is no loss.
            self.counters.leading_left_out += 1;
            return self.unit.reuse(finished.nals);
        }
        if self.needs_keyframe && !keyframe {
            self.counters.units_dropped += 1;
            return self.unit.reuse(finished.nals);
        }
        if keyframe && !self.sets.is_complete() {
            self.counters.without_parameter_sets += 1;
            self.counters.units_dropped += 1;
            self.needs_keyframe = true;
            return;
        }
        let (Some(ts), Some(recv_time)) = (finished.ts, finished.recv_time) else {
            return;
        };
        let unit = AccessUnit {
            codec: self.sets.codec(),
            media_time: self.media_time(ts),
            recv_time,
            keyframe,
            has_b_slices: finished.has_b_slices || self.goes_back(keyframe, finished.order),
            needs_past: finished.needs_past,
            source_epoch: self.source_epoch,
            parameter_sets: if keyframe {
                self.sets.all()
            } else {
                finished.changed_sets
            },
            nals: finished.nals,
        };
        let size_bytes = unit_bytes(&unit);
        if self.ready.len() >= MAX_READY_UNITS || self.ready_bytes + size_bytes > MAX_READY_BYTES {
            self.counters.units_dropped += 1;
            self.needs_keyframe = true;
            return;
        }
        if keyframe {
            self.drops_leading = self.needs_keyframe || finished.breaks_link;
        }
        self.needs_keyframe = false;
        self.counters.units += 1;
        self.counters.keyframes += u64::from(keyframe);
        self.counters.b_slice_units += u64::from(unit.has_b_slices);
        self.ready_bytes += size_bytes;
        self.ready.push(unit);
    }

    /// Whether a picture is shown before one that was sent earlier, by its place in display order.
    fn goes_back(&mut self, keyframe: bool, order: Option<u32>) -> bool {
        let ahead = |latest: u32| order.is_some_and(|order| order.wrapping_sub(latest) < 1 << 31);
        let goes_back = !keyframe && order.is_some() && !self.latest_order.is_none_or(ahead);
        if !goes_back {
            self.latest_order = order;
        }
        goes_back
    }

    fn media_time(&self, ts: u64) -> u64 {
        if u64::from(self.clock_rate) == MEDIA_CLOCK_HZ {
            return ts;
        }
        let scaled = u128::from(ts) * u128::from(MEDIA_CLOCK_HZ) / u128::from(self.clock_rate);
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }
}

fn unit_bytes(unit: &AccessUnit) -> usize {
    let sets = unit.parameter_sets.iter().map(Bytes::len);
    unit.nals.size_bytes() + sets.sum::<usize>()
}

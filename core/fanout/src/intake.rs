//! From a camera's RTP packets to whole access units, with its quirks undone (RFC 6184).
//!
//! Rules that hold for every camera, without asking its vendor:
//! - a unit ends at the marker, at a change of RTP time, or where the next picture clearly begins
//!   (delimiter, SPS, first macroblock 0), but never before it holds picture data;
//! - a start code inside a NAL unit separates NAL units;
//! - a fragment belongs to the NAL unit that was begun, whatever its own header says;
//! - what is incomplete is dropped, with all that follows up to the next keyframe, and counted.
//!
//! Each byte is copied once, into the unit's buffer.

mod assembly;
mod counters;

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use thiserror::Error;
use wire::h264::{NalType, annexb_nals, nal_type};
use wire::rtp::{RtpError, RtpPacket, TsExtender};

use crate::{MEDIA_CLOCK_HZ, ParameterSets};
use assembly::Assembly;
pub use counters::IntakeCounters;

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
/// Packets in a row of another SSRC before it is believed. Old servers let the data of a dead RTSP
/// dialogue flow into a new one for a minute; following each packet would never settle.
const FOREIGN_SSRC_PACKETS: u32 = 8;

/// What the SDP said about the video track.
#[derive(Debug, Clone, Default)]
pub struct IntakeConfig {
    /// RTP clock; 0 counts as 90,000.
    pub clock_rate: u32,
    /// Payload type to accept; `None` takes that of the first packet.
    pub payload_type: Option<u8>,
    /// `sprop-parameter-sets`, decoded from base64 and otherwise as they came.
    pub parameter_sets: Vec<Bytes>,
}

/// Why a packet was dropped. Each is counted; none ends the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IntakeError {
    /// Not an RTP packet.
    #[error(transparent)]
    Rtp(#[from] RtpError),
    /// Another payload type than the track's.
    #[error("payload type {got}, not {want} (seq {seq})")]
    PayloadType {
        /// On the packet.
        got: u8,
        /// The track's.
        want: u8,
        /// The packet's.
        seq: u16,
    },
    /// Another source than the one followed.
    #[error("packet of ssrc {got:08x} while following {want:08x} (seq {seq})")]
    ForeignSsrc {
        /// On the packet.
        got: u32,
        /// The one followed.
        want: u32,
        /// The packet's.
        seq: u16,
    },
    /// Seen before, or overtaken.
    #[error("late or repeated packet (seq {seq}, newest {newest})")]
    Late {
        /// The packet's.
        seq: u16,
        /// The newest taken.
        newest: u16,
    },
    /// A payload that RFC 6184 does not know, or cut short.
    #[error("malformed H.264 payload: {what} (seq {seq})")]
    Payload {
        /// What is wrong.
        what: &'static str,
        /// The packet's.
        seq: u16,
    },
    /// The unit grew over its bound and was dropped.
    #[error("access unit over {MAX_ACCESS_UNIT_BYTES} bytes or {MAX_NALS_PER_UNIT} NAL units")]
    Oversize,
}

/// One coded picture with what belongs to it.
#[derive(Debug, Clone)]
pub struct AccessUnit {
    /// Source time in 90 kHz units, unwrapped; comparable within one `source_epoch` only.
    pub media_time: u64,
    /// When its first packet arrived.
    pub recv_time: Instant,
    /// A decoder may begin here; then `parameter_sets` is complete.
    pub keyframe: bool,
    /// Holds a B slice, which WebRTC cannot carry in order.
    pub has_b_slices: bool,
    /// Grows when the source (its connection or SSRC) changed.
    pub source_epoch: u32,
    /// For a keyframe all latest SPS and PPS, in-band or not; for others those that changed in it.
    pub parameter_sets: Vec<Bytes>,
    /// Its other NAL units in order, SEI included, without delimiters and filler.
    pub nals: Vec<Bytes>,
}

/// What the stream's pictures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoInfo {
    /// Pixels, after cropping.
    pub width: u32,
    /// Pixels, after cropping.
    pub height: u32,
    /// `profile_idc`.
    pub profile: u8,
    /// Constraint flags.
    pub constraint: u8,
    /// `level_idc`.
    pub level: u8,
    /// As people say the profile.
    pub profile_name: &'static str,
    /// Grows with every change of a parameter set.
    pub generation: u64,
}

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
    ready: VecDeque<AccessUnit>,
    ready_bytes: usize,
    source_epoch: u32,
    ssrc: Option<u32>,
    foreign: Option<(u32, u32)>,
    newest_seq: Option<u16>,
    ts: TsExtender,
    needs_keyframe: bool,
    /// An IDR was seen, so recovery points are not where decoding begins.
    has_idr: bool,
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
            sets: ParameterSets::default(),
            unit: Assembly::default(),
            ready: VecDeque::new(),
            ready_bytes: 0,
            source_epoch: 0,
            ssrc: None,
            foreign: None,
            newest_seq: None,
            ts: TsExtender::default(),
            needs_keyframe: true,
            has_idr: false,
            marker_policy: MarkerPolicy::EndsUnit,
            marked_ts: None,
            counters: IntakeCounters::default(),
        };
        intake.source_resumed(
            config.clock_rate,
            config.payload_type,
            &config.parameter_sets,
        );
        intake
    }

    /// The source went away: what is unfinished is dropped, the next unit will be a keyframe.
    pub fn reset(&mut self) {
        self.abandon();
        self.adopt(None);
        self.payload_type = None;
        self.marker_policy = MarkerPolicy::EndsUnit;
        self.has_idr = false;
        self.sets.source_changed();
    }

    /// What the SDP of the next source says; parameter sets it leaves out stay as they were.
    pub fn source_resumed(&mut self, clock_rate: u32, payload_type: Option<u8>, sets: &[Bytes]) {
        self.clock_rate = if clock_rate == 0 { 90_000 } else { clock_rate };
        self.payload_type = payload_type;
        self.sets.offer(sets);
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
        if self.unit.ts != Some(ts) {
            // Parameter sets may carry an older time than the picture they lead.
            if self.unit.open.is_some() {
                self.finish_fragment();
            }
            if self.unit.has_vcl {
                self.close();
            }
            self.unit.ts = Some(ts);
            self.unit.recv_time = Some(now);
        }
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
        if packet.marker() && self.unit.has_vcl && self.unit.open.is_none() {
            if self.marker_policy == MarkerPolicy::EndsUnit {
                self.marked_ts = Some(ts);
                self.close();
            }
        }
        outcome
    }

    /// The next finished unit.
    pub fn poll(&mut self) -> Option<AccessUnit> {
        let unit = self.ready.pop_front()?;
        self.ready_bytes -= unit_bytes(&unit);
        Some(unit)
    }

    /// Counts since the stream began.
    pub fn counters(&self) -> &IntakeCounters {
        &self.counters
    }

    /// The latest parameter sets.
    pub fn parameter_sets(&self) -> &ParameterSets {
        &self.sets
    }

    /// Size and profile, as soon as an SPS is known.
    pub fn video(&self) -> Option<VideoInfo> {
        let sps = self.sets.video()?;
        Some(VideoInfo {
            width: sps.width,
            height: sps.height,
            profile: sps.profile,
            constraint: sps.constraint,
            level: sps.level,
            profile_name: sps.profile_name(),
            generation: self.sets.generation(),
        })
    }

    /// Bytes held now: the unit in the making and those not polled.
    pub fn held_bytes(&self) -> usize {
        self.unit.buffer_bytes() + self.ready_bytes
    }

    fn check_track(&mut self, packet: &RtpPacket<'_>) -> Result<(), IntakeError> {
        let (got, seq) = (packet.payload_type(), packet.seq());
        let want = *self.payload_type.get_or_insert(got);
        if got != want {
            self.counters.unexpected_payload_type += 1;
            return Err(IntakeError::PayloadType { got, want, seq });
        }
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
        if in_a_row < FOREIGN_SSRC_PACKETS {
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
        self.newest_seq = None;
        self.ts = TsExtender::default();
        self.marked_ts = None;
        self.source_epoch += 1;
    }

    /// Drops the unit in the making, and what follows up to the next keyframe.
    fn abandon(&mut self) {
        if self.unit.has_vcl || self.unit.open.is_some() {
            self.counters.units_dropped += 1;
        }
        self.unit.clear();
        self.marked_ts = None;
        self.needs_keyframe = true;
    }

    fn payload(&mut self, payload: &[u8]) -> Result<(), &'static str> {
        let Some((&indicator, rest)) = payload.split_first() else {
            return Err("empty payload");
        };
        match NalType::from_header(indicator) {
            NalType::FuA => self.fragment(indicator, rest),
            NalType::StapA => {
                self.finish_fragment();
                self.aggregate(rest)
            }
            // A start code in front of the NAL unit reads as type 0.
            NalType::Other(25..=31) => Err("packetisation that is not in use"),
            _ => {
                self.finish_fragment();
                self.nals(payload);
                Ok(())
            }
        }
    }

    /// STAP-A (RFC 6184 section 5.7.1); zeros at the end are padding of some cameras.
    fn aggregate(&mut self, mut rest: &[u8]) -> Result<(), &'static str> {
        while let Some((len_bytes, after)) = rest.split_first_chunk::<2>() {
            let len_bytes = usize::from(u16::from_be_bytes(*len_bytes));
            let Some((nal, after)) = after.split_at_checked(len_bytes) else {
                self.damaged();
                return Err("aggregated NAL unit cut short");
            };
            self.nals(nal);
            rest = after;
        }
        Ok(())
    }

    /// FU-A (RFC 6184 section 5.8).
    fn fragment(&mut self, indicator: u8, rest: &[u8]) -> Result<(), &'static str> {
        let Some((&header, body)) = rest.split_first() else {
            return Err("fragment without a header");
        };
        let (starts, ends) = (header & 0x80 != 0, header & 0x40 != 0);
        if starts {
            if self.unit.open.is_some() {
                self.counters.odd_fragments += 1;
                self.finish_fragment();
            }
            let nal_header = (indicator & 0xe0) | (header & 0x1f);
            let mut head = [0; 24];
            let known = body.len().min(head.len() - 1);
            head[0] = nal_header;
            head[1..=known].copy_from_slice(&body[..known]);
            self.boundary(&head[..=known]);
            self.unit.open_fragment(nal_header, body);
        } else if self.unit.open.is_some() {
            if body.is_empty() {
                self.counters.odd_fragments += 1;
            }
            self.unit.append(body);
        } else {
            self.counters.orphan_fragments += 1;
            self.damaged();
            return Ok(());
        }
        if ends {
            self.finish_fragment();
        }
        Ok(())
    }

    /// Ends the NAL unit that fragments have built, if there is one.
    fn finish_fragment(&mut self) {
        let Some(start) = self.unit.open.take() else {
            return;
        };
        if self.unit.is_plain_vcl(start) {
            if self.unit.accept_fragment(start) {
                self.note_vcl();
            }
        } else {
            // Rare: not picture data, or Annex B inside. Take it apart, at the price of a copy.
            let nal = self.unit.split_off(start);
            self.nals(&nal);
        }
    }

    /// One NAL unit, or several with start codes between.
    fn nals(&mut self, bytes: &[u8]) {
        for (place, nal) in annexb_nals(bytes).enumerate() {
            self.counters.annexb_inside += u64::from(place == 1);
            self.nal(nal);
        }
    }

    fn nal(&mut self, nal: &[u8]) {
        let Some(kind) = nal_type(nal) else { return };
        self.boundary(nal);
        match kind {
            NalType::Sps | NalType::Pps => {
                self.unit.has_sps |= kind == NalType::Sps;
                if self.sets.learn(nal) {
                    self.unit.changed_sets.push(Bytes::copy_from_slice(nal));
                }
            }
            NalType::Sei => self.unit.take_sei(nal),
            _ if kind.is_vcl() => {
                if self.unit.take_vcl(nal) {
                    self.note_vcl();
                }
            }
            NalType::Aud | NalType::Filler | NalType::End(_) => {}
            _ => self.counters.other_nals += 1,
        }
    }

    /// After picture data was added: a slice that goes on with a picture that the marker had ended
    /// shows that the marker cannot be trusted here.
    fn note_vcl(&mut self) {
        let goes_on = self.unit.vcl_count == 1
            && !self.unit.begins_picture
            && self.unit.ts.is_some()
            && self.unit.ts == self.marked_ts;
        if goes_on {
            self.marker_policy = MarkerPolicy::Ignored;
            self.counters.early_markers += 1;
            self.needs_keyframe = true;
        }
    }

    /// Ends the unit when this NAL unit clearly begins the next one.
    fn boundary(&mut self, nal: &[u8]) {
        if !self.unit.has_vcl {
            return;
        }
        let begins = match nal_type(nal) {
            Some(NalType::Aud | NalType::Sps) => true,
            // The second field of a picture begins at macroblock 0 too.
            Some(kind) if kind.is_vcl() => {
                self.sets.video().is_none_or(|sps| sps.frame_mbs_only)
                    && wire::h264::slice_info(nal).is_some_and(|slice| slice.begins_picture())
            }
            _ => false,
        };
        if begins {
            let (ts, recv_time) = (self.unit.ts, self.unit.recv_time);
            self.close();
            self.unit.ts = ts;
            self.unit.recv_time = recv_time;
        }
    }

    /// The unit in the making lacks bytes.
    fn damaged(&mut self) {
        self.abandon_keeping_time();
    }

    fn abandon_keeping_time(&mut self) {
        let (ts, recv_time) = (self.unit.ts, self.unit.recv_time);
        self.abandon();
        self.unit.ts = ts;
        self.unit.recv_time = recv_time;
    }

    /// Hands the unit out, if a decoder can use it.
    fn close(&mut self) {
        let finished = self.unit.take();
        self.has_idr |= finished.has_idr;
        let recovery = finished.has_sps && finished.has_recovery_point && !self.has_idr;
        let keyframe = (finished.has_idr || recovery) && finished.begins_picture;
        if self.needs_keyframe && !keyframe {
            self.counters.units_dropped += 1;
            return;
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
            media_time: self.media_time(ts),
            recv_time,
            keyframe,
            has_b_slices: finished.has_b_slices,
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
        self.needs_keyframe = false;
        self.counters.units += 1;
        self.counters.keyframes += u64::from(keyframe);
        self.counters.b_slice_units += u64::from(unit.has_b_slices);
        self.ready_bytes += size_bytes;
        self.ready.push_back(unit);
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
    unit.nals
        .iter()
        .chain(&unit.parameter_sets)
        .map(Bytes::len)
        .sum()
}

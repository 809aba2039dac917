//! A viewer's cursor on the ring: what to send next, under which header, and when.

mod pacing;
mod repair;
mod replay;
mod switch;

use std::ops::Range;
use std::time::{Duration, Instant};

use wire::codec::PayloadTypes;
use wire::rtp::{RTP_HEADER_BYTES, RTP_PADDING_BIT, RtpHeader};

use crate::timeline::ticks;
use crate::{PackedUnit, Ring};
use pacing::Pacer;
use repair::Repair;
pub use repair::{RTX_HEADER_BYTES, RepairCounters, Retransmission, RtxConfig};
pub use replay::{KEYFRAME_SOON, KeyframeAnswer, REPLAY_EVERY};
use replay::{Replay, Replayed};

/// Most packets to one viewer within any millisecond: half of what a browser's socket buffer holds.
pub const PACKETS_PER_MS: usize = 32;
/// A joiner's whole cached GOP goes out within this, so that with the last units' own packets it is
/// live within 300 ms.
pub const CATCH_UP_MS: u64 = 250;
/// Most that catching up waits between two units: more only delays the picture.
const CATCH_UP_SPACING_MAX: Duration = Duration::from_millis(10);
/// A subscriber this far behind goes to the newest keyframe as soon as there is one further on: no
/// one calls a picture live that is later, and the ring's tail ends there.
pub const MAX_LAG_MS: u64 = 1_000;
/// A subscriber with more than this unsent (8 s at 4 Mbit/s) drops all of it and waits for the next
/// keyframe: its way out is too narrow, and more would only queue longer.
pub const MAX_LAG_BYTES: u64 = 4 * 1024 * 1024;

/// What the answer to a viewer promised, and random starting points (RFC 3550 section 5.1).
#[derive(Debug, Clone, Copy)]
pub struct SubscriberConfig {
    /// The viewer's own SSRC for this stream.
    pub ssrc: u32,
    /// The codecs that the viewer offered, and their numbers.
    pub payload_types: PayloadTypes,
    /// First sequence number; below 2^15, so that both ends agree that the rollover count is 0.
    pub first_seq: u16,
    /// RTP time of the first unit sent.
    pub first_rtp_ts: u32,
    /// For retransmissions, where the viewer takes them.
    pub rtx: Option<RtxConfig>,
}

/// What happened to one viewer's packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubscriberCounters {
    /// Packets committed.
    pub packets: u64,
    /// Payload octets committed, as sender reports count them.
    pub payload_bytes: u64,
    /// Units committed whole.
    pub units: u64,
    /// Units dropped because the viewer was behind.
    pub units_dropped: u64,
    /// Times that the viewer fell behind.
    pub lags: u64,
}

/// Packets of one unit that may be sealed and sent now.
#[derive(Debug, Clone)]
pub struct Run {
    /// The unit; its payloads are shared by all viewers.
    pub unit: PackedUnit,
    /// Which packets of it; never empty.
    pub packets: Range<usize>,
    first: RtpHeader,
}

impl Run {
    /// Header of packet `packet` of the unit, which lies in `packets`.
    pub fn header_for(&self, packet: usize) -> RtpHeader {
        #[allow(clippy::cast_possible_truncation)] // a run is a few dozen packets
        let ahead = packet.wrapping_sub(self.packets.start) as u16;
        RtpHeader {
            marker: packet + 1 == self.unit.len(),
            seq: self.first.seq.wrapping_add(ahead),
            ..self.first
        }
    }

    /// Payload of packet `packet` of the unit, without padding.
    pub fn payload(&self, packet: usize) -> &[u8] {
        self.unit.payload(packet)
    }

    /// The header as it is sealed with [`Self::padded_payload`].
    pub fn write_header(&self, packet: usize, out: &mut [u8; RTP_HEADER_BYTES]) {
        self.header_for(packet).write(out);
        if self.unit.is_padded(packet) {
            out[0] |= RTP_PADDING_BIT;
        }
    }

    /// Payload of packet `packet` as it is sealed.
    pub fn padded_payload(&self, packet: usize) -> &[u8] {
        self.unit.padded_payload(packet)
    }

    /// Stretches of equal payload size (a last one may be shorter): one GSO message each.
    pub fn equal_runs(&self) -> impl Iterator<Item = Range<usize>> {
        self.unit.equal_runs_in(self.packets.clone())
    }
}

/// A wall clock instant in the viewer's RTP time, with the counts, for a sender report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderTime {
    /// RTP time at the instant asked for.
    pub rtp_ts: u32,
    /// Packets sent so far (RFC 3550 section 6.4.1).
    pub packets: u32,
    /// Payload octets sent so far.
    pub octets: u32,
}

/// Units sent ahead of live, spaced evenly.
#[derive(Debug, Clone, Copy)]
struct CatchUp {
    first_index: u64,
    last_index: u64,
    started: Instant,
    spacing: Duration,
}

/// One viewer of one stream. Sequence numbers are spent by [`Subscriber::commit`], which belongs
/// before the send: a sealed run that could not be sent leaves a gap, drops never do.
#[derive(Debug)]
pub struct Subscriber {
    // given
    ssrc: u32,
    payload_types: PayloadTypes,
    first_rtp_ts: u32,
    // owned
    next_seq: u16,
    /// Next unit wanted.
    next_index: u64,
    /// A unit begun and not finished, held so that eviction cannot cut it.
    begun: Option<(PackedUnit, usize)>,
    needs_keyframe: bool,
    /// The keyframe where its decoder came in: pictures behind it that need the past are left out.
    entered: Option<u64>,
    catch_up: Option<CatchUp>,
    pacer: Pacer,
    repair: Option<Repair>,
    /// Asked for, and begun as soon as the unit in hand is done.
    replay_wanted: bool,
    replay: Option<Replay>,
    replayed: Option<Replayed>,
    // derived
    /// RTP time minus media time, modulo 2^32; set by the first unit.
    ts_offset: Option<u32>,
    last_sent: Option<(u64, Instant)>,
    /// Output time of the last unit sent, replays included.
    last_output: u64,
    /// That of the unit in hand.
    output: u64,
    counters: SubscriberCounters,
}

impl Subscriber {
    /// A viewer that has seen nothing yet; it joins at the newest keyframe the ring holds, or at the
    /// next one.
    pub fn new(config: SubscriberConfig) -> Self {
        Self {
            ssrc: config.ssrc,
            payload_types: config.payload_types,
            first_rtp_ts: config.first_rtp_ts,
            next_seq: config.first_seq,
            next_index: 0,
            begun: None,
            needs_keyframe: true,
            entered: None,
            catch_up: None,
            pacer: Pacer::default(),
            repair: config.rtx.map(|rtx| Repair::new(rtx, config.payload_types)),
            replay_wanted: false,
            replay: None,
            replayed: None,
            ts_offset: None,
            last_sent: None,
            last_output: 0,
            output: 0,
            counters: SubscriberCounters::default(),
        }
    }

    /// The packets that may go now, at most `budget` of them and all of one unit; `None` when there
    /// is nothing, or not yet ([`Self::next_wake`]). Asking again without a commit gives the same
    /// sequence numbers: seal a run once, and commit it.
    pub fn next_run(&mut self, now: Instant, ring: &Ring, budget: usize) -> Option<Run> {
        let allowed = budget.min(self.pacer.allowance(now));
        if allowed == 0 {
            return None;
        }
        let (unit, start) = match &self.begun {
            Some((unit, start)) => (unit.clone(), *start),
            None => {
                self.seek(now, ring);
                if self.needs_keyframe || self.due(self.next_index).is_some_and(|due| now < due) {
                    return None;
                }
                (self.next_useful(ring)?.clone(), 0)
            }
        };
        let Some(payload_type) = self.payload_types.get(unit.codec) else {
            // The camera's codec has changed to one that this viewer does not take.
            self.fall_behind(ring, ring.next_index(), false);
            return None;
        };
        if self.begun.is_none() {
            // Of a camera with uneven times the next live unit may come sooner than a replay has left
            // room for.
            let soonest = self.last_sent.map_or(0, |_| self.last_output + 1);
            self.output = self.output_time(&unit).max(soonest);
        }
        #[allow(clippy::cast_possible_truncation)] // RTP time is media time modulo 2^32
        let media_time = self.output as u32;
        let offset = *self
            .ts_offset
            .get_or_insert(self.first_rtp_ts.wrapping_sub(media_time));
        let packets = start..unit.len().min(start + allowed);
        let first = RtpHeader {
            marker: false,
            payload_type: payload_type.media,
            seq: self.next_seq,
            rtp_ts: media_time.wrapping_add(offset),
            ssrc: self.ssrc,
        };
        Some(Run {
            unit,
            packets,
            first,
        })
    }

    /// Spends the sequence numbers of the first `count` packets of a run: call it when they are
    /// sealed, before they are sent. Not all of the run need be spent. A run that is not the next
    /// one (committed already) changes nothing and gives `false`.
    pub fn commit(&mut self, now: Instant, run: Run, count: usize) -> bool {
        let begun = self.begun.as_ref().map_or(0, |(_, next)| *next);
        let is_next = run.first.seq == self.next_seq
            && run.unit.index == self.next_index
            && run.packets.start == begun;
        if !is_next {
            return false;
        }
        let count = count.min(run.packets.len());
        if count == 0 {
            return true;
        }
        let end = run.packets.start + count;
        #[allow(clippy::cast_possible_truncation)] // at most a unit's packets
        {
            self.next_seq = self.next_seq.wrapping_add(count as u16);
        }
        self.pacer.spend(now, count);
        self.counters.packets += count as u64;
        let sent = run.packets.start..end;
        let media_bytes = run.unit.bytes_of(sent.clone()) - run.unit.padding_of(sent);
        self.counters.payload_bytes += media_bytes as u64;
        self.last_output = self.output;
        if self.last_output == run.unit.media_time {
            self.last_sent = Some((run.unit.media_time, run.unit.recv_time));
        }
        if let Some(repair) = &mut self.repair {
            repair.sent(run.first, &run.unit, run.packets.start, count);
        }
        if end == run.unit.len() {
            self.counters.units += 1;
            self.next_index += 1;
            self.begun = None;
        } else {
            self.begun = Some((run.unit, end));
        }
        true
    }

    /// When to ask again: an instant not after `now` means at once, `None` when the next unit has
    /// yet to come.
    pub fn next_wake(&self, now: Instant, ring: &Ring) -> Option<Instant> {
        let ready = if self.begun.is_some() || self.replay_wanted {
            now
        } else if self.needs_keyframe {
            ring.newest_keyframe()
                .filter(|keyframe| keyframe.index >= self.next_index)?;
            now
        } else {
            if self.next_index >= ring.next_index() {
                return None;
            }
            self.due(self.next_index).unwrap_or(now)
        };
        Some(ready.max(self.pacer.next_allowed(now)))
    }

    /// The packet that was sent under `seq`, to be sealed and sent once more; `None` when it is not
    /// held any more, was sent again just now, or too much has been. Its sequence number is spent.
    pub fn retransmit(&mut self, now: Instant, ring: &Ring, seq: u16) -> Option<Retransmission> {
        self.repair.as_mut()?.again(now, ring, seq)
    }

    /// `first` once more, under a number of its own, for a way that may well lose it too.
    pub fn retransmit_twice(&mut self, first: &Retransmission) -> Option<Retransmission> {
        self.repair.as_mut()?.twice(first)
    }

    /// The viewer's decoder asks for a keyframe.
    pub fn request_keyframe(&mut self, now: Instant, ring: &Ring) -> KeyframeAnswer {
        if self.needs_keyframe || self.replay_wanted {
            return KeyframeAnswer::Wait;
        }
        if ring.keyframe_is_due(now) {
            return KeyframeAnswer::Wait;
        }
        let Some(keyframe_index) = ring.newest_keyframe_index() else {
            return KeyframeAnswer::Nothing;
        };
        if self.replayed.is_some_and(|last| {
            last.keyframe_index == keyframe_index || now < last.at + REPLAY_EVERY
        }) {
            return KeyframeAnswer::TooSoon;
        }
        self.replayed = Some(Replayed {
            keyframe_index,
            at: now,
        });
        self.replay_wanted = true;
        KeyframeAnswer::Replay
    }

    /// What came of the viewer's wishes so far.
    pub fn repair_counters(&self) -> RepairCounters {
        self.repair.as_ref().map(|r| r.counters).unwrap_or_default()
    }

    /// The viewer's RTP time at instant `at`, for a sender report; `None` before the first packet.
    pub fn sender_time(&self, at: Instant) -> Option<SenderTime> {
        let (media_time, recv_time) = self.last_sent?;
        let ahead = ticks(at.saturating_duration_since(recv_time));
        let behind = ticks(recv_time.saturating_duration_since(at));
        #[allow(clippy::cast_possible_truncation)] // modulo 2^32, as the fields are
        Some(SenderTime {
            rtp_ts: (media_time.wrapping_add(ahead).wrapping_sub(behind) as u32)
                .wrapping_add(self.ts_offset?),
            packets: self.counters.packets as u32,
            octets: self.counters.payload_bytes as u32,
        })
    }

    /// Counts since the viewer came.
    pub fn counters(&self) -> SubscriberCounters {
        self.counters
    }

    /// The viewer's SSRC.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// When unit `index` of a catch-up may go; `None` outside of one.
    fn due(&self, index: u64) -> Option<Instant> {
        let catch_up = self.catch_up.filter(|c| index <= c.last_index)?;
        let place = u32::try_from(index.saturating_sub(catch_up.first_index)).unwrap_or(u32::MAX);
        Some(catch_up.started + catch_up.spacing * place)
    }

    /// The next unit, but for those that refer to what this viewer was never sent.
    fn next_useful<'r>(&mut self, ring: &'r Ring) -> Option<&'r PackedUnit> {
        loop {
            let unit = ring.get(self.next_index)?;
            if unit.keyframe && self.entered != Some(unit.index) {
                self.entered = None;
            }
            if !unit.needs_past || self.entered.is_none() {
                return Some(unit);
            }
            self.next_index += 1;
        }
    }

    /// The unit's time in this viewer's stream, before its offset.
    fn output_time(&self, unit: &PackedUnit) -> u64 {
        let replayed = self.replay.and_then(|replay| replay.media_time(unit));
        replayed.unwrap_or(unit.media_time)
    }

    fn begin_replay(&mut self, now: Instant, ring: &Ring) {
        let planned = Replay::plan(ring, self.last_output);
        let (Some(replay), Some(keyframe)) = (planned, ring.newest_keyframe()) else {
            return;
        };
        self.replay = Some(replay);
        if let Some(repair) = &mut self.repair {
            repair.counters.replays += 1;
        }
        self.go_back_to(now, ring, keyframe.index);
    }

    /// Goes on at the unit `index`, which lies behind, and catches up from there.
    fn go_back_to(&mut self, now: Instant, ring: &Ring, index: u64) {
        let units = ring.next_index() - index;
        self.next_index = index;
        self.entered = Some(index);
        self.catch_up = (units > 1).then(|| CatchUp {
            first_index: index,
            last_index: index + units - 1,
            started: now,
            spacing: CATCH_UP_SPACING_MAX
                .min(Duration::from_millis(CATCH_UP_MS) / u32::try_from(units).unwrap_or(u32::MAX)),
        });
    }

    /// Decides, between two units, whether to go on, to jump ahead or to wait for a keyframe.
    fn seek(&mut self, now: Instant, ring: &Ring) {
        if std::mem::take(&mut self.replay_wanted) && !self.needs_keyframe {
            self.begin_replay(now, ring);
        }
        if !self.needs_keyframe {
            let catching_up = self
                .catch_up
                .is_some_and(|c| self.next_index <= c.last_index);
            match ring.get(self.next_index) {
                // Nothing new, or let go of by the ring.
                None if self.next_index >= ring.next_index() => return,
                None => self.fall_behind(ring, self.next_index, !catching_up),
                Some(_) if catching_up => return,
                Some(unit) => {
                    let late = now.saturating_duration_since(unit.recv_time)
                        > Duration::from_millis(MAX_LAG_MS);
                    let keyframe_ahead =
                        ring.newest_keyframe().is_some_and(|k| k.index > unit.index);
                    if late && keyframe_ahead {
                        self.fall_behind(ring, self.next_index, true);
                    } else if ring.bytes_since(unit) > MAX_LAG_BYTES {
                        self.fall_behind(ring, ring.next_index(), true);
                    } else {
                        return;
                    }
                }
            }
        }
        let Some(keyframe) = ring
            .newest_keyframe()
            .filter(|k| k.index >= self.next_index)
        else {
            return;
        };
        if self.ts_offset.is_some() {
            self.counters.units_dropped += keyframe.index - self.next_index;
        }
        self.needs_keyframe = false;
        self.go_back_to(now, ring, keyframe.index);
    }

    fn fall_behind(&mut self, ring: &Ring, from_index: u64, counts_as_lag: bool) {
        debug_assert!(from_index <= ring.next_index());
        self.counters.units_dropped += from_index - self.next_index;
        self.counters.lags += u64::from(counts_as_lag);
        self.next_index = from_index;
        self.needs_keyframe = true;
        self.catch_up = None;
    }
}

//! What a viewer asks for again: which packet a sequence number was, and whether it may go once more
//! (RFC 4585 section 6.2.1, RFC 4588).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wire::codec::PayloadTypes;
use wire::rtp::RtpHeader;

use crate::{PackedUnit, Ring};

/// Units whose sequence numbers are remembered: five seconds at 25 a second. A browser gives up on a
/// packet after one, and the ring holds little more.
const HISTORY_UNITS: usize = 128;
/// Sequence numbers further back than this may already stand for others.
const HISTORY_PACKETS: u16 = 0x4000;
/// The same packet is not sent again within this: browsers ask once for each round trip, and what is
/// asked for twice within one is on its way.
const REPEAT_AFTER: Duration = Duration::from_millis(20);
/// Answers remembered for that.
const REPEATS_KEPT: usize = 128;
/// Of each media byte a quarter may be sent again. A way that loses more than one packet in five is
/// too narrow, and retransmissions would make it narrower.
const BUDGET_DIVISOR: u64 = 4;
/// What may be sent again at once: a fifth of a large keyframe.
const BUDGET_MAX_BYTES: u64 = 64 * 1024;
/// Original sequence number in front of the payload (RFC 4588 section 4).
pub const RTX_HEADER_BYTES: usize = 2;

/// The second stream that the answer promised for retransmissions, of whatever codec.
#[derive(Debug, Clone, Copy)]
pub struct RtxConfig {
    /// Its own SSRC.
    pub ssrc: u32,
    /// First sequence number; below 2^15, as the media's.
    pub first_seq: u16,
}

/// One packet to be sent once more.
#[derive(Debug, Clone)]
pub struct Retransmission {
    /// Of the retransmission stream; its sequence number is spent.
    pub header: RtpHeader,
    /// Comes first in the payload, in network order.
    pub original_seq: u16,
    unit: PackedUnit,
    packet: usize,
}

impl Retransmission {
    /// The payload as it was sent before, behind [`Self::original_seq`].
    pub fn payload(&self) -> &[u8] {
        self.unit.payload(self.packet)
    }
}

/// What came of a viewer's wishes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RepairCounters {
    /// Packets sent again.
    pub retransmitted: u64,
    /// Asked for, and not held any more.
    pub gone: u64,
    /// Asked for beyond the budget.
    pub over_budget: u64,
    /// Cached GOPs sent again.
    pub replays: u64,
}

/// Sequence numbers that were spent on one unit.
#[derive(Debug, Clone, Copy)]
struct Sent {
    first_seq: u16,
    count: u16,
    first_packet: u32,
    rtp_ts: u32,
    index: u64,
}

/// Remembers what was sent under which number, in a few kB.
#[derive(Debug)]
pub(super) struct Repair {
    // given
    rtx: RtxConfig,
    payload_types: PayloadTypes,
    // owned
    next_seq: u16,
    history: VecDeque<Sent>,
    answered: VecDeque<(u16, Instant)>,
    budget_bytes: u64,
    pub(super) counters: RepairCounters,
}

impl Repair {
    pub(super) fn new(rtx: RtxConfig, payload_types: PayloadTypes) -> Self {
        Self {
            payload_types,
            next_seq: rtx.first_seq,
            rtx,
            history: VecDeque::new(),
            answered: VecDeque::new(),
            budget_bytes: BUDGET_MAX_BYTES,
            counters: RepairCounters::default(),
        }
    }

    /// `count` packets of a unit, from `first_packet`, were sent under `first` and what follows it.
    #[allow(clippy::cast_possible_truncation)] // a run is a few dozen packets, a unit some thousand
    pub(super) fn sent(
        &mut self,
        first: RtpHeader,
        unit: &PackedUnit,
        first_packet: usize,
        count: usize,
    ) {
        let size_bytes = unit.bytes_of(first_packet..first_packet + count) as u64;
        self.budget_bytes = BUDGET_MAX_BYTES.min(self.budget_bytes + size_bytes / BUDGET_DIVISOR);
        let count = count as u16;
        if let Some(last) = self.history.back_mut()
            && last.index == unit.index
            && last.rtp_ts == first.rtp_ts
            && last.first_seq.wrapping_add(last.count) == first.seq
        {
            last.count += count;
            return;
        }
        if self.history.len() == HISTORY_UNITS {
            self.history.pop_front();
        }
        self.history.push_back(Sent {
            first_seq: first.seq,
            count,
            first_packet: first_packet as u32,
            rtp_ts: first.rtp_ts,
            index: unit.index,
        });
    }

    /// What was sent is of another ring than what comes.
    pub(super) fn forget_history(&mut self) {
        self.history.clear();
    }

    /// The packet that was sent under `seq`, if it is still held and may go again.
    pub(super) fn again(&mut self, now: Instant, ring: &Ring, seq: u16) -> Option<Retransmission> {
        let recent = |at: Instant| now < at + REPEAT_AFTER;
        while self.answered.front().is_some_and(|(_, at)| !recent(*at)) {
            self.answered.pop_front();
        }
        if self.answered.iter().any(|(known, _)| *known == seq) {
            return None;
        }
        let found = self.find(seq);
        let found = found.and_then(|(sent, packet)| Some((sent, packet, ring.get(sent.index)?)));
        let Some((sent, packet, unit)) = found else {
            self.counters.gone += 1;
            return None;
        };
        // Without one, the viewer did not ask to have packets of this codec again.
        let payload_type = self.payload_types.get(unit.codec)?.rtx?;
        let size_bytes = unit.payload(packet).len() as u64;
        if self.budget_bytes < size_bytes || self.answered.len() == REPEATS_KEPT {
            self.counters.over_budget += 1;
            return None;
        }
        self.answered.push_back((seq, now));
        let header = RtpHeader {
            marker: packet + 1 == unit.len(),
            payload_type,
            seq: self.next_seq,
            rtp_ts: sent.rtp_ts,
            ssrc: self.rtx.ssrc,
        };
        self.spend(size_bytes);
        Some(Retransmission {
            header,
            original_seq: seq,
            unit: unit.clone(),
            packet,
        })
    }

    /// The same packet under the next number, as far as the budget goes.
    pub(super) fn twice(&mut self, first: &Retransmission) -> Option<Retransmission> {
        let size_bytes = first.payload().len() as u64;
        if self.budget_bytes < size_bytes {
            return None;
        }
        let header = RtpHeader {
            seq: self.next_seq,
            ..first.header
        };
        self.spend(size_bytes);
        Some(Retransmission {
            header,
            ..first.clone()
        })
    }

    fn spend(&mut self, size_bytes: u64) {
        self.budget_bytes -= size_bytes;
        self.next_seq = self.next_seq.wrapping_add(1);
        self.counters.retransmitted += 1;
    }

    fn find(&self, seq: u16) -> Option<(Sent, usize)> {
        let newest = self.history.back()?;
        let end = newest.first_seq.wrapping_add(newest.count);
        if end.wrapping_sub(seq).wrapping_sub(1) >= HISTORY_PACKETS {
            return None;
        }
        self.history.iter().rev().find_map(|sent| {
            let ahead = seq.wrapping_sub(sent.first_seq);
            (ahead < sent.count).then(|| (*sent, sent.first_packet as usize + usize::from(ahead)))
        })
    }
}

//! What one viewer received, from clear RTP headers alone: packets, losses, duplicates, access-unit
//! ends. Pure.

use wire::rtp::{RTP_HEADER_BYTES, SeqExtender};

/// Packets this far behind the newest are told from duplicates.
const WINDOW: u64 = 128;

/// The fixed header of a packet that is still sealed: nothing behind it can be read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClearHeader {
    pub marker: bool,
    pub payload_type: u8,
    pub seq: u16,
    pub rtp_ts: u32,
    pub ssrc: u32,
}

impl ClearHeader {
    /// RFC 3550 section 5.1; `None` for what is no RTP version 2.
    pub fn read(datagram: &[u8]) -> Option<Self> {
        let head = datagram.first_chunk::<RTP_HEADER_BYTES>()?;
        (head[0] >> 6 == 2).then(|| Self {
            marker: head[1] & 0x80 != 0,
            payload_type: head[1] & 0x7f,
            seq: u16::from_be_bytes([head[2], head[3]]),
            rtp_ts: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            ssrc: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
        })
    }
}

/// Counts since the viewer came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Datagrams of media, duplicates included.
    pub packets: u64,
    /// UDP payload bytes of those.
    pub bytes: u64,
    /// Sequence numbers never seen below the highest one.
    pub lost: u64,
    pub duplicates: u64,
    /// Arrived after a later one, and counted.
    pub late: u64,
    /// Access units whose last packet came.
    pub units: u64,
}

impl Counts {
    /// What came between two readings.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            packets: self.packets - before.packets,
            bytes: self.bytes - before.bytes,
            // A late packet takes back a loss that was counted before.
            lost: self.lost.saturating_sub(before.lost),
            duplicates: self.duplicates - before.duplicates,
            late: self.late - before.late,
            units: self.units - before.units,
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.late += other.late;
        self.units += other.units;
    }
}

/// How a packet stands to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The very next one (or the first of all).
    Next,
    /// Newer, with a gap before it.
    AfterGap,
    Late,
    Duplicate,
}

/// The last packet of an access unit: the marker is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitEnd {
    pub rtp_ts: u32,
    pub packets: u32,
}

#[derive(Debug, Default)]
pub struct Tally {
    counts: Counts,
    seqs: SeqExtender,
    first: Option<u64>,
    highest: u64,
    /// Bit n: `highest - n` has come.
    seen: u128,
    packets_in_unit: u32,
}

impl Tally {
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Extended highest sequence number, as receiver reports give it.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// Counts one packet of `datagram_bytes`; the marker ends an access unit.
    pub fn take(&mut self, packet: ClearHeader, datagram_bytes: usize) -> (Order, Option<UnitEnd>) {
        self.counts.packets += 1;
        self.counts.bytes += datagram_bytes as u64;
        let order = self.place(packet.seq);
        if matches!(order, Order::Duplicate) {
            return (order, None);
        }
        self.packets_in_unit += 1;
        if !packet.marker {
            return (order, None);
        }
        self.counts.units += 1;
        let end = UnitEnd {
            rtp_ts: packet.rtp_ts,
            packets: std::mem::take(&mut self.packets_in_unit),
        };
        (order, Some(end))
    }

    fn place(&mut self, seq: u16) -> Order {
        // Against the newest, so that a late packet does not move the reference.
        let mut seqs = self.seqs;
        let extended = seqs.extend(seq);
        let Some(first) = self.first else {
            (self.first, self.highest, self.seen, self.seqs) = (Some(extended), extended, 1, seqs);
            return Order::Next;
        };
        if extended > self.highest {
            let ahead = extended - self.highest;
            let shift = u32::try_from(ahead).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(shift).unwrap_or(0) | 1;
            self.highest = extended;
            self.seqs = seqs;
            self.counts.lost += ahead - 1;
            return if ahead == 1 {
                Order::Next
            } else {
                Order::AfterGap
            };
        }
        let behind = self.highest - extended;
        if behind >= WINDOW || self.seen >> behind & 1 == 1 {
            self.counts.duplicates += 1;
            return Order::Duplicate;
        }
        self.seen |= 1 << behind;
        if extended >= first {
            self.counts.lost -= 1;
        }
        self.counts.late += 1;
        Order::Late
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::rtp::RtpHeader;

    fn take(tally: &mut Tally, seq: u16, marker: bool) -> (Order, Option<UnitEnd>) {
        let header = RtpHeader {
            marker,
            payload_type: 96,
            seq,
            rtp_ts: 9,
            ssrc: 1,
        };
        let bytes = header.to_bytes();
        tally.take(ClearHeader::read(&bytes).unwrap(), 100)
    }

    #[test]
    fn gaps_late_packets_and_duplicates_are_told_apart_over_a_wrap() {
        let mut tally = Tally::default();
        let orders: Vec<Order> = [65_534, 65_535, 2, 0, 0, 1, 3]
            .into_iter()
            .map(|seq| take(&mut tally, seq, false).0)
            .collect();
        use Order::{AfterGap, Duplicate, Late, Next};
        assert_eq!(orders, [Next, Next, AfterGap, Late, Duplicate, Late, Next]);
        let counts = tally.counts();
        assert_eq!((counts.lost, counts.late, counts.duplicates), (0, 2, 1));
        take(&mut tally, 10, false);
        assert_eq!(tally.counts().lost, 6);
        assert_eq!(tally.highest() & 0xFFFF, 10);
    }

    #[test]
    fn the_marker_ends_a_unit_with_its_packets() {
        let mut tally = Tally::default();
        for seq in 0..4 {
            assert_eq!(take(&mut tally, seq, false).1, None);
        }
        let end = UnitEnd {
            rtp_ts: 9,
            packets: 5,
        };
        assert_eq!(take(&mut tally, 4, true).1, Some(end));
        assert_eq!(take(&mut tally, 5, true).1.map(|end| end.packets), Some(1));
        assert_eq!(tally.counts().units, 2);
    }
}

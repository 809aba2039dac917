//! Puts RTP packets that came by UDP back into the order of their sequence numbers (RFC 3550
//! section 5.1), as far as a short wait allows. What comes by TCP needs none of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Packets held at most while one before them is missing: past a keyframe's burst at line rate,
/// what is still missing is lost.
pub const REORDER_PACKETS: usize = 64;
/// A packet waits for those before it at most this long; every picture behind a loss pays it.
pub const REORDER_WAIT: Duration = Duration::from_millis(100);
/// Bytes held at most. 64 packets of an Ethernet frame are 96 kB; some cameras send 10 kB packets.
pub const REORDER_BYTES: usize = 512 << 10;
/// A number at most this far back is late or a repetition. Further back, or further ahead than
/// `RESTART_GAP`, two in a row are a camera that counts anew (RFC 3550 appendix A.1); one alone is a
/// straggler.
const LATE_WINDOW: u32 = u128::BITS;
const RESTART_GAP: u16 = 3_000;

/// What was seen, growing over reconnects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReorderCounters {
    /// Overtaken by others, and put back into their place.
    pub reordered: u64,
    /// Came after they had been given up, or from nowhere; dropped.
    pub late: u64,
    /// Came again; dropped.
    pub repeated: u64,
    /// Numbers given up: not there after the wait, or when too much was held.
    pub given_up: u64,
    /// Times that the numbering began anew.
    pub restarts: u64,
}

#[derive(Debug)]
struct Held {
    arrived: Instant,
    packet: Vec<u8>,
}

/// The window of one source.
#[derive(Debug, Default)]
pub struct ReorderWindow {
    // owned
    ssrc: u32,
    /// The next in order, unwrapped; none before the first packet.
    next: Option<u64>,
    held: BTreeMap<u64, Held>,
    held_bytes: usize,
    /// Bit n: the number n + 1 before the next was given up.
    given_up: u128,
    /// From far away; what it is shows with the one after it.
    stray: Option<(u16, Vec<u8>)>,
    counters: ReorderCounters,
}

impl ReorderWindow {
    /// Takes one packet; `sink` gets it, and what had waited for it, in order. Bytes that are no RTP
    /// packet go through: whoever reads them says so.
    pub fn push(&mut self, now: Instant, rtp: &[u8], sink: &mut dyn FnMut(&[u8])) {
        let [_, _, s0, s1, _, _, _, _, c0, c1, c2, c3, ..] = *rtp else {
            return sink(rtp);
        };
        let seq = u16::from_be_bytes([s0, s1]);
        let ssrc = u32::from_be_bytes([c0, c1, c2, c3]);
        let Some(next) = self.next.filter(|_| ssrc == self.ssrc) else {
            return self.begin(ssrc, seq, rtp, sink);
        };
        let ahead = seq.wrapping_sub(next as u16);
        let back = u32::from(ahead.wrapping_neg());
        if ahead == 0 {
            self.counters.reordered += u64::from(!self.held.is_empty());
            self.stray = None;
            self.advance();
            sink(rtp);
            self.release(sink);
        } else if back <= LATE_WINDOW {
            let bit = 1 << (back - 1);
            match self.given_up & bit {
                0 => self.counters.repeated += 1,
                _ => self.counters.late += 1,
            }
            self.given_up &= !bit;
        } else if ahead <= RESTART_GAP {
            self.hold(now, next + u64::from(ahead), rtp);
            while self.held.len() > REORDER_PACKETS || self.held_bytes > REORDER_BYTES {
                self.give_up(sink);
            }
        } else {
            match self.stray.take() {
                Some((before, packet)) if before.wrapping_add(1) == seq => {
                    // What was counted as late was the first of the new count.
                    self.counters.late -= 1;
                    self.begin(ssrc, before, &packet, sink);
                    self.push(now, rtp, sink);
                }
                _ => {
                    self.counters.late += 1;
                    self.stray = Some((seq, rtp.to_vec()));
                }
            }
        }
    }

    /// When [`Self::handle_timeout`] is due: while something is held.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let oldest = self.held.values().map(|held| held.arrived).min();
        oldest.map(|arrived| arrived + REORDER_WAIT)
    }

    /// Hands out what has waited long enough.
    pub fn handle_timeout(&mut self, now: Instant, sink: &mut dyn FnMut(&[u8])) {
        while self.poll_timeout().is_some_and(|due| due <= now) {
            self.give_up(sink);
        }
    }

    /// The source went away: what is held is dropped, and the next packet begins anew.
    pub fn reset(&mut self) {
        self.next = None;
        self.held.clear();
        self.held_bytes = 0;
        self.given_up = 0;
        self.stray = None;
    }

    /// Counts since the stream began.
    pub fn counters(&self) -> ReorderCounters {
        self.counters
    }

    /// Bytes held now.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Another SSRC or another place in the numbers: follow it. Whether a source is believed is for
    /// the intake to say.
    fn begin(&mut self, ssrc: u32, seq: u16, rtp: &[u8], sink: &mut dyn FnMut(&[u8])) {
        self.counters.restarts += u64::from(self.next.is_some());
        for held in std::mem::take(&mut self.held).into_values() {
            sink(&held.packet);
        }
        self.reset();
        self.ssrc = ssrc;
        self.next = Some(u64::from(seq) + 1);
        // Of those before it none was handed out.
        self.given_up = u128::MAX << 1;
        sink(rtp);
    }

    fn hold(&mut self, now: Instant, place: u64, rtp: &[u8]) {
        if self.held.contains_key(&place) {
            self.counters.repeated += 1;
            return;
        }
        self.held_bytes += rtp.len();
        let held = Held {
            arrived: now,
            packet: rtp.to_vec(),
        };
        self.held.insert(place, held);
    }

    /// Waits no longer for what is missing before the first that is held.
    fn give_up(&mut self, sink: &mut dyn FnMut(&[u8])) {
        let (Some(next), Some((&first, _))) = (self.next, self.held.first_key_value()) else {
            return;
        };
        let missing = first - next;
        self.counters.given_up += missing;
        self.given_up = match u32::try_from(missing) {
            Ok(missing) if missing < u128::BITS => self.given_up << missing | ((1 << missing) - 1),
            _ => u128::MAX,
        };
        self.next = Some(first);
        self.release(sink);
    }

    /// Hands out what is held up to the next gap.
    fn release(&mut self, sink: &mut dyn FnMut(&[u8])) {
        while let Some(entry) = self.held.first_entry()
            && Some(*entry.key()) == self.next
        {
            let held = entry.remove();
            self.held_bytes -= held.packet.len();
            self.advance();
            sink(&held.packet);
        }
    }

    fn advance(&mut self) {
        self.next = self.next.map(|next| next + 1);
        self.given_up <<= 1;
    }
}

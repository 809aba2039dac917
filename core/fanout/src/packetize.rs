//! RTP payloads of an access unit, made once per stream (RFC 6184, packetization-mode 1).

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use smallvec::SmallVec;
use wire::h264::{NalType, START_CODE, nal_type};

use crate::AccessUnit;

/// Largest RTP payload towards a viewer: with header, SRTP tag and room for extensions the UDP
/// payload stays within the 1,200 bytes that browsers themselves keep to.
pub const MAX_RTP_PAYLOAD_BYTES: usize = 1_160;

const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_HEADERS_BYTES: usize = 2;

/// Runs kept beside a unit without asking the allocator: one slice, or the parameter sets and one.
const INLINE_RUNS: usize = 2;

/// A stretch of payloads of one size, but for a last one that may be shorter.
#[derive(Debug, Clone, Copy)]
struct RunOf {
    first_packet: u32,
    /// Where its first payload begins in the unit's data.
    offset: u32,
    size_bytes: u32,
}

/// Where a unit comes in its stream; the ring says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Growing by one.
    pub index: u64,
    /// Payload bytes of the stream before the unit.
    pub offset_bytes: u64,
}

/// An access unit as RTP payloads: immutable, shared by every viewer.
#[derive(Debug, Clone)]
pub struct PackedUnit {
    /// Place in the stream, growing by one.
    pub index: u64,
    /// Output time, 90 kHz, never going back.
    pub media_time: u64,
    /// When the unit's first packet arrived.
    pub recv_time: Instant,
    /// A decoder may begin here.
    pub keyframe: bool,
    /// Payload bytes of the stream before this unit.
    pub(crate) stream_offset_bytes: u64,
    /// All payloads, one after the other.
    data: Vec<u8>,
    packets: u32,
    runs: SmallVec<[RunOf; INLINE_RUNS]>,
    /// While it is made: the last run has had no shorter payload yet.
    run_is_open: bool,
}

impl PackedUnit {
    /// Number of packets; at least one.
    pub fn len(&self) -> usize {
        self.packets as usize
    }

    /// Never so for a unit made by [`packetize`].
    pub fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// Bytes of all payloads.
    pub fn size_bytes(&self) -> usize {
        self.data.len()
    }

    /// Bytes of payload `packet`, or nothing when there is no such packet.
    pub fn payload(&self, packet: usize) -> &[u8] {
        if packet >= self.len() {
            return &[];
        }
        &self.data[self.offset(packet)..self.offset(packet + 1)]
    }

    /// The payloads of a range of packets, in order; those that are not there are left out.
    pub fn payloads(&self, packets: Range<usize>) -> impl Iterator<Item = &[u8]> {
        self.equal_runs_in(packets.start..packets.end.min(self.len()))
            .flat_map(|run| {
                let bytes = &self.data[self.offset(run.start)..self.offset(run.end)];
                bytes.chunks(self.payload(run.start).len().max(1))
            })
    }

    /// Where payload `packet` begins, or the data ends.
    fn offset(&self, packet: usize) -> usize {
        if packet >= self.len() {
            return self.data.len();
        }
        let run = self.run_of(packet);
        let RunOf {
            first_packet,
            offset,
            size_bytes,
        } = self.runs[run];
        offset as usize + (packet - first_packet as usize) * size_bytes as usize
    }

    fn run_of(&self, packet: usize) -> usize {
        let after = |run: &RunOf| run.first_packet as usize <= packet;
        self.runs.partition_point(after) - 1
    }

    /// Payload bytes of a range of packets.
    pub fn bytes_of(&self, packets: Range<usize>) -> usize {
        if packets.is_empty() || packets.end > self.len() {
            return 0;
        }
        self.offset(packets.end) - self.offset(packets.start)
    }

    /// Stretches in which all payloads are of one size but for a shorter last: one GSO message each.
    pub fn equal_runs(&self) -> impl Iterator<Item = Range<usize>> {
        self.equal_runs_in(0..self.len())
    }

    /// [`Self::equal_runs`] cut to a range of packets.
    pub fn equal_runs_in(&self, packets: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let mut start = packets.start;
        std::iter::from_fn(move || {
            if start >= packets.end.min(self.len()) {
                return None;
            }
            let next = self.runs.get(self.run_of(start) + 1);
            let end = next.map_or(self.len(), |run| run.first_packet as usize);
            let run = start..end.min(packets.end);
            start = run.end;
            Some(run)
        })
    }

    /// The unit in start-code form, as decoders of files take it; SEI is not in it.
    pub fn to_annexb(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.data.len() + 64);
        for payload in self.payloads(0..self.len()) {
            match payload {
                [indicator, header, rest @ ..] if indicator & 0x1f == FU_A => {
                    if header & 0x80 != 0 {
                        out.extend_from_slice(&START_CODE);
                        out.push((indicator & 0xe0) | (header & 0x1f));
                    }
                    out.extend_from_slice(rest);
                }
                [indicator, rest @ ..] if indicator & 0x1f == STAP_A => {
                    let mut rest = rest;
                    while let Some((len_bytes, after)) = rest.split_first_chunk::<2>() {
                        let len_bytes = usize::from(u16::from_be_bytes(*len_bytes));
                        let Some((nal, after)) = after.split_at_checked(len_bytes) else {
                            break;
                        };
                        out.extend_from_slice(&START_CODE);
                        out.extend_from_slice(nal);
                        rest = after;
                    }
                }
                single => {
                    out.extend_from_slice(&START_CODE);
                    out.extend_from_slice(single);
                }
            }
        }
        out.into()
    }
}

/// Makes the RTP payloads of an access unit, at the output time `media_time`.
///
/// Parameter sets lead in one STAP-A; SEI, AUD and filler are left out; a NAL unit over
/// [`MAX_RTP_PAYLOAD_BYTES`] is cut into FU-A fragments of one size, the last shorter by less than
/// their number. `None` when nothing is left to send.
pub fn packetize(unit: &AccessUnit, media_time: u64, place: Place) -> Option<Arc<PackedUnit>> {
    let pictures = || unit.nals.iter().filter(|nal| goes_out(nal));
    pictures().next()?;
    let sets_bytes: usize = unit.parameter_sets.iter().map(|set| set.len() + 3).sum();
    let mut packed = Arc::new(PackedUnit {
        index: place.index,
        media_time,
        recv_time: unit.recv_time,
        keyframe: unit.keyframe,
        stream_offset_bytes: place.offset_bytes,
        data: Vec::with_capacity(sets_bytes + pictures().map(packed_bytes).sum::<usize>()),
        packets: 0,
        runs: SmallVec::new(),
        run_is_open: false,
    });
    // Filled where it stays: behind the copy into memory that no cache holds, nothing is moved or
    // counted any more that would have to wait for it.
    let making = Arc::get_mut(&mut packed)?;
    making.add_parameter_sets(&unit.parameter_sets);
    for nal in pictures() {
        making.add_nal(nal);
    }
    Some(packed)
}

/// How many FU-A fragments a NAL unit of this length is cut into (RFC 6184 section 5.8).
fn fragments_of(nal_bytes: usize) -> usize {
    (nal_bytes - 1).div_ceil(MAX_RTP_PAYLOAD_BYTES - FU_HEADERS_BYTES)
}

/// Payload bytes that a NAL unit becomes: itself, or its body with two bytes for each fragment.
fn packed_bytes(nal: &[u8]) -> usize {
    if nal.len() <= MAX_RTP_PAYLOAD_BYTES {
        nal.len()
    } else {
        nal.len() - 1 + FU_HEADERS_BYTES * fragments_of(nal.len())
    }
}

/// A packet of SEI alone in every access unit costs a tenth of the fan-out's throughput, and no
/// browser reads it.
fn goes_out(nal: &[u8]) -> bool {
    !matches!(
        nal_type(nal),
        None | Some(NalType::Sei | NalType::Aud | NalType::Filler | NalType::End(_))
    )
}

impl PackedUnit {
    /// The bytes since `start` are one payload.
    #[allow(clippy::cast_possible_truncation)] // access units are bounded far below 4 GiB
    fn end_packet(&mut self, start: usize) {
        let size_bytes = (self.data.len() - start) as u32;
        match self.runs.last() {
            Some(run) if self.run_is_open && size_bytes <= run.size_bytes => {
                self.run_is_open = size_bytes == run.size_bytes; // a shorter one is the run's last
            }
            _ => {
                self.run_is_open = true;
                self.runs.push(RunOf {
                    first_packet: self.packets,
                    offset: start as u32,
                    size_bytes,
                });
            }
        }
        self.packets += 1;
    }

    fn add_parameter_sets(&mut self, sets: &[Bytes]) {
        let mut rest = sets;
        while !rest.is_empty() {
            let mut total_bytes = 1;
            let fitting = rest
                .iter()
                .take_while(|set| {
                    total_bytes += 2 + set.len();
                    total_bytes <= MAX_RTP_PAYLOAD_BYTES
                })
                .count();
            let (group, after) = rest.split_at(fitting.max(1));
            if let [alone] = group {
                self.add_nal(alone);
            } else {
                self.add_stap_a(group);
            }
            rest = after;
        }
    }

    /// RFC 6184 section 5.7.1; the NRI is the highest of those inside.
    fn add_stap_a(&mut self, nals: &[Bytes]) {
        let nri = nals
            .iter()
            .filter_map(|nal| nal.first())
            .map(|b| b & 0x60)
            .max()
            .unwrap_or(0);
        let start = self.data.len();
        self.data.push(nri | STAP_A);
        for nal in nals {
            #[allow(clippy::cast_possible_truncation)] // fits a payload, checked by the caller
            self.data
                .extend_from_slice(&(nal.len() as u16).to_be_bytes());
            self.data.extend_from_slice(nal);
        }
        self.end_packet(start);
    }

    /// RFC 6184 sections 5.6 and 5.8.
    fn add_nal(&mut self, nal: &[u8]) {
        let Some((&header, body)) = nal.split_first() else {
            return;
        };
        if nal.len() <= MAX_RTP_PAYLOAD_BYTES {
            let start = self.data.len();
            self.data.extend_from_slice(nal);
            self.end_packet(start);
            return;
        }
        let size_bytes = body.len().div_ceil(fragments_of(nal.len()));
        let mut chunks = body.chunks(size_bytes).peekable();
        let mut position = 0x80; // start bit
        while let Some(chunk) = chunks.next() {
            if chunks.peek().is_none() {
                position |= 0x40; // end bit
            }
            let start = self.data.len();
            self.data
                .extend_from_slice(&[(header & 0xe0) | FU_A, position | (header & 0x1f)]);
            self.data.extend_from_slice(chunk);
            self.end_packet(start);
            position = 0;
        }
    }
}

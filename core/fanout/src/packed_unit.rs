//! An access unit as it goes out, and how it is read back.

use std::ops::Range;
use std::time::Instant;

use bytes::Bytes;
use smallvec::SmallVec;
use wire::codec::VideoCodec;
use wire::h264::START_CODE;

use crate::codec::{Kind, kind};

pub(crate) const STAP_A: u8 = 24;
pub(crate) const FU_A: u8 = 28;
/// H.265's, where the type lies in bits 1 to 6 of the first byte.
pub(crate) const AP: u8 = 48;
pub(crate) const FU: u8 = 49;

/// Runs kept beside a unit without asking the allocator: one slice, or the parameter sets and one.
const INLINE_RUNS: usize = 2;

/// A stretch of payloads of one size, but for a last one that may be shorter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunOf {
    pub first_packet: u32,
    /// Where its first payload begins in the unit's data.
    pub offset: u32,
    pub size_bytes: u32,
}

pub(crate) type Runs = SmallVec<[RunOf; INLINE_RUNS]>;
/// A bit for each packet that ends in RTP padding; empty where none does.
pub(crate) type Padded = SmallVec<[u64; 1]>;

/// Where a unit comes in its stream; the ring says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Growing by one.
    pub index: u64,
    /// Payload bytes of the stream before the unit.
    pub offset_bytes: u64,
}

/// An access unit as RTP payloads: immutable; a clone shares them.
#[derive(Debug, Clone)]
pub struct PackedUnit {
    /// Which format the payloads have.
    pub codec: VideoCodec,
    /// Place in the stream, growing by one.
    pub index: u64,
    /// Output time, 90 kHz, never going back.
    pub media_time: u64,
    /// When the unit's first packet arrived.
    pub recv_time: Instant,
    /// A decoder may begin here.
    pub keyframe: bool,
    /// Of no use to a decoder that began at the keyframe before (RASL).
    pub needs_past: bool,
    /// Payload bytes of the stream before this unit.
    pub(crate) stream_offset_bytes: u64,
    /// All payloads, one after the other.
    pub(crate) data: Bytes,
    pub(crate) packets: u32,
    pub(crate) runs: Runs,
    pub(crate) padded: Padded,
}

impl PackedUnit {
    /// Number of packets; at least one.
    pub fn len(&self) -> usize {
        self.packets as usize
    }

    /// Never so for a unit made by [`crate::Packer`].
    pub fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// Bytes of all payloads, padding included.
    pub fn size_bytes(&self) -> usize {
        self.data.len()
    }

    /// Bytes of payload `packet` without its padding, or nothing when there is no such packet.
    pub fn payload(&self, packet: usize) -> &[u8] {
        let padded = self.padded_payload(packet);
        match padded.last() {
            Some(padding_bytes) if self.is_padded(packet) => {
                &padded[..padded.len().saturating_sub(usize::from(*padding_bytes))]
            }
            _ => padded,
        }
    }

    /// As it goes out: with its padding, which [`Self::is_padded`] says the header's P bit of.
    pub fn padded_payload(&self, packet: usize) -> &[u8] {
        if packet >= self.len() {
            return &[];
        }
        &self.data[self.offset(packet)..self.offset(packet + 1)]
    }

    /// Does the packet end in padding (RFC 3550 section 5.1)?
    pub fn is_padded(&self, packet: usize) -> bool {
        let word = self.padded.get(packet / 64);
        word.is_some_and(|bits| bits >> (packet % 64) & 1 == 1)
    }

    /// The payloads of a range of packets, in order; those that are not there are left out.
    pub fn payloads(&self, packets: Range<usize>) -> impl Iterator<Item = &[u8]> {
        (packets.start..packets.end.min(self.len())).map(|packet| self.payload(packet))
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

    /// Payload bytes of a range of packets, padding included.
    pub fn bytes_of(&self, packets: Range<usize>) -> usize {
        if packets.is_empty() || packets.end > self.len() {
            return 0;
        }
        self.offset(packets.end) - self.offset(packets.start)
    }

    /// Of those the padding.
    pub fn padding_of(&self, packets: Range<usize>) -> usize {
        if self.padded.is_empty() {
            return 0;
        }
        let padding = |packet| self.padded_payload(packet).len() - self.payload(packet).len();
        packets.map(padding).sum()
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

    /// The parameter sets that lead a keyframe, in the order of decoding; none for other units.
    pub fn parameter_sets(&self) -> Vec<Bytes> {
        let is_set = |nal: &[u8]| {
            let kind = kind(self.codec, nal);
            matches!(kind, Some(Kind::SequenceSet | Kind::PictureSet))
        };
        let mut sets = Vec::new();
        for payload in self.payloads(0..self.len()) {
            let aggregated = match (self.codec, payload) {
                (VideoCodec::H264, [indicator, rest @ ..]) if indicator & 0x1f == STAP_A => rest,
                (VideoCodec::H265, [first, _, rest @ ..]) if (first >> 1) & 0x3f == AP => rest,
                (_, single) if is_set(single) => {
                    sets.push(Bytes::copy_from_slice(single));
                    continue;
                }
                _ => break,
            };
            sets.extend(
                aggregated_nals(aggregated)
                    .filter(|nal| is_set(nal))
                    .map(Bytes::copy_from_slice),
            );
        }
        sets
    }

    /// The unit in start-code form, as decoders of files take it; SEI is not in it.
    pub fn to_annexb(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.data.len() + 64);
        for payload in self.payloads(0..self.len()) {
            match (self.codec, payload) {
                (VideoCodec::H264, [indicator, header, rest @ ..]) if indicator & 0x1f == FU_A => {
                    if header & 0x80 != 0 {
                        out.extend_from_slice(&START_CODE);
                        out.push((indicator & 0xe0) | (header & 0x1f));
                    }
                    out.extend_from_slice(rest);
                }
                (VideoCodec::H264, [indicator, rest @ ..]) if indicator & 0x1f == STAP_A => {
                    disaggregate(rest, &mut out);
                }
                (VideoCodec::H265, [first, second, header, rest @ ..])
                    if (first >> 1) & 0x3f == FU =>
                {
                    if header & 0x80 != 0 {
                        out.extend_from_slice(&START_CODE);
                        out.extend_from_slice(&[(first & 0x81) | (header & 0x3f) << 1, *second]);
                    }
                    out.extend_from_slice(rest);
                }
                (VideoCodec::H265, [first, _, rest @ ..]) if (first >> 1) & 0x3f == AP => {
                    disaggregate(rest, &mut out);
                }
                (_, single) => {
                    out.extend_from_slice(&START_CODE);
                    out.extend_from_slice(single);
                }
            }
        }
        out.into()
    }
}

/// The NAL units of an aggregation packet, behind its header, in start-code form.
fn disaggregate(rest: &[u8], out: &mut Vec<u8>) {
    for nal in aggregated_nals(rest) {
        out.extend_from_slice(&START_CODE);
        out.extend_from_slice(nal);
    }
}

fn aggregated_nals(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len_bytes, after) = rest.split_first_chunk::<2>()?;
        let len_bytes = usize::from(u16::from_be_bytes(*len_bytes));
        let (nal, after) = after.split_at_checked(len_bytes)?;
        rest = after;
        Some(nal)
    })
}

//! RTP payloads of an access unit, made once per stream (RFC 6184, packetization-mode 1).

use std::ops::Range;
use std::time::Instant;

use bytes::Bytes;
use wire::h264::{NalType, START_CODE, nal_type};

use crate::AccessUnit;

/// Largest RTP payload towards a viewer: with header, SRTP tag and room for extensions the UDP
/// payload stays within the 1,200 bytes that browsers themselves keep to.
pub const MAX_RTP_PAYLOAD_BYTES: usize = 1_160;

const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_HEADERS_BYTES: usize = 2;

/// An access unit as RTP payloads: immutable, shared by every viewer.
#[derive(Debug, Clone)]
pub struct PackedUnit {
    /// Place in the stream, growing by one; given by the ring.
    pub index: u64,
    /// Output time, 90 kHz, never going back.
    pub media_time: u64,
    /// When the unit's first packet arrived.
    pub recv_time: Instant,
    /// A decoder may begin here.
    pub keyframe: bool,
    /// All payloads, one after the other.
    pub data: Bytes,
    /// Where each payload ends in `data`.
    pub ends: Box<[u32]>,
    /// Where each equal-size run ends, in packets.
    pub(crate) run_ends: Box<[u32]>,
    /// Payload bytes of the stream before this unit; given by the ring.
    pub(crate) stream_offset_bytes: u64,
}

impl PackedUnit {
    /// Number of packets; at least one.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Never so for a unit made by [`packetize`].
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of payload `packet`, or nothing when there is no such packet.
    pub fn payload(&self, packet: usize) -> &[u8] {
        let Some(&end) = self.ends.get(packet) else {
            return &[];
        };
        &self.data[self.offset(packet)..end as usize]
    }

    fn offset(&self, packet: usize) -> usize {
        packet
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize)
    }

    /// Payload bytes of a range of packets.
    pub fn bytes_of(&self, packets: Range<usize>) -> usize {
        if packets.is_empty() || packets.end > self.len() {
            return 0;
        }
        self.ends[packets.end - 1] as usize - self.offset(packets.start)
    }

    /// Stretches in which all payloads are of one size but for a shorter last: one GSO message each.
    pub fn equal_runs(&self) -> impl Iterator<Item = Range<usize>> {
        self.equal_runs_in(0..self.len())
    }

    /// [`Self::equal_runs`] cut to a range of packets.
    pub fn equal_runs_in(&self, packets: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let first = self
            .run_ends
            .partition_point(|&end| end as usize <= packets.start);
        let mut start = packets.start;
        self.run_ends[first..].iter().map_while(move |&end| {
            let run = start..packets.end.min(end as usize);
            start = run.end;
            (!run.is_empty()).then_some(run)
        })
    }

    /// The unit in start-code form, as decoders of files take it; SEI is not in it.
    pub fn to_annexb(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.data.len() + 64);
        for packet in 0..self.len() {
            let payload = self.payload(packet);
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
pub fn packetize(unit: &AccessUnit, media_time: u64) -> Option<PackedUnit> {
    let sets_bytes: usize = unit.parameter_sets.iter().map(|set| set.len() + 3).sum();
    let nals_bytes: usize = unit.nals.iter().map(|nal| nal.len() + 2).sum();
    let about_packets =
        nals_bytes / (MAX_RTP_PAYLOAD_BYTES - FU_HEADERS_BYTES) + unit.nals.len() + 1;
    let mut payloads = Payloads {
        data: Vec::with_capacity(sets_bytes + nals_bytes + FU_HEADERS_BYTES * about_packets),
        ends: Vec::with_capacity(about_packets),
    };
    let mut pictures = unit.nals.iter().filter(|nal| goes_out(nal)).peekable();
    pictures.peek()?;
    payloads.parameter_sets(&unit.parameter_sets);
    for nal in pictures {
        payloads.nal(nal);
    }
    let run_ends = payloads.run_ends();
    Some(PackedUnit {
        index: 0,
        media_time,
        recv_time: unit.recv_time,
        keyframe: unit.keyframe,
        data: payloads.data.into(),
        ends: payloads.ends.into(),
        run_ends,
        stream_offset_bytes: 0,
    })
}

/// A packet of SEI alone in every access unit costs a tenth of the fan-out's throughput, and no
/// browser reads it.
fn goes_out(nal: &[u8]) -> bool {
    !matches!(
        nal_type(nal),
        None | Some(NalType::Sei | NalType::Aud | NalType::Filler | NalType::End(_))
    )
}

struct Payloads {
    data: Vec<u8>,
    ends: Vec<u32>,
}

impl Payloads {
    #[allow(clippy::cast_possible_truncation)] // access units are bounded far below 4 GiB
    fn end_packet(&mut self) {
        self.ends.push(self.data.len() as u32);
    }

    fn parameter_sets(&mut self, sets: &[Bytes]) {
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
                self.nal(alone);
            } else {
                self.stap_a(group);
            }
            rest = after;
        }
    }

    /// RFC 6184 section 5.7.1; the NRI is the highest of those inside.
    fn stap_a(&mut self, nals: &[Bytes]) {
        let nri = nals
            .iter()
            .filter_map(|nal| nal.first())
            .map(|b| b & 0x60)
            .max()
            .unwrap_or(0);
        self.data.push(nri | STAP_A);
        for nal in nals {
            #[allow(clippy::cast_possible_truncation)] // fits a payload, checked by the caller
            self.data
                .extend_from_slice(&(nal.len() as u16).to_be_bytes());
            self.data.extend_from_slice(nal);
        }
        self.end_packet();
    }

    /// RFC 6184 sections 5.6 and 5.8.
    fn nal(&mut self, nal: &[u8]) {
        let Some((&header, body)) = nal.split_first() else {
            return;
        };
        if nal.len() <= MAX_RTP_PAYLOAD_BYTES {
            self.data.extend_from_slice(nal);
            self.end_packet();
            return;
        }
        let fragments = body
            .len()
            .div_ceil(MAX_RTP_PAYLOAD_BYTES - FU_HEADERS_BYTES);
        let size_bytes = body.len().div_ceil(fragments);
        let mut chunks = body.chunks(size_bytes).peekable();
        let mut position = 0x80; // start bit
        while let Some(chunk) = chunks.next() {
            if chunks.peek().is_none() {
                position |= 0x40; // end bit
            }
            self.data
                .extend_from_slice(&[(header & 0xe0) | FU_A, position | (header & 0x1f)]);
            self.data.extend_from_slice(chunk);
            self.end_packet();
            position = 0;
        }
    }

    #[allow(clippy::cast_possible_truncation)]
    fn run_ends(&self) -> Box<[u32]> {
        let mut run_ends = Vec::new();
        let (mut before, mut run_bytes, mut open) = (0, 0, false);
        for (packet, &end) in self.ends.iter().enumerate() {
            let size_bytes = end - before;
            before = end;
            if open && size_bytes <= run_bytes {
                open = size_bytes == run_bytes; // a shorter one is the run's last
                continue;
            }
            if packet > 0 {
                run_ends.push(packet as u32);
            }
            run_bytes = size_bytes;
            open = true;
        }
        run_ends.push(self.ends.len() as u32);
        run_ends.into()
    }
}

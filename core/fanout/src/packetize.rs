//! RTP payloads of an access unit, made once per stream (RFC 6184, packetization-mode 1; RFC 7798,
//! without DONL).

use std::mem::MaybeUninit;

use bytes::{BufMut, Bytes, BytesMut};
use wire::codec::VideoCodec;

use crate::codec::{Kind, header_bytes, kind};
use crate::packed_unit::{AP, FU, FU_A, Padded, RunOf, Runs, STAP_A};
use crate::{AccessUnit, PackedUnit, Place};

/// Largest RTP payload towards a viewer: with header, SRTP tag and room for extensions the UDP
/// payload stays within the 1,200 bytes that browsers themselves keep to.
pub const MAX_RTP_PAYLOAD_BYTES: usize = 1_160;

/// Makes the RTP payloads of a stream's access units, and the memory they lie in.
///
/// Small units lie one behind the other in blocks that they share: for 75,000 units a second of 3,000
/// cameras, getting and giving back memory for each would be a seventh of all work. A block lives as
/// long as the last of its units.
#[derive(Debug, Default)]
pub struct Packer {
    block: BytesMut,
}

/// Half a dozen pictures of a sub stream; what a stream holds is too much by one block at most.
const BLOCK_BYTES: usize = 16 * 1024;
/// Larger units have memory of their own: a block's end that is too short for them would be wasted.
const SHARES_BLOCK_BYTES: usize = BLOCK_BYTES / 4;

impl Packer {
    /// The payloads of an access unit at the output time `media_time`.
    ///
    /// Parameter sets lead in one aggregation packet; SEI, AUD and filler are left out; a NAL unit over
    /// [`MAX_RTP_PAYLOAD_BYTES`] is cut into fragments of one size, the last shorter by less than their
    /// number. The packets of a picture in several slices are brought to one size by RTP padding where that
    /// costs little. `None` when nothing is left to send.
    pub fn pack(&mut self, unit: &AccessUnit, media_time: u64, place: Place) -> Option<PackedUnit> {
        let codec = unit.codec;
        let pictures = || unit.nals.iter().filter(|nal| goes_out(codec, nal));
        pictures().next()?;
        let padding = Padding::plan(codec, pictures());
        let sets_bytes: usize = unit.parameter_sets.iter().map(|set| set.len() + 3).sum();
        let size_bytes = sets_bytes + padding.total_bytes;
        let data = match size_bytes > SHARES_BLOCK_BYTES {
            true => BytesMut::with_capacity(size_bytes),
            false => self.part_of_block(size_bytes),
        };
        let mut making = Making {
            codec,
            data,
            packets: 0,
            runs: Runs::new(),
            padded: Padded::new(),
            run_is_open: false,
        };
        making.add_parameter_sets(&unit.parameter_sets);
        let mut pictures = pictures().peekable();
        while let Some(nal) = pictures.next() {
            making.add_nal(nal, padding.to_bytes, pictures.peek().is_none());
        }
        Some(PackedUnit {
            codec,
            index: place.index,
            media_time,
            recv_time: unit.recv_time,
            keyframe: unit.keyframe,
            needs_past: unit.needs_past,
            stream_offset_bytes: place.offset_bytes,
            data: making.data.freeze(),
            packets: making.packets,
            runs: making.runs,
            padded: making.padded,
        })
    }

    /// Where the next unit will be written: time to bring it near before.
    pub fn next_memory(&mut self) -> &[MaybeUninit<u8>] {
        self.block.spare_capacity_mut()
    }

    /// Cut off before anything is written: who counts the block's users afterwards would wait until
    /// what was written has reached its memory.
    fn part_of_block(&mut self, size_bytes: usize) -> BytesMut {
        if self.block.capacity() < size_bytes {
            self.block = BytesMut::with_capacity(BLOCK_BYTES);
        }
        let rest = self.block.split_off(size_bytes);
        std::mem::replace(&mut self.block, rest)
    }
}

/// How many fragments a NAL unit's body is cut into (RFC 6184 section 5.8, RFC 7798 section 4.4.3):
/// each has headers of its own, one byte longer than the NAL unit's.
fn fragments_of(header_bytes: usize, body_bytes: usize) -> usize {
    body_bytes.div_ceil(MAX_RTP_PAYLOAD_BYTES - header_bytes - 1)
}

/// A GSO message costs as much as sealing and copying some kilobytes, and a picture in several slices
/// would be one for each slice.
struct Padding {
    /// Which size short payloads are brought to; 0 for none.
    to_bytes: usize,
    /// All payloads of the pictures, padding included.
    total_bytes: usize,
}

/// Of a picture's bytes at most this part is padding: it takes room on the viewers' way.
const PADDING_SHARE: usize = 8;
/// The count stands in the last byte (RFC 3550 section 5.1).
const MAX_PADDING_BYTES: usize = 255;

impl Padding {
    fn plan<'a>(codec: VideoCodec, nals: impl Iterator<Item = &'a [u8]>) -> Self {
        let (mut slices, mut packets, mut bytes, mut to_bytes) = (0, 0, 0, 0);
        let header_bytes = header_bytes(codec);
        for nal in nals {
            let packed = packed_bytes(codec, nal);
            let fragments = match nal.len() <= MAX_RTP_PAYLOAD_BYTES {
                true => 1,
                false => fragments_of(header_bytes, nal.len() - header_bytes),
            };
            slices += 1;
            packets += fragments;
            bytes += packed;
            to_bytes = to_bytes.max(packed.div_ceil(fragments));
        }
        let padded_bytes = packets * to_bytes;
        if slices > 1 && padded_bytes - bytes <= bytes / PADDING_SHARE {
            Self {
                to_bytes,
                total_bytes: padded_bytes,
            }
        } else {
            Self {
                to_bytes: 0,
                total_bytes: bytes,
            }
        }
    }
}

/// Payload bytes that a NAL unit becomes: itself, or its body with headers for each fragment.
fn packed_bytes(codec: VideoCodec, nal: &[u8]) -> usize {
    if nal.len() <= MAX_RTP_PAYLOAD_BYTES {
        nal.len()
    } else {
        let header_bytes = header_bytes(codec);
        let body_bytes = nal.len() - header_bytes;
        body_bytes + (header_bytes + 1) * fragments_of(header_bytes, body_bytes)
    }
}

/// A packet of SEI alone in every access unit costs a tenth of the fan-out's throughput, and no
/// browser reads it.
fn goes_out(codec: VideoCodec, nal: &[u8]) -> bool {
    !matches!(
        kind(codec, nal),
        None | Some(Kind::Sei | Kind::Delimiter | Kind::Filler)
    )
}

/// A unit's payloads while they are made.
struct Making {
    codec: VideoCodec,
    data: BytesMut,
    packets: u32,
    runs: Runs,
    padded: Padded,
    /// The last run has had no shorter payload yet.
    run_is_open: bool,
}

impl Making {
    /// Brings the payload since `start` to `to_bytes`, if it is shorter by few enough.
    fn pad(&mut self, start: usize, to_bytes: usize) {
        let size_bytes = self.data.len() - start;
        let padding_bytes = to_bytes.saturating_sub(size_bytes);
        if padding_bytes == 0 || padding_bytes > MAX_PADDING_BYTES {
            return;
        }
        self.data.resize(start + to_bytes - 1, 0);
        #[allow(clippy::cast_possible_truncation)] // at most 255
        self.data.put_u8(padding_bytes as u8);
        let packet = self.packets as usize;
        self.padded.resize(packet / 64 + 1, 0);
        self.padded[packet / 64] |= 1 << (packet % 64);
    }

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
            let mut total_bytes = header_bytes(self.codec);
            let fitting = rest
                .iter()
                .take_while(|set| {
                    total_bytes += 2 + set.len();
                    total_bytes <= MAX_RTP_PAYLOAD_BYTES
                })
                .count();
            let (group, after) = rest.split_at(fitting.max(1));
            if let [alone] = group {
                self.add_nal(alone, 0, false);
            } else {
                self.add_aggregate(group);
            }
            rest = after;
        }
    }

    /// RFC 6184 section 5.7.1: the NRI is the highest of those inside. RFC 7798 section 4.4.2: layer
    /// and temporal id are the lowest, and parameter sets are of layer 0 and temporal id 0.
    fn add_aggregate(&mut self, nals: &[Bytes]) {
        let start = self.data.len();
        match self.codec {
            VideoCodec::H264 => {
                let nri = nals.iter().filter_map(|nal| nal.first()).map(|b| b & 0x60);
                self.data.put_u8(nri.max().unwrap_or(0) | STAP_A);
            }
            VideoCodec::H265 => self.data.extend_from_slice(&[AP << 1, 1]),
        }
        for nal in nals {
            #[allow(clippy::cast_possible_truncation)] // fits a payload, checked by the caller
            self.data
                .extend_from_slice(&(nal.len() as u16).to_be_bytes());
            self.data.extend_from_slice(nal);
        }
        self.end_packet(start);
    }

    /// RFC 6184 sections 5.6 and 5.8, RFC 7798 sections 4.4.1 and 4.4.3.
    /// Payloads are padded to `pad_to_bytes`, but for the `last` NAL unit's last.
    fn add_nal(&mut self, nal: &[u8], pad_to_bytes: usize, last: bool) {
        let header_bytes = header_bytes(self.codec);
        let Some((header, body)) = nal.split_at_checked(header_bytes) else {
            return;
        };
        if nal.len() <= MAX_RTP_PAYLOAD_BYTES {
            let start = self.data.len();
            self.data.extend_from_slice(nal);
            if !last {
                self.pad(start, pad_to_bytes);
            }
            self.end_packet(start);
            return;
        }
        let size_bytes = body.len().div_ceil(fragments_of(header_bytes, body.len()));
        let mut chunks = body.chunks(size_bytes).peekable();
        let mut position = 0x80; // start bit
        while let Some(chunk) = chunks.next() {
            if chunks.peek().is_none() {
                position |= 0x40; // end bit
            }
            let start = self.data.len();
            match (self.codec, header) {
                (VideoCodec::H265, &[first, second]) => self.data.extend_from_slice(&[
                    (first & 0x81) | FU << 1,
                    second,
                    position | (first >> 1) & 0x3f,
                ]),
                (_, header) => self
                    .data
                    .extend_from_slice(&[(header[0] & 0xe0) | FU_A, position | (header[0] & 0x1f)]),
            }
            self.data.extend_from_slice(chunk);
            if !(last && chunks.peek().is_none()) {
                self.pad(start, pad_to_bytes);
            }
            self.end_packet(start);
            position = 0;
        }
    }
}

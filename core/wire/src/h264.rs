//! H.264 (ITU-T H.264, RFC 6184): NAL unit kinds, Annex B splitting, what a sequence parameter set
//! and a slice header say, and the one SEI message our tools read.
//!
//! Belongs here: reading bytes of one NAL unit. Does not: access units, loss, parameter set memory
//! (`fanout`). Anyone may call. Nothing panics on any bytes; nothing recurses.

mod annexb;
pub(crate) mod bits;
mod sei;
mod sps;

pub use annexb::{START_CODE, annexb_nals, find_start_code, has_start_code, trim_trailing_zeros};
pub use sei::{SEI_RECOVERY_POINT, sei_payload_types, sei_user_data_unregistered};
pub use sps::Sps;

use bits::BitReader;

/// What a NAL unit carries (H.264 table 7-1), with the RTP aggregation kinds of RFC 6184.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NalType {
    /// Slice of a picture that is not an IDR (1).
    Slice,
    /// Data partitions A, B, C (2 to 4).
    Partition(u8),
    /// Slice of an IDR picture (5).
    IdrSlice,
    /// Supplemental enhancement information (6).
    Sei,
    /// Sequence parameter set (7).
    Sps,
    /// Picture parameter set (8).
    Pps,
    /// Access unit delimiter (9).
    Aud,
    /// End of sequence (10) or of stream (11).
    End(u8),
    /// Filler data (12).
    Filler,
    /// Single-time aggregation packet without decoding order numbers (24).
    StapA,
    /// Fragment without decoding order number (28).
    FuA,
    /// Reserved, unspecified, or a packetisation that cameras do not use.
    Other(u8),
}

impl NalType {
    /// From the low five bits of a NAL header byte.
    #[must_use]
    pub fn from_header(byte: u8) -> Self {
        match byte & 0x1f {
            1 => Self::Slice,
            n @ 2..=4 => Self::Partition(n),
            5 => Self::IdrSlice,
            6 => Self::Sei,
            7 => Self::Sps,
            8 => Self::Pps,
            9 => Self::Aud,
            n @ 10..=11 => Self::End(n),
            12 => Self::Filler,
            24 => Self::StapA,
            28 => Self::FuA,
            n => Self::Other(n),
        }
    }

    /// Whether it carries coded picture data (types 1 to 5).
    #[must_use]
    pub fn is_vcl(self) -> bool {
        matches!(self, Self::Slice | Self::Partition(_) | Self::IdrSlice)
    }
}

/// Kind of a NAL unit; `None` when there is no header byte.
#[must_use]
pub fn nal_type(nal: &[u8]) -> Option<NalType> {
    nal.first().map(|&byte| NalType::from_header(byte))
}

/// Whether a NAL unit carries coded picture data (types 1 to 5).
#[must_use]
pub fn is_vcl(nal: &[u8]) -> bool {
    nal_type(nal).is_some_and(NalType::is_vcl)
}

/// The start of a slice header (H.264 section 7.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceInfo {
    /// Address of the slice's first macroblock; 0 begins a picture.
    pub first_mb_in_slice: u32,
    /// 0 P, 1 B, 2 I, 3 SP, 4 SI; 5 to 9 the same for the whole picture.
    pub slice_type: u32,
    /// Id of the picture parameter set that it uses.
    pub pps_id: u32,
}

impl SliceInfo {
    /// Bidirectional: output order differs from decoding order, which WebRTC cannot carry.
    #[must_use]
    pub fn is_b(&self) -> bool {
        self.slice_type % 5 == 1
    }

    /// Begins a new picture (or a second field).
    #[must_use]
    pub fn begins_picture(&self) -> bool {
        self.first_mb_in_slice == 0
    }
}

/// Reads the start of a slice header from a NAL unit of type 1, 2 or 5.
#[must_use]
pub fn slice_info(nal: &[u8]) -> Option<SliceInfo> {
    match nal_type(nal)? {
        NalType::Slice | NalType::IdrSlice | NalType::Partition(2) => {}
        _ => return None,
    }
    // Three Exp-Golomb values fit well inside this; no need to look at the whole slice.
    let mut bits = BitReader::new(nal.get(1..nal.len().min(24))?);
    let first_mb_in_slice = bits.ue()?;
    let slice_type = bits.ue()?;
    let pps_id = bits.ue()?;
    (slice_type <= 9 && pps_id <= 255).then_some(SliceInfo {
        first_mb_in_slice,
        slice_type,
        pps_id,
    })
}

/// Ids of a picture parameter set: `(pps_id, sps_id)`.
#[must_use]
pub fn pps_ids(nal: &[u8]) -> Option<(u32, u32)> {
    if nal_type(nal)? != NalType::Pps {
        return None;
    }
    let mut bits = BitReader::new(nal.get(1..)?);
    let pps_id = bits.ue()?;
    let sps_id = bits.ue()?;
    (pps_id <= 255 && sps_id <= 31).then_some((pps_id, sps_id))
}

/// Id of a sequence parameter set, read without judging the rest of it.
#[must_use]
pub fn sps_id(nal: &[u8]) -> Option<u32> {
    if nal_type(nal)? != NalType::Sps {
        return None;
    }
    let mut bits = BitReader::new(nal.get(1..)?);
    bits.bits(24)?; // profile, constraints, level
    let id = bits.ue()?;
    (id <= 31).then_some(id)
}

//! H.265 (ITU-T H.265, RFC 7798): NAL unit kinds, what parameter sets and the start of a slice
//! header say.
//!
//! Belongs here: reading bytes of one NAL unit. Does not: access units, loss, parameter set memory
//! (`fanout`). Anyone may call. Nothing panics on any bytes; nothing recurses. Start codes and
//! emulation prevention are those of H.264: see [`crate::h264::annexb_nals`].

mod pps;
mod slice;
mod sps;

pub use pps::Pps;
pub use slice::{SliceInfo, slice_info, slice_order};
pub use sps::Sps;

/// Every NAL unit begins with two bytes (H.265 section 7.3.1.2).
pub const NAL_HEADER_BYTES: usize = 2;

/// What a NAL unit carries (H.265 table 7-1), with the RTP kinds of RFC 7798 section 4.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NalType {
    /// Slice of a trailing picture or of one where a temporal layer may be entered (0 to 5).
    Slice(u8),
    /// Slice of a leading picture that can be decoded after the IRAP before it (6, 7).
    Radl(u8),
    /// Slice of a leading picture that refers to what was before the IRAP (8, 9): of no use to a
    /// decoder that begins there.
    Rasl(u8),
    /// Slice of a broken link picture (16 to 18): an IRAP whose RASL pictures cannot be decoded.
    Bla(u8),
    /// Slice of an IDR picture (19, 20).
    Idr(u8),
    /// Slice of a clean random access picture (21).
    Cra,
    /// Video parameter set (32).
    Vps,
    /// Sequence parameter set (33).
    Sps,
    /// Picture parameter set (34).
    Pps,
    /// Access unit delimiter (35).
    Aud,
    /// End of sequence (36) or of bitstream (37).
    End(u8),
    /// Filler data (38).
    Filler,
    /// Supplemental enhancement information before (39) or behind (40) the picture.
    Sei(u8),
    /// Aggregation packet (48).
    Ap,
    /// Fragmentation unit (49).
    Fu,
    /// Payload content information (50).
    Paci,
    /// Reserved or unspecified: a decoder ignores it.
    Other(u8),
}

impl NalType {
    /// From the first byte of a NAL header.
    #[must_use]
    pub fn from_header(byte: u8) -> Self {
        match (byte >> 1) & 0x3f {
            n @ 0..=5 => Self::Slice(n),
            n @ 6..=7 => Self::Radl(n),
            n @ 8..=9 => Self::Rasl(n),
            n @ 16..=18 => Self::Bla(n),
            n @ 19..=20 => Self::Idr(n),
            21 => Self::Cra,
            32 => Self::Vps,
            33 => Self::Sps,
            34 => Self::Pps,
            35 => Self::Aud,
            n @ 36..=37 => Self::End(n),
            38 => Self::Filler,
            n @ 39..=40 => Self::Sei(n),
            48 => Self::Ap,
            49 => Self::Fu,
            50 => Self::Paci,
            n => Self::Other(n),
        }
    }

    /// Whether it carries coded picture data that a decoder uses.
    #[must_use]
    pub fn is_vcl(self) -> bool {
        self.is_irap() || matches!(self, Self::Slice(_) | Self::Radl(_) | Self::Rasl(_))
    }

    /// Whether decoding may begin at its picture: BLA, IDR or CRA (H.265 section 3.69).
    #[must_use]
    pub fn is_irap(self) -> bool {
        matches!(self, Self::Bla(_) | Self::Idr(_) | Self::Cra)
    }

    /// Whether it is one of VPS, SPS and PPS.
    #[must_use]
    pub fn is_parameter_set(self) -> bool {
        matches!(self, Self::Vps | Self::Sps | Self::Pps)
    }
}

/// Kind of a NAL unit; `None` when its header is not whole.
#[must_use]
pub fn nal_type(nal: &[u8]) -> Option<NalType> {
    match nal {
        [first, _, ..] => Some(NalType::from_header(*first)),
        _ => None,
    }
}

/// `nuh_layer_id`: above 0 it belongs to an extension that decoders of the plain stream ignore.
#[must_use]
pub fn layer_id(nal: &[u8]) -> Option<u8> {
    match nal {
        [first, second, ..] => Some((first & 1) << 5 | second >> 3),
        _ => None,
    }
}

/// Id of a video parameter set.
#[must_use]
pub fn vps_id(nal: &[u8]) -> Option<u32> {
    match (nal_type(nal)?, nal) {
        (NalType::Vps, [_, _, third, ..]) => Some(u32::from(third >> 4)),
        _ => None,
    }
}

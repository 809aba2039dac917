//! Picture parameter sets (H.265 section 7.3.2.3.1), as far as slice headers need them.

use super::{NAL_HEADER_BYTES, NalType, nal_type};
use crate::h264::bits::BitReader;

/// The start of a picture parameter set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pps {
    /// Id, 0 to 63.
    pub id: u32,
    /// Id of the sequence parameter set that it uses, 0 to 15.
    pub sps_id: u32,
    /// Slice headers hold `pic_output_flag`.
    pub has_output_flag: bool,
    /// Reserved bits of each slice header.
    pub extra_slice_header_bits: u8,
}

impl Pps {
    /// Reads a NAL unit of type 34; `None` when it is not one or cannot be true.
    #[must_use]
    pub fn parse(nal: &[u8]) -> Option<Self> {
        if nal_type(nal)? != NalType::Pps {
            return None;
        }
        let mut bits = BitReader::new(nal.get(NAL_HEADER_BYTES..)?);
        let id = bits.ue().filter(|&id| id <= 63)?;
        let sps_id = bits.ue().filter(|&id| id <= 15)?;
        bits.bit()?; // dependent_slice_segments_enabled_flag
        Some(Self {
            id,
            sps_id,
            has_output_flag: bits.bit()?,
            extra_slice_header_bits: u8::try_from(bits.bits(3)?).ok()?,
        })
    }
}

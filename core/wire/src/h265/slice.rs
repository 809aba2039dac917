//! The start of slice segment headers (H.265 section 7.3.6.1).

use super::{NAL_HEADER_BYTES, NalType, Pps, Sps, nal_type};
use crate::h264::bits::BitReader;

/// What lies in front of the picture order count fits well inside this.
const HEAD_BYTES: usize = 24;

/// What can be read of a slice segment without its parameter sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceInfo {
    /// `first_slice_segment_in_pic_flag`.
    pub begins_picture: bool,
    /// Id of the picture parameter set that it uses.
    pub pps_id: u32,
}

/// Reads the start of a slice segment header.
#[must_use]
pub fn slice_info(nal: &[u8]) -> Option<SliceInfo> {
    read(nal).map(|(info, _)| info)
}

/// `slice_pic_order_cnt_lsb` of a slice segment that begins a picture (0 for an IDR): pictures are
/// shown in the order of these, modulo 2 to the power of `sps.order_bits`. `pps` is the set that
/// [`SliceInfo`] names, `sps` the one that `pps` names.
///
/// A B slice alone would tell nothing: encoders without delay use them with past pictures only.
#[must_use]
pub fn slice_order(nal: &[u8], pps: &Pps, sps: &Sps) -> Option<u32> {
    let (info, mut bits) = read(nal)?;
    if !info.begins_picture {
        return None;
    }
    if let NalType::Idr(_) = nal_type(nal)? {
        return Some(0);
    }
    bits.bits(pps.extra_slice_header_bits)?;
    bits.ue().filter(|&slice_type| slice_type <= 2)?;
    if pps.has_output_flag {
        bits.bit()?;
    }
    if sps.separate_planes {
        bits.bits(2)?;
    }
    bits.bits(sps.order_bits)
}

fn read(nal: &[u8]) -> Option<(SliceInfo, BitReader<'_>)> {
    let kind = nal_type(nal).filter(|kind| kind.is_vcl())?;
    let mut bits = BitReader::new(nal.get(NAL_HEADER_BYTES..nal.len().min(HEAD_BYTES))?);
    let begins_picture = bits.bit()?;
    if kind.is_irap() {
        bits.bit()?; // no_output_of_prior_pics_flag
    }
    let pps_id = bits.ue().filter(|&id| id <= 63)?;
    let info = SliceInfo {
        begins_picture,
        pps_id,
    };
    Some((info, bits))
}

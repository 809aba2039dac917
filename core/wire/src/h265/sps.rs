//! Sequence parameter sets (H.265 section 7.3.2.2), as far as the picture order count.

use super::{NAL_HEADER_BYTES, NalType, nal_type};
use crate::h264::bits::BitReader;

/// Largest side we believe; beyond it the bytes are not a camera's SPS.
const MAX_SIDE_PIXELS: u32 = 16_384;

/// What a sequence parameter set says about the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sps {
    /// Id, 0 to 15.
    pub id: u32,
    /// `general_profile_idc`: 1 Main, 2 Main 10.
    pub profile: u8,
    /// `general_tier_flag`: the High tier.
    pub high_tier: bool,
    /// `general_level_idc`, 30 times the level: 93 is level 3.1.
    pub level: u8,
    /// Width in pixels inside the conformance window.
    pub width: u32,
    /// Height in pixels inside the conformance window.
    pub height: u32,
    /// Three colour planes that are coded apart, each slice naming its own.
    pub separate_planes: bool,
    /// Bits of `slice_pic_order_cnt_lsb`, 4 to 16.
    pub order_bits: u8,
}

impl Sps {
    /// Reads a NAL unit of type 33; `None` when it is not one or cannot be true.
    #[must_use]
    pub fn parse(nal: &[u8]) -> Option<Self> {
        if nal_type(nal)? != NalType::Sps {
            return None;
        }
        let mut bits = BitReader::new(nal.get(NAL_HEADER_BYTES..)?);
        bits.bits(4)?; // sps_video_parameter_set_id
        let sub_layers_minus1 = bits.bits(3).filter(|&layers| layers <= 6)?;
        bits.bit()?; // sps_temporal_id_nesting_flag
        let general = ProfileTierLevel::read(&mut bits, sub_layers_minus1)?;
        let id = bits.ue().filter(|&id| id <= 15)?;
        let chroma_format = bits.ue().filter(|&format| format <= 3)?;
        let separate_planes = chroma_format == 3 && bits.bit()?;
        let mut width = bits.ue()?;
        let mut height = bits.ue()?;
        if bits.bit()? {
            let (left, right) = (bits.ue()?, bits.ue()?);
            let (top, bottom) = (bits.ue()?, bits.ue()?);
            let unit_x = if matches!(chroma_format, 1 | 2) { 2 } else { 1 };
            let unit_y = if chroma_format == 1 { 2 } else { 1 };
            width = cropped(width, left, right, unit_x)?;
            height = cropped(height, top, bottom, unit_y)?;
        }
        bits.ue()?; // bit_depth_luma_minus8
        bits.ue()?; // bit_depth_chroma_minus8
        let order_bits = bits.ue()?.checked_add(4).filter(|&bits| bits <= 16)?;
        let sides = 1..=MAX_SIDE_PIXELS;
        (sides.contains(&width) && sides.contains(&height)).then_some(Self {
            id,
            profile: general.profile,
            high_tier: general.high_tier,
            level: general.level,
            width,
            height,
            separate_planes,
            order_bits: u8::try_from(order_bits).ok()?,
        })
    }

    /// Name of the profile, as people say it.
    #[must_use]
    pub fn profile_name(&self) -> &'static str {
        match self.profile {
            1 => "Main",
            2 => "Main 10",
            3 => "Main Still Picture",
            4 => "Range Extensions",
            _ => "unknown",
        }
    }
}

/// H.265 section 7.3.3, what is said of all layers together.
struct ProfileTierLevel {
    high_tier: bool,
    profile: u8,
    level: u8,
}

impl ProfileTierLevel {
    fn read(bits: &mut BitReader<'_>, sub_layers_minus1: u32) -> Option<Self> {
        bits.bits(2)?; // general_profile_space
        let high_tier = bits.bit()?;
        let profile = u8::try_from(bits.bits(5)?).ok()?;
        skip(bits, 32 + 48)?; // compatibility and constraint flags
        let level = u8::try_from(bits.bits(8)?).ok()?;
        let mut present = [(false, false); 6];
        for layer in present.iter_mut().take(sub_layers_minus1 as usize) {
            *layer = (bits.bit()?, bits.bit()?);
        }
        if sub_layers_minus1 > 0 {
            for _ in sub_layers_minus1..8 {
                bits.bits(2)?;
            }
        }
        for (has_profile, has_level) in present {
            if has_profile {
                skip(bits, 8 + 32 + 48)?;
            }
            if has_level {
                bits.bits(8)?;
            }
        }
        Some(Self {
            high_tier,
            profile,
            level,
        })
    }
}

fn skip(bits: &mut BitReader<'_>, count: u32) -> Option<()> {
    for _ in 0..count {
        bits.bit()?;
    }
    Some(())
}

fn cropped(side: u32, before: u32, after: u32, unit: u32) -> Option<u32> {
    let crop = before.checked_add(after)?.checked_mul(unit)?;
    side.checked_sub(crop)
}

//! Sequence parameter sets (H.264 section 7.3.2.1.1), as far as the picture size.

use super::bits::BitReader;
use super::{NalType, nal_type};

/// Largest side we believe; beyond it the bytes are not a camera's SPS.
const MAX_SIDE_PIXELS: u32 = 16_384;

/// What a sequence parameter set says about the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sps {
    /// Id, 0 to 31.
    pub id: u32,
    /// `profile_idc`: 66 Baseline, 77 Main, 100 High.
    pub profile: u8,
    /// Constraint flags, the byte after `profile_idc`.
    pub constraint: u8,
    /// `level_idc`: 31 is level 3.1.
    pub level: u8,
    /// Width in pixels after cropping.
    pub width: u32,
    /// Height in pixels after cropping.
    pub height: u32,
    /// False where pictures may be coded as fields.
    pub frame_mbs_only: bool,
}

impl Sps {
    /// Reads a NAL unit of type 7; `None` when it is not one or cannot be true.
    #[must_use]
    pub fn parse(nal: &[u8]) -> Option<Self> {
        if nal_type(nal)? != NalType::Sps {
            return None;
        }
        let mut bits = BitReader::new(&nal[1..]);
        let profile = u8::try_from(bits.bits(8)?).ok()?;
        let constraint = u8::try_from(bits.bits(8)?).ok()?;
        let level = u8::try_from(bits.bits(8)?).ok()?;
        let id = bits.ue().filter(|&id| id <= 31)?;
        let chroma_array_type = match profile {
            100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135 => {
                high_profile_fields(&mut bits)?
            }
            _ => 1,
        };
        bits.ue()?; // log2_max_frame_num_minus4
        match bits.ue()? {
            0 => {
                bits.ue()?; // log2_max_pic_order_cnt_lsb_minus4
            }
            1 => {
                bits.bit()?; // delta_pic_order_always_zero_flag
                bits.se()?; // offset_for_non_ref_pic
                bits.se()?; // offset_for_top_to_bottom_field
                let count = bits.ue().filter(|&count| count <= 255)?;
                for _ in 0..count {
                    bits.se()?;
                }
            }
            2 => {}
            _ => return None,
        }
        bits.ue()?; // max_num_ref_frames
        bits.bit()?; // gaps_in_frame_num_value_allowed_flag
        let width_mbs = side_mbs(bits.ue()?)?;
        let height_map_units = side_mbs(bits.ue()?)?;
        let frame_mbs_only = bits.bit()?;
        if !frame_mbs_only {
            bits.bit()?; // mb_adaptive_frame_field_flag
        }
        bits.bit()?; // direct_8x8_inference_flag
        let height_unit = if frame_mbs_only { 1 } else { 2 };
        let mut width = width_mbs * 16;
        let mut height = height_map_units * 16 * height_unit;
        if bits.bit()? {
            let (left, right) = (bits.ue()?, bits.ue()?);
            let (top, bottom) = (bits.ue()?, bits.ue()?);
            let (crop_x, crop_y) = match chroma_array_type {
                1 => (2, 2 * height_unit),
                2 => (2, height_unit),
                _ => (1, height_unit),
            };
            width = cropped(width, left, right, crop_x)?;
            height = cropped(height, top, bottom, crop_y)?;
        }
        (width <= MAX_SIDE_PIXELS && height <= MAX_SIDE_PIXELS).then_some(Self {
            id,
            profile,
            constraint,
            level,
            width,
            height,
            frame_mbs_only,
        })
    }

    /// The six hex digits of `profile-level-id` (RFC 6184 section 8.1).
    #[must_use]
    pub fn profile_level_id(&self) -> String {
        format!(
            "{:02x}{:02x}{:02x}",
            self.profile, self.constraint, self.level
        )
    }

    /// Name of the profile, as people say it.
    #[must_use]
    pub fn profile_name(&self) -> &'static str {
        match (self.profile, self.constraint & 0x40 != 0) {
            (66, true) => "Constrained Baseline",
            (66, false) => "Baseline",
            (77, _) => "Main",
            (88, _) => "Extended",
            (100, _) => "High",
            (110, _) => "High 10",
            (122, _) => "High 4:2:2",
            (244, _) => "High 4:4:4 Predictive",
            _ => "unknown",
        }
    }
}

fn side_mbs(minus1: u32) -> Option<u32> {
    let mbs = minus1.checked_add(1)?;
    (mbs <= MAX_SIDE_PIXELS / 16).then_some(mbs)
}

fn cropped(side: u32, before: u32, after: u32, unit: u32) -> Option<u32> {
    let crop = before.checked_add(after)?.checked_mul(unit)?;
    side.checked_sub(crop).filter(|&left| left > 0)
}

/// Chroma, bit depth and scaling matrices of the High family; gives `ChromaArrayType`.
fn high_profile_fields(bits: &mut BitReader<'_>) -> Option<u32> {
    let chroma_format = bits.ue().filter(|&format| format <= 3)?;
    let separate_planes = chroma_format == 3 && bits.bit()?;
    bits.ue()?; // bit_depth_luma_minus8
    bits.ue()?; // bit_depth_chroma_minus8
    bits.bit()?; // qpprime_y_zero_transform_bypass_flag
    if bits.bit()? {
        let lists = if chroma_format == 3 { 12 } else { 8 };
        for list in 0..lists {
            if bits.bit()? {
                skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(if separate_planes { 0 } else { chroma_format })
}

fn skip_scaling_list(bits: &mut BitReader<'_>, size: u32) -> Option<()> {
    let (mut last, mut next) = (8i32, 8i32);
    for _ in 0..size {
        if next != 0 {
            let delta = bits.se()?;
            next = last.checked_add(delta)?.rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

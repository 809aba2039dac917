//! What intake and packetising must know of a NAL unit, in one vocabulary for both codecs. All that
//! is asked for each packet is one `match`; what differs in packets themselves is beside its use.

use wire::codec::VideoCodec;
use wire::{h264, h265};

/// What a NAL unit is to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Coded picture data.
    Picture,
    /// SPS, and VPS where there is one: what leads the others.
    SequenceSet,
    /// PPS.
    PictureSet,
    Sei,
    Delimiter,
    /// Filler, and ends of sequence or stream.
    Filler,
    /// Of no use here.
    Other,
}

/// `None` when there is no header.
#[inline]
pub(crate) fn kind(codec: VideoCodec, nal: &[u8]) -> Option<Kind> {
    match codec {
        VideoCodec::H264 => h264::nal_type(nal).map(h264_kind),
        VideoCodec::H265 => h265::nal_type(nal).map(|kind| h265_kind(kind, nal)),
    }
}

fn h264_kind(kind: h264::NalType) -> Kind {
    use h264::NalType;
    match kind {
        NalType::Slice | NalType::Partition(_) | NalType::IdrSlice => Kind::Picture,
        NalType::Sps => Kind::SequenceSet,
        NalType::Pps => Kind::PictureSet,
        NalType::Sei => Kind::Sei,
        NalType::Aud => Kind::Delimiter,
        NalType::Filler | NalType::End(_) => Kind::Filler,
        NalType::StapA | NalType::FuA | NalType::Other(_) => Kind::Other,
    }
}

fn h265_kind(kind: h265::NalType, nal: &[u8]) -> Kind {
    use h265::NalType;
    match kind {
        // Layers over the first one are extensions that a plain decoder ignores.
        _ if h265::layer_id(nal) != Some(0) => Kind::Other,
        kind if kind.is_vcl() => Kind::Picture,
        NalType::Vps | NalType::Sps => Kind::SequenceSet,
        NalType::Pps => Kind::PictureSet,
        NalType::Sei(_) => Kind::Sei,
        NalType::Aud => Kind::Delimiter,
        NalType::Filler | NalType::End(_) => Kind::Filler,
        _ => Kind::Other,
    }
}

/// Whether decoding may begin at the picture of this slice.
pub(crate) fn is_entry(codec: VideoCodec, nal: &[u8]) -> bool {
    match codec {
        VideoCodec::H264 => h264::nal_type(nal) == Some(h264::NalType::IdrSlice),
        VideoCodec::H265 => h265::nal_type(nal).is_some_and(h265::NalType::is_irap),
    }
}

/// Whether an SEI NAL unit says that decoding may begin here without an IDR. Cameras do so in H.264;
/// in H.265 there are IRAP pictures for it.
pub(crate) fn is_recovery_point(codec: VideoCodec, nal: &[u8]) -> bool {
    codec == VideoCodec::H264
        && h264::sei_payload_types(nal).any(|kind| kind == h264::SEI_RECOVERY_POINT)
}

/// Length of a NAL unit's header.
#[inline]
pub(crate) fn header_bytes(codec: VideoCodec) -> usize {
    match codec {
        VideoCodec::H264 => 1,
        VideoCodec::H265 => h265::NAL_HEADER_BYTES,
    }
}

/// What a slice says of its picture.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Slice {
    /// It is the picture's first (a second field's too).
    pub begins_picture: bool,
    /// Decoding may begin at its picture.
    pub is_entry: bool,
    /// The leading pictures behind it can be decoded by nobody (BLA).
    pub breaks_link: bool,
    /// A leading picture that refers to what was before its keyframe (RASL).
    pub needs_past: bool,
    /// H.264's sign of another order of display.
    pub is_b: bool,
    /// H.265's: place in display order, in the highest bits, so that places compare modulo 2^32.
    pub order: Option<u32>,
}

pub(crate) fn h264_slice(nal: &[u8]) -> Slice {
    let info = h264::slice_info(nal);
    Slice {
        begins_picture: info.is_some_and(|slice| slice.begins_picture()),
        is_b: info.is_some_and(|slice| slice.is_b()),
        is_entry: is_entry(VideoCodec::H264, nal),
        ..Slice::default()
    }
}

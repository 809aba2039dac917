//! The latest parameter sets of one stream, each by its id.

use bytes::Bytes;
use wire::codec::VideoCodec;
use wire::h264::{self, annexb_nals};
use wire::h265;

use crate::VideoInfo;
use crate::codec::{Slice, h264_slice, header_bytes, is_entry};

/// Cameras use one VPS id, one or two SPS ids and as many PPS ids; more than these is noise.
const MAX_VPS: usize = 4;
const MAX_SPS: usize = 4;
const MAX_PPS: usize = 16;
/// A real set is 10 to 60 bytes, with scaling lists a few hundred.
const MAX_SET_BYTES: usize = 2_048;

#[derive(Debug, Clone)]
struct Set {
    id: u32,
    nal: Bytes,
    in_band: bool,
}

/// VPS (in H.265), SPS and PPS by id. What came inside the stream wins over what the SDP said.
#[derive(Debug, Clone, Default)]
pub struct ParameterSets {
    codec: VideoCodec,
    vps: Vec<Set>,
    sps: Vec<Set>,
    pps: Vec<Set>,
    generation: u64,
    video: Option<Video>,
}

/// The latest SPS that could be read.
#[derive(Debug, Clone, Copy)]
enum Video {
    H264(h264::Sps),
    H265(h265::Sps),
}

impl ParameterSets {
    /// None yet, for a stream of that codec.
    pub fn new(codec: VideoCodec) -> Self {
        Self {
            codec,
            ..Self::default()
        }
    }

    /// Which sets these are.
    pub fn codec(&self) -> VideoCodec {
        self.codec
    }

    /// Takes sets from the SDP: Annex B, in the wrong order or invalid, as cameras have it. One that
    /// arrived in-band since the last [`Self::source_changed`] stays.
    pub fn offer(&mut self, sets: &[Bytes]) {
        for set in sets {
            for nal in annexb_nals(set) {
                self.put(nal, false);
            }
        }
    }

    /// Takes a set from the stream; `true` when it is new or differs from the last of its id.
    pub fn learn(&mut self, nal: &[u8]) -> bool {
        self.put(nal, true)
    }

    /// The next SDP may replace what the previous source sent in-band.
    pub fn source_changed(&mut self) {
        let (vps, sps, pps) = (&mut self.vps, &mut self.sps, &mut self.pps);
        for set in vps.iter_mut().chain(sps).chain(pps) {
            set.in_band = false;
        }
    }

    /// At least one of each, without which no decoder starts.
    pub fn is_complete(&self) -> bool {
        let needs_vps = self.codec == VideoCodec::H265;
        !(self.sps.is_empty() || self.pps.is_empty() || needs_vps && self.vps.is_empty())
    }

    /// All VPS, then all SPS, then all PPS, in order of first arrival.
    pub fn all(&self) -> Vec<Bytes> {
        self.vps
            .iter()
            .chain(&self.sps)
            .chain(&self.pps)
            .map(|set| set.nal.clone())
            .collect()
    }

    /// Grows with every change of any set.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What the latest SPS says that could be read.
    pub fn video(&self) -> Option<VideoInfo> {
        Some(match self.video.as_ref()? {
            Video::H264(sps) => VideoInfo {
                codec: VideoCodec::H264,
                width: sps.width,
                height: sps.height,
                profile: sps.profile,
                level: sps.level,
                profile_name: sps.profile_name(),
                generation: self.generation,
            },
            Video::H265(sps) => VideoInfo {
                codec: VideoCodec::H265,
                width: sps.width,
                height: sps.height,
                profile: sps.profile,
                level: sps.level,
                profile_name: sps.profile_name(),
                generation: self.generation,
            },
        })
    }

    /// Two slices of one unit may both begin at macroblock 0, one for each field.
    pub(crate) fn may_hold_fields(&self) -> bool {
        matches!(self.video, Some(Video::H264(sps)) if !sps.frame_mbs_only)
    }

    /// What a slice says, read with the sets that it names; `None` when it is too short to be one.
    #[inline]
    pub(crate) fn slice(&self, nal: &[u8]) -> Option<Slice> {
        if nal.len() <= header_bytes(self.codec) {
            return None;
        }
        match self.codec {
            VideoCodec::H264 => Some(h264_slice(nal)),
            VideoCodec::H265 => Some(self.h265_slice(nal)),
        }
    }

    fn h265_slice(&self, nal: &[u8]) -> Slice {
        let info = h265::slice_info(nal);
        let kind = h265::nal_type(nal);
        Slice {
            begins_picture: info.is_some_and(|slice| slice.begins_picture),
            is_entry: is_entry(VideoCodec::H265, nal),
            breaks_link: matches!(kind, Some(h265::NalType::Bla(_))),
            needs_past: matches!(kind, Some(h265::NalType::Rasl(_))),
            is_b: false,
            order: info.and_then(|slice| self.order(nal, slice.pps_id)),
        }
    }

    fn order(&self, nal: &[u8], pps_id: u32) -> Option<u32> {
        let Some(Video::H265(sps)) = &self.video else {
            return None;
        };
        let pps = self.pps.iter().find(|set| set.id == pps_id)?;
        let pps = h265::Pps::parse(&pps.nal).filter(|pps| pps.sps_id == sps.id)?;
        Some(h265::slice_order(nal, &pps, sps)? << (32 - sps.order_bits))
    }

    fn put(&mut self, nal: &[u8], in_band: bool) -> bool {
        if nal.len() > MAX_SET_BYTES {
            return false;
        }
        let Some((list, id, limit)) = self.list_of(nal) else {
            return false;
        };
        if let Some(known) = list.iter_mut().find(|set| set.id == id) {
            if known.in_band && !in_band {
                return false;
            }
            known.in_band = in_band;
            if known.nal == nal {
                return false;
            }
            known.nal = Bytes::copy_from_slice(nal);
        } else {
            if list.len() == limit {
                list.remove(0);
            }
            list.push(Set {
                id,
                nal: Bytes::copy_from_slice(nal),
                in_band,
            });
        }
        self.generation += 1;
        let video = match self.codec {
            VideoCodec::H264 => h264::Sps::parse(nal).map(Video::H264),
            VideoCodec::H265 => h265::Sps::parse(nal).map(Video::H265),
        };
        self.video = video.or(self.video);
        true
    }

    /// Where a set belongs, its id, and how many are kept there.
    fn list_of(&mut self, nal: &[u8]) -> Option<(&mut Vec<Set>, u32, usize)> {
        match self.codec {
            VideoCodec::H264 => match h264::nal_type(nal)? {
                h264::NalType::Sps => Some((&mut self.sps, h264::sps_id(nal)?, MAX_SPS)),
                h264::NalType::Pps => Some((&mut self.pps, h264::pps_ids(nal)?.0, MAX_PPS)),
                _ => None,
            },
            VideoCodec::H265 => match h265::nal_type(nal)? {
                h265::NalType::Vps => Some((&mut self.vps, h265::vps_id(nal)?, MAX_VPS)),
                h265::NalType::Sps => Some((&mut self.sps, h265::Sps::parse(nal)?.id, MAX_SPS)),
                h265::NalType::Pps => Some((&mut self.pps, h265::Pps::parse(nal)?.id, MAX_PPS)),
                _ => None,
            },
        }
    }
}

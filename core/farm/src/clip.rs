//! An encoded clip, read once and packetised once: what is sent is a template with holes for the
//! channel, sequence number, rtp_ts and SSRC.

use std::fs;
use std::path::Path;

use wire::codec::VideoCodec;
use wire::digest::base64_encode;
use wire::h264::annexb_nals;
use wire::rtp::{RTP_HEADER_BYTES, RtpHeader};
use wire::rtsp::{INTERLEAVED_HEADER_BYTES, INTERLEAVED_MAGIC};
use wire::sdp::{Media, Sdp};
use wire::{h264, h265};

pub const PAYLOAD_TYPE: u8 = 96;
pub const CLOCK_RATE: u32 = 90_000;
/// What cameras send: an Ethernet frame's worth.
const MAX_PAYLOAD_BYTES: usize = 1400;
const FRAME_HEADER_BYTES: usize = INTERLEAVED_HEADER_BYTES + RTP_HEADER_BYTES;
const INDEX_HEADER: &str = "streamhub-clip 1";
const FU_A: u8 = 28;
/// H.265's; the type lies in bits 1 to 6 of the first byte.
const FU: u8 = 49;

/// The values that one packet of a template still lacks.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    pub rtp_channel: u8,
    pub rtp_ts: u32,
    pub ssrc: u32,
}

/// Consecutive interleaved packets, ready but for their stamps.
#[derive(Debug, Default)]
pub struct Template {
    bytes: Vec<u8>,
    starts: Vec<u32>,
}

impl Template {
    /// Add one NAL unit, in fragments (FU-A, RFC 6184 5.8; FU, RFC 7798 4.4.3) where it is too long
    /// for one packet.
    pub fn push_nal(&mut self, codec: VideoCodec, nal: &[u8], ends_picture: bool) {
        if nal.len() <= MAX_PAYLOAD_BYTES {
            self.push_packet(&[], nal, ends_picture);
            return;
        }
        let header_bytes = match codec {
            VideoCodec::H264 => 1,
            VideoCodec::H265 => h265::NAL_HEADER_BYTES,
        };
        let (header, body) = nal.split_at(header_bytes);
        let room = MAX_PAYLOAD_BYTES - header_bytes - 1;
        let last = body.len().div_ceil(room) - 1;
        for (index, part) in body.chunks(room).enumerate() {
            let start = if index == 0 { 0x80 } else { 0 };
            let end = if index == last { 0x40 } else { 0 };
            let kind = start | end;
            let ends_picture = ends_picture && index == last;
            match *header {
                [first, second] => {
                    let fu = [first & 0x81 | FU << 1, second, kind | first >> 1 & 0x3F];
                    self.push_packet(&fu, part, ends_picture);
                }
                _ => {
                    let fu = [header[0] & 0xE0 | FU_A, kind | header[0] & 0x1F];
                    self.push_packet(&fu, part, ends_picture);
                }
            }
        }
    }

    fn push_packet(&mut self, prefix: &[u8], payload: &[u8], marker: bool) {
        self.starts.push(self.bytes.len() as u32);
        let rtp_bytes = (RTP_HEADER_BYTES + prefix.len() + payload.len()) as u16;
        self.bytes.extend_from_slice(&[INTERLEAVED_MAGIC, 0]);
        self.bytes.extend_from_slice(&rtp_bytes.to_be_bytes());
        let header = RtpHeader {
            marker,
            payload_type: PAYLOAD_TYPE,
            seq: 0,
            rtp_ts: 0,
            ssrc: 0,
        };
        self.bytes.extend_from_slice(&header.to_bytes());
        self.bytes.extend_from_slice(prefix);
        self.bytes.extend_from_slice(payload);
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
    }

    pub fn packets(&self) -> usize {
        self.starts.len()
    }

    /// RTP payload bytes of all packets, as sender reports count them.
    pub fn octets(&self) -> usize {
        self.bytes.len() - self.packets() * FRAME_HEADER_BYTES
    }

    /// Append a stamped copy to `out` and spend one sequence number for each packet.
    pub fn write(&self, stamp: Stamp, next_seq: &mut u16, out: &mut Vec<u8>) {
        let base = out.len();
        out.extend_from_slice(&self.bytes);
        for &start in &self.starts {
            let packet = &mut out[base + start as usize..];
            packet[1] = stamp.rtp_channel;
            packet[6..8].copy_from_slice(&next_seq.to_be_bytes());
            packet[8..12].copy_from_slice(&stamp.rtp_ts.to_be_bytes());
            packet[12..16].copy_from_slice(&stamp.ssrc.to_be_bytes());
            *next_seq = next_seq.wrapping_add(1);
        }
    }
}

/// One access unit: parameter sets, then (at send time) our SEI, then the slices.
#[derive(Debug)]
pub struct Unit {
    pub head: Template,
    pub slices: Template,
    pub keyframe: bool,
    /// Place in display order, counted from 0 in the loop.
    pub picture: u32,
    /// Of the slice NAL units, without start codes.
    pub vcl_bytes: u32,
}

#[derive(Debug)]
pub struct Clip {
    pub codec: VideoCodec,
    pub fps: u32,
    /// In the order of sending; as many as the loop has pictures.
    pub units: Vec<Unit>,
    /// Sending order is not display order.
    pub reordered: bool,
    pub sdp: String,
}

impl Clip {
    /// Read `<name>.index`, and `<name>.h264` or `.h265` as it says. Errors are sentences for the user.
    pub fn load(directory: &Path, name: &str) -> Result<Self, String> {
        let read = |suffix: &str| {
            let path = directory.join(format!("{name}.{suffix}"));
            fs::read(&path).map_err(|error| {
                format!(
                    "the clip {} cannot be read ({error}); `streamhub farm` makes the clips.",
                    path.display()
                )
            })
        };
        let index = String::from_utf8_lossy(&read("index")?).into_owned();
        let is_h265 = index.lines().any(|line| line == "codec h265");
        let (codec, suffix) = match is_h265 {
            true => (VideoCodec::H265, "h265"),
            false => (VideoCodec::H264, "h264"),
        };
        Self::build(codec, &index, &read(suffix)?).ok_or(format!(
            "the clip {name} in {} is damaged; delete that directory and run `streamhub farm`.",
            directory.display()
        ))
    }

    fn build(codec: VideoCodec, index: &str, stream: &[u8]) -> Option<Self> {
        let mut lines = index.lines();
        if lines.next()? != INDEX_HEADER {
            return None;
        }
        let (mut fps, mut units) = (0, Vec::new());
        let mut sets = Vec::new();
        for line in lines {
            let mut words = line.split_whitespace();
            let key = words.next()?;
            let values: Vec<usize> = words.map_while(|word| word.parse().ok()).collect();
            match (key, values.as_slice()) {
                ("fps", &[value]) => fps = u32::try_from(value).ok()?,
                ("unit", &[offset, size, keyframe, picture]) => {
                    let bytes = stream.get(offset..offset.checked_add(size)?)?;
                    let unit = build_unit(codec, bytes, keyframe == 1, picture, &mut sets)?;
                    units.push(unit);
                }
                _ => {} // What later versions may add.
            }
        }
        let starts_with_keyframe = units.first().is_some_and(|unit: &Unit| unit.keyframe);
        if fps == 0 || !CLOCK_RATE.is_multiple_of(fps) || !starts_with_keyframe {
            return None;
        }
        let reordered = units
            .iter()
            .enumerate()
            .any(|(index, unit)| unit.picture as usize != index);
        let sdp = match codec {
            VideoCodec::H264 => h264_sdp(&sets, fps)?,
            VideoCodec::H265 => h265_sdp(&sets, fps)?,
        };
        Some(Self {
            codec,
            fps,
            units,
            reordered,
            sdp,
        })
    }

    /// The keyframe at or before a place in sending order.
    pub fn keyframe_before(&self, index: usize) -> usize {
        (0..=index)
            .rev()
            .find(|&index| self.units[index].keyframe)
            .unwrap_or(0)
    }

    /// The first keyframe after a place, as a distance in units.
    pub fn units_to_keyframe(&self, index: usize) -> usize {
        (1..=self.units.len())
            .find(|distance| self.units[(index + distance) % self.units.len()].keyframe)
            .unwrap_or(self.units.len())
    }
}

/// What becomes of an encoder's NAL unit.
enum Part {
    Set,
    Slice,
    /// The encoder's own SEI; ours comes at send time.
    LeftOut,
}

fn part(codec: VideoCodec, nal: &[u8]) -> Option<Part> {
    Some(match codec {
        VideoCodec::H264 => match h264::nal_type(nal)? {
            h264::NalType::Sps | h264::NalType::Pps => Part::Set,
            kind if kind.is_vcl() => Part::Slice,
            _ => Part::LeftOut,
        },
        VideoCodec::H265 => match h265::nal_type(nal)? {
            kind if kind.is_parameter_set() => Part::Set,
            kind if kind.is_vcl() => Part::Slice,
            _ => Part::LeftOut,
        },
    })
}

/// `sets` gathers every parameter set once.
fn build_unit(
    codec: VideoCodec,
    bytes: &[u8],
    keyframe: bool,
    picture: usize,
    sets: &mut Vec<Vec<u8>>,
) -> Option<Unit> {
    let (mut head, mut slices) = (Template::default(), Vec::new());
    for nal in annexb_nals(bytes) {
        match part(codec, nal)? {
            Part::Set => {
                head.push_nal(codec, nal, false);
                if !sets.iter().any(|set| set == nal) {
                    sets.push(nal.to_vec());
                }
            }
            Part::Slice => slices.push(nal),
            Part::LeftOut => {}
        }
    }
    let vcl_bytes: usize = slices.iter().map(|nal| nal.len()).sum();
    let (last, first) = slices.split_last()?;
    let mut body = Template::default();
    for nal in first {
        body.push_nal(codec, nal, false);
    }
    body.push_nal(codec, last, true);
    Some(Unit {
        head,
        slices: body,
        keyframe,
        picture: u32::try_from(picture).ok()?,
        vcl_bytes: u32::try_from(vcl_bytes).ok()?,
    })
}

fn h264_sdp(sets: &[Vec<u8>], fps: u32) -> Option<String> {
    let [sps, pps] = sets else { return None };
    let profile = h264::Sps::parse(sps)?.profile_level_id();
    let sets = format!("{},{}", base64_encode(sps), base64_encode(pps));
    let format = format!(
        "fmtp:96 packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={sets}"
    );
    Some(sdp("rtpmap:96 H264/90000", &format, fps))
}

fn h265_sdp(sets: &[Vec<u8>], fps: u32) -> Option<String> {
    let [vps, sps, pps] = sets else { return None };
    let h265::Sps { profile, level, .. } = h265::Sps::parse(sps)?;
    let [vps, sps, pps] = [vps, sps, pps].map(|set| base64_encode(set));
    let format = format!(
        "fmtp:96 profile-id={profile};level-id={level};sprop-vps={vps};sprop-sps={sps};sprop-pps={pps}"
    );
    Some(sdp("rtpmap:96 H265/90000", &format, fps))
}

/// What a camera set to Motion JPEG announces.
pub fn jpeg_sdp(fps: u32) -> String {
    sdp("rtpmap:96 JPEG/90000", "quality:5", fps)
}

fn sdp(rtpmap: &str, format: &str, fps: u32) -> String {
    let control = format!("control:{}", peer::rtsp_server::TRACK_CONTROL);
    let media = Media::new("video", 0, "RTP/AVP", &["96"])
        .line('a', rtpmap)
        .line('a', format)
        .line('a', &format!("framerate:{fps}"))
        .line('a', &control);
    Sdp::default()
        .line('v', "0")
        .line('o', "- 1 1 IN IP4 0.0.0.0")
        .line('s', "StreamHub farm")
        .line('c', "IN IP4 0.0.0.0")
        .line('t', "0 0")
        .line('a', "control:*")
        .line('a', "range:npt=now-")
        .with_media(media)
        .to_string()
}

//! Which of a camera's tracks is pulled.

use wire::codec::VideoCodec;
use wire::sdp::{Media, Sdp, sprop_parameter_sets};

use super::failure::FailureKind;

/// RTP clock of H.264 (RFC 6184 section 8.2.1) and of H.265 (RFC 7798 section 7.1).
const VIDEO_CLOCK_RATE: u32 = 90_000;

/// The video track as the camera describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    pub codec: VideoCodec,
    pub payload_type: u8,
    /// Ticks of rtp_ts per second.
    pub clock_rate: u32,
    /// The SDP's VPS, SPS and PPS as NAL units without start codes; may be empty or out of date: sets
    /// in the stream win.
    pub parameter_sets: Vec<Vec<u8>>,
    /// Of H.264, as written: 6 hexadecimal digits.
    pub profile_level_id: Option<String>,
    pub packetization_mode: Option<u8>,
    pub control_url: String,
    /// Interleaved channels of the wire, as the camera has assigned them.
    pub rtp_channel: u8,
    pub rtcp_channel: u8,
    /// What the Transport header said; packets with another are taken as well.
    pub ssrc: Option<u32>,
}

/// The first H.264 video track, which every viewer takes, else the first of H.265; its control
/// attribute as `control_url` for now.
pub(super) fn choose(sdp: &Sdp) -> Result<Track, (FailureKind, String)> {
    let is_video = |media: &&Media| media.kind.eq_ignore_ascii_case("video");
    let (mut second, mut others) = (None, Vec::new());
    for media in sdp.media.iter().filter(is_video) {
        match video_track(media) {
            Ok(track) if track.codec == VideoCodec::H264 => return Ok(track),
            Ok(track) => second = second.or(Some(track)),
            Err(codec) => others.push(codec),
        }
    }
    if let Some(track) = second {
        return Ok(track);
    }
    if others.is_empty() {
        let detail = "the camera's description has no video track";
        return Err((FailureKind::NoVideo, detail.to_owned()));
    }
    let detail = format!(
        "the camera sends {}; set the stream to H.264 or H.265",
        others.join(", ")
    );
    Err((FailureKind::CodecUnsupported, detail))
}

/// The track, or the name of the codec it has instead.
fn video_track(media: &Media) -> Result<Track, String> {
    let maps = media.rtp_maps();
    let mut known = maps
        .iter()
        .filter_map(|map| Some((VideoCodec::from_name(&map.encoding)?, map)));
    let (codec, payload_type, clock_rate) = match (known.next(), maps.first()) {
        (Some((codec, map)), _) => (codec, map.payload_type, map.clock_rate),
        (None, Some(other)) => return Err(printable(&other.encoding)),
        // No rtpmap at all: the parameters tell.
        (None, None) => {
            let told = |payload_type: u8| {
                let fmtp = media.fmtp(payload_type);
                let has = |name: &&str| fmtp.get(name).is_some();
                let codec = if ["sprop-parameter-sets", "packetization-mode"]
                    .iter()
                    .any(has)
                {
                    VideoCodec::H264
                } else if ["sprop-vps", "sprop-sps"].iter().any(has) {
                    VideoCodec::H265
                } else {
                    return None;
                };
                Some((codec, payload_type, VIDEO_CLOCK_RATE))
            };
            let found = media.payload_types().find_map(told);
            found.ok_or("an unnamed codec".to_owned())?
        }
    };
    let fmtp = media.fmtp(payload_type);
    if fmtp
        .get("sprop-max-don-diff")
        .is_some_and(|diff| diff != "0")
    {
        // Decoding order numbers in each packet; no camera is known to need them.
        return Err(format!(
            "{} out of order (sprop-max-don-diff)",
            codec.name()
        ));
    }
    let names: &[&str] = match codec {
        VideoCodec::H264 => &["sprop-parameter-sets"],
        VideoCodec::H265 => &["sprop-vps", "sprop-sps", "sprop-pps"],
    };
    let sets = names.iter().filter_map(|name| fmtp.get(name));
    let mut parameter_sets: Vec<Vec<u8>> = sets.flat_map(sprop_parameter_sets).collect();
    parameter_sets.retain(|set| is_set(codec, set));
    Ok(Track {
        codec,
        payload_type,
        clock_rate,
        parameter_sets,
        profile_level_id: fmtp.get("profile-level-id").map(printable),
        packetization_mode: fmtp.get("packetization-mode").and_then(|m| m.parse().ok()),
        control_url: media.control().unwrap_or_default().to_owned(),
        rtp_channel: 0,
        rtcp_channel: 1,
        ssrc: None,
    })
}

fn is_set(codec: VideoCodec, nal: &[u8]) -> bool {
    match codec {
        VideoCodec::H264 => {
            use wire::h264::{NalType, nal_type};
            matches!(nal_type(nal), Some(NalType::Sps | NalType::Pps))
        }
        VideoCodec::H265 => {
            use wire::h265::{NalType, nal_type};
            nal_type(nal).is_some_and(NalType::is_parameter_set)
        }
    }
}

/// The camera's word, fit for a sentence.
fn printable(text: &str) -> String {
    let fine = text.chars().filter(|c| c.is_ascii_graphic());
    fine.take(32).collect()
}

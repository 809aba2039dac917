//! Which of a camera's tracks is pulled.

use wire::h264::{NalType, nal_type};
use wire::sdp::{Media, Sdp, sprop_parameter_sets};

use super::failure::FailureKind;

/// RTP clock of H.264 (RFC 6184 section 8.2.1).
const VIDEO_CLOCK_RATE: u32 = 90_000;

/// The video track as the camera describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Always `H264` today.
    pub codec: String,
    pub payload_type: u8,
    /// Ticks of rtp_ts per second.
    pub clock_rate: u32,
    /// The SDP's SPS and PPS as NAL units without start codes; may be empty or out of date: sets
    /// in the stream win.
    pub parameter_sets: Vec<Vec<u8>>,
    /// As written: 6 hexadecimal digits.
    pub profile_level_id: Option<String>,
    pub packetization_mode: Option<u8>,
    pub control_url: String,
    /// Interleaved channels of the wire, as the camera has assigned them.
    pub rtp_channel: u8,
    pub rtcp_channel: u8,
    /// What the Transport header said; packets with another are taken as well.
    pub ssrc: Option<u32>,
}

/// The first H.264 video track, its control attribute as `control_url` for now.
pub(super) fn choose(sdp: &Sdp) -> Result<Track, (FailureKind, String)> {
    let is_video = |media: &&Media| media.kind.eq_ignore_ascii_case("video");
    let mut others = Vec::new();
    for media in sdp.media.iter().filter(is_video) {
        match h264(media) {
            Ok(track) => return Ok(track),
            Err(codec) => others.push(codec),
        }
    }
    if others.is_empty() {
        let detail = "the camera's description has no video track";
        return Err((FailureKind::NoVideo, detail.to_owned()));
    }
    let detail = format!(
        "the camera sends {}; set the stream to H.264",
        others.join(", ")
    );
    Err((FailureKind::CodecUnsupported, detail))
}

/// The track, or the name of the codec it has instead.
fn h264(media: &Media) -> Result<Track, String> {
    let maps = media.rtp_maps();
    let mapped = maps
        .iter()
        .find(|map| map.encoding.eq_ignore_ascii_case("H264"));
    let (payload_type, clock_rate) = match (mapped, maps.first()) {
        (Some(map), _) => (map.payload_type, map.clock_rate),
        (None, Some(other)) => return Err(printable(&other.encoding)),
        // No rtpmap at all: the parameters tell.
        (None, None) => {
            let speaks_h264 = |payload_type: &u8| {
                let fmtp = media.fmtp(*payload_type);
                fmtp.get("sprop-parameter-sets").is_some()
                    || fmtp.get("packetization-mode").is_some()
            };
            let found = media.payload_types().find(speaks_h264);
            (
                found.ok_or("an unnamed codec".to_owned())?,
                VIDEO_CLOCK_RATE,
            )
        }
    };
    let fmtp = media.fmtp(payload_type);
    let sets = fmtp.get("sprop-parameter-sets").map(sprop_parameter_sets);
    let mut parameter_sets = sets.unwrap_or_default();
    parameter_sets.retain(|set| matches!(nal_type(set), Some(NalType::Sps | NalType::Pps)));
    Ok(Track {
        codec: "H264".to_owned(),
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

/// The camera's word, fit for a sentence.
fn printable(text: &str) -> String {
    let fine = text.chars().filter(|c| c.is_ascii_graphic());
    fine.take(32).collect()
}

//! A browser's offer, read for what an answer needs. Nothing here trusts its text: what is echoed
//! into an answer is checked to be a token first.

use wire::codec::{PayloadType, VideoCodec};
use wire::sdp::{Direction, Fmtp, Media, RtpMap, Sdp};

use super::answer::NegotiateError;
use super::audio::{AudioFormats, choose_audio};
use super::identity::Fingerprint;

/// Fingerprints kept of one offer; browsers send one, some send one per hash function.
const MAX_FINGERPRINTS: usize = 8;
/// `a=mid`, formats, protocols: browsers use a few characters.
const MAX_TOKEN_BYTES: usize = 64;

/// What H.265's parameters may say in an offer (RFC 7798 section 7.1), as an answer repeats it.
const H265_PARAMETERS: [&str; 4] = ["level-id", "profile-id", "tier-flag", "tx-mode"];

/// A codec as one payload type of the offer means it (RFC 6184 section 8.1, RFC 7798 section 7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) codec: VideoCodec,
    pub(super) payload_type: u8,
    /// Of H.264: six hex digits, as offered.
    pub(super) profile_level_id: Option<String>,
    /// The `a=fmtp` of an answer. The chosen format's own profile is in it: a browser drops a payload
    /// type whose profile changed.
    pub(super) parameters: String,
    /// The retransmission payload type whose `apt` this one is.
    rtx_payload_type: Option<u8>,
}

impl Format {
    fn is_profile(&self, wanted: &str) -> bool {
        let offered = self
            .profile_level_id
            .as_deref()
            .and_then(|id| id.get(..wanted.len()));
        offered.is_some_and(|offered| offered.eq_ignore_ascii_case(wanted))
    }
}

/// The offer with the index of the section that will be answered.
pub(super) struct Offer {
    pub(super) sdp: Sdp,
    pub(super) video_index: usize,
    /// One for each codec that both speak, H.264 first; never empty.
    pub(super) formats: Vec<Format>,
    /// The section that takes sound, by its index.
    pub(super) audio: Option<(usize, AudioFormats)>,
    pub(super) remote_ufrag: String,
    pub(super) remote_pwd: String,
    pub(super) fingerprints: Vec<Fingerprint>,
}

impl Offer {
    pub(super) fn parse(text: &str, profile: Option<&str>) -> Result<Self, NegotiateError> {
        let sdp = Sdp::parse(text).map_err(|error| NegotiateError::Malformed(error.to_string()))?;
        if sdp.media.is_empty() {
            return Err(malformed("no media section"));
        }
        for media in &sdp.media {
            let tokens = [&media.kind, &media.protocol]
                .into_iter()
                .chain(&media.formats);
            if media.formats.is_empty() || !tokens.into_iter().all(|text| is_token(text)) {
                return Err(malformed("an m= line is incomplete"));
            }
            if media.attribute("mid").is_some_and(|mid| !is_token(mid)) {
                return Err(malformed("a=mid is not a token"));
            }
        }
        let (video_index, formats) = choose_video(&sdp, profile)?;
        let attribute = |name| transport_attribute(&sdp, video_index, name);
        if !sdp.media[video_index].has("rtcp-mux") && attribute("rtcp-mux").is_none() {
            return Err(malformed("a=rtcp-mux is missing"));
        }
        if attribute("setup").is_some_and(|role| role != "actpass" && role != "active") {
            return Err(malformed("a=setup must be actpass or active"));
        }
        let remote_ufrag = attribute("ice-ufrag")
            .filter(|text| is_ice_text(text, 4))
            .ok_or(malformed("a=ice-ufrag is missing or malformed"))?
            .to_owned();
        let remote_pwd = attribute("ice-pwd")
            .filter(|text| is_ice_text(text, 22))
            .ok_or(malformed("a=ice-pwd is missing or malformed"))?
            .to_owned();
        let fingerprints = fingerprints(&sdp, video_index);
        if fingerprints.is_empty() {
            return Err(malformed(
                "a=fingerprint is missing, malformed or too weak a hash",
            ));
        }
        Ok(Self {
            video_index,
            formats,
            audio: choose_audio(&sdp, video_index),
            remote_ufrag,
            remote_pwd,
            fingerprints,
            sdp,
        })
    }

    pub(super) fn video(&self) -> &Media {
        &self.sdp.media[self.video_index]
    }

    /// Whether the offer bundles the answered section.
    pub(super) fn is_bundled(&self) -> bool {
        self.video()
            .mid()
            .is_some_and(|mid| bundled(&self.sdp, mid))
    }

    /// Whether the offer gives `feedback` to that payload type (or to all).
    pub(super) fn has_feedback(&self, format: &Format, feedback: &str) -> bool {
        let chosen = format.payload_type.to_string();
        self.video().attributes("rtcp-fb").any(|value| {
            value.split_once(' ').is_some_and(|(format, offered)| {
                (format == "*" || format == chosen) && offered.trim() == feedback
            })
        })
    }

    /// A format's numbers; that for retransmissions where the offer asks for packets by number.
    pub(super) fn numbers(&self, format: &Format) -> PayloadType {
        PayloadType {
            media: format.payload_type,
            rtx: format
                .rtx_payload_type
                .filter(|rtx| *rtx < 128 && self.has_feedback(format, "nack")),
        }
    }

    /// The id the offer gives to a header extension, when it is one that one-byte headers can
    /// carry (RFC 8285 section 4.2).
    pub(super) fn extension_id(&self, uri: &str) -> Option<u8> {
        self.video().attributes("extmap").find_map(|value| {
            let mut words = value.split_ascii_whitespace();
            let id = words.next()?.split('/').next()?.parse().ok()?;
            (words.next()? == uri && (1..=14).contains(&id)).then_some(id)
        })
    }
}

pub(super) fn malformed(reason: &str) -> NegotiateError {
    NegotiateError::Malformed(reason.to_owned())
}

/// The first video section that receives and has a codec in a form we send.
fn choose_video(sdp: &Sdp, profile: Option<&str>) -> Result<(usize, Vec<Format>), NegotiateError> {
    let mut deaf = false;
    for (index, media) in sdp.media.iter().enumerate() {
        let refused = media.port == 0 && !media.has("bundle-only");
        if media.kind != "video" || refused || !media.protocol.contains("SAVPF") {
            continue;
        }
        if !receives(sdp, media) {
            deaf = true;
            continue;
        }
        let maps = media.rtp_maps();
        let h264 = choose_h264(media, &maps, profile);
        let formats: Vec<Format> = h264.into_iter().chain(choose_h265(media, &maps)).collect();
        if !formats.is_empty() {
            return Ok((index, formats));
        }
    }
    if deaf {
        return Err(malformed("no video section receives"));
    }
    Err(NegotiateError::NoCommonCodec)
}

pub(super) fn receives(sdp: &Sdp, media: &Media) -> bool {
    let session = || {
        let named = |name: &&str| sdp.attribute(name).is_some();
        ["sendrecv", "recvonly", "sendonly", "inactive"]
            .into_iter()
            .find(named)
    };
    match media.direction() {
        Some(direction) => matches!(direction, Direction::SendRecv | Direction::RecvOnly),
        None => matches!(session(), None | Some("sendrecv" | "recvonly")),
    }
}

/// Only packetization-mode 1 allows FU-A. Among those: the stream's own profile where it is known,
/// else what every decoder takes, Constrained Baseline; a decoder follows the stream's SPS anyway.
fn choose_h264(media: &Media, maps: &[RtpMap], profile: Option<&str>) -> Option<Format> {
    let formats: Vec<Format> = maps
        .iter()
        .filter(|map| map.encoding.eq_ignore_ascii_case("H264") && map.clock_rate == 90_000)
        .filter_map(|map| {
            let fmtp = media.fmtp(map.payload_type);
            let id = fmtp
                .get("profile-level-id")
                .filter(|id| is_profile_level_id(id));
            (fmtp.get("packetization-mode") == Some("1")).then(|| Format {
                codec: VideoCodec::H264,
                payload_type: map.payload_type,
                profile_level_id: id.map(str::to_owned),
                parameters: h264_parameters(&fmtp, id),
                rtx_payload_type: rtx_for(media, maps, map.payload_type),
            })
        })
        .filter(|format| format.payload_type < 128)
        .collect();
    let wanted = profile.into_iter().chain(["42e0", "42", "4d"]);
    wanted
        .filter_map(|wanted| formats.iter().find(|format| format.is_profile(wanted)))
        .chain(formats.first())
        .next()
        .cloned()
}

fn h264_parameters(offered: &Fmtp, profile_level_id: Option<&str>) -> String {
    let mut parameters = Vec::new();
    if offered.get("level-asymmetry-allowed") == Some("1") {
        parameters.push("level-asymmetry-allowed=1".to_owned());
    }
    parameters.push("packetization-mode=1".to_owned());
    parameters.extend(profile_level_id.map(|id| format!("profile-level-id={id}")));
    parameters.join(";")
}

/// Only a single stream on a single transport (SRST). Among those: profile Main, which cameras send,
/// at the highest level; a decoder follows the stream's SPS anyway.
fn choose_h265(media: &Media, maps: &[RtpMap]) -> Option<Format> {
    let offered = maps
        .iter()
        .filter(|map| map.encoding.eq_ignore_ascii_case("H265") && map.clock_rate == 90_000)
        .filter(|map| map.payload_type < 128)
        .map(|map| (map, media.fmtp(map.payload_type)))
        .filter(|(_, fmtp)| fmtp.get("tx-mode").is_none_or(|mode| mode == "SRST"));
    let number = |fmtp: &Fmtp, name: &str| fmtp.get(name).and_then(|text| text.parse::<u8>().ok());
    // Of equals the first.
    let (map, fmtp) = offered.rev().max_by_key(|(_, fmtp)| {
        let is_main = fmtp.get("profile-id").is_none() || number(fmtp, "profile-id") == Some(1);
        (is_main, number(fmtp, "level-id"))
    })?;
    let said = H265_PARAMETERS.iter().filter_map(|name| {
        let value = fmtp.get(name)?;
        let is_number = number(&fmtp, name).is_some();
        (is_number || value == "SRST").then(|| format!("{name}={value}"))
    });
    Some(Format {
        codec: VideoCodec::H265,
        payload_type: map.payload_type,
        profile_level_id: None,
        parameters: said.collect::<Vec<_>>().join(";"),
        rtx_payload_type: rtx_for(media, maps, map.payload_type),
    })
}

fn rtx_for(media: &Media, maps: &[RtpMap], payload_type: u8) -> Option<u8> {
    let retransmission = maps
        .iter()
        .filter(|map| map.encoding.eq_ignore_ascii_case("rtx"));
    retransmission.map(|map| map.payload_type).find(|rtx| {
        media.fmtp(*rtx).get("apt").and_then(|apt| apt.parse().ok()) == Some(payload_type)
    })
}

/// A transport attribute of a section: its own, the session's, or (where sections share one
/// transport and only the first describes it, RFC 9143 section 7.1.3) that of the bundle.
fn transport_attribute<'a>(sdp: &'a Sdp, index: usize, name: &'a str) -> Option<&'a str> {
    sections_for_transport(sdp, index)
        .find_map(|media| media.attribute(name))
        .or_else(|| sdp.attribute(name))
}

fn fingerprints(sdp: &Sdp, index: usize) -> Vec<Fingerprint> {
    let described = sections_for_transport(sdp, index).find(|media| media.has("fingerprint"));
    let values: Vec<&str> = match described {
        Some(media) => media.attributes("fingerprint").collect(),
        None => sdp.attributes("fingerprint").collect(),
    };
    values
        .into_iter()
        .filter_map(Fingerprint::parse)
        .take(MAX_FINGERPRINTS)
        .collect()
}

/// The section itself, then those it is bundled with.
fn sections_for_transport(sdp: &Sdp, index: usize) -> impl Iterator<Item = &Media> {
    let own = &sdp.media[index];
    let shares = own.mid().is_some_and(|mid| bundled(sdp, mid));
    let others = sdp
        .media
        .iter()
        .filter(move |media| shares && media.mid().is_some_and(|mid| bundled(sdp, mid)));
    std::iter::once(own).chain(others)
}

pub(super) fn bundled(sdp: &Sdp, mid: &str) -> bool {
    sdp.attributes("group").any(|group| {
        let mut words = group.split_ascii_whitespace();
        words.next() == Some("BUNDLE") && words.any(|word| word == mid)
    })
}

fn is_profile_level_id(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_token(text: &str) -> bool {
    let length = 1..=MAX_TOKEN_BYTES;
    length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// RFC 8839 section 5.4: ice-chars, at most 256.
fn is_ice_text(text: &str, at_least: usize) -> bool {
    let is_ice_char = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    (at_least..=256).contains(&text.len()) && text.bytes().all(is_ice_char)
}

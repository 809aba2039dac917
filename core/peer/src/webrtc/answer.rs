//! Offer to answer, once per viewer (RFC 9429, RFC 8839, RFC 9143, WHEP): one video section that
//! we send, G.711 in the same bundle where it is offered, everything else refused.
//!
//! What is left out on purpose: REMB unless it is asked for, and transport-wide feedback (a camera
//! cannot adapt, and each viewer would send 10 to 20 packets a second), generic NACK where the offer has no RTX for it (the
//! same index is never sealed twice, so what is sent again needs a stream of its own), trickled
//! candidates (all of ours are in the answer; a lite agent needs none of theirs).

use std::net::SocketAddr;

use wire::codec::PayloadTypes;
use wire::sdp::{Media, Sdp};

use super::audio::{AudioFormats, accepted_audio};
use super::identity::Fingerprint;
use super::offer::Offer;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NegotiateError {
    /// 400: not an offer that could be answered. The reason is ours, never the offer's text.
    #[error("malformed offer: {0}")]
    Malformed(String),
    /// 422: no video section offers H.264 with packetization-mode 1, nor H.265.
    #[error("the offer has neither H.264 with packetization-mode=1 nor H.265")]
    NoCommonCodec,
}

/// What is ours in an answer.
#[derive(Clone, Copy, Debug)]
pub struct AnswerParams<'a> {
    pub local_ufrag: &'a str,
    pub local_pwd: &'a str,
    pub fingerprint: &'a Fingerprint,
    /// UDP addresses a viewer may reach us at, the preferred one first.
    pub candidates: &'a [SocketAddr],
    /// ...and by TCP, where it has no other way (RFC 6544, passive).
    pub tcp_candidates: &'a [SocketAddr],
    pub video_ssrc: u32,
    /// For retransmissions (RFC 4588), where the offer takes them.
    pub rtx_ssrc: u32,
    /// For sound, where the offer takes G.711.
    pub audio_ssrc: u32,
    pub cname: &'a str,
    /// `a=msid` of the one stream and its track.
    pub stream_id: &'a str,
    pub track_id: &'a str,
    /// Numeric id of the `o=` line; unique per viewer.
    pub origin_id: u64,
    /// profile_idc of the stream where it is known before it flows, e.g. 0x4D for Main.
    pub profile_idc: Option<u8>,
    /// Header extensions the sender will write, by URI. Only those the offer has are answered.
    pub extensions: &'a [&'a str],
    /// Whether the viewer's estimate of its bandwidth (REMB) is wanted, where the offer has it.
    pub remb: bool,
}

/// An answer, and what both sides have agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The text, with CR LF.
    pub answer: String,
    /// The offer's numbers for each codec that both speak, with those of its RTX where it also asks
    /// for generic NACK. The sender uses those of the codec that the camera sends.
    pub payload_types: PayloadTypes,
    /// Six hex digits of the chosen format of H.264, where the offer gave them.
    pub profile_level_id: Option<String>,
    /// What it takes of sound, where it takes any.
    pub audio: Option<AudioFormats>,
    pub mid: Option<String>,
    pub remote_ufrag: String,
    pub remote_pwd: String,
    /// At least one.
    pub fingerprints: Vec<Fingerprint>,
    /// Agreed header extensions: the offer's id, and the URI.
    pub extensions: Vec<(u8, String)>,
    /// Whether RTCP may go out without a report in front (RFC 5506).
    pub reduced_size_rtcp: bool,
}

/// Answers an offer.
///
/// # Errors
/// [`NegotiateError`]: no answer can be given.
pub fn negotiate(offer: &str, params: &AnswerParams<'_>) -> Result<Negotiated, NegotiateError> {
    let profile = params
        .profile_idc
        .map(|profile_idc| format!("{profile_idc:02x}"));
    let offer = Offer::parse(offer, profile.as_deref())?;
    let extensions: Vec<(u8, String)> = params
        .extensions
        .iter()
        .filter_map(|uri| Some((offer.extension_id(uri)?, (*uri).to_owned())))
        .collect();
    let reduced_size_rtcp = offer.video().has("rtcp-rsize");

    let origin = format!("- {} 1 IN IP4 0.0.0.0", params.origin_id);
    let mut answer = Sdp::default()
        .line('v', "0")
        .line('o', &origin)
        .line('s', "-")
        .line('t', "0 0");
    if let (true, Some(mid)) = (offer.is_bundled(), offer.video().mid()) {
        let audio_mid = offer.audio.and_then(|(at, _)| offer.sdp.media[at].mid());
        let audio_mid = audio_mid.map(|mid| format!(" {mid}")).unwrap_or_default();
        answer = answer.line('a', &format!("group:BUNDLE {mid}{audio_mid}"));
    }
    answer = answer.line('a', "ice-lite");
    for (index, media) in offer.sdp.media.iter().enumerate() {
        answer = answer.with_media(match offer.audio {
            _ if index == offer.video_index => accepted(&offer, params, &extensions),
            Some((audio, formats)) if index == audio => {
                let mut transport = transport_lines(params);
                transport.extend(candidate_lines(params));
                accepted_audio(media, formats, params, &transport)
            }
            _ => refused(media),
        });
    }
    Ok(Negotiated {
        answer: answer.to_string(),
        payload_types: (offer.formats.iter()).fold(PayloadTypes::default(), |table, format| {
            table.with(format.codec, offer.numbers(format))
        }),
        mid: offer.video().mid().map(str::to_owned),
        audio: offer.audio.map(|(_, formats)| formats),
        profile_level_id: (offer.formats.into_iter()).find_map(|format| format.profile_level_id),
        remote_ufrag: offer.remote_ufrag,
        remote_pwd: offer.remote_pwd,
        fingerprints: offer.fingerprints,
        extensions,
        reduced_size_rtcp,
    })
}

/// Port 0, and left out of the bundle (RFC 9143 section 7.3.3).
fn refused(offered: &Media) -> Media {
    let format = offered.formats.first().map_or("0", String::as_str);
    let media =
        Media::new(&offered.kind, 0, &offered.protocol, &[format]).line('c', "IN IP4 0.0.0.0");
    let media = match offered.mid() {
        Some(mid) => media.line('a', &format!("mid:{mid}")),
        None => media,
    };
    media.line('a', "inactive")
}

fn accepted(offer: &Offer, params: &AnswerParams<'_>, extensions: &[(u8, String)]) -> Media {
    let video = offer.video();
    let mut lines: Vec<String> = Vec::new();
    lines.extend(video.mid().map(|mid| format!("mid:{mid}")));
    lines.extend(transport_lines(params));
    lines.extend(video.has("rtcp-rsize").then(|| "rtcp-rsize".to_owned()));
    lines.push("sendonly".to_owned());
    lines.extend(
        extensions
            .iter()
            .map(|(id, uri)| format!("extmap:{id} {uri}")),
    );
    let (video_ssrc, rtx_ssrc) = (params.video_ssrc, params.rtx_ssrc);
    let estimate = params.remb.then_some("goog-remb");
    let mut formats = Vec::new();
    let mut has_rtx = false;
    for format in &offer.formats {
        let numbers = offer.numbers(format);
        let (payload_type, codec) = (numbers.media, format.codec.name());
        formats.push(payload_type.to_string());
        lines.push(format!("rtpmap:{payload_type} {codec}/90000"));
        if !format.parameters.is_empty() {
            lines.push(format!("fmtp:{payload_type} {}", format.parameters));
        }
        for feedback in ["nack pli", "ccm fir"].into_iter().chain(estimate) {
            if offer.has_feedback(format, feedback) {
                lines.push(format!("rtcp-fb:{payload_type} {feedback}"));
            }
        }
        if let Some(rtx) = numbers.rtx {
            has_rtx = true;
            formats.push(rtx.to_string());
            lines.push(format!("rtcp-fb:{payload_type} nack"));
            lines.push(format!("rtpmap:{rtx} rtx/90000"));
            lines.push(format!("fmtp:{rtx} apt={payload_type}"));
        }
    }
    lines.extend(has_rtx.then(|| format!("ssrc-group:FID {video_ssrc} {rtx_ssrc}")));
    lines.push(format!("msid:{} {}", params.stream_id, params.track_id));
    lines.push(format!("ssrc:{video_ssrc} cname:{}", params.cname));
    lines.extend(has_rtx.then(|| format!("ssrc:{rtx_ssrc} cname:{}", params.cname)));
    lines.extend(candidate_lines(params));

    let formats: Vec<&str> = formats.iter().map(String::as_str).collect();
    let media = Media::new("video", 9, &video.protocol, &formats).line('c', "IN IP4 0.0.0.0");
    lines
        .iter()
        .fold(media, |media, line| media.line('a', line))
}

fn transport_lines(params: &AnswerParams<'_>) -> Vec<String> {
    vec![
        format!("ice-ufrag:{}", params.local_ufrag),
        format!("ice-pwd:{}", params.local_pwd),
        format!("fingerprint:{}", params.fingerprint),
        "setup:passive".to_owned(),
        "rtcp-mux".to_owned(),
    ]
}

fn candidate_lines(params: &AnswerParams<'_>) -> Vec<String> {
    let mut lines: Vec<String> = params
        .candidates
        .iter()
        .enumerate()
        .map(candidate)
        .collect();
    let by_udp = params.candidates.len();
    let tcp = params.tcp_candidates.iter().enumerate();
    lines.extend(tcp.map(|(index, addr)| tcp_candidate(by_udp, index, addr)));
    lines.push("end-of-candidates".to_owned());
    lines
}

/// A passive TCP candidate (RFC 6544 section 4.5), preferred less than any by UDP: what TCP repeats
/// comes too late to be live.
fn tcp_candidate(before: usize, index: usize, addr: &SocketAddr) -> String {
    let local_preference = u32::from(u16::MAX).saturating_sub(index as u32);
    let priority = 90 << 24 | local_preference << 8 | 255;
    let (foundation, ip, port) = (before + index + 1, addr.ip(), addr.port());
    format!("candidate:{foundation} 1 tcp {priority} {ip} {port} typ host tcptype passive")
}

/// A host candidate (RFC 8839 section 5.1) with the priority of RFC 8445 section 5.1.2.1: earlier
/// addresses are preferred.
fn candidate((index, addr): (usize, &SocketAddr)) -> String {
    let local_preference = u32::from(u16::MAX).saturating_sub(index as u32);
    let priority = 126 << 24 | local_preference << 8 | 255;
    let (foundation, ip, port) = (index + 1, addr.ip(), addr.port());
    format!("candidate:{foundation} 1 udp {priority} {ip} {port} typ host")
}

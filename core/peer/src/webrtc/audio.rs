//! The section of an offer that takes a camera's sound: G.711, in the same bundle as the picture.

use wire::sdp::{Media, Sdp};

use super::answer::AnswerParams;
use super::offer::{bundled, receives};

/// The offer's numbers for the two laws; at least one is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioFormats {
    pub pcma: Option<u8>,
    pub pcmu: Option<u8>,
}

/// The first audio section that receives G.711 over the transport of the section `video_index`.
/// Another is refused: a transport of its own would cost a handshake for what most never hear.
pub(super) fn choose_audio(sdp: &Sdp, video_index: usize) -> Option<(usize, AudioFormats)> {
    let video_mid = sdp.media[video_index].mid()?;
    let candidates = sdp.media.iter().enumerate();
    candidates
        .filter(|(_, media)| media.kind == "audio" && media.protocol.contains("SAVPF"))
        .filter(|(_, media)| media.port != 0 || media.has("bundle-only"))
        .filter(|(_, media)| media.mid().is_some_and(|mid| shares(sdp, mid, video_mid)))
        .filter(|(_, media)| receives(sdp, media))
        .find_map(|(index, media)| Some((index, formats(media)?)))
}

fn shares(sdp: &Sdp, mid: &str, video_mid: &str) -> bool {
    mid != video_mid && bundled(sdp, mid) && bundled(sdp, video_mid)
}

fn formats(media: &Media) -> Option<AudioFormats> {
    let maps = media.rtp_maps();
    let number = |name: &str| {
        let found = maps.iter().find(|map| {
            map.encoding.eq_ignore_ascii_case(name)
                && map.clock_rate == 8_000
                && map.channels.is_none_or(|channels| channels == 1)
        });
        found.map(|map| map.payload_type).filter(|pt| *pt < 128)
    };
    let formats = AudioFormats {
        pcma: number("PCMA"),
        pcmu: number("PCMU"),
    };
    (formats.pcma.is_some() || formats.pcmu.is_some()).then_some(formats)
}

/// The answered section. `transport`: the lines that the video section has for the transport that
/// both share.
pub(super) fn accepted_audio(
    offered: &Media,
    formats: AudioFormats,
    params: &AnswerParams<'_>,
    transport: &[String],
) -> Media {
    let named = [(formats.pcma, "PCMA"), (formats.pcmu, "PCMU")];
    let named: Vec<(u8, &str)> = named
        .into_iter()
        .filter_map(|(number, name)| Some((number?, name)))
        .collect();
    let numbers: Vec<String> = named.iter().map(|(number, _)| number.to_string()).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let mid = offered.mid().map(|mid| format!("mid:{mid}"));
    let maps = named
        .iter()
        .map(|(number, name)| format!("rtpmap:{number} {name}/8000"));
    let lines = mid
        .into_iter()
        .chain(transport.iter().cloned())
        .chain(["sendonly".to_owned()])
        .chain(maps)
        .chain([
            format!("msid:{} audio", params.stream_id),
            format!("ssrc:{} cname:{}", params.audio_ssrc, params.cname),
        ]);
    let media = Media::new("audio", 9, &offered.protocol, &numbers).line('c', "IN IP4 0.0.0.0");
    lines.fold(media, |media, line| media.line('a', &line))
}

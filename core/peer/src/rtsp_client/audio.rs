//! A camera's sound, where it is G.711: set up after the picture, and never in its way.

use std::time::Instant;

use wire::rtsp::{Response, Transport, track_url};
use wire::sdp::{Direction, Sdp};

use super::auth::Attempts;
use super::client::{Received, RtspClient};
use super::failure::Step;
use super::udp::MediaTransport;

/// The two that browsers take as they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioCodec {
    Pcma,
    Pcmu,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AudioTrack {
    pub codec: AudioCodec,
    pub payload_type: u8,
    pub control_url: String,
    /// From the answer to its SETUP on.
    pub channels: Option<(u8, u8)>,
}

/// The first track of G.711, its control attribute as `control_url` for now. `sendonly` names a track
/// for talking back where cameras have both; alone, some mean themselves by it.
pub(super) fn choose_audio(sdp: &Sdp) -> Option<AudioTrack> {
    let sound = |back_channel: bool| {
        sdp.media.iter().filter(move |media| {
            let is_back_channel = media.direction() == Some(Direction::SendOnly);
            media.kind.eq_ignore_ascii_case("audio") && is_back_channel == back_channel
        })
    };
    sound(false).chain(sound(true)).find_map(|media| {
        let codecs = [("PCMA", AudioCodec::Pcma), ("PCMU", AudioCodec::Pcmu)];
        let maps = media.rtp_maps();
        let (map, codec) = maps.iter().find_map(|map| {
            let named = |(name, _): &&(&str, AudioCodec)| map.encoding.eq_ignore_ascii_case(name);
            let is_mono = map.channels.is_none_or(|channels| channels == 1);
            let (_, codec) = codecs.iter().find(named)?;
            (map.clock_rate == 8_000 && is_mono).then_some((map, *codec))
        })?;
        // Without an address of its own it cannot be told from the picture.
        let control_url = media.control()?.to_owned();
        Some(AudioTrack {
            codec,
            payload_type: map.payload_type,
            control_url,
            channels: None,
        })
    })
}

impl RtspClient {
    pub(super) fn note_audio(&mut self, sdp: &Sdp) {
        self.audio = choose_audio(sdp).map(|track| AudioTrack {
            control_url: track_url(&self.target, &self.base, Some(&track.control_url)),
            ..track
        });
    }

    /// After the picture's SETUP: that of the sound, where there is one to be had over TCP; else PLAY.
    pub(super) fn set_up_audio(&mut self, now: Instant) {
        let is_other = |audio: &super::audio::AudioTrack| {
            let video = self.track.as_ref().map(|track| track.control_url.as_str());
            video != Some(audio.control_url.as_str())
        };
        if self.transport == MediaTransport::Tcp && self.audio.as_ref().is_some_and(is_other) {
            self.setting_up_audio = true;
            self.request(now, Step::Setup, Attempts::default());
        } else {
            self.go_without_audio(now);
        }
    }

    /// What the SETUP of the sound asks for: its address, and the pair of channels after the
    /// picture's.
    pub(super) fn audio_setup(&self) -> Option<(String, Transport)> {
        let audio = self.audio.as_ref().filter(|_| self.setting_up_audio)?;
        let (rtp, rtcp) = self.channels.unwrap_or((0, 1));
        let free = rtp.max(rtcp).saturating_add(2) & !1;
        Some((audio.control_url.clone(), Transport::tcp(free)))
    }

    /// The answer to its SETUP, if it is one. The RTSP id stays that of the picture: some cameras
    /// give each track its own, and take the first.
    pub(super) fn on_audio_setup(&mut self, now: Instant, response: &Response) {
        let asked = self.audio_setup().and_then(|(_, asked)| asked.interleaved);
        let transport = response.headers.get("Transport").and_then(Transport::parse);
        let transport = transport.unwrap_or_default();
        let by_udp = !transport.is_interleaved() && transport.server_port.is_some();
        let channels = transport.interleaved.or(asked).filter(|(rtp, rtcp)| {
            let taken = |channel: &u8| {
                let video = self.channels;
                video.is_some_and(|(rtp, rtcp)| *channel == rtp || *channel == rtcp)
            };
            !by_udp && !taken(rtp) && !taken(rtcp)
        });
        if !response.is_success() || channels.is_none() {
            return self.go_without_audio(now);
        }
        if let Some(audio) = &mut self.audio {
            audio.channels = channels;
        }
        self.setting_up_audio = false;
        self.request(now, Step::Play, Attempts::default());
    }

    /// A camera whose sound cannot be had is pulled for its picture.
    pub(super) fn go_without_audio(&mut self, now: Instant) {
        self.audio = None;
        self.setting_up_audio = false;
        self.request(now, Step::Play, Attempts::default());
    }

    /// Which sound is pulled, once PLAY was answered.
    pub fn audio_codec(&self) -> Option<AudioCodec> {
        let audio = self.audio.as_ref().filter(|audio| audio.channels.is_some());
        audio.map(|audio| audio.codec)
    }

    /// Takes a packet of the sound's channels; false when `channel` is none of them.
    pub(super) fn on_audio(
        &mut self,
        channel: u8,
        packet: &[u8],
        sink: &mut dyn FnMut(Received<'_>),
    ) -> bool {
        let Some(audio) = &self.audio else {
            return false;
        };
        match audio.channels {
            Some((rtp, _)) if rtp == channel => {}
            Some((_, rtcp)) if rtcp == channel => return true,
            _ => return false,
        }
        match packet {
            [v, pt, ..] if v >> 6 == 2 && pt & 0x7F == audio.payload_type => {
                let codec = audio.codec;
                self.counters.audio_packets += 1;
                sink(Received::Audio { codec, packet });
            }
            [v, ..] if v >> 6 == 2 => self.counters.unexpected_payload_type += 1,
            _ => self.counters.malformed_rtp += 1,
        }
        true
    }
}

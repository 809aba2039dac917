//! A camera's sound: a tone, as G.711 in packets of 20 ms (ITU-T G.711, RFC 3551 section 4.5.14).

use wire::rtp::{RTP_HEADER_BYTES, RtpHeader};
use wire::rtsp::write_interleaved;
use wire::sdp::Media;

const SAMPLE_RATE_HZ: u32 = 8_000;
pub const TONE_HZ: u32 = 500;
/// A fifth of full scale: heard, and not feared.
const AMPLITUDE: f64 = 6_500.0;
const PACKET_SAMPLES: u32 = 160;
const PACKET_US: u64 = 20_000;
/// Further behind than this, sound is left out instead of sent in a burst.
const LATE_MAX_US: u64 = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    Pcma,
    Pcmu,
}

impl Law {
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "pcma" => Some(Self::Pcma),
            "pcmu" => Some(Self::Pcmu),
            _ => None,
        }
    }

    fn payload_type(self) -> u8 {
        match self {
            Self::Pcma => 8,
            Self::Pcmu => 0,
        }
    }

    fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Pcma => a_law(sample),
            Self::Pcmu => mu_law(sample),
        }
    }
}

/// The picture's description with the sound's behind it.
pub fn sdp_with(sdp: &str, law: Option<Law>) -> String {
    let Some(law) = law else {
        return sdp.to_owned();
    };
    let (number, name) = (law.payload_type(), format!("{law:?}").to_uppercase());
    let media = Media::new("audio", 0, "RTP/AVP", &[&number.to_string()])
        .line('a', &format!("rtpmap:{number} {name}/{SAMPLE_RATE_HZ}"))
        .line(
            'a',
            &format!("control:{}", peer::rtsp_server::AUDIO_CONTROL),
        );
    format!("{sdp}{media}")
}

/// One client's tone.
#[derive(Debug)]
pub struct Sound {
    law: Law,
    channel: u8,
    ssrc: u32,
    seq: u16,
    rtp_ts: u32,
    next_us: u64,
}

impl Sound {
    pub fn new(law: Law, channel: u8, ssrc: u32, now_us: u64) -> Self {
        Self {
            law,
            channel,
            ssrc,
            seq: 65_500,
            rtp_ts: u32::MAX - 4_000,
            next_us: now_us,
        }
    }

    /// When the next packet is due.
    pub fn due_us(&self) -> u64 {
        self.next_us
    }

    /// Appends the packet that is due. Its time passes whether or not it is sent.
    pub fn write(&mut self, now_us: u64, out: &mut Vec<u8>) {
        if now_us > self.next_us + LATE_MAX_US {
            let missed = (now_us - self.next_us) / PACKET_US;
            self.next_us += missed * PACKET_US;
            self.rtp_ts = self.rtp_ts.wrapping_add(missed as u32 * PACKET_SAMPLES);
        }
        let header = RtpHeader {
            marker: false,
            payload_type: self.law.payload_type(),
            seq: self.seq,
            rtp_ts: self.rtp_ts,
            ssrc: self.ssrc,
        };
        let mut packet = Vec::with_capacity(RTP_HEADER_BYTES + PACKET_SAMPLES as usize);
        packet.extend_from_slice(&header.to_bytes());
        // Whole periods fit a packet, so each begins the tone anew.
        packet.extend((0..PACKET_SAMPLES).map(|place| self.law.encode(tone(place))));
        let _fits = write_interleaved(out, self.channel, &packet);
        self.seq = self.seq.wrapping_add(1);
        self.rtp_ts = self.rtp_ts.wrapping_add(PACKET_SAMPLES);
        self.next_us += PACKET_US;
    }
}

fn tone(place: u32) -> i16 {
    let turns = f64::from(place * TONE_HZ) / f64::from(SAMPLE_RATE_HZ);
    (AMPLITUDE * (turns * std::f64::consts::TAU).sin()) as i16
}

/// 13 bits to 8: sign, three bits of exponent, four of mantissa; every second bit inverted.
fn a_law(sample: i16) -> u8 {
    let sign = if sample >= 0 { 0x80 } else { 0 };
    let magnitude = (i32::from(sample).abs() >> 3).min(0xFFF) as u32;
    let coded = match magnitude {
        0..=31 => magnitude >> 1,
        _ => {
            let exponent = magnitude.ilog2() - 4;
            exponent << 4 | (magnitude >> exponent & 0x0F)
        }
    };
    (sign | coded as u8) ^ 0x55
}

/// 14 bits to 8, with a bias of 33; all bits inverted.
fn mu_law(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = ((i32::from(sample).abs() >> 2) + 33).min(0x1FFF) as u32;
    let exponent = magnitude.ilog2() - 5;
    let mantissa = magnitude >> (exponent + 1) & 0x0F;
    !(sign | (exponent << 4 | mantissa) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As ITU-T G.711's decoding tables say, written the other way round.
    fn decode(law: Law, byte: u8) -> i32 {
        match law {
            Law::Pcma => {
                let byte = byte ^ 0x55;
                let (exponent, mantissa) = (i32::from(byte >> 4 & 7), i32::from(byte & 0x0F));
                let magnitude = match exponent {
                    0 => (mantissa << 4) + 8,
                    _ => ((mantissa << 4) + 0x108) << (exponent - 1),
                };
                if byte & 0x80 == 0 {
                    -magnitude
                } else {
                    magnitude
                }
            }
            Law::Pcmu => {
                let byte = !byte;
                let (exponent, mantissa) = (byte >> 4 & 7, i32::from(byte & 0x0F));
                let magnitude = (((mantissa << 3) + 0x84) << exponent) - 0x84;
                if byte & 0x80 == 0 {
                    magnitude
                } else {
                    -magnitude
                }
            }
        }
    }

    #[test]
    fn every_sample_comes_back_within_a_step_of_its_segment() {
        for law in [Law::Pcma, Law::Pcmu] {
            for sample in -32_000..=32_000_i16 {
                let back = decode(law, law.encode(sample));
                let off = (back - i32::from(sample)).abs();
                assert!(
                    off <= 8 + i32::from(sample).abs() / 24,
                    "{law:?} {sample} {back}"
                );
            }
        }
    }

    #[test]
    fn packets_are_20_ms_apart_and_a_farm_that_was_held_up_leaves_some_out() {
        let mut sound = Sound::new(Law::Pcma, 2, 7, 1_000);
        let mut out = Vec::new();
        sound.write(1_000, &mut out);
        assert_eq!((sound.due_us(), out.len()), (21_000, 4 + 12 + 160));
        assert_eq!(out[..2], [b'$', 2]);
        let before = sound.rtp_ts;
        sound.write(10_021_000, &mut out);
        assert_eq!(sound.due_us(), 10_041_000);
        assert_eq!(sound.rtp_ts.wrapping_sub(before), 501 * 160);
    }
}

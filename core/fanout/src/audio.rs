//! G.711 from a camera to those who listen: packets as they come, with times that a player can follow
//! (RFC 3551 sections 4.5.14 and 6). Nothing is kept: who joins hears what comes next.

use std::time::{Duration, Instant};

use bytes::Bytes;
use wire::rtp::{RtpHeader, RtpPacket};

use crate::MAX_RTP_PAYLOAD_BYTES;

/// Samples, bytes and units of RTP time per second, of PCMA and of PCMU.
pub const AUDIO_CLOCK_HZ: u64 = 8_000;
/// One camera's packets of one visit; 20 ms each, so that a second's backlog fits. More is dropped.
pub const MAX_AUDIO_PACKETS: usize = 64;
/// A pause in arrival up to this is the network's, not silence.
const PATIENCE: Duration = Duration::from_millis(300);
/// A number at most this far back is late or repeated.
const LATE_WINDOW: u16 = 100;
/// Packets lost at once that are believed; a larger jump is a camera that counts anew.
const MAX_LOST: u16 = 100;

/// One of the two companding laws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum G711 {
    ALaw,
    MuLaw,
}

impl G711 {
    /// As SDP says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ALaw => "PCMA",
            Self::MuLaw => "PCMU",
        }
    }
}

/// A camera's packet on its way, at most [`MAX_RTP_PAYLOAD_BYTES`] long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioPacket {
    pub law: G711,
    pub payload: Bytes,
    /// In [`AUDIO_CLOCK_HZ`] units, growing over all sources of the stream.
    pub media_time: u64,
    pub recv_time: Instant,
    /// Sound begins anew: the first packet, or after a gap.
    pub begins: bool,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    seq: u16,
    rtp_ts: u32,
    recv_time: Instant,
    media_time: u64,
    samples: u64,
    /// Of the source that is there now.
    current: bool,
}

/// The camera's sound as one stream that outlives its sources.
///
/// Cameras' times for sound are often wrong: they are believed where they fit the number of samples,
/// which otherwise make the time; a silence is as long as it took.
#[derive(Debug, Default)]
pub struct AudioIntake {
    last: Option<Last>,
    /// Late, repeated, or no RTP; and what came while too much waited.
    dropped: u64,
}

impl AudioIntake {
    /// Takes one RTP packet of the track; `out` gets what listeners are sent.
    pub fn push(&mut self, now: Instant, law: G711, rtp: &[u8], out: &mut Vec<AudioPacket>) {
        let Ok(packet) = RtpPacket::parse(rtp) else {
            self.dropped += 1;
            return;
        };
        let payload = packet.payload();
        let (seq, rtp_ts) = (packet.seq(), packet.rtp_ts());
        let stale = |last: &Last| last.current && last.seq.wrapping_sub(seq) <= LATE_WINDOW;
        if payload.is_empty() || self.last.as_ref().is_some_and(stale) {
            self.dropped += 1;
            return;
        }
        let (media_time, begins) = match &self.last {
            Some(last) => last.next(now, seq, rtp_ts),
            None => (AUDIO_CLOCK_HZ, true),
        };
        self.last = Some(Last {
            seq,
            rtp_ts,
            recv_time: now,
            media_time,
            samples: payload.len() as u64,
            current: true,
        });
        let mut at = media_time;
        for (place, part) in payload.chunks(MAX_RTP_PAYLOAD_BYTES).enumerate() {
            if out.len() >= MAX_AUDIO_PACKETS {
                self.dropped += 1;
                return;
            }
            out.push(AudioPacket {
                law,
                payload: Bytes::copy_from_slice(part),
                media_time: at,
                recv_time: now,
                begins: begins && place == 0,
            });
            at += part.len() as u64;
        }
    }

    /// The source went away, or nobody listened for a while: numbers and times may begin anew.
    pub fn interrupt(&mut self) {
        if let Some(last) = &mut self.last {
            last.current = false;
        }
    }

    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl Last {
    /// Time of the packet after this one, and whether sound begins anew with it.
    fn next(&self, now: Instant, seq: u16, rtp_ts: u32) -> (u64, bool) {
        let arrived = samples_in(now.saturating_duration_since(self.recv_time));
        if !self.current {
            return (self.media_time + arrived.max(self.samples), true);
        }
        let patience = samples_in(PATIENCE);
        let lost = match seq.wrapping_sub(self.seq) {
            numbers @ 1..=MAX_LOST => u64::from(numbers) - 1,
            _ => 0,
        };
        let counted = self.samples * (lost + 1);
        let told = u64::from(rtp_ts.wrapping_sub(self.rtp_ts));
        let after_pause = arrived >= patience && told <= arrived + patience;
        let fits = told >= self.samples && (told <= 2 * counted || after_pause);
        let step = if fits { told } else { counted };
        if !fits && arrived > step + patience {
            return (self.media_time + arrived, true);
        }
        (self.media_time + step, step > counted)
    }
}

fn samples_in(duration: Duration) -> u64 {
    let samples = duration.as_micros() * u128::from(AUDIO_CLOCK_HZ) / 1_000_000;
    u64::try_from(samples).unwrap_or(u64::MAX)
}

/// What one listener's sound is sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioConfig {
    pub ssrc: u32,
    /// The listener's numbers for the two laws; one it did not offer is not sent.
    pub a_law: Option<u8>,
    pub mu_law: Option<u8>,
    pub first_seq: u16,
    pub first_rtp_ts: u32,
}

/// One listener: own SSRC, seq without gaps, RTP time that only grows.
#[derive(Debug)]
pub struct AudioLeg {
    // given
    config: AudioConfig,
    // owned
    next_seq: u16,
    /// The listener's RTP time less the stream's; none before the first packet of a stream.
    offset: Option<u32>,
    /// RTP time, arrival and samples of the packet that went last.
    last: Option<(u32, Instant, u64)>,
    packets: u32,
    octets: u32,
    begins: bool,
}

/// For a sender report: RTP time at an instant, with the counts (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioTime {
    pub rtp_ts: u32,
    pub packets: u32,
    pub octets: u32,
}

impl AudioLeg {
    pub fn new(config: AudioConfig) -> Self {
        Self {
            next_seq: config.first_seq,
            config,
            offset: None,
            last: None,
            packets: 0,
            octets: 0,
            begins: true,
        }
    }

    pub fn ssrc(&self) -> u32 {
        self.config.ssrc
    }

    /// Sound was off for a while, or comes from another stream of the camera from here on.
    pub fn begin(&mut self) {
        self.begins = true;
        self.offset = None;
    }

    /// The header of the packet that goes next. Its number is spent by this, sent or not. `None`:
    /// the listener does not take this law.
    pub fn next_header(&mut self, packet: &AudioPacket) -> Option<RtpHeader> {
        let payload_type = match packet.law {
            G711::ALaw => self.config.a_law,
            G711::MuLaw => self.config.mu_law,
        }?;
        let stream_ts = wrapped(packet.media_time);
        let begin_at = self.begin_at(packet.recv_time);
        let offset = *self
            .offset
            .get_or_insert_with(|| begin_at.wrapping_sub(stream_ts));
        let rtp_ts = stream_ts.wrapping_add(offset);
        let header = RtpHeader {
            marker: std::mem::take(&mut self.begins) || packet.begins,
            payload_type,
            seq: self.next_seq,
            rtp_ts,
            ssrc: self.config.ssrc,
        };
        self.next_seq = self.next_seq.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        let samples = packet.payload.len() as u64;
        self.octets = self.octets.wrapping_add(wrapped(samples));
        self.last = Some((rtp_ts, packet.recv_time, samples));
        Some(header)
    }

    /// Where a stream's first packet stands: as long after the last one as it came.
    fn begin_at(&self, recv_time: Instant) -> u32 {
        let Some((rtp_ts, before, samples)) = self.last else {
            return self.config.first_rtp_ts;
        };
        let elapsed = samples_in(recv_time.saturating_duration_since(before));
        rtp_ts.wrapping_add(wrapped(elapsed.max(samples)))
    }

    /// RTP time at instant `at`, by when the last packet came: as the picture's is, so that a player
    /// can bring both together. `None` before the first packet.
    pub fn sender_time(&self, at: Instant) -> Option<AudioTime> {
        let (rtp_ts, recv_time, _) = self.last?;
        let since = samples_in(at.saturating_duration_since(recv_time));
        Some(AudioTime {
            rtp_ts: rtp_ts.wrapping_add(wrapped(since)),
            packets: self.packets,
            octets: self.octets,
        })
    }
}

/// Modulo 2^32, as the fields of RTP are.
#[allow(clippy::cast_possible_truncation)]
fn wrapped(count: u64) -> u32 {
    count as u32
}

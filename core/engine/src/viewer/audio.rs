//! A viewer's sound: off until it asks, and then its camera's G.711 as it comes.

use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use fanout::{AudioConfig, AudioLeg, AudioPacket};
use wire::rtcp::{self, SenderReport};

use super::feedback::ntp;
use super::{Viewer, unix_ms};
use crate::outbox::Outbox;

#[derive(Debug)]
pub(super) struct ViewerAudio {
    leg: AudioLeg,
    on: bool,
}

impl ViewerAudio {
    pub fn new(config: AudioConfig) -> Self {
        Self {
            leg: AudioLeg::new(config),
            on: false,
        }
    }

    /// Its clock beside the picture's, where it is heard: both name the same moment, so that a
    /// browser can bring them together.
    pub fn write_report(&self, now: Instant, wall: SystemTime, cname: &str, out: &mut Vec<u8>) {
        let Some(time) = self.leg.sender_time(now).filter(|_| self.on) else {
            return;
        };
        let report = SenderReport {
            ssrc: self.leg.ssrc(),
            ntp: ntp(wall),
            rtp_ts: time.rtp_ts,
            packets: time.packets,
            octets: time.octets,
        };
        rtcp::write_sender_report(&report, cname, out);
    }
}

impl Viewer {
    /// Turns its sound on or off. Returns whether it takes sound at all.
    pub fn set_audio(&mut self, on: bool) -> bool {
        let Some(audio) = &mut self.audio else {
            return false;
        };
        if on && !audio.on {
            audio.leg.begin();
        }
        audio.on = on;
        self.row.figures.audio_on.set(on.into());
        true
    }

    pub fn hears(&self) -> bool {
        self.audio.as_ref().is_some_and(|audio| audio.on)
    }

    /// Another stream's sound follows.
    pub fn audio_goes_over(&mut self) {
        if let Some(audio) = &mut self.audio {
            audio.leg.begin();
        }
    }

    /// Seals what its camera said. What finds no room is not sent later: it would be old.
    pub fn send_audio(&mut self, now: Instant, packets: &[AudioPacket], outbox: &mut Outbox) {
        let Some(to) = self.leg.remote_addr().filter(|_| self.connected) else {
            return;
        };
        let (mut sent, mut bytes) = (0, 0);
        for packet in packets {
            if !outbox.has_room() {
                break;
            }
            let size_bytes = self.seal_audio(packet, to, outbox);
            sent += u64::from(size_bytes > 0);
            bytes += size_bytes;
        }
        if sent > 0 {
            let figures = &self.row.figures;
            if figures.audio_packets.get() == 0 {
                // The first report tells where sound and picture belong together.
                self.next_report = Some(now);
            }
            figures.audio_packets.add(sent);
            figures.bytes.add(bytes);
            figures.last_sent_unix_ms.set(unix_ms(SystemTime::now()));
        }
    }

    fn seal_audio(&mut self, packet: &AudioPacket, to: SocketAddr, outbox: &mut Outbox) -> u64 {
        let header = self.audio.as_mut().and_then(|a| a.leg.next_header(packet));
        let Some(header) = header else {
            return 0;
        };
        let buffer = outbox.buffer_mut();
        let start = buffer.len();
        if !self.leg.seal(&header.to_bytes(), &packet.payload, buffer) {
            buffer.truncate(start);
            return 0;
        }
        let size_bytes = buffer.len() - start;
        outbox.close_datagram(to, start);
        size_bytes as u64
    }
}

//! What a receiver report says about the stream (RFC 3550 section 6.4.1 and appendix A.8).

use std::time::Instant;

use wire::rtcp::ReportBlock;

/// A jump of seq by more than this is a restart of the camera's counter, not a loss.
const MAX_SEQ_JUMP: u16 = 3000;

#[derive(Debug)]
pub(super) struct Reception {
    clock_rate: u32,
    source: Option<Source>,
}

#[derive(Debug)]
struct Source {
    ssrc: u32,
    base_seq: u32,
    highest_seq: u32,
    received: u32,
    expected_before: u32,
    received_before: u32,
    /// Sixteen times the jitter, in rtp_ts ticks.
    jitter_x16: u32,
    last_transit: Option<u32>,
    last_sr: Option<(u32, Instant)>,
    started: Instant,
}

impl Reception {
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            source: None,
        }
    }

    pub fn ssrc(&self) -> Option<u32> {
        self.source.as_ref().map(|source| source.ssrc)
    }

    pub fn on_rtp(&mut self, now: Instant, ssrc: u32, seq: u16, rtp_ts: u32) {
        let clock_rate = self.clock_rate;
        match &mut self.source {
            Some(source) if source.ssrc == ssrc && source.follows(seq) => {
                source.on_rtp(now, seq, rtp_ts, clock_rate);
            }
            other => *other = Some(Source::new(now, ssrc, seq)),
        }
    }

    /// `ntp` of a sender report of this source.
    pub fn on_sender_report(&mut self, now: Instant, ssrc: u32, ntp: u64) {
        if let Some(source) = self.source.as_mut().filter(|source| source.ssrc == ssrc) {
            source.last_sr = Some(((ntp >> 16) as u32, now));
        }
    }

    /// The report block since the last one; none before the first packet.
    pub fn report(&mut self, now: Instant) -> Option<ReportBlock> {
        self.source.as_mut().map(|source| source.report(now))
    }
}

impl Source {
    fn new(now: Instant, ssrc: u32, seq: u16) -> Self {
        Self {
            ssrc,
            base_seq: u32::from(seq),
            highest_seq: u32::from(seq),
            received: 1,
            expected_before: 0,
            received_before: 0,
            jitter_x16: 0,
            last_transit: None,
            last_sr: None,
            started: now,
        }
    }

    fn follows(&self, seq: u16) -> bool {
        let ahead = seq.wrapping_sub(self.highest_seq as u16);
        ahead < MAX_SEQ_JUMP || ahead.wrapping_neg() < MAX_SEQ_JUMP
    }

    fn on_rtp(&mut self, now: Instant, seq: u16, rtp_ts: u32, clock_rate: u32) {
        let ahead = seq.wrapping_sub(self.highest_seq as u16);
        if ahead < MAX_SEQ_JUMP {
            self.highest_seq = self.highest_seq.wrapping_add(u32::from(ahead));
        }
        self.received = self.received.wrapping_add(1);
        let elapsed = now.saturating_duration_since(self.started);
        // 64 bits hold six years of it; a division of 128 is slow at every packet.
        let elapsed_us = elapsed.as_micros() as u64;
        let arrival = (elapsed_us.wrapping_mul(u64::from(clock_rate)) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(rtp_ts);
        if let Some(last) = self.last_transit.replace(transit) {
            let difference = transit.wrapping_sub(last) as i32;
            let difference = difference.unsigned_abs().min(u32::MAX / 32);
            let decayed = self.jitter_x16 - ((self.jitter_x16 + 8) >> 4);
            self.jitter_x16 = decayed.saturating_add(difference);
        }
    }

    fn report(&mut self, now: Instant) -> ReportBlock {
        let expected = self.highest_seq.wrapping_sub(self.base_seq).wrapping_add(1);
        let expected_since = expected.wrapping_sub(self.expected_before);
        let received_since = self.received.wrapping_sub(self.received_before);
        self.expected_before = expected;
        self.received_before = self.received;
        let lost_since = expected_since.saturating_sub(received_since);
        let fraction = u64::from(lost_since) * 256 / u64::from(expected_since.max(1));
        let lost = i64::from(expected) - i64::from(self.received);
        let (last_sr, delay) = match self.last_sr {
            Some((middle, at)) => {
                let delay = now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000;
                (middle, u32::try_from(delay).unwrap_or(u32::MAX))
            }
            None => (0, 0),
        };
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: fraction.min(255) as u8,
            cumulative_lost: lost.clamp(-0x80_0000, 0x7F_FFFF) as i32,
            highest_seq: self.highest_seq,
            jitter: self.jitter_x16 >> 4,
            last_sr,
            delay_since_last_sr: delay,
        }
    }
}

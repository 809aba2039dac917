//! One stream as the engine holds it: intake, timeline and ring in a row.

use std::time::Instant;

use bytes::Bytes;

use crate::{Intake, IntakeConfig, IntakeError, NalUnits, Ring, Timeline, packetize};

/// What one camera packet led to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Received {
    /// Units added to the ring.
    pub units: usize,
    /// One of them is a keyframe.
    pub keyframe: bool,
}

/// A stream outlives its sources: between [`Self::source_lost`] and [`Self::source_resumed`] its
/// subscribers stay, and go on at the next keyframe with continuous seq and growing RTP time.
#[derive(Debug)]
pub struct Stream {
    intake: Intake,
    timeline: Timeline,
    ring: Ring,
}

impl Stream {
    /// A stream before its first packet.
    pub fn new(config: IntakeConfig) -> Self {
        Self {
            intake: Intake::new(config),
            timeline: Timeline::default(),
            ring: Ring::default(),
        }
    }

    /// Takes one RTP packet from the camera; what it completes is in the ring afterwards.
    ///
    /// # Errors
    /// [`IntakeError`] for a packet that was dropped and counted; the stream goes on.
    pub fn receive(&mut self, now: Instant, rtp: &[u8]) -> Result<Received, IntakeError> {
        let outcome = self.intake.push(now, rtp);
        let mut received = Received::default();
        while let Some(unit) = self.intake.poll() {
            let media_time = self.timeline.map(&unit);
            if let Some(packed) = packetize(&unit, media_time, self.ring.place()) {
                received.units += 1;
                received.keyframe |= packed.keyframe;
                self.ring.push(packed);
            }
            self.intake.reuse(unit.nals);
        }
        outcome.map(|()| received)
    }

    /// See [`Intake::exchange_buffer`].
    pub fn exchange_buffer(&mut self, other: &mut NalUnits) {
        self.intake.exchange_buffer(other);
    }

    /// The source went away; its unfinished unit is dropped and nobody joins at its last GOP.
    pub fn source_lost(&mut self) {
        self.intake.reset();
        self.ring.source_lost();
    }

    /// A source is back (or the first is there), with what its SDP says.
    pub fn source_resumed(&mut self, clock_rate: u32, payload_type: Option<u8>, sets: &[Bytes]) {
        self.intake.source_resumed(clock_rate, payload_type, sets);
    }

    /// The camera side, for counters and what the video is.
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// The output clock.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// What subscribers read.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }
}

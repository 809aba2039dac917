//! One stream as the engine holds it: intake, timeline and ring in a row.

use std::mem::MaybeUninit;
use std::time::Instant;

use crate::{
    Intake, IntakeConfig, IntakeError, NalUnits, PackedUnit, Packer, ReorderCounters,
    ReorderWindow, Ring, Timeline,
};

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
    packer: Packer,
    ring: Ring,
    /// From the first packet by UDP on.
    reorder: Option<Box<ReorderWindow>>,
}

impl Stream {
    /// A stream before its first packet.
    pub fn new(config: IntakeConfig) -> Self {
        Self {
            intake: Intake::new(config),
            timeline: Timeline::default(),
            packer: Packer::default(),
            ring: Ring::default(),
            reorder: None,
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
            if let Some(packed) = self.packer.pack(&unit, media_time, self.ring.place()) {
                received.units += 1;
                received.keyframe |= packed.keyframe;
                self.ring.push(packed);
            }
            self.intake.reuse(unit.nals);
        }
        outcome.map(|()| received)
    }

    /// Takes one RTP packet that came by UDP, where packets overtake each other. Returns how many
    /// packets were refused; the stream goes on.
    pub fn receive_unordered(&mut self, now: Instant, rtp: &[u8]) -> u64 {
        let mut window = self.reorder.take().unwrap_or_default();
        let mut refused = 0;
        window.push(now, rtp, &mut |packet| {
            refused += u64::from(self.receive(now, packet).is_err());
        });
        self.reorder = Some(window);
        refused
    }

    /// When [`Self::handle_timeout`] is due: while packets wait for one that was overtaken.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.reorder.as_ref()?.poll_timeout()
    }

    /// Takes in what has waited long enough. Returns how many packets were refused.
    pub fn handle_timeout(&mut self, now: Instant) -> u64 {
        let Some(mut window) = self.reorder.take() else {
            return 0;
        };
        let mut refused = 0;
        window.handle_timeout(now, &mut |packet| {
            refused += u64::from(self.receive(now, packet).is_err());
        });
        self.reorder = Some(window);
        refused
    }

    /// What came by UDP in another order than it was sent.
    pub fn reorder_counters(&self) -> ReorderCounters {
        let window = self.reorder.as_ref();
        window.map(|window| window.counters()).unwrap_or_default()
    }

    /// See [`Packer::next_memory`].
    pub fn next_memory(&mut self) -> &[MaybeUninit<u8>] {
        self.packer.next_memory()
    }

    /// See [`Intake::exchange_buffer`].
    pub fn exchange_buffer(&mut self, other: &mut NalUnits) {
        self.intake.exchange_buffer(other);
    }

    /// See [`Ring::follow`].
    pub fn follow(&mut self, unit: PackedUnit) {
        self.ring.follow(unit);
    }

    /// The source went away; its unfinished unit is dropped and nobody joins at its last GOP.
    pub fn source_lost(&mut self) {
        self.intake.reset();
        self.ring.source_lost();
        if let Some(window) = &mut self.reorder {
            window.reset();
        }
    }

    /// A source is back (or the first is there), with what its SDP says.
    pub fn source_resumed(&mut self, track: &IntakeConfig) {
        self.intake.source_resumed(track);
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

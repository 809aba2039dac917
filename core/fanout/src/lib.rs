//! Sans-IO machines, one per stream: from a camera's RTP to access units, the GOP cache and ring,
//! and each subscriber's cursor and header rewriting. No sockets, clocks, threads or crypto.
//!
//! Belongs here: what is remembered about one stream. Does not: policy, addresses, keys (those are
//! `peer`), system calls (`engine`). Only `engine` calls it; it calls only `wire`.
//!
//! The walk: [`Intake`] undoes camera quirks and closes [`AccessUnit`]s; [`Timeline`] gives them one
//! time that never goes back; [`Packer`] makes the RTP payloads once; [`Ring`] keeps them as
//! shared bytes; each [`Subscriber`] hands out [`Run`]s whose headers are its own. [`Stream`] is the
//! first four in one, as the engine uses them; packets that came by UDP pass a [`ReorderWindow`] first.
#![forbid(unsafe_code)]

mod audio;
mod codec;
mod intake;
mod nal_units;
mod packed_unit;
mod packetize;
mod parameter_sets;
mod reorder;
mod ring;
mod stream;
mod subscriber;
mod timeline;

pub use audio::{
    AUDIO_CLOCK_HZ, AudioConfig, AudioIntake, AudioLeg, AudioPacket, AudioTime, G711,
    MAX_AUDIO_PACKETS,
};
pub use intake::{
    AccessUnit, Intake, IntakeConfig, IntakeCounters, IntakeError, MAX_ACCESS_UNIT_BYTES,
    MAX_READY_BYTES, VideoInfo,
};
pub use nal_units::NalUnits;
pub use packed_unit::{PackedUnit, Place};
pub use packetize::{MAX_RTP_PAYLOAD_BYTES, Packer};
pub use parameter_sets::ParameterSets;
pub use reorder::{REORDER_BYTES, REORDER_PACKETS, REORDER_WAIT, ReorderCounters, ReorderWindow};
pub use ring::{GOP_MAX_BYTES, GOP_MAX_UNITS, Ring, TAIL_MS};
pub use stream::{Received, Stream};
pub use subscriber::{
    CATCH_UP_MS, KEYFRAME_SOON, KeyframeAnswer, MAX_LAG_BYTES, MAX_LAG_MS, PACKETS_PER_MS,
    REPLAY_EVERY, RTX_HEADER_BYTES, RepairCounters, Retransmission, RtxConfig, Run, SenderTime,
    Subscriber, SubscriberConfig, SubscriberCounters,
};
pub use timeline::Timeline;

/// Units of `media_time` and of RTP time towards browsers.
pub const MEDIA_CLOCK_HZ: u64 = 90_000;

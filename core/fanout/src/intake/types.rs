//! What goes into the intake and what comes out.

use std::time::Instant;

use bytes::Bytes;
use thiserror::Error;
use wire::codec::VideoCodec;
use wire::rtp::RtpError;

use crate::NalUnits;

use super::{MAX_ACCESS_UNIT_BYTES, MAX_NALS_PER_UNIT};

/// What the SDP said about the video track.
#[derive(Debug, Clone, Default)]
pub struct IntakeConfig {
    /// How the packets are read.
    pub codec: VideoCodec,
    /// RTP clock; 0 counts as 90,000.
    pub clock_rate: u32,
    /// Payload type to accept; `None` takes that of the first packet.
    pub payload_type: Option<u8>,
    /// `sprop-parameter-sets`, or `sprop-vps`, `-sps` and `-pps`, decoded from base64 and otherwise
    /// as they came.
    pub parameter_sets: Vec<Bytes>,
}

/// Why a packet was dropped. Each is counted; none ends the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IntakeError {
    /// Not an RTP packet.
    #[error(transparent)]
    Rtp(#[from] RtpError),
    /// Another payload type than the track's.
    #[error("payload type {got}, not {want} (seq {seq})")]
    PayloadType {
        /// On the packet.
        got: u8,
        /// The track's.
        want: u8,
        /// The packet's.
        seq: u16,
    },
    /// Another source than the one followed.
    #[error("packet of ssrc {got:08x} while following {want:08x} (seq {seq})")]
    ForeignSsrc {
        /// On the packet.
        got: u32,
        /// The one followed.
        want: u32,
        /// The packet's.
        seq: u16,
    },
    /// Seen before, or overtaken.
    #[error("late or repeated packet (seq {seq}, newest {newest})")]
    Late {
        /// The packet's.
        seq: u16,
        /// The newest taken.
        newest: u16,
    },
    /// A payload that RFC 6184 (RFC 7798 for H.265) does not know, or cut short.
    #[error("malformed payload: {what} (seq {seq})")]
    Payload {
        /// What is wrong.
        what: &'static str,
        /// The packet's.
        seq: u16,
    },
    /// The unit grew over its bound and was dropped.
    #[error("access unit over {MAX_ACCESS_UNIT_BYTES} bytes or {MAX_NALS_PER_UNIT} NAL units")]
    Oversize,
}

/// One coded picture with what belongs to it.
#[derive(Debug, Clone)]
pub struct AccessUnit {
    /// Of its NAL units.
    pub codec: VideoCodec,
    /// Source time in 90 kHz units, unwrapped; comparable within one `source_epoch` only.
    pub media_time: u64,
    /// When its first packet arrived.
    pub recv_time: Instant,
    /// A decoder may begin here; then `parameter_sets` is complete.
    pub keyframe: bool,
    /// Shown before a unit that was sent earlier, which WebRTC cannot carry in order: in H.264 it
    /// holds a B slice, in H.265 its picture order count goes back.
    pub has_b_slices: bool,
    /// Refers to what was before the keyframe that it follows (RASL): of no use to who begins there.
    pub needs_past: bool,
    /// Grows when the source (its connection or SSRC) changed.
    pub source_epoch: u32,
    /// For a keyframe all latest parameter sets, in-band or not; for others those that changed in it.
    pub parameter_sets: Vec<Bytes>,
    /// Its other NAL units in order, SEI included, without delimiters and filler.
    pub nals: NalUnits,
}

/// What the stream's pictures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoInfo {
    /// Which standard the figures below are of.
    pub codec: VideoCodec,
    /// Pixels, after cropping.
    pub width: u32,
    /// Pixels, after cropping.
    pub height: u32,
    /// `profile_idc`, `general_profile_idc`.
    pub profile: u8,
    /// `level_idc`, `general_level_idc`.
    pub level: u8,
    /// As people say the profile.
    pub profile_name: &'static str,
    /// Grows with every change of a parameter set.
    pub generation: u64,
}

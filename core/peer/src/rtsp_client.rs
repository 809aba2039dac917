//! One camera, pulled by RTSP 1.0 (RFC 2326), over interleaved TCP or where the camera refuses that by
//! UDP: the client's side as a machine.
//!
//! Belongs here: the dialogue, sign-in, keep-alive, receiver reports, the stall watch. Does not:
//! sockets and dialling (`engine`), what is inside the RTP (`fanout`), when to try again (`router`).
//! The engine drives it:
//!
//! 1. [`RtspClient::new`]; dial [`RtspClient::dial_target`]; then [`RtspClient::connected`].
//! 2. After every call send all of [`RtspClient::poll_transmit`], handle all of
//!    [`RtspClient::poll_event`], and wake at [`RtspClient::poll_timeout`].
//! 3. On [`ClientEvent::Redial`] close the connection, dial the new target, say `connected` again.
//! 4. On [`ClientEvent::UdpWanted`] see `udp.rs`.
//! 5. After [`ClientEvent::Failed`] or [`RtspClient::teardown`] send what is left, then close.

mod audio;
mod auth;
mod client;
mod config;
mod dialogue;
mod failure;
mod reception;
mod track;
mod transcript;
mod udp;

pub use audio::AudioCodec;
pub use client::{ClientCounters, ClientEvent, Received, RtspClient};
pub use config::{ClientConfig, Secret};
pub use failure::{Failure, FailureKind, Step};
pub use track::Track;
pub use transcript::{TranscriptEntry, redact};
pub use udp::{Datagram, MediaTransport, UdpPort};

use std::time::Duration;

/// A camera that has not answered by then will not; TCP itself has given up twice.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(5);
/// Without RTP for so long the pull is dead, whatever TCP says.
pub const STALL_AFTER: Duration = Duration::from_secs(10);
/// The same by UDP, where nothing but silence tells that a camera is gone.
pub const UDP_STALL_AFTER: Duration = Duration::from_secs(5);
/// Some cameras hold the stream only for one who reports (RFC 3550 section 6.2 says 5 s too).
pub const RECEIVER_REPORT_EVERY: Duration = Duration::from_secs(5);
/// Keep-alive is sent at half the announced timeout, and at least this often.
pub const MAX_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// Against an announced timeout of 0 or 1 s: more often only burdens the camera.
pub const MIN_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// A loop of redirects is cut here.
pub const MAX_REDIRECTS: u8 = 3;
/// Lost places in the byte stream, over the life of a connection, before it is given up.
pub const MAX_DESYNCS: u64 = 3;
/// Bytes searched for the next packet after one lost place: the longest interleaved packet.
pub const MAX_SKIPPED_BYTES: u64 = 64 * 1024;
/// Messages waiting to be sent. We send a few a minute; only a camera that floods us with
/// requests gets here, and then they go unanswered.
pub const MAX_TRANSMITS: usize = 16;
/// Keep-alives without an answer that are remembered; some cameras never answer one.
pub const MAX_KEEPALIVES: usize = 4;
/// Messages kept for the transcript: a whole dialogue with two sign-ins has 12.
pub const MAX_TRANSCRIPT: usize = 64;
/// Text kept of one transcript message; a camera's SDP fits.
pub const MAX_TRANSCRIPT_BYTES: usize = 8 * 1024;

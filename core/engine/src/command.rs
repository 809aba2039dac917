//! What the control plane and the other shards ask of a shard. Sending one never waits for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use peer::webrtc::Origin;

use crate::stats::{SourceFigures, ViewerRow};
use crate::tcp::Connection;

/// How many commands wait for a shard. A burst of 3,000 opens and closes fits several times over;
/// past it the caller is told that the engine is busy.
pub const COMMAND_QUEUE_CAPACITY: usize = 16_384;

pub(crate) enum Command {
    OpenSource(Box<OpenSource>),
    CloseSource {
        stream_id: String,
    },
    OpenViewer(Box<OpenViewer>),
    /// For the shard that took the connection in.
    AcceptRtsp(Box<AcceptRtsp>),
    RefuseRtsp {
        connection_id: String,
        status: u16,
        retry_after_s: u32,
    },
    /// For the shard that takes connections in.
    SetRtspIdentity(peer::tls::TlsIdentity),
    RenewViewers(Vec<(String, Instant)>),
    CloseViewers {
        select: Select,
        cause: String,
    },
    SetViewerAudio {
        viewer_id: String,
        on: bool,
    },
    SwitchViewer {
        viewer_id: String,
        stream_id: String,
    },
    TakeKeyframe {
        request_id: String,
        stream_id: String,
    },
    /// From the shard that read it: for a viewer of this one.
    Datagram {
        origin: Origin,
        bytes: Vec<u8>,
    },
    /// From the shard that took it in: its first frames are of a viewer of this one.
    Connection {
        connection: Box<Connection>,
        frames: Vec<Vec<u8>>,
    },
    /// From the shard that took it in: it is of a viewer of this one.
    RtspViewer {
        connection: Box<Connection>,
        open: Box<AcceptRtsp>,
    },
    /// From a shard with viewers of a stream that this one pulls.
    Follow {
        stream_id: String,
        follower: usize,
    },
    Unfollow {
        stream_id: String,
        follower: usize,
    },
    /// From the shard that pulls a stream with viewers in this one.
    Units {
        stream_id: String,
        units: Vec<fanout::PackedUnit>,
    },
    StreamLost {
        stream_id: String,
    },
    /// From a shard that follows a stream: it has viewers that hear it, or none any more.
    Hear {
        stream_id: String,
        follower: usize,
        on: bool,
    },
    Audio {
        stream_id: String,
        packets: Vec<fanout::AudioPacket>,
    },
    Shutdown {
        deadline: Instant,
    },
}

impl Command {
    /// Another shard has sent it.
    pub fn is_from_shard(&self) -> bool {
        matches!(
            self,
            Self::Datagram { .. }
                | Self::Connection { .. }
                | Self::RtspViewer { .. }
                | Self::Follow { .. }
                | Self::Unfollow { .. }
                | Self::Units { .. }
                | Self::StreamLost { .. }
                | Self::Hear { .. }
                | Self::Audio { .. }
        )
    }
}

/// Which viewers a close means.
#[derive(Debug, Clone)]
pub enum Select {
    Ids(Vec<String>),
    Channel(String),
    Subject(String),
}

pub(crate) struct OpenSource {
    pub stream_id: String,
    pub connect_to: SocketAddr,
    pub client: peer::rtsp_client::ClientConfig,
    pub figures: Arc<SourceFigures>,
}

pub(crate) struct OpenViewer {
    pub viewer_id: String,
    pub stream_id: String,
    pub channel_id: String,
    pub subject_id: String,
    pub until: Instant,
    pub local_ufrag: String,
    pub peer: peer::webrtc::PeerConfig,
    pub ssrc: u32,
    pub payload_types: wire::codec::PayloadTypes,
    pub first_seq: u16,
    pub first_rtp_ts: u32,
    pub rtx: Option<fanout::RtxConfig>,
    /// Where its offer takes sound.
    pub audio: Option<fanout::AudioConfig>,
    pub row: Arc<ViewerRow>,
}

/// A connection that waits may watch, as this viewer.
pub(crate) struct AcceptRtsp {
    pub connection_id: String,
    pub shard: usize,
    pub viewer_id: String,
    pub stream_id: String,
    pub channel_id: String,
    pub subject_id: String,
    pub until: Instant,
    pub row: Arc<ViewerRow>,
}

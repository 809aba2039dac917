//! What the control plane asks of a shard. Sending one never waits for the shard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::stats::{SourceFigures, ViewerRow};

/// How many commands wait for a shard. A burst of 3,000 opens and closes fits several times over;
/// past it the caller is told that the engine is busy.
pub const COMMAND_QUEUE_CAPACITY: usize = 16_384;

pub(crate) enum Command {
    OpenSource(Box<OpenSource>),
    CloseSource {
        stream_id: String,
    },
    OpenViewer(Box<OpenViewer>),
    RenewViewers(Vec<(String, Instant)>),
    CloseViewers {
        select: Select,
        cause: String,
    },
    TakeKeyframe {
        request_id: String,
        stream_id: String,
    },
    Shutdown {
        deadline: Instant,
    },
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
    pub payload_type: u8,
    pub first_seq: u16,
    pub first_rtp_ts: u32,
    pub rtx: Option<fanout::RtxConfig>,
    pub row: Arc<ViewerRow>,
}

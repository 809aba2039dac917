//! What an engine is started with, what it is asked for, and how it refuses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use peer::tls::TlsIdentity;
use wire::codec::VideoCodec;
use wire::ticket::TicketKey;

#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// One UDP port for all viewers; port 0 takes any.
    pub udp_bind: SocketAddr,
    /// The addresses viewers reach it at; port 0 is that of the socket.
    pub advertise: Vec<SocketAddr>,
    /// The TCP port for viewers without UDP: 0 is the number of the UDP port, `None` is none.
    pub tcp_port: Option<u16>,
    pub max_viewers: usize,
    /// Threads that packets run on, at least 1 and at most [`MAX_SHARDS`].
    pub shards: usize,
    /// Take viewers' estimates of their bandwidth (REMB). They cost 10 to 20 packets a second each.
    pub remb: bool,
    /// The RTSP door; `None` is none.
    pub rtsp: Option<RtspConfig>,
}

#[derive(Debug, Clone)]
pub struct RtspConfig {
    /// In the clear. Port 0 takes any.
    pub listen: Option<SocketAddr>,
    pub tls: Option<RtspTls>,
    /// What tickets are signed with.
    pub key: Arc<TicketKey>,
}

/// The RTSP door by TLS.
#[derive(Debug, Clone)]
pub struct RtspTls {
    /// Port 0 takes any.
    pub listen: SocketAddr,
    /// Until [`Engine::set_rtsp_identity`].
    pub identity: TlsIdentity,
}

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the offer can't be read: {0}")]
    MalformedOffer(String),
    /// With the camera's codec, where it is known.
    #[error("{}", no_common_codec(*.0))]
    NoCommonCodec(Option<VideoCodec>),
    #[error("no room: {0}")]
    OverCapacity(&'static str),
    #[error("the engine was shut down")]
    Closed,
    #[error("not an RTSP address: {0}")]
    BadUrl(String),
    #[error("the engine can't start: {0}")]
    Start(String),
}

fn no_common_codec(camera: Option<VideoCodec>) -> &'static str {
    match camera {
        None => {
            "the offer has neither H.264 with packetization-mode=1 nor H.265; \
             use a browser that decodes H.264"
        }
        Some(VideoCodec::H264) => {
            "the camera sends H.264 on this stream, and the offer has no H.264 with \
             packetization-mode=1; use a browser that decodes H.264"
        }
        Some(VideoCodec::H265) => {
            "the camera sends H.265 on this stream, and the offer has no H.265; watch the channel's \
             other profile (the sub stream is mostly H.264), use a browser with hardware decoding of \
             H.265, or set this stream of the camera to H.264"
        }
    }
}

pub struct SourceRequest {
    pub stream_id: String,
    /// `rtsp://host[:port]/path`, without userinfo.
    pub url: String,
    pub username: Option<String>,
    pub password: Option<String>,
}

#[derive(Debug)]
pub struct ViewerRequest {
    pub viewer_id: String,
    pub stream_id: String,
    pub channel_id: String,
    pub subject_id: String,
    pub offer_sdp: String,
    pub until: SystemTime,
}

/// A client at the RTSP door that may watch: the answer to `RtspAsked`.
#[derive(Debug)]
pub struct RtspRequest {
    /// The event's owner.
    pub connection_id: String,
    pub viewer_id: String,
    pub stream_id: String,
    pub channel_id: String,
    pub subject_id: String,
    pub until: SystemTime,
}

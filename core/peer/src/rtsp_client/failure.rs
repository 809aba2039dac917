//! How a pull ends, and at which step.

use std::fmt;

use wire::rtsp::UrlError;

/// Of a camera's reason phrase, in a sentence of ours.
const MAX_REASON_CHARS: usize = 64;

/// Where a pull is. The codes are stable: the trace of a view and its audit row carry them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    Dial,
    Connected,
    Options,
    Describe,
    Setup,
    Play,
    FirstPacket,
    /// Packets have come; a later failure happened while it was live.
    Streaming,
}

impl Step {
    pub fn code(self) -> &'static str {
        match self {
            Self::Dial => "dial",
            Self::Connected => "connected",
            Self::Options => "options",
            Self::Describe => "describe",
            Self::Setup => "setup",
            Self::Play => "play",
            Self::FirstPacket => "first_packet",
            Self::Streaming => "streaming",
        }
    }
}

/// Why a pull ended. The codes are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The three of the driver, which dials.
    ConnectRefused,
    ConnectTimeout,
    Unreachable,
    /// The address itself cannot be read.
    BadAddress,
    OptionsTimeout,
    DescribeTimeout,
    SetupTimeout,
    PlayTimeout,
    AuthFailed,
    NotFound,
    /// 453 or 503: the camera's few pulls are all taken.
    Busy,
    UnsupportedTransport,
    NoVideo,
    CodecUnsupported,
    TooManyRedirects,
    /// A status or text that nothing can be made of.
    BadResponse,
    /// 454: the camera has forgotten our pull.
    PullForgotten,
    Desync,
    Stalled,
    ClosedByPeer,
}

impl FailureKind {
    pub fn code(self) -> &'static str {
        match self {
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::Unreachable => "unreachable",
            Self::BadAddress => "bad_address",
            Self::OptionsTimeout => "options_timeout",
            Self::DescribeTimeout => "describe_timeout",
            Self::SetupTimeout => "setup_timeout",
            Self::PlayTimeout => "play_timeout",
            Self::AuthFailed => "auth_failed",
            Self::NotFound => "not_found",
            Self::Busy => "busy",
            Self::UnsupportedTransport => "unsupported_transport",
            Self::NoVideo => "no_video",
            Self::CodecUnsupported => "codec_unsupported",
            Self::TooManyRedirects => "too_many_redirects",
            Self::BadResponse => "bad_response",
            Self::PullForgotten => "pull_forgotten",
            Self::Desync => "desync",
            Self::Stalled => "stalled",
            Self::ClosedByPeer => "closed_by_peer",
        }
    }

    /// Whether trying again soon may help. Where it is false the same answer is likely until
    /// someone changes the camera or its entry; for `auth_failed` trying fast locks the account.
    pub fn retryable(self) -> bool {
        !matches!(
            self,
            Self::BadAddress
                | Self::AuthFailed
                | Self::NotFound
                | Self::UnsupportedTransport
                | Self::NoVideo
                | Self::CodecUnsupported
                | Self::TooManyRedirects
        )
    }
}

/// The end of a pull. `detail` is one sentence for people, free of secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    pub step: Step,
    /// The RTSP status that said so, if one did.
    pub status: Option<u16>,
    pub detail: String,
}

impl Failure {
    pub fn new(kind: FailureKind, step: Step, detail: impl Into<String>) -> Self {
        Self {
            kind,
            step,
            status: None,
            detail: detail.into(),
        }
    }

    pub fn code(&self) -> &'static str {
        self.kind.code()
    }

    pub fn retryable(&self) -> bool {
        self.kind.retryable()
    }

    /// What a final status other than success means.
    pub(super) fn from_status(status: u16, reason: &str, step: Step) -> Self {
        let (kind, meaning) = match status {
            401 | 403 => (
                FailureKind::AuthFailed,
                "the camera does not let this account in; check its rights there",
            ),
            404 | 410 => (
                FailureKind::NotFound,
                "the camera has no stream at this address; check the path",
            ),
            453 | 503 => (
                FailureKind::Busy,
                "the camera serves as many pulls as it can; end another or raise its limit",
            ),
            454 => (
                FailureKind::PullForgotten,
                "the camera has forgotten this pull",
            ),
            461 => (
                FailureKind::UnsupportedTransport,
                "the camera sends neither over TCP nor by UDP",
            ),
            _ => (FailureKind::BadResponse, "the camera refused"),
        };
        // The camera's own words are short or not worth keeping.
        let words = reason.chars().filter(|c| !c.is_control());
        let words: String = words.take(MAX_REASON_CHARS).collect();
        Self {
            kind,
            step,
            status: Some(status),
            detail: format!("{meaning} ({status} {})", words.trim()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at {}: {}",
            self.code(),
            self.step.code(),
            self.detail
        )
    }
}

impl std::error::Error for Failure {}

impl From<UrlError> for Failure {
    fn from(error: UrlError) -> Self {
        Self::new(FailureKind::BadAddress, Step::Dial, error.to_string())
    }
}

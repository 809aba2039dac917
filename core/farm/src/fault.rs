//! Faults that a camera can have, by its URL or by a control line.

use std::time::Duration;

/// What is wrong with a camera now; set and healed by control lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Keeps its connections and answers, but sends no media.
    Silent,
    /// Connections are reset: those that play at once, new ones at their first request.
    Reset,
    /// 401 to everybody; playing connections are closed.
    Unauthorized,
    /// Accepts connections and never answers; sends no media.
    MuteAccept,
    /// 404; playing connections are closed.
    NotFound,
    /// Announces JPEG and then sends nothing; playing connections are closed.
    Mjpeg,
    /// Refuses interleaved TCP and sends by UDP; connections that play by TCP are closed.
    UdpOnly,
}

impl Fault {
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "silent" => Self::Silent,
            "reset" => Self::Reset,
            "unauthorized" => Self::Unauthorized,
            "mute-accept" => Self::MuteAccept,
            "not-found" => Self::NotFound,
            "mjpeg" => Self::Mjpeg,
            "udp-only" => Self::UdpOnly,
            _ => return None,
        })
    }

    /// Does a camera with it answer PLAY and send nothing?
    pub fn silences(self) -> bool {
        self != Self::UdpOnly
    }
}

/// A fault that comes some time after PLAY; only by URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Later {
    Reset(Duration),
    Silent(Duration),
}

impl Later {
    pub fn parse(name: &str, after_ms: &str) -> Option<Self> {
        let after = Duration::from_millis(after_ms.parse::<u32>().ok()?.into());
        Some(match name {
            "reset-after" => Self::Reset(after),
            "silent-after" => Self::Silent(after),
            _ => return None,
        })
    }

    pub fn after(self) -> Duration {
        match self {
            Self::Reset(after) | Self::Silent(after) => after,
        }
    }
}

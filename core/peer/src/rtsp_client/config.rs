//! What the client is given.

use std::fmt;
use std::time::Duration;

use wire::rtsp::{RtspUrl, UrlError};

use super::{
    MAX_KEEPALIVE_INTERVAL, MediaTransport, REQUEST_DEADLINE, STALL_AFTER, UDP_STALL_AFTER,
};

/// A password: printed as `***` by anything but [`Secret::reveal`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Public fields: change what [`ClientConfig::new`] gives where needed.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Without a user part: that has moved to `username` and `password`.
    pub url: RtspUrl,
    pub username: Option<String>,
    pub password: Secret,
    /// Sent on every request: some cameras answer 401 without it.
    pub user_agent: String,
    /// Basic gives the password in the clear to whoever listens, so it is off by default.
    pub allow_basic: bool,
    /// Our own SSRC in receiver reports.
    pub ssrc: u32,
    /// Where the client nonces of digest come from.
    pub nonce_seed: u64,
    pub request_deadline: Duration,
    pub stall_after: Duration,
    /// The same, where media comes by UDP.
    pub udp_stall_after: Duration,
    /// Asked for first; where the camera refuses it, the other. By UDP where that worked before.
    pub first_transport: MediaTransport,
    /// For a camera that drops a pull before the timeout it announces: 10 to 15 s.
    pub max_keepalive_interval: Duration,
    /// Whether messages are kept for [`super::RtspClient::poll_transcript`].
    pub transcript: bool,
}

impl ClientConfig {
    /// `address` may carry percent-encoded credentials; draws the SSRC and the seed at random.
    pub fn new(address: &str) -> Result<Self, UrlError> {
        let mut url = RtspUrl::parse(address)?;
        let (username, password) = match url.userinfo.take() {
            Some((username, password)) => (Some(username), Secret::new(password)),
            None => (None, Secret::default()),
        };
        let mut random = [0; 12];
        // The system's generator does not fail on the systems we run on; were it to, the SSRC and
        // the client nonce would be predictable, which neither of them needs to prevent.
        let _ = aws_lc_rs::rand::fill(&mut random);
        let [a, b, c, d, seed @ ..] = random;
        Ok(Self {
            url,
            username,
            password,
            user_agent: concat!("StreamHub/", env!("CARGO_PKG_VERSION")).to_owned(),
            allow_basic: false,
            ssrc: u32::from_be_bytes([a, b, c, d]),
            nonce_seed: u64::from_be_bytes(seed),
            request_deadline: REQUEST_DEADLINE,
            stall_after: STALL_AFTER,
            udp_stall_after: UDP_STALL_AFTER,
            first_transport: MediaTransport::default(),
            max_keepalive_interval: MAX_KEEPALIVE_INTERVAL,
            transcript: false,
        })
    }

    #[must_use]
    pub fn credentials(mut self, username: &str, password: Secret) -> Self {
        self.username = Some(username.to_owned());
        self.password = password;
        self
    }
}

//! Tickets for the RTSP door: text that the control plane signs and this side can check alone.
//!
//! `rt1.live.<expires>.<id>.<profiles>.<channel>.<subject>.<version>.<mac>`: times in seconds since
//! 1970, profiles joined by `-`, the MAC the first 128 bits of HMAC-SHA-256 (RFC 2104 section 5)
//! over all before its dot, in base64url without padding (RFC 4648 section 5). No character of it
//! needs escaping in a URL. It is short because FFmpeg keeps 127 characters of an address's user
//! name and password. Its other half is `streamhub/access/tickets.py`.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use crate::digest::base64_decode;

/// Ids have 24 characters; twice that, and more, is no ticket of ours.
pub const MAX_TICKET_BYTES: usize = 512;
/// Bytes of a key, as of the hash.
pub const TICKET_KEY_BYTES: usize = 32;
/// Half of the hash: what RFC 2104 section 5 allows.
const MAC_BYTES: usize = 16;
const PREFIX: &str = "rt1.live.";

/// What tickets are signed with. `Debug` does not show it.
pub struct TicketKey(hmac::Key);

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey(***)")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    #[error("no ticket")]
    Malformed,
    #[error("not signed by this service")]
    Forged,
    #[error("the ticket has expired")]
    Expired,
}

impl TicketError {
    /// In the order in which they are declared.
    pub const ALL: [Self; 3] = [Self::Malformed, Self::Forged, Self::Expired];

    /// Stable, for whoever writes it down.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "ticket_malformed",
            Self::Forged => "ticket_forged",
            Self::Expired => "ticket_expired",
        }
    }
}

/// What a genuine ticket says: who may ask for what until when. It decides nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    pub expires_unix_s: u64,
    /// Names it in the audit; no secret.
    pub ticket_id: String,
    pub profiles: Vec<String>,
    pub channel_id: String,
    pub subject_id: String,
    /// The subject's version when it was made: a new password ends it.
    pub subject_version: u64,
}

impl Ticket {
    /// Is it for this stream?
    #[must_use]
    pub fn is_for(&self, channel_id: &str, profile: &str) -> bool {
        self.channel_id == channel_id && self.profiles.iter().any(|each| each == profile)
    }

    /// Without its MAC.
    fn claims(&self) -> String {
        let profiles = self.profiles.join("-");
        format!(
            "{PREFIX}{}.{}.{profiles}.{}.{}.{}",
            self.expires_unix_s,
            self.ticket_id,
            self.channel_id,
            self.subject_id,
            self.subject_version
        )
    }

    fn parse(claims: &str) -> Option<Self> {
        let fields: Vec<&str> = claims.strip_prefix(PREFIX)?.split('.').collect();
        let [
            expires,
            ticket_id,
            profiles,
            channel_id,
            subject_id,
            version,
        ] = fields[..]
        else {
            return None;
        };
        Some(Self {
            expires_unix_s: expires.parse().ok()?,
            ticket_id: ticket_id.to_owned(),
            profiles: profiles.split('-').map(str::to_owned).collect(),
            channel_id: channel_id.to_owned(),
            subject_id: subject_id.to_owned(),
            subject_version: version.parse().ok()?,
        })
    }
}

impl TicketKey {
    #[must_use]
    pub fn new(key: &[u8; TICKET_KEY_BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// A ticket's text. The control plane makes its own; this is for tests and their like.
    #[must_use]
    pub fn seal(&self, ticket: &Ticket) -> String {
        let claims = ticket.claims();
        let mac = hmac::sign(&self.0, claims.as_bytes());
        let mac = crate::digest::base64_encode(&mac.as_ref()[..MAC_BYTES]);
        let mac = mac.trim_end_matches('=');
        format!("{claims}.{}", mac.replace('+', "-").replace('/', "_"))
    }

    /// Reads a ticket. The MAC is compared in constant time, and before anything is believed.
    ///
    /// # Errors
    /// [`TicketError`]; none of them holds any of the text.
    pub fn open(&self, text: &str, now_unix_s: u64) -> Result<Ticket, TicketError> {
        let text = text.trim();
        if text.len() > MAX_TICKET_BYTES {
            return Err(TicketError::Malformed);
        }
        let (claims, mac) = text.rsplit_once('.').ok_or(TicketError::Malformed)?;
        let mac = base64_decode(&mac.replace('-', "+").replace('_', "/"));
        let mac = mac.ok_or(TicketError::Malformed)?;
        let expected = hmac::sign(&self.0, claims.as_bytes());
        verify_slices_are_equal(&expected.as_ref()[..MAC_BYTES], &mac)
            .map_err(|_| TicketError::Forged)?;
        let ticket = Ticket::parse(claims).ok_or(TicketError::Malformed)?;
        if ticket.expires_unix_s <= now_unix_s {
            return Err(TicketError::Expired);
        }
        Ok(ticket)
    }
}

//! RTSP 1.0 text and interleaved framing (RFC 2326), read tolerantly and written strictly.
//!
//! Belongs here: the incremental [`Reader`], messages, the few headers that need parsing, URLs.
//! Does not: who asks what when (that is `peer::rtsp_client` and `peer::rtsp_server`).
//! Anyone may call it; nothing here keeps time or does I/O.

mod headers;
mod message;
mod reader;
mod url;

pub use headers::{Methods, RtpInfoEntry, RtspIdHeader, Transport, parse_rtp_info};
pub use message::{Headers, Message, MessageError, Request, Response, reason_phrase};
pub use reader::{Counters, DesyncCause, Item, Reader, write_interleaved};
pub use url::{DEFAULT_PORT, RtspUrl, UrlError, absolute_in, base_url, redact_url, track_url};

/// Start line and header fields of one message. Real cameras stay under 2 kB; live555's longest
/// challenges under 4 kB.
pub const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Body of one message: an SDP of a camera is 0.5 to 4 kB, of an NVR with metadata under 16 kB.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// Header fields of one message; past it the message is taken for garbage.
pub const MAX_HEADERS: usize = 64;
/// `$`, channel, length (RFC 2326 section 10.12).
pub const INTERLEAVED_HEADER_BYTES: usize = 4;
/// The 16-bit length field: what one interleaved packet can carry at most.
pub const MAX_INTERLEAVED_BYTES: usize = 65_535;
/// First byte of an interleaved packet.
pub const INTERLEAVED_MAGIC: u8 = b'$';

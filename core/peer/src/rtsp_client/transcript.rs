//! The dialogue as text for people, without its secrets.

use wire::rtsp::redact_url;

use super::MAX_TRANSCRIPT_BYTES;

/// One message as it went over the wire, redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptEntry {
    /// True for ours, false for the camera's.
    pub sent: bool,
    pub text: String,
}

/// Takes credentials out of RTSP text: what follows the scheme in `Authorization` lines, user parts
/// of URLs anywhere, and parameters named like a password. Cuts what is over `MAX_TRANSCRIPT_BYTES`.
pub fn redact(message: &[u8]) -> String {
    let message = &message[..message.len().min(MAX_TRANSCRIPT_BYTES)];
    let text = String::from_utf8_lossy(message);
    let mut redacted = String::with_capacity(text.len());
    for line in text.lines() {
        redact_line(line, &mut redacted);
        redacted.push('\n');
    }
    redacted
}

fn redact_line(line: &str, out: &mut String) {
    if let Some((name, value)) = line.split_once(':')
        && matches!(
            name.trim().to_ascii_lowercase().as_str(),
            "authorization" | "proxy-authorization"
        )
    {
        let scheme = value.split_ascii_whitespace().next().unwrap_or_default();
        *out += &format!("{name}: {scheme} ***");
        return;
    }
    for (at, word) in line.split([' ', '\t']).enumerate() {
        if at > 0 {
            out.push(' ');
        }
        *out += &redact_url(word);
    }
}

//! HTTP authentication as RTSP uses it: Digest (RFC 2617, RFC 7616) and Basic (RFC 7617), both
//! the client's side and the check on a server's.
//!
//! Belongs here: challenges, responses, base64 (also used by `sdp`). Does not: when to retry or to
//! give up (`peer`), nor where passwords live.

mod base64;
mod challenge;
mod verify;

pub use base64::{base64_decode, base64_encode};
pub use challenge::{
    Algorithm, BasicChallenge, Challenge, DigestChallenge, basic_authorization, parse_challenges,
};
pub use verify::{Authorization, DigestError};

use std::fmt::Write as _;

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// `name=value, name="quoted value"` with blanks and commas where firmwares put them.
fn parse_parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(equals) = rest.find('=') {
        let name = rest[..equals].trim_matches([' ', '\t', ',']);
        let value = rest[equals + 1..].trim_start();
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = value.find(',').unwrap_or(value.len());
                (value[..end].trim().to_owned(), &value[end..])
            }
        };
        found.push((name.to_ascii_lowercase(), value));
        rest = after;
    }
    found
}

/// Reads up to the closing quote, undoing backslashes; an unclosed one ends with the text.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

fn quote(text: &str) -> String {
    let clean = text.replace(['\r', '\n'], " ");
    format!("\"{}\"", clean.replace('\\', "\\\\").replace('"', "\\\""))
}

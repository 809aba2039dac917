//! Session descriptions (RFC 8866), read tolerantly: RTSP answers and WebRTC offers both.
//!
//! Belongs here: lines, media sections, rtpmap, fmtp, control, and the writer. Does not: what an
//! answer to an offer says (`peer::webrtc`), nor which track is wanted (`peer::rtsp_client`).

mod media;

pub use media::{Direction, Fmtp, Media, RtpMap, sprop_parameter_sets};

use std::fmt;

/// A camera's is 0.5 to 4 kB, a browser's offer up to 12 kB.
pub const MAX_SDP_BYTES: usize = 64 * 1024;
/// Sections beyond it are left out; an NVR with metadata and backchannel has four.
pub const MAX_MEDIA: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    #[error("the session description is over {MAX_SDP_BYTES} bytes")]
    TooLarge,
    #[error("no session description: neither a v= nor an m= line")]
    NotSdp,
}

/// One `x=value` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub kind: char,
    pub value: String,
}

impl Line {
    pub fn new(kind: char, value: &str) -> Self {
        let value = value.replace(['\r', '\n'], " ");
        Self { kind, value }
    }
}

/// White space, and what firmwares leave around lines.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\0' | '\u{feff}')
}

/// The attributes of a run of lines: `a=name` or `a=name:value`.
pub(crate) fn attributes<'a>(lines: &'a [Line]) -> impl Iterator<Item = (&'a str, &'a str)> {
    let of_line = |line: &'a Line| line.value.split_once(':').unwrap_or((&line.value, ""));
    let wanted = lines.iter().filter(|line| line.kind == 'a');
    wanted.map(of_line).map(|(n, v)| (n.trim(), v.trim()))
}

/// A session description: the lines before the first `m=`, then the media sections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sdp {
    pub lines: Vec<Line>,
    pub media: Vec<Media>,
}

impl Sdp {
    /// Takes CR LF or LF, trailing blanks and NULs, missing or doubled o=, s= and t=, and passes
    /// over lines that are not `x=value`.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        if text.len() > MAX_SDP_BYTES {
            return Err(SdpError::TooLarge);
        }
        let mut sdp = Self::default();
        let mut surplus = false;
        for line in text.split(['\n', '\r']) {
            let line = line.trim_matches(is_blank);
            let mut characters = line.chars();
            let (Some(kind), Some('=')) = (characters.next(), characters.next()) else {
                continue;
            };
            let value = characters.as_str().trim_matches(is_blank);
            if kind == 'm' {
                surplus = sdp.media.len() == MAX_MEDIA;
                if !surplus {
                    sdp.media.push(Media::parse(value));
                }
            } else if !surplus {
                let lines = match sdp.media.last_mut() {
                    Some(media) => &mut media.lines,
                    None => &mut sdp.lines,
                };
                lines.push(Line::new(kind, value));
            }
        }
        let has_version = sdp.lines.iter().any(|line| line.kind == 'v');
        if has_version || !sdp.media.is_empty() {
            Ok(sdp)
        } else {
            Err(SdpError::NotSdp)
        }
    }

    /// The value of the first session-level attribute of that name; empty for a bare one.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes(name).next()
    }

    pub fn attributes<'a, 'n>(
        &'a self,
        name: &'n str,
    ) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        attributes(&self.lines).filter_map(move |(n, value)| (n == name).then_some(value))
    }

    /// Session-level `a=control`.
    pub fn control(&self) -> Option<&str> {
        self.attribute("control").filter(|value| !value.is_empty())
    }

    #[must_use]
    pub fn line(mut self, kind: char, value: &str) -> Self {
        self.lines.push(Line::new(kind, value));
        self
    }

    #[must_use]
    pub fn with_media(mut self, media: Media) -> Self {
        self.media.push(media);
        self
    }
}

/// The text for the wire, with CR LF.
impl fmt::Display for Sdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_lines(f, &self.lines)?;
        self.media.iter().try_for_each(|media| media.fmt(f))
    }
}

pub(crate) fn write_lines(f: &mut fmt::Formatter<'_>, lines: &[Line]) -> fmt::Result {
    lines
        .iter()
        .try_for_each(|line| write!(f, "{}={}\r\n", line.kind, line.value))
}

//! One `m=` section.

use std::fmt;

use super::{Line, attributes, write_lines};
use crate::digest::base64_decode;

/// Most parameter sets taken from one `sprop-parameter-sets`; cameras send two or three.
const MAX_PARAMETER_SETS: usize = 16;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Direction {
    #[default]
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

/// `a=rtpmap:<payload type> <encoding>/<clock>[/<channels>]`, or the static table of RFC 3551.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpMap {
    pub payload_type: u8,
    /// As written; compare with `eq_ignore_ascii_case`.
    pub encoding: String,
    pub clock_rate: u32,
    pub channels: Option<u8>,
}

/// The parameters of `a=fmtp:<payload type> ...`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fmtp(Vec<(String, String)>);

impl Fmtp {
    pub fn parse(text: &str) -> Self {
        let fields = text.split(';').map(str::trim).filter(|f| !f.is_empty());
        let pair = |field: &str| {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            (name.trim().to_owned(), value.trim().to_owned())
        };
        Self(fields.map(pair).collect())
    }

    /// Names compare without regard to case.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter();
        let found = found.find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Media {
    /// `video`, `audio`, `application`, or whatever the firmware invented.
    pub kind: String,
    pub port: u16,
    /// `RTP/AVP`, `UDP/TLS/RTP/SAVPF`, ...
    pub protocol: String,
    /// Payload types as written.
    pub formats: Vec<String>,
    pub lines: Vec<Line>,
}

impl Media {
    /// An `m=` value: `<kind> <port>[/<n>] <protocol> <format>...`; what is missing stays empty.
    pub fn parse(value: &str) -> Self {
        let mut words = value.split_ascii_whitespace();
        let kind = words.next().unwrap_or_default().to_owned();
        let port = words.next().unwrap_or_default();
        let port = port.split('/').next().unwrap_or_default();
        Self {
            kind,
            port: port.parse().unwrap_or(0),
            protocol: words.next().unwrap_or_default().to_owned(),
            formats: words.map(str::to_owned).collect(),
            lines: Vec::new(),
        }
    }

    pub fn new(kind: &str, port: u16, protocol: &str, formats: &[&str]) -> Self {
        Self {
            kind: kind.to_owned(),
            port,
            protocol: protocol.to_owned(),
            formats: formats.iter().map(|&format| format.to_owned()).collect(),
            lines: Vec::new(),
        }
    }

    #[must_use]
    pub fn line(mut self, kind: char, value: &str) -> Self {
        self.lines.push(Line::new(kind, value));
        self
    }

    /// Every attribute, in order: name and value (empty for a bare one).
    pub fn all_attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        attributes(&self.lines)
    }

    /// The value of the first attribute of that name; empty for a bare one.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes(name).next()
    }

    pub fn attributes<'a, 'n>(
        &'a self,
        name: &'n str,
    ) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        attributes(&self.lines).filter_map(move |(n, value)| (n == name).then_some(value))
    }

    pub fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    pub fn mid(&self) -> Option<&str> {
        self.attribute("mid").filter(|value| !value.is_empty())
    }

    pub fn control(&self) -> Option<&str> {
        self.attribute("control").filter(|value| !value.is_empty())
    }

    /// The section's own direction; none when it names none.
    pub fn direction(&self) -> Option<Direction> {
        self.all_attributes().find_map(|(name, _)| match name {
            "sendrecv" => Some(Direction::SendRecv),
            "sendonly" => Some(Direction::SendOnly),
            "recvonly" => Some(Direction::RecvOnly),
            "inactive" => Some(Direction::Inactive),
            _ => None,
        })
    }

    /// The payload types of the `m=` line that are numbers, in order of preference.
    pub fn payload_types(&self) -> impl Iterator<Item = u8> {
        self.formats.iter().filter_map(|format| format.parse().ok())
    }

    /// The codecs of the `m=` line in its order. Static payload types need no rtpmap; where the
    /// line and the rtpmaps name different payload types, the rtpmaps are believed.
    pub fn rtp_maps(&self) -> Vec<RtpMap> {
        let mapped: Vec<RtpMap> = self
            .attributes("rtpmap")
            .filter_map(parse_rtp_map)
            .collect();
        let find = |payload_type: u8| {
            let mut mapped = mapped.iter();
            let mapped = mapped.find(|map| map.payload_type == payload_type);
            mapped.cloned().or_else(|| static_map(payload_type))
        };
        let listed: Vec<RtpMap> = self.payload_types().filter_map(find).collect();
        if listed.is_empty() { mapped } else { listed }
    }

    pub fn rtp_map(&self, payload_type: u8) -> Option<RtpMap> {
        let maps = self.rtp_maps();
        maps.into_iter()
            .find(|map| map.payload_type == payload_type)
    }

    /// The parameters of one payload type; empty when there are none.
    pub fn fmtp(&self, payload_type: u8) -> Fmtp {
        let mut values = self.attributes("fmtp");
        let parameters = values.find_map(|value| {
            let (number, rest) = value.split_once([' ', '\t'])?;
            (number.trim().parse() == Ok(payload_type)).then_some(rest)
        });
        parameters.map(Fmtp::parse).unwrap_or_default()
    }
}

/// The section for the wire, with CR LF.
impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {} {}", self.kind, self.port, self.protocol)?;
        for format in &self.formats {
            write!(f, " {format}")?;
        }
        f.write_str("\r\n")?;
        write_lines(f, &self.lines)
    }
}

fn parse_rtp_map(value: &str) -> Option<RtpMap> {
    let (payload_type, codec) = value.split_once([' ', '\t'])?;
    let mut parts = codec.trim().split('/').map(str::trim);
    let encoding = parts.next().filter(|name| !name.is_empty())?.to_owned();
    // Some firmwares write text after the clock rate: the digits count.
    let digits = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit());
        text[..end.unwrap_or(text.len())].to_owned()
    };
    let clock_rate = parts.next().and_then(|text| digits(text).parse().ok());
    Some(RtpMap {
        payload_type: payload_type.trim().parse().ok()?,
        encoding,
        clock_rate: clock_rate.filter(|rate| *rate > 0).unwrap_or(90_000),
        channels: parts.next().and_then(|text| digits(text).parse().ok()),
    })
}

/// RFC 3551 section 6, as far as cameras use it. G.722's RTP clock is 8000 by decree.
fn static_map(payload_type: u8) -> Option<RtpMap> {
    let (encoding, clock_rate) = match payload_type {
        0 => ("PCMU", 8000),
        8 => ("PCMA", 8000),
        9 => ("G722", 8000),
        14 => ("MPA", 90_000),
        26 => ("JPEG", 90_000),
        _ => return None,
    };
    Some(RtpMap {
        payload_type,
        encoding: encoding.to_owned(),
        clock_rate,
        channels: None,
    })
}

/// The NAL units of an H.264 `sprop-parameter-sets` value (RFC 6184 section 8.1), in order,
/// without start codes. What is not base64 or is empty is left out: sets in the stream win anyway.
pub fn sprop_parameter_sets(value: &str) -> Vec<Vec<u8>> {
    let decoded = value.split(',').filter_map(base64_decode);
    decoded
        .flat_map(|bytes| split_start_codes(&bytes))
        .take(MAX_PARAMETER_SETS)
        .collect()
}

/// Cameras put Annex B into it, sometimes both sets in one: cut at each 00 00 01.
fn split_start_codes(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut units = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at + 3 <= bytes.len() {
        if bytes[at..at + 3] == [0, 0, 1] {
            units.push(&bytes[start..at]);
            at += 3;
            start = at;
        } else {
            at += 1;
        }
    }
    units.push(&bytes[start..]);
    let units = units.into_iter().map(|unit| {
        let zeros = unit.iter().rev().take_while(|byte| **byte == 0).count();
        unit[..unit.len() - zeros].to_vec()
    });
    units.filter(|unit| !unit.is_empty()).collect()
}

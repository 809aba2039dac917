//! The header values that need more than a string: Transport, Session, Public, RTP-Info.

use std::fmt;

/// One alternative of a `Transport` header (RFC 2326 section 12.39).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transport {
    /// As written, such as `RTP/AVP/TCP`. Some cameras answer `RTP/AVP` to a TCP request, so
    /// [`Transport::is_interleaved`] looks at the channels too.
    pub profile: String,
    pub multicast: bool,
    /// RTP and RTCP channel.
    pub interleaved: Option<(u8, u8)>,
    pub client_port: Option<(u16, u16)>,
    pub server_port: Option<(u16, u16)>,
    pub ssrc: Option<u32>,
    pub source: Option<String>,
}

impl Transport {
    /// What a client asks for: RTP over the RTSP connection itself.
    pub fn tcp(rtp_channel: u8) -> Self {
        Self {
            profile: "RTP/AVP/TCP".to_owned(),
            interleaved: Some((rtp_channel, rtp_channel.saturating_add(1))),
            ..Self::default()
        }
    }

    /// What a client asks for where TCP is refused: RTP to the even `rtp_port`, RTCP to the next.
    pub fn udp(rtp_port: u16) -> Self {
        Self {
            profile: "RTP/AVP".to_owned(),
            client_port: Some((rtp_port, rtp_port.saturating_add(1))),
            ..Self::default()
        }
    }

    /// Every alternative of the header, in order. Unknown parameters are passed over, unreadable
    /// values count as absent.
    pub fn parse_list(value: &str) -> Vec<Self> {
        value.split(',').filter_map(Self::parse).collect()
    }

    /// One alternative. `None` when it does not begin with an RTP profile.
    pub fn parse(value: &str) -> Option<Self> {
        let mut fields = value.split(';').map(str::trim);
        let profile = fields.next()?;
        if !profile.get(..3)?.eq_ignore_ascii_case("RTP") {
            return None;
        }
        let mut transport = Self {
            profile: profile.to_owned(),
            ..Self::default()
        };
        for field in fields {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "multicast" => transport.multicast = true,
                "interleaved" => transport.interleaved = parse_pair(value),
                "client_port" => transport.client_port = parse_pair(value),
                "server_port" => transport.server_port = parse_pair(value),
                // Eight hexadecimal digits; Hikvision puts blanks before or inside them.
                "ssrc" => {
                    let digits: String = value.split_ascii_whitespace().collect();
                    transport.ssrc = u32::from_str_radix(&digits, 16).ok();
                }
                "source" => transport.source = Some(value.to_owned()),
                _ => {}
            }
        }
        Some(transport)
    }

    pub fn is_interleaved(&self) -> bool {
        self.interleaved.is_some() || self.profile.to_ascii_uppercase().ends_with("/TCP")
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cast = if self.multicast {
            "multicast"
        } else {
            "unicast"
        };
        write!(f, "{};{cast}", self.profile)?;
        if let Some((rtp, rtcp)) = self.interleaved {
            write!(f, ";interleaved={rtp}-{rtcp}")?;
        }
        if let Some((rtp, rtcp)) = self.client_port {
            write!(f, ";client_port={rtp}-{rtcp}")?;
        }
        if let Some((rtp, rtcp)) = self.server_port {
            write!(f, ";server_port={rtp}-{rtcp}")?;
        }
        if let Some(ssrc) = self.ssrc {
            write!(f, ";ssrc={ssrc:08X}")?;
        }
        Ok(())
    }
}

/// `0-1`, or `0` alone: then the second is the next one.
fn parse_pair<T>(value: &str) -> Option<(T, T)>
where
    T: std::str::FromStr + Copy + TryFrom<u32> + Into<u32>,
{
    let (first, second) = value.split_once('-').unwrap_or((value, ""));
    let first: T = first.trim().parse().ok()?;
    let second = match second.trim().parse() {
        Ok(second) => second,
        Err(_) => T::try_from(first.into() + 1).ok()?,
    };
    Some((first, second))
}

/// The `Session` header (RFC 2326 section 12.37): the RTSP id and its timeout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtspIdHeader {
    pub rtsp_session_id: String,
    pub timeout_s: Option<u32>,
}

impl RtspIdHeader {
    /// The timeout when none is announced.
    pub const DEFAULT_TIMEOUT_S: u32 = 60;

    pub fn parse(value: &str) -> Option<Self> {
        let mut fields = value.split(';').map(str::trim);
        let rtsp_session_id = fields.next().filter(|id| !id.is_empty())?.to_owned();
        let timeout_s = fields
            .filter_map(|field| field.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))
            .and_then(|(_, value)| value.trim().parse().ok());
        Some(Self {
            rtsp_session_id,
            timeout_s,
        })
    }
}

impl fmt::Display for RtspIdHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rtsp_session_id)?;
        match self.timeout_s {
            Some(timeout_s) => write!(f, ";timeout={timeout_s}"),
            None => Ok(()),
        }
    }
}

/// The methods named by `Public` or `Allow` (RFC 2326 section 12.28).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Methods(Vec<String>);

impl Methods {
    pub fn parse(value: &str) -> Self {
        let words = value.split([',', ' ']).filter(|word| !word.is_empty());
        Self(words.map(str::to_ascii_uppercase).collect())
    }

    pub fn contains(&self, method: &str) -> bool {
        self.0
            .iter()
            .any(|known| known.eq_ignore_ascii_case(method))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One stream of `RTP-Info` (RFC 2326 section 12.33). Cameras fill it in wrongly: for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpInfoEntry {
    pub url: String,
    pub seq: Option<u16>,
    pub rtp_ts: Option<u32>,
}

pub fn parse_rtp_info(value: &str) -> Vec<RtpInfoEntry> {
    value.split(',').filter_map(parse_rtp_info_entry).collect()
}

fn parse_rtp_info_entry(entry: &str) -> Option<RtpInfoEntry> {
    let mut parsed = RtpInfoEntry {
        url: String::new(),
        seq: None,
        rtp_ts: None,
    };
    for field in entry.split(';') {
        match field.trim().split_once('=') {
            Some(("url", url)) => parsed.url = url.to_owned(),
            Some(("seq", seq)) => parsed.seq = seq.trim().parse().ok(),
            Some(("rtptime", rtp_ts)) => parsed.rtp_ts = rtp_ts.trim().parse().ok(),
            _ => {}
        }
    }
    Some(parsed).filter(|entry| !entry.url.is_empty())
}

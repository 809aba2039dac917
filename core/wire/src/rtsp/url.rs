//! `rtsp://` URLs, and how the URL of a track is put together.
//!
//! Cameras do not follow RFC 3986 here: the control attribute is glued to the base as text.

use std::fmt;

/// Port of an `rtsp://` URL that names none (RFC 2326 section 3.2).
pub const DEFAULT_PORT: u16 = 554;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("the address does not begin with rtsp://")]
    Scheme,
    #[error("the address names no host")]
    Host,
    #[error("the port of the address is not a number from 1 to 65535")]
    Port,
    #[error("the address holds blanks or control characters")]
    Character,
}

/// An RTSP address without its user part, which is kept aside.
#[derive(Clone, PartialEq, Eq)]
pub struct RtspUrl {
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
    /// Path and query as written, beginning with `/` unless empty.
    pub path: String,
    /// User name and password, percent-decoded.
    pub userinfo: Option<(String, String)>,
}

impl RtspUrl {
    /// Takes passwords with `@ : / # ?` in them, escaped or not.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        if text.chars().any(|c| c.is_control() || c == ' ') {
            return Err(UrlError::Character);
        }
        let rest = strip_scheme(text).ok_or(UrlError::Scheme)?;
        let (userinfo, rest) = split_userinfo(rest);
        let cut = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(cut);
        let (host, port) = parse_authority(authority)?;
        let slash = if path.starts_with('?') { "/" } else { "" };
        Ok(Self {
            host,
            port,
            path: format!("{slash}{path}"),
            userinfo: userinfo.map(|text| {
                let (user, password) = text.split_once(':').unwrap_or((text, ""));
                (percent_decode(user), percent_decode(password))
            }),
        })
    }

    /// `host:port`, the port left out when it is 554.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == DEFAULT_PORT {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// The same address at another path.
    pub fn with_path(&self, path: &str) -> String {
        let slash = if path.is_empty() || path.starts_with('/') {
            ""
        } else {
            "/"
        };
        format!("rtsp://{}{slash}{path}", self.authority())
    }
}

/// What goes into a request line: never with the user part.
impl fmt::Display for RtspUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_path(&self.path))
    }
}

impl fmt::Debug for RtspUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = if self.userinfo.is_some() { "***@" } else { "" };
        let path = redact_url(&self.path);
        write!(f, "rtsp://{user}{}{path}", self.authority())
    }
}

fn strip_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_at_checked("rtsp://".len())?;
    scheme.eq_ignore_ascii_case("rtsp://").then_some(rest)
}

/// The user part ends at an `@`: the last before the path, or, since passwords hold `/` and `?`
/// unescaped, the last of all where what comes before the path can hardly be a host.
fn split_userinfo(rest: &str) -> (Option<&str>, &str) {
    let authority_of = |text: &str| text[..text.find(['/', '?']).unwrap_or(text.len())].to_owned();
    let can_be_host = |text: &str| parse_authority(&authority_of(text)).is_ok();
    let must_be_host = |text: &str| {
        let host = parse_authority(&authority_of(text)).map(|(host, _)| host);
        host.is_ok_and(|host| host.contains(['.', ':']) || host == "localhost")
    };
    let path = rest.find(['/', '?']).unwrap_or(rest.len());
    if let Some(at) = rest[..path].rfind('@')
        && can_be_host(&rest[at + 1..])
    {
        return (Some(&rest[..at]), &rest[at + 1..]);
    }
    if let Some(at) = rest.rfind('@') {
        let tail = &rest[at + 1..];
        if (!can_be_host(rest) && can_be_host(tail)) || (!must_be_host(rest) && must_be_host(tail))
        {
            return (Some(&rest[..at]), tail);
        }
    }
    (None, rest)
}

/// Takes secrets out of a URL for people to read: the user part, and the query (or, with
/// Xiongmai, path) parameters that name a password.
pub fn redact_url(url: &str) -> String {
    let (scheme, rest) = match url.find("://") {
        Some(at) => url.split_at(at + 3),
        None => ("", url),
    };
    let rest = match rest.rfind('@') {
        Some(at) => format!("***{}", &rest[at..]),
        None => rest.to_owned(),
    };
    let mut redacted = scheme.to_owned();
    for piece in rest.split_inclusive(['&', '?', '/', ';']) {
        let closing = piece.ends_with(['&', '?', '/', ';']);
        let (body, end) = piece.split_at(piece.len() - usize::from(closing));
        match body.split_once('=') {
            Some((name, _)) if names_password(name) => redacted += &format!("{name}=***{end}"),
            _ => redacted += piece,
        }
    }
    redacted
}

fn names_password(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "passwd", "pwd", "pass", "token"].contains(&name.as_str())
}

fn parse_authority(authority: &str) -> Result<(String, u16), UrlError> {
    let (host, port) = if let Some(inner) = authority.strip_prefix('[') {
        let (host, rest) = inner.split_once(']').ok_or(UrlError::Host)?;
        (host, rest.strip_prefix(':').unwrap_or(""))
    } else if authority.matches(':').count() > 1 {
        // IPv6 without brackets, as some firmwares write it: then no port.
        (authority, "")
    } else {
        authority.split_once(':').unwrap_or((authority, ""))
    };
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if host.is_empty() || !host.chars().all(fine) {
        return Err(UrlError::Host);
    }
    let port = match port {
        "" => DEFAULT_PORT,
        digits => digits.parse().map_err(|_| UrlError::Port)?,
    };
    if port == 0 {
        return Err(UrlError::Port);
    }
    Ok((host.to_owned(), port))
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).and_then(|byte| (*byte as char).to_digit(16));
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, _, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// A `Content-Base`, `Location`, control or `Content-Location` value as a URL on the host that
/// was dialled. Firmwares write their inner address, no scheme, or the scheme twice: only the
/// path of what they say is believed.
pub fn absolute_in(dialled: &RtspUrl, value: &str) -> String {
    let mut rest = value.trim();
    let mut had_scheme = false;
    while let Some(stripped) = strip_scheme(rest) {
        rest = stripped;
        had_scheme = true;
    }
    if rest.starts_with('/') {
        return dialled.with_path(rest);
    }
    let rest = split_userinfo(rest).1;
    let cut = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(cut);
    let host_like = authority.contains(['.', ':']) && parse_authority(authority).is_ok();
    if had_scheme || host_like {
        dialled.with_path(path)
    } else {
        dialled.with_path(rest)
    }
}

fn spoken(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|text| !text.is_empty())
}

/// The base of the tracks (RFC 2326 appendix C.1.1): the session-level control if it is a URL or
/// an absolute path, else Content-Base, else Content-Location, else the request's own URL.
pub fn base_url(
    dialled: &RtspUrl,
    control: Option<&str>,
    content_base: Option<&str>,
    content_location: Option<&str>,
) -> String {
    let control =
        spoken(control).filter(|text| strip_scheme(text).is_some() || text.starts_with('/'));
    match control
        .or(spoken(content_base))
        .or(spoken(content_location))
    {
        Some(value) => absolute_in(dialled, value),
        None => dialled.to_string(),
    }
}

/// The URL of a track: an absolute control as it is (on the host we dialled), else base and
/// control joined as text with one `/` between them; no control, or `*`, means the base.
pub fn track_url(dialled: &RtspUrl, base: &str, control: Option<&str>) -> String {
    let control = control.map(str::trim).unwrap_or_default();
    if control.is_empty() || control == "*" {
        return base.to_owned();
    }
    if strip_scheme(control).is_some() {
        return absolute_in(dialled, control);
    }
    match (base.ends_with('/'), control.starts_with('/')) {
        _ if control.starts_with('?') => format!("{base}{control}"),
        (true, true) => format!("{base}{}", &control[1..]),
        (false, false) => format!("{base}/{control}"),
        _ => format!("{base}{control}"),
    }
}

//! Requests and responses as values (RFC 2326 sections 6, 7 and 12).

use std::fmt::Write as _;

use super::{MAX_BODY_BYTES, MAX_HEADERS};

/// Why the text between two blank lines is not an RTSP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    #[error("the start line is neither an RTSP request nor an RTSP response")]
    StartLine,
    #[error("more than {MAX_HEADERS} header fields")]
    TooManyHeaders,
    #[error("Content-Length is over {MAX_BODY_BYTES} bytes")]
    BodyTooLarge,
}

/// Header fields in their order; names compare without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The first value of that name, without surrounding blanks.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// Every value of that name, in order (several `WWW-Authenticate` lines are usual).
    pub fn get_all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.0
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// Appends a field. Line ends in the value become blanks: nobody may smuggle in a header.
    pub fn push(&mut self, name: &str, value: &str) {
        let clean = |text: &str| text.replace(['\r', '\n'], " ");
        self.0.push((clean(name), clean(value)));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `CSeq`, if it is there and a number.
    pub fn cseq(&self) -> Option<u32> {
        self.get("CSeq")?.trim().parse().ok()
    }

    /// `Content-Length`; absent or unreadable is 0 (RFC 2326 section 12.14 says so for absent).
    pub fn content_length(&self) -> usize {
        let digits = self.get("Content-Length").unwrap_or("0");
        digits.trim().parse().unwrap_or(0)
    }

    fn write_to(&self, out: &mut String, body: &[u8]) {
        for (name, value) in self.iter() {
            // The body decides its length, never the caller.
            if !name.eq_ignore_ascii_case("Content-Length") {
                let _ = write!(out, "{name}: {value}\r\n");
            }
        }
        if !body.is_empty() {
            let _ = write!(out, "Content-Length: {}\r\n", body.len());
        }
        out.push_str("\r\n");
    }
}

/// A request, from either end: cameras send OPTIONS, ANNOUNCE and REDIRECT too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub uri: String,
    pub headers: Headers,
    pub body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, uri: &str) -> Self {
        let one_word = |text: &str| text.replace(['\r', '\n', ' '], "");
        Self {
            method: one_word(method),
            uri: one_word(uri),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(name, value);
        self
    }

    /// The bytes for the wire; `Content-Length` is written when there is a body.
    pub fn encode(&self) -> Vec<u8> {
        let mut head = format!("{} {} RTSP/1.0\r\n", self.method, self.uri);
        self.headers.write_to(&mut head, &self.body);
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// A response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub reason: String,
    pub headers: Headers,
    pub body: Vec<u8>,
}

impl Response {
    pub fn new(status: u16) -> Self {
        Self {
            status,
            reason: reason_phrase(status).to_owned(),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(name, value);
        self
    }

    #[must_use]
    pub fn body(mut self, content_type: &str, body: Vec<u8>) -> Self {
        self.headers.push("Content-Type", content_type);
        self.body = body;
        self
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The bytes for the wire; `Content-Length` is written when there is a body.
    pub fn encode(&self) -> Vec<u8> {
        let mut head = format!("RTSP/1.0 {} {}\r\n", self.status, self.reason);
        self.headers.write_to(&mut head, &self.body);
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Request(Request),
    Response(Response),
}

impl Message {
    /// Parses a head (start line and fields, with or without the closing blank line).
    /// Returns the message with an empty body, and how many body bytes follow.
    pub fn parse_head(head: &[u8]) -> Result<(Self, usize), MessageError> {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.lines();
        let start = lines.next().unwrap_or_default().trim();
        let headers = parse_fields(lines)?;
        let body_bytes = headers.content_length();
        if body_bytes > MAX_BODY_BYTES {
            return Err(MessageError::BodyTooLarge);
        }
        let message = if start.starts_with("RTSP/") {
            Self::Response(parse_status_line(start, headers)?)
        } else {
            Self::Request(parse_request_line(start, headers)?)
        };
        Ok((message, body_bytes))
    }

    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }

    pub(super) fn set_body(&mut self, body: &[u8]) {
        match self {
            Self::Request(request) => request.body = body.to_vec(),
            Self::Response(response) => response.body = body.to_vec(),
        }
    }
}

fn parse_fields<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Headers, MessageError> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines {
        if line.trim().is_empty() {
            continue;
        }
        // A folded line goes on with the field above it (RFC 2326 section 4.2 by way of RFC 822).
        if line.starts_with([' ', '\t'])
            && let Some((_, value)) = fields.last_mut()
        {
            value.push(' ');
            value.push_str(line.trim());
            continue;
        }
        // A line without a colon is noise of the firmware, not a reason to lose the camera.
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if fields.len() == MAX_HEADERS {
            return Err(MessageError::TooManyHeaders);
        }
        fields.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(Headers(fields))
}

fn parse_status_line(start: &str, headers: Headers) -> Result<Response, MessageError> {
    let mut words = start.splitn(3, ' ').map(str::trim);
    let _version = words.next();
    let status = words
        .next()
        .and_then(|word| word.parse().ok())
        .filter(|status| (100..=999).contains(status))
        .ok_or(MessageError::StartLine)?;
    Ok(Response {
        status,
        reason: words.next().unwrap_or_default().to_owned(),
        headers,
        body: Vec::new(),
    })
}

fn parse_request_line(start: &str, headers: Headers) -> Result<Request, MessageError> {
    let mut words = start.split_ascii_whitespace();
    let (method, uri, version) = (words.next(), words.next(), words.next());
    match (method, uri, version) {
        (Some(method), Some(uri), Some(version)) if version.starts_with("RTSP/") => Ok(Request {
            method: method.to_owned(),
            uri: uri.to_owned(),
            headers,
            body: Vec::new(),
        }),
        _ => Err(MessageError::StartLine),
    }
}

/// The usual phrase of a status code (RFC 2326 section 7.1.1).
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        451 => "Parameter Not Understood",
        453 => "Not Enough Bandwidth",
        454 => "Session Not Found",
        455 => "Method Not Valid In This State",
        457 => "Invalid Range",
        459 => "Aggregate Operation Not Allowed",
        460 => "Only Aggregate Operation Allowed",
        461 => "Unsupported Transport",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "RTSP Version Not Supported",
        551 => "Option Not Supported",
        _ => "Unknown",
    }
}

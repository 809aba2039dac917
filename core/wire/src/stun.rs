//! STUN as an ICE-lite agent needs it (RFC 8489, RFC 8445): connectivity checks are parsed and
//! verified, answers are written, and datagrams of one UDP port are told apart (RFC 7983).
//!
//! Belongs here: bytes of Binding messages. Not here: which address was validated when, and who is
//! nominated (`peer::webrtc`). A message that is not for us is an error value, never an answer: an
//! unauthenticated answer would make the port a reflector.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aws_lc_rs::{constant_time, hmac};

/// Fixed bytes 4 to 8 of every STUN message (RFC 8489 section 5).
pub const MAGIC_COOKIE: u32 = 0x2112_A442;
/// Type, length, cookie and transaction id.
pub const HEADER_BYTES: usize = 20;
/// A check is about 100 bytes; larger than this is no check, and nobody is asked to hash it.
pub const MAX_MESSAGE_BYTES: usize = 1_280;

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

const ATTR_USERNAME: u16 = 0x0006;
const ATTR_MESSAGE_INTEGRITY: u16 = 0x0008;
const ATTR_ERROR_CODE: u16 = 0x0009;
const ATTR_XOR_MAPPED_ADDRESS: u16 = 0x0020;
const ATTR_PRIORITY: u16 = 0x0024;
const ATTR_USE_CANDIDATE: u16 = 0x0025;
const ATTR_FINGERPRINT: u16 = 0x8028;
const ATTR_ICE_CONTROLLED: u16 = 0x8029;
const ATTR_ICE_CONTROLLING: u16 = 0x802A;

const INTEGRITY_BYTES: usize = 20;
const FINGERPRINT_XOR: u32 = 0x5354_554E;

/// What a datagram on the shared port is, told by its first bytes (RFC 7983 section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demux {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
    Other,
}

impl Demux {
    /// Classifies by the first byte, and RTCP by its packet type in the second (RFC 5761).
    #[must_use]
    pub fn of(datagram: &[u8]) -> Self {
        match *datagram {
            [0..=3, ..] => Self::Stun,
            [20..=63, ..] => Self::Dtls,
            [128..=191, 192..=223, ..] => Self::Rtcp,
            [128..=191, _, ..] => Self::Rtp,
            _ => Self::Other,
        }
    }
}

/// Why a datagram is not a usable STUN message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StunError {
    #[error("STUN message is truncated or its length does not fit the datagram")]
    Truncated,
    #[error("STUN message is larger than {MAX_MESSAGE_BYTES} bytes")]
    TooLarge,
    #[error("STUN magic cookie is missing")]
    BadCookie,
    #[error("STUN message type {0:#06x} is not expected here")]
    UnexpectedType(u16),
    #[error("STUN attribute {0:#06x} is malformed")]
    BadAttribute(u16),
    #[error("STUN attribute {0:#06x} must be understood and is not")]
    UnknownRequired(u16),
    #[error("STUN attribute {0:#06x} is missing")]
    Missing(u16),
    #[error("STUN fingerprint does not match")]
    BadFingerprint,
    #[error("STUN message integrity does not match")]
    BadIntegrity,
}

/// HMAC key of short-term credentials: the ICE password, prepared once (RFC 8489 section 9.1).
#[derive(Clone)]
pub struct IntegrityKey(hmac::Key);

impl IntegrityKey {
    #[must_use]
    pub fn new(ice_pwd: &str) -> Self {
        Self(hmac::Key::new(
            hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            ice_pwd.as_bytes(),
        ))
    }

    /// HMAC over `covered` with its length field set to `declared_bytes` of attributes.
    fn tag(&self, covered: &[u8], declared_bytes: u16) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&covered[..2]);
        context.update(&declared_bytes.to_be_bytes());
        context.update(&covered[4..]);
        context.sign()
    }
}

impl std::fmt::Debug for IntegrityKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("IntegrityKey(***)")
    }
}

/// Which ICE role the sender claims, with its tie-breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceRole {
    Controlling(u64),
    Controlled(u64),
}

/// A Binding request, parsed and not yet authenticated: see [`BindingRequest::verify`].
#[derive(Clone, Copy, Debug)]
pub struct BindingRequest<'a> {
    message: &'a [u8],
    integrity_offset: usize,
    transaction_id: [u8; 12],
    local_ufrag: &'a str,
    remote_ufrag: &'a str,
    use_candidate: bool,
    role: Option<IceRole>,
    priority: Option<u32>,
}

impl<'a> BindingRequest<'a> {
    /// Parses one whole datagram. FINGERPRINT is checked when present; USERNAME and
    /// MESSAGE-INTEGRITY are demanded (RFC 8445 section 7.1).
    ///
    /// # Errors
    /// [`StunError`]; the datagram is to be dropped without an answer.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, StunError> {
        let message_type = header_type(datagram)?;
        if message_type != BINDING_REQUEST {
            return Err(StunError::UnexpectedType(message_type));
        }
        let mut username = None;
        let mut request = Self {
            message: datagram,
            integrity_offset: 0,
            transaction_id: transaction_id(datagram),
            local_ufrag: "",
            remote_ufrag: "",
            use_candidate: false,
            role: None,
            priority: None,
        };
        for attribute in Attributes::of(datagram) {
            let Attribute {
                kind,
                value,
                offset,
            } = attribute?;
            let sealed = request.integrity_offset != 0;
            match kind {
                ATTR_FINGERPRINT => check_fingerprint(datagram, value, offset)?,
                // What follows the integrity is not covered by it, and is ignored
                // (RFC 8489 section 14.5).
                _ if sealed => {}
                ATTR_MESSAGE_INTEGRITY if value.len() == INTEGRITY_BYTES => {
                    request.integrity_offset = offset;
                }
                ATTR_USERNAME => {
                    username = Some(split_username(value).ok_or(StunError::BadAttribute(kind))?);
                }
                ATTR_USE_CANDIDATE => request.use_candidate = true,
                ATTR_PRIORITY => request.priority = Some(u32::from_be_bytes(fixed(kind, value)?)),
                ATTR_ICE_CONTROLLED => {
                    let tie_breaker = u64::from_be_bytes(fixed(kind, value)?);
                    request.role = Some(IceRole::Controlled(tie_breaker));
                }
                ATTR_ICE_CONTROLLING => {
                    let tie_breaker = u64::from_be_bytes(fixed(kind, value)?);
                    request.role = Some(IceRole::Controlling(tie_breaker));
                }
                ATTR_MESSAGE_INTEGRITY => return Err(StunError::BadAttribute(kind)),
                0x0000..=0x7FFF => return Err(StunError::UnknownRequired(kind)),
                _ => {}
            }
        }
        if request.integrity_offset == 0 {
            return Err(StunError::Missing(ATTR_MESSAGE_INTEGRITY));
        }
        (request.local_ufrag, request.remote_ufrag) =
            username.ok_or(StunError::Missing(ATTR_USERNAME))?;
        Ok(request)
    }

    /// Checks MESSAGE-INTEGRITY with our own ICE password, in constant time.
    ///
    /// # Errors
    /// [`StunError::BadIntegrity`].
    pub fn verify(&self, key: &IntegrityKey) -> Result<(), StunError> {
        verify_integrity(self.message, self.integrity_offset, key)
    }

    #[must_use]
    pub fn transaction_id(&self) -> &[u8; 12] {
        &self.transaction_id
    }

    /// Our own fragment: the part of USERNAME before the colon.
    #[must_use]
    pub fn local_ufrag(&self) -> &'a str {
        self.local_ufrag
    }

    /// The sender's fragment: the part of USERNAME after the colon.
    #[must_use]
    pub fn remote_ufrag(&self) -> &'a str {
        self.remote_ufrag
    }

    #[must_use]
    pub fn use_candidate(&self) -> bool {
        self.use_candidate
    }

    #[must_use]
    pub fn role(&self) -> Option<IceRole> {
        self.role
    }

    #[must_use]
    pub fn priority(&self) -> Option<u32> {
        self.priority
    }
}

/// What an answer to our own Binding request says; for clients (load viewer, tests).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingResponse {
    Success {
        transaction_id: [u8; 12],
        mapped: Option<SocketAddr>,
    },
    Error {
        transaction_id: [u8; 12],
        code: u16,
    },
}

impl BindingResponse {
    /// Parses and authenticates an answer with the answering side's ICE password.
    ///
    /// # Errors
    /// [`StunError`], also when the integrity is missing or wrong.
    pub fn parse(datagram: &[u8], key: &IntegrityKey) -> Result<Self, StunError> {
        let message_type = header_type(datagram)?;
        let transaction_id = transaction_id(datagram);
        let mut integrity_offset = None;
        let mut mapped = None;
        let mut code = None;
        for attribute in Attributes::of(datagram) {
            let Attribute {
                kind,
                value,
                offset,
            } = attribute?;
            match kind {
                ATTR_FINGERPRINT => check_fingerprint(datagram, value, offset)?,
                ATTR_MESSAGE_INTEGRITY if value.len() == INTEGRITY_BYTES => {
                    integrity_offset = Some(offset);
                }
                ATTR_XOR_MAPPED_ADDRESS => mapped = Some(read_mapped(value, &transaction_id)?),
                ATTR_ERROR_CODE => match *value {
                    [_, _, class, number, ..] => {
                        code = Some(u16::from(class & 7) * 100 + u16::from(number));
                    }
                    _ => return Err(StunError::BadAttribute(kind)),
                },
                _ => {}
            }
        }
        let offset = integrity_offset.ok_or(StunError::Missing(ATTR_MESSAGE_INTEGRITY))?;
        verify_integrity(datagram, offset, key)?;
        match message_type {
            BINDING_SUCCESS => Ok(Self::Success {
                transaction_id,
                mapped,
            }),
            BINDING_ERROR => Ok(Self::Error {
                transaction_id,
                code: code.ok_or(StunError::Missing(ATTR_ERROR_CODE))?,
            }),
            other => Err(StunError::UnexpectedType(other)),
        }
    }
}

/// Our ufrag in a Binding request's USERNAME, without authenticating or hashing anything: only good
/// for finding the peer that can.
#[must_use]
pub fn local_ufrag(datagram: &[u8]) -> Option<&str> {
    if header_type(datagram) != Ok(BINDING_REQUEST) {
        return None;
    }
    Attributes::of(datagram)
        .map_while(Result::ok)
        .find(|attribute| attribute.kind == ATTR_USERNAME)
        .and_then(|attribute| split_username(attribute.value))
        .map(|(local, _)| local)
}

/// A Binding success answer telling the sender the address we saw (RFC 8445 section 7.3.1).
#[must_use]
pub fn binding_success(
    transaction_id: &[u8; 12],
    mapped: SocketAddr,
    key: &IntegrityKey,
) -> Vec<u8> {
    let mut message = start(BINDING_SUCCESS, transaction_id);
    write_mapped(&mut message, mapped, transaction_id);
    finish(message, key)
}

/// Binding error 487: both sides claim to be controlled (RFC 8445 section 7.3.1.1).
#[must_use]
pub fn role_conflict(transaction_id: &[u8; 12], key: &IntegrityKey) -> Vec<u8> {
    let mut message = start(BINDING_ERROR, transaction_id);
    let mut value = vec![0, 0, 4, 87];
    value.extend_from_slice(b"Role Conflict");
    write_attribute(&mut message, ATTR_ERROR_CODE, &value);
    finish(message, key)
}

/// What a check carries; for clients (load viewer, tests). `username` is `<their>:<our>` ufrag.
#[derive(Clone, Copy, Debug)]
pub struct CheckParams<'a> {
    pub username: &'a str,
    pub priority: u32,
    pub role: IceRole,
    pub use_candidate: bool,
}

/// A connectivity check, keyed with the other side's ICE password.
#[must_use]
pub fn binding_request(
    transaction_id: &[u8; 12],
    params: &CheckParams<'_>,
    key: &IntegrityKey,
) -> Vec<u8> {
    let mut message = start(BINDING_REQUEST, transaction_id);
    write_attribute(&mut message, ATTR_USERNAME, params.username.as_bytes());
    write_attribute(&mut message, ATTR_PRIORITY, &params.priority.to_be_bytes());
    let (kind, tie_breaker) = match params.role {
        IceRole::Controlling(value) => (ATTR_ICE_CONTROLLING, value),
        IceRole::Controlled(value) => (ATTR_ICE_CONTROLLED, value),
    };
    write_attribute(&mut message, kind, &tie_breaker.to_be_bytes());
    if params.use_candidate {
        write_attribute(&mut message, ATTR_USE_CANDIDATE, &[]);
    }
    finish(message, key)
}

struct Attribute<'a> {
    kind: u16,
    value: &'a [u8],
    /// Of the attribute's own header, from the start of the message.
    offset: usize,
}

struct Attributes<'a> {
    message: &'a [u8],
    offset: usize,
}

impl<'a> Attributes<'a> {
    fn of(message: &'a [u8]) -> Self {
        Self {
            message,
            offset: HEADER_BYTES,
        }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, StunError>;

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.offset;
        let rest = self.message.get(offset..)?;
        if rest.is_empty() {
            return None;
        }
        let [k0, k1, l0, l1, body @ ..] = rest else {
            self.offset = self.message.len();
            return Some(Err(StunError::Truncated));
        };
        let kind = u16::from_be_bytes([*k0, *k1]);
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        let padded = length.next_multiple_of(4);
        let Some(value) = body.get(..padded).map(|_| &body[..length]) else {
            self.offset = self.message.len();
            return Some(Err(StunError::Truncated));
        };
        self.offset = offset + 4 + padded;
        Some(Ok(Attribute {
            kind,
            value,
            offset,
        }))
    }
}

/// Validates the fixed header against the datagram; the message type.
fn header_type(datagram: &[u8]) -> Result<u16, StunError> {
    let [t0, t1, l0, l1, c0, c1, c2, c3, ..] = *datagram else {
        return Err(StunError::Truncated);
    };
    if datagram.len() < HEADER_BYTES {
        return Err(StunError::Truncated);
    }
    if datagram.len() > MAX_MESSAGE_BYTES {
        return Err(StunError::TooLarge);
    }
    if u32::from_be_bytes([c0, c1, c2, c3]) != MAGIC_COOKIE {
        return Err(StunError::BadCookie);
    }
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    if length % 4 != 0 || length + HEADER_BYTES != datagram.len() {
        return Err(StunError::Truncated);
    }
    Ok(u16::from_be_bytes([t0, t1]))
}

/// Only after [`header_type`] accepted the datagram.
fn transaction_id(datagram: &[u8]) -> [u8; 12] {
    let mut id = [0; 12];
    id.copy_from_slice(&datagram[8..HEADER_BYTES]);
    id
}

fn fixed<const N: usize>(kind: u16, value: &[u8]) -> Result<[u8; N], StunError> {
    value.try_into().map_err(|_| StunError::BadAttribute(kind))
}

fn split_username(value: &[u8]) -> Option<(&str, &str)> {
    // RFC 8489 section 14.3 bounds USERNAME; ICE fragments are at most 256 characters each.
    if value.len() > 513 {
        return None;
    }
    std::str::from_utf8(value).ok()?.split_once(':')
}

fn check_fingerprint(message: &[u8], value: &[u8], offset: usize) -> Result<(), StunError> {
    let told = u32::from_be_bytes(fixed(ATTR_FINGERPRINT, value)?);
    // It must be the last attribute, so the header's length already counts through it.
    if offset + 8 != message.len() || told != fingerprint_of(&message[..offset]) {
        return Err(StunError::BadFingerprint);
    }
    Ok(())
}

fn fingerprint_of(covered: &[u8]) -> u32 {
    crc32fast::hash(covered) ^ FINGERPRINT_XOR
}

fn verify_integrity(message: &[u8], offset: usize, key: &IntegrityKey) -> Result<(), StunError> {
    let told = &message[offset + 4..offset + 4 + INTEGRITY_BYTES];
    let through = (offset + 4 + INTEGRITY_BYTES - HEADER_BYTES) as u16;
    let computed = key.tag(&message[..offset], through);
    constant_time::verify_slices_are_equal(computed.as_ref(), told)
        .map_err(|_| StunError::BadIntegrity)
}

fn start(message_type: u16, transaction_id: &[u8; 12]) -> Vec<u8> {
    let mut message = Vec::with_capacity(128);
    message.extend_from_slice(&message_type.to_be_bytes());
    message.extend_from_slice(&[0, 0]);
    message.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
    message.extend_from_slice(transaction_id);
    message
}

fn write_attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&(value.len() as u16).to_be_bytes());
    message.extend_from_slice(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn finish(mut message: Vec<u8>, key: &IntegrityKey) -> Vec<u8> {
    let through_integrity = (message.len() + 4 + INTEGRITY_BYTES - HEADER_BYTES) as u16;
    let tag = key.tag(&message, through_integrity);
    write_attribute(&mut message, ATTR_MESSAGE_INTEGRITY, tag.as_ref());
    let through_fingerprint = through_integrity + 8;
    message[2..4].copy_from_slice(&through_fingerprint.to_be_bytes());
    let fingerprint = fingerprint_of(&message);
    write_attribute(&mut message, ATTR_FINGERPRINT, &fingerprint.to_be_bytes());
    message
}

fn write_mapped(message: &mut Vec<u8>, mapped: SocketAddr, transaction_id: &[u8; 12]) {
    let port = mapped.port() ^ (MAGIC_COOKIE >> 16) as u16;
    let mut value = vec![0, 0];
    value.extend_from_slice(&port.to_be_bytes());
    // A dual-stack socket shows IPv4 senders as mapped IPv6; they must see their own family.
    match mapped.ip().to_canonical() {
        IpAddr::V4(ip) => {
            value[1] = 1;
            value.extend_from_slice(&(u32::from(ip) ^ MAGIC_COOKIE).to_be_bytes());
        }
        IpAddr::V6(ip) => {
            value[1] = 2;
            value.extend_from_slice(&(u128::from(ip) ^ v6_mask(transaction_id)).to_be_bytes());
        }
    }
    write_attribute(message, ATTR_XOR_MAPPED_ADDRESS, &value);
}

fn read_mapped(value: &[u8], transaction_id: &[u8; 12]) -> Result<SocketAddr, StunError> {
    let bad = StunError::BadAttribute(ATTR_XOR_MAPPED_ADDRESS);
    let [_, family, p0, p1, address @ ..] = value else {
        return Err(bad);
    };
    let port = u16::from_be_bytes([*p0, *p1]) ^ (MAGIC_COOKIE >> 16) as u16;
    let ip = match family {
        1 => {
            let bits = u32::from_be_bytes(fixed(ATTR_XOR_MAPPED_ADDRESS, address)?);
            IpAddr::V4(Ipv4Addr::from(bits ^ MAGIC_COOKIE))
        }
        2 => {
            let bits = u128::from_be_bytes(fixed(ATTR_XOR_MAPPED_ADDRESS, address)?);
            IpAddr::V6(Ipv6Addr::from(bits ^ v6_mask(transaction_id)))
        }
        _ => return Err(bad),
    };
    Ok(SocketAddr::new(ip, port))
}

fn v6_mask(transaction_id: &[u8; 12]) -> u128 {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    mask[4..].copy_from_slice(transaction_id);
    u128::from_be_bytes(mask)
}

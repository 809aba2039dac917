//! What a server asks for, and what a client answers.

use aws_lc_rs::digest::{SHA256, digest as sha2};
use md5::{Digest as _, Md5};

use super::{base64_encode, hex, parse_parameters, quote};

/// RFC 7616 section 3.3. An absent `algorithm` is MD5.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Algorithm {
    #[default]
    Md5,
    Md5Sess,
    Sha256,
    Sha256Sess,
}

impl Algorithm {
    /// `None` for a name that is not ours. Names compare without regard to case.
    pub fn parse(name: &str) -> Option<Self> {
        match name.trim().to_ascii_uppercase().as_str() {
            "MD5" => Some(Self::Md5),
            "MD5-SESS" => Some(Self::Md5Sess),
            "SHA-256" => Some(Self::Sha256),
            "SHA-256-SESS" => Some(Self::Sha256Sess),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Sess => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Sess => "SHA-256-sess",
        }
    }

    pub fn is_sha256(self) -> bool {
        matches!(self, Self::Sha256 | Self::Sha256Sess)
    }

    fn is_sess(self) -> bool {
        matches!(self, Self::Md5Sess | Self::Sha256Sess)
    }

    fn hash(self, parts: &[&str]) -> String {
        let text = parts.join(":");
        if self.is_sha256() {
            hex(sha2(&SHA256, text.as_bytes()).as_ref())
        } else {
            hex(&Md5::digest(text.as_bytes()))
        }
    }
}

/// `WWW-Authenticate: Digest ...`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DigestChallenge {
    pub realm: String,
    pub nonce: String,
    pub opaque: Option<String>,
    pub algorithm: Algorithm,
    /// Whether the value named an algorithm; the answer then names it too.
    pub algorithm_named: bool,
    /// Whether `qop` offers `auth`.
    pub qop_auth: bool,
    pub stale: bool,
}

/// `WWW-Authenticate: Basic ...`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasicChallenge {
    pub realm: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    Digest(DigestChallenge),
    Basic(BasicChallenge),
}

impl Challenge {
    /// One `WWW-Authenticate` value. `None` for other schemes, unknown algorithms, or a Digest
    /// without a nonce.
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        let (scheme, rest) = value.split_once([' ', '\t']).unwrap_or((value, ""));
        let mut digest = DigestChallenge::default();
        let parameters = parse_parameters(rest);
        if scheme.eq_ignore_ascii_case("Basic") {
            let realm = parameters.into_iter().find(|(name, _)| name == "realm");
            let realm = realm.map(|(_, value)| value).unwrap_or_default();
            return Some(Self::Basic(BasicChallenge { realm }));
        }
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        for (name, value) in parameters {
            match name.as_str() {
                "realm" => digest.realm = value,
                "nonce" => digest.nonce = value,
                "opaque" => digest.opaque = Some(value),
                "algorithm" => {
                    digest.algorithm = Algorithm::parse(&value)?;
                    digest.algorithm_named = true;
                }
                "qop" => {
                    let mut offers = value.split(',').map(str::trim);
                    digest.qop_auth = offers.any(|offer| offer.eq_ignore_ascii_case("auth"));
                }
                "stale" => digest.stale = value.eq_ignore_ascii_case("true"),
                _ => {}
            }
        }
        (!digest.nonce.is_empty()).then_some(Self::Digest(digest))
    }

    /// Digest SHA-256, then MD5, then Basic.
    fn strength(&self) -> u8 {
        match self {
            Self::Digest(digest) if digest.algorithm.is_sha256() => 2,
            Self::Digest(_) => 1,
            Self::Basic(_) => 0,
        }
    }
}

/// Every challenge that can be answered, the strongest first.
pub fn parse_challenges<'a>(values: impl Iterator<Item = &'a str>) -> Vec<Challenge> {
    let mut challenges: Vec<_> = values.filter_map(Challenge::parse).collect();
    challenges.sort_by_key(|challenge| std::cmp::Reverse(challenge.strength()));
    challenges
}

impl DigestChallenge {
    /// The `response` value (RFC 7616 section 3.4.1; without qop RFC 2069's shorter form).
    /// `nc` counts the requests made with this nonce, from 1.
    pub fn response(
        &self,
        username: &str,
        password: &str,
        method: &str,
        uri: &str,
        cnonce: &str,
        nc: u32,
    ) -> String {
        let nc = format!("{nc:08x}");
        let qop = self.qop_auth.then_some((nc.as_str(), cnonce));
        response_of(
            self.algorithm,
            [username, &self.realm, password],
            &self.nonce,
            [method, uri],
            qop,
            cnonce,
        )
    }

    /// The whole `Authorization` value. `uri` is exactly the string in the request line.
    pub fn authorization(
        &self,
        username: &str,
        password: &str,
        method: &str,
        uri: &str,
        cnonce: &str,
        nc: u32,
    ) -> String {
        let response = self.response(username, password, method, uri, cnonce, nc);
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            quote(username),
            quote(&self.realm),
            quote(&self.nonce),
            quote(uri),
        );
        if self.algorithm_named {
            value += &format!(", algorithm={}", self.algorithm.name());
        }
        if let Some(opaque) = &self.opaque {
            value += &format!(", opaque={}", quote(opaque));
        }
        if self.qop_auth {
            value += &format!(", qop=auth, nc={nc:08x}");
        }
        if self.qop_auth || self.algorithm.is_sess() {
            value += &format!(", cnonce={}", quote(cnonce));
        }
        value
    }

    /// The `WWW-Authenticate` value of a server's challenge.
    pub fn header_value(&self) -> String {
        let mut value = format!(
            "Digest realm={}, nonce={}",
            quote(&self.realm),
            quote(&self.nonce)
        );
        if let Some(opaque) = &self.opaque {
            value += &format!(", opaque={}", quote(opaque));
        }
        if self.algorithm_named {
            value += &format!(", algorithm={}", self.algorithm.name());
        }
        if self.qop_auth {
            value += ", qop=\"auth\"";
        }
        if self.stale {
            value += ", stale=true";
        }
        value
    }
}

/// `qop` is the request count (8 hex digits) and the client's nonce as they were sent.
pub(super) fn response_of(
    algorithm: Algorithm,
    [username, realm, password]: [&str; 3],
    nonce: &str,
    [method, uri]: [&str; 2],
    qop: Option<(&str, &str)>,
    cnonce: &str,
) -> String {
    let mut a1 = algorithm.hash(&[username, realm, password]);
    if algorithm.is_sess() {
        a1 = algorithm.hash(&[&a1, nonce, cnonce]);
    }
    let a2 = algorithm.hash(&[method, uri]);
    match qop {
        Some((nc, cnonce)) => algorithm.hash(&[&a1, nonce, nc, cnonce, "auth", &a2]),
        None => algorithm.hash(&[&a1, nonce, &a2]),
    }
}

/// The `Authorization` value of Basic (RFC 7617): the password in the clear.
pub fn basic_authorization(username: &str, password: &str) -> String {
    let pair = base64_encode(format!("{username}:{password}").as_bytes());
    format!("Basic {pair}")
}

//! The server's check of an `Authorization` value.

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::challenge::response_of;
use super::{Algorithm, base64_decode, parse_parameters};

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("the Authorization header is neither Digest nor Basic")]
    Scheme,
    #[error("the Digest algorithm is not supported")]
    Algorithm,
    #[error("the Digest answer lacks username, nonce, uri or response")]
    Incomplete,
    #[error("the Basic answer is not base64 of user:password")]
    Basic,
}

/// What a client sent. Debug shows no proof of the password.
#[derive(Clone, PartialEq, Eq)]
pub enum Authorization {
    Digest {
        username: String,
        realm: String,
        nonce: String,
        uri: String,
        algorithm: Algorithm,
        /// `nc` and `cnonce` as sent, when `qop=auth`.
        qop_auth: Option<(String, String)>,
        cnonce: String,
        response: String,
    },
    Basic {
        username: String,
        password: String,
    },
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = match self {
            Self::Digest { .. } => "Digest",
            Self::Basic { .. } => "Basic",
        };
        write!(f, "{scheme} {} ***", self.username())
    }
}

impl Authorization {
    pub fn parse(value: &str) -> Result<Self, DigestError> {
        let (scheme, rest) = value.trim().split_once(' ').ok_or(DigestError::Scheme)?;
        if scheme.eq_ignore_ascii_case("Basic") {
            return parse_basic(rest);
        }
        if !scheme.eq_ignore_ascii_case("Digest") {
            return Err(DigestError::Scheme);
        }
        let parameters = parse_parameters(rest);
        let find = |wanted: &str| {
            let found = parameters.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.clone())
        };
        let algorithm = match find("algorithm") {
            Some(name) => Algorithm::parse(&name).ok_or(DigestError::Algorithm)?,
            None => Algorithm::Md5,
        };
        let cnonce = find("cnonce").unwrap_or_default();
        let qop_auth = find("qop").filter(|qop| qop.eq_ignore_ascii_case("auth"));
        let need = |name: &str| find(name).ok_or(DigestError::Incomplete);
        Ok(Self::Digest {
            username: need("username")?,
            realm: find("realm").unwrap_or_default(),
            nonce: need("nonce")?,
            uri: need("uri")?,
            algorithm,
            qop_auth: qop_auth.map(|_| (find("nc").unwrap_or_default(), cnonce.clone())),
            cnonce,
            response: need("response")?,
        })
    }

    pub fn username(&self) -> &str {
        match self {
            Self::Digest { username, .. } | Self::Basic { username, .. } => username,
        }
    }

    /// The server's nonce that was answered; none for Basic.
    pub fn nonce(&self) -> Option<&str> {
        match self {
            Self::Digest { nonce, .. } => Some(nonce),
            Self::Basic { .. } => None,
        }
    }

    /// The address that was answered for; none for Basic.
    pub fn uri(&self) -> Option<&str> {
        match self {
            Self::Digest { uri, .. } => Some(uri),
            Self::Basic { .. } => None,
        }
    }

    /// Whether this proves `username` and `password` for `method` in `realm`. The caller checks
    /// the nonce's age and that `uri` is what was asked. Takes the same time for any wrong answer.
    pub fn verify(&self, username: &str, password: &str, realm: &str, method: &str) -> bool {
        match self {
            Self::Basic {
                username: user,
                password: sent,
            } => same(user, username) & same(sent, password),
            Self::Digest {
                username: user,
                realm: answered_realm,
                nonce,
                uri,
                algorithm,
                qop_auth,
                cnonce,
                response,
            } => {
                let qop = qop_auth.as_ref().map(|(nc, c)| (nc.as_str(), c.as_str()));
                let expected = response_of(
                    *algorithm,
                    [username, realm, password],
                    nonce,
                    [method, uri],
                    qop,
                    cnonce,
                );
                same(user, username)
                    & same(answered_realm, realm)
                    & same(&response.to_ascii_lowercase(), &expected)
            }
        }
    }
}

fn same(left: &str, right: &str) -> bool {
    verify_slices_are_equal(left.as_bytes(), right.as_bytes()).is_ok()
}

fn parse_basic(value: &str) -> Result<Authorization, DigestError> {
    let bytes = base64_decode(value.trim()).ok_or(DigestError::Basic)?;
    let text = String::from_utf8(bytes).map_err(|_| DigestError::Basic)?;
    let (username, password) = text.split_once(':').ok_or(DigestError::Basic)?;
    Ok(Authorization::Basic {
        username: username.to_owned(),
        password: password.to_owned(),
    })
}

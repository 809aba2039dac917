//! Who we are to a browser: a self-signed certificate of the process, and per-viewer ICE secrets.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::{constant_time, digest};
use dimpl::DtlsCertificate;

/// Flights stay below the smallest path a viewer is expected behind (VPN, PPPoE).
const DTLS_MTU_BYTES: usize = 1_150;
/// A lost flight costs 100 ms, not the second of the RFC: somebody is waiting for a picture.
const FLIGHT_START_RTO: Duration = Duration::from_millis(100);
/// More than fit into the handshake timeout, so that this one decides. Answers to a client's
/// repetitions count too, and browsers repeat a ClientHello of two datagrams from 50 ms on.
const FLIGHT_RETRIES: usize = 40;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("the system's random source failed")]
    Random,
    #[error("the DTLS certificate could not be made: {0}")]
    Certificate(String),
    #[error("the DTLS configuration was refused: {0}")]
    Config(String),
}

/// Hash functions a fingerprint may name (RFC 8122); weaker ones are not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FingerprintHash {
    Sha256,
    Sha384,
    Sha512,
}

impl FingerprintHash {
    const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

/// Hash of a certificate in DER, as `a=fingerprint` carries it (RFC 8122 section 5).
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint {
    hash: FingerprintHash,
    digest: Vec<u8>,
}

impl Fingerprint {
    #[must_use]
    pub fn of(hash: FingerprintHash, certificate_der: &[u8]) -> Self {
        let digest = digest::digest(hash.algorithm(), certificate_der);
        Self {
            hash,
            digest: digest.as_ref().to_vec(),
        }
    }

    /// Parses an attribute's value, `sha-256 AB:CD:...`. None for another hash or a wrong length.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (name, hex) = value.trim().split_once(' ')?;
        let hash = [
            FingerprintHash::Sha256,
            FingerprintHash::Sha384,
            FingerprintHash::Sha512,
        ]
        .into_iter()
        .find(|hash| hash.name().eq_ignore_ascii_case(name))?;
        let digest: Option<Vec<u8>> = hex.trim().split(':').map(hex_byte).collect();
        let digest = digest.filter(|bytes| bytes.len() == hash.algorithm().output_len())?;
        Some(Self { hash, digest })
    }

    #[must_use]
    pub fn matches(&self, certificate_der: &[u8]) -> bool {
        let seen = digest::digest(self.hash.algorithm(), certificate_der);
        constant_time::verify_slices_are_equal(seen.as_ref(), &self.digest).is_ok()
    }

    #[must_use]
    pub fn hash(&self) -> FingerprintHash {
        self.hash
    }
}

fn hex_byte(pair: &str) -> Option<u8> {
    let well_formed = pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    well_formed
        .then(|| u8::from_str_radix(pair, 16).ok())
        .flatten()
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.hash.name())?;
        for (index, byte) in self.digest.iter().enumerate() {
            let separator = if index == 0 { ' ' } else { ':' };
            write!(formatter, "{separator}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Our DTLS certificate with the handshake's settings. Made once per process and shared by all
/// viewers: making one checks the crypto provider and generates an ECDSA P-256 key.
pub struct DtlsIdentity {
    pub(super) certificate: DtlsCertificate,
    pub(super) config: Arc<dimpl::Config>,
    fingerprint: Fingerprint,
}

impl DtlsIdentity {
    /// # Errors
    /// [`IdentityError`] when keys or the configuration cannot be made.
    pub fn generate() -> Result<Self, IdentityError> {
        let certificate = dimpl::certificate::generate_self_signed_certificate()
            .map_err(|error| IdentityError::Certificate(error.to_string()))?;
        // No cookie round: the sender's address is already proven by ICE.
        let config = dimpl::Config::builder()
            .mtu(DTLS_MTU_BYTES)
            .use_server_cookie(false)
            .require_client_certificate(true)
            .flight_start_rto(FLIGHT_START_RTO)
            .flight_retries(FLIGHT_RETRIES)
            .handshake_timeout(HANDSHAKE_TIMEOUT)
            .build()
            .map_err(|error| IdentityError::Config(error.to_string()))?;
        let fingerprint = Fingerprint::of(FingerprintHash::Sha256, &certificate.certificate);
        Ok(Self {
            certificate,
            config: Arc::new(config),
            fingerprint,
        })
    }

    /// For `a=fingerprint` of the answer.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

impl fmt::Debug for DtlsIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DtlsIdentity")
            .field("fingerprint", &self.fingerprint)
            .field("private_key", &"***")
            .finish_non_exhaustive()
    }
}

/// `a=ice-ufrag` and `a=ice-pwd` of one viewer (RFC 8839 section 5.4).
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    pub ufrag: String,
    pub pwd: String,
}

impl IceCredentials {
    /// An unguessable pair: 72 bits of ufrag after `ufrag_prefix` (which may name a shard, in
    /// ice-chars), 192 bits of password.
    ///
    /// # Errors
    /// [`IdentityError::Random`].
    pub fn generate(ufrag_prefix: &str) -> Result<Self, IdentityError> {
        let ufrag = format!("{ufrag_prefix}{}", random_ice_text(12)?);
        Ok(Self {
            ufrag,
            pwd: random_ice_text(32)?,
        })
    }
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("IceCredentials")
            .field("ufrag", &self.ufrag)
            .field("pwd", &"***")
            .finish()
    }
}

/// `characters` random ice-chars of 6 bits each (RFC 8839 section 5.1).
///
/// # Errors
/// [`IdentityError::Random`].
pub fn random_ice_text(characters: usize) -> Result<String, IdentityError> {
    const ICE_CHARS: &[u8; 64] =
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = vec![0; characters];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| IdentityError::Random)?;
    Ok(bytes
        .iter()
        .map(|byte| char::from(ICE_CHARS[usize::from(byte & 63)]))
        .collect())
}

//! SRTP and SRTCP (RFC 3711, RFC 7714) for the three profiles DTLS-SRTP negotiates with browsers.
//!
//! Belongs here: keys, indices, replay windows, sealing and opening. Not here: key agreement
//! (`peer::webrtc`), packet contents, sockets. One sealer belongs to one viewer and one thread.
//!
//! Law 8 of the design: the same (key, SSRC, index) is never sealed twice, because under GCM that
//! gives the key stream and the authentication key away. [`SrtpSealer`] keeps the rollover counter
//! itself and refuses an index that is not newer than the last one it spent.

use aws_lc_rs::aead::{self, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{constant_time, hmac};

pub use open::SrtpOpener;
pub use seal::SrtpSealer;

#[path = "srtp_open.rs"]
mod open;
#[path = "srtp_seal.rs"]
mod seal;

/// Fixed RTP header, also the smallest clear part of an SRTP packet.
pub const RTP_HEADER_BYTES: usize = 12;
/// Clear part of an SRTCP packet: first word and SSRC.
pub const RTCP_HEADER_BYTES: usize = 8;
/// E bit and 31-bit index at the end of every SRTCP packet.
pub const SRTCP_TRAILER_BYTES: usize = 4;
/// Sources one crypto context remembers: video, audio and their retransmissions, with room to
/// spare. State is only made for authenticated packets; the bound keeps a peer from growing it.
pub const MAX_SOURCES: usize = 16;

const CM_TAG_BYTES: usize = 10;
const GCM_TAG_BYTES: usize = 16;

const LABEL_RTP_KEY: u8 = 0;
const LABEL_RTP_AUTH: u8 = 1;
const LABEL_RTP_SALT: u8 = 2;
const LABEL_RTCP_KEY: u8 = 3;
const LABEL_RTCP_AUTH: u8 = 4;
const LABEL_RTCP_SALT: u8 = 5;

/// Why a packet was not sealed or not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    #[error("SRTP master key or salt has the wrong length")]
    BadKeyLength,
    #[error("index of ssrc {ssrc:#010x} seq {seq} is already spent")]
    IndexSpent { ssrc: u32, seq: u16 },
    #[error("the key's packet indices are used up")]
    KeyExhausted,
    #[error("more than {MAX_SOURCES} sources under one key")]
    TooManySources,
    #[error("SRTP packet is truncated")]
    Truncated,
    #[error("SRTP packet is malformed")]
    Malformed,
    #[error("SRTP packet is a replay or too old")]
    Replayed,
    #[error("SRTP packet is not encrypted")]
    NotEncrypted,
    #[error("SRTP authentication failed")]
    AuthFailed,
    #[error("SRTP cipher failed")]
    Cipher,
}

/// Protection profile (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SrtpProfile {
    Aes128CmSha1_80,
    AeadAes128Gcm,
    AeadAes256Gcm,
}

impl SrtpProfile {
    pub const ALL: [Self; 3] = [
        Self::AeadAes256Gcm,
        Self::AeadAes128Gcm,
        Self::Aes128CmSha1_80,
    ];

    #[must_use]
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 | Self::AeadAes128Gcm => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    #[must_use]
    pub const fn salt_bytes(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 => 14,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
        }
    }

    /// Bytes that sealing adds to an RTP packet.
    #[must_use]
    pub const fn rtp_tag_bytes(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 => CM_TAG_BYTES,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => GCM_TAG_BYTES,
        }
    }

    /// The name getStats and logs use (W3C `srtpCipher`).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128CmSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }
}

/// Key and salt of both directions, cut out of the DTLS exporter's block (RFC 5764 section 4.2:
/// client key, server key, client salt, server salt).
pub struct KeyBlock<'a> {
    pub client_key: &'a [u8],
    pub server_key: &'a [u8],
    pub client_salt: &'a [u8],
    pub server_salt: &'a [u8],
}

impl<'a> KeyBlock<'a> {
    /// # Errors
    /// [`SrtpError::BadKeyLength`] when the block has not the profile's length.
    pub fn split(profile: SrtpProfile, block: &'a [u8]) -> Result<Self, SrtpError> {
        let (key, salt) = (profile.key_bytes(), profile.salt_bytes());
        if block.len() != 2 * (key + salt) {
            return Err(SrtpError::BadKeyLength);
        }
        let (keys, salts) = block.split_at(2 * key);
        let (client_key, server_key) = keys.split_at(key);
        let (client_salt, server_salt) = salts.split_at(salt);
        Ok(Self {
            client_key,
            server_key,
            client_salt,
            server_salt,
        })
    }
}

/// AES-CM key derivation with a key derivation rate of zero (RFC 3711 section 4.3, RFC 7714
/// section 11: 12-byte salts are padded on the right): fills `out` for `label`.
///
/// # Errors
/// [`SrtpError::BadKeyLength`] for a key of other than 16 or 32, or a salt of over 14 bytes.
pub fn derive(key: &[u8], salt: &[u8], label: u8, out: &mut [u8]) -> Result<(), SrtpError> {
    if salt.len() > 14 {
        return Err(SrtpError::BadKeyLength);
    }
    let mut iv = [0; 16];
    iv[..salt.len()].copy_from_slice(salt);
    iv[7] ^= label;
    out.fill(0);
    counter_key(key)?.apply(iv, out)
}

fn counter_key(key: &[u8]) -> Result<CounterKey, SrtpError> {
    let algorithm = match key.len() {
        16 => &AES_128,
        32 => &AES_256,
        _ => return Err(SrtpError::BadKeyLength),
    };
    UnboundCipherKey::new(algorithm, key)
        .and_then(EncryptingKey::ctr)
        .map(CounterKey)
        .map_err(|_| SrtpError::BadKeyLength)
}

/// AES in counter mode with the key schedule kept.
struct CounterKey(EncryptingKey);

impl CounterKey {
    fn apply(&self, iv: [u8; 16], in_out: &mut [u8]) -> Result<(), SrtpError> {
        self.0
            .less_safe_encrypt(in_out, EncryptionContext::Iv128(FixedLength::from(iv)))
            .map(drop)
            .map_err(|_| SrtpError::Cipher)
    }
}

/// The keys of one direction for one of RTP and RTCP, schedules built once.
enum Half {
    Counter {
        cipher: Box<CounterKey>,
        auth: Box<hmac::Key>,
        salt: [u8; 14],
    },
    Gcm {
        cipher: Box<LessSafeKey>,
        salt: [u8; 12],
    },
}

impl Half {
    fn rtp(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Result<Self, SrtpError> {
        Self::new(
            profile,
            key,
            salt,
            [LABEL_RTP_KEY, LABEL_RTP_AUTH, LABEL_RTP_SALT],
        )
    }

    fn rtcp(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Result<Self, SrtpError> {
        Self::new(
            profile,
            key,
            salt,
            [LABEL_RTCP_KEY, LABEL_RTCP_AUTH, LABEL_RTCP_SALT],
        )
    }

    fn new(
        profile: SrtpProfile,
        key: &[u8],
        salt: &[u8],
        [key_label, auth_label, salt_label]: [u8; 3],
    ) -> Result<Self, SrtpError> {
        if key.len() != profile.key_bytes() || salt.len() != profile.salt_bytes() {
            return Err(SrtpError::BadKeyLength);
        }
        let mut cipher_key = [0; 32];
        let cipher_key = &mut cipher_key[..key.len()];
        derive(key, salt, key_label, cipher_key)?;
        let gcm = match profile {
            SrtpProfile::Aes128CmSha1_80 => {
                let mut auth = [0; 20];
                let mut session_salt = [0; 14];
                derive(key, salt, auth_label, &mut auth)?;
                derive(key, salt, salt_label, &mut session_salt)?;
                return Ok(Self::Counter {
                    cipher: Box::new(counter_key(cipher_key)?),
                    auth: Box::new(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &auth)),
                    salt: session_salt,
                });
            }
            SrtpProfile::AeadAes128Gcm => &aead::AES_128_GCM,
            SrtpProfile::AeadAes256Gcm => &aead::AES_256_GCM,
        };
        let mut session_salt = [0; 12];
        derive(key, salt, salt_label, &mut session_salt)?;
        let unbound = UnboundKey::new(gcm, cipher_key).map_err(|_| SrtpError::BadKeyLength)?;
        Ok(Self::Gcm {
            cipher: Box::new(LessSafeKey::new(unbound)),
            salt: session_salt,
        })
    }

    fn tag_bytes(&self) -> usize {
        match self {
            Self::Counter { .. } => CM_TAG_BYTES,
            Self::Gcm { .. } => GCM_TAG_BYTES,
        }
    }
}

/// RFC 3711 section 4.1.1: (salt << 16) ^ (SSRC << 64) ^ (index << 16).
fn counter_iv(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(salt);
    xor(&mut iv[4..8], &ssrc.to_be_bytes());
    xor(&mut iv[8..14], &index.to_be_bytes()[2..]);
    iv
}

/// RFC 7714 section 8.1 with a 48-bit index, and section 9.1 where the index has 31 bits: both put
/// two zero bytes, the SSRC and six bytes of index under the salt.
fn gcm_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    let mut nonce = *salt;
    xor(&mut nonce[2..6], &ssrc.to_be_bytes());
    xor(&mut nonce[6..12], &index.to_be_bytes()[2..]);
    Nonce::assume_unique_for_key(nonce)
}

fn xor(target: &mut [u8], with: &[u8]) {
    for (byte, other) in target.iter_mut().zip(with) {
        *byte ^= other;
    }
}

/// The 80-bit tag, in constant time.
fn tags_match(computed: &hmac::Tag, told: &[u8]) -> Result<(), SrtpError> {
    constant_time::verify_slices_are_equal(&computed.as_ref()[..CM_TAG_BYTES], told)
        .map_err(|_| SrtpError::AuthFailed)
}

/// Only for slices of at least `offset + 4` bytes.
fn word(bytes: &[u8], offset: usize) -> u32 {
    u32::from_be_bytes([
        bytes[offset],
        bytes[offset + 1],
        bytes[offset + 2],
        bytes[offset + 3],
    ])
}

#[cfg(test)]
#[path = "srtp_session_key_tests.rs"]
mod session_key_tests;

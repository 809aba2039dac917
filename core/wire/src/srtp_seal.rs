//! Sealing: what leaves us. Appends, so that a run of packets is one contiguous GSO message.

use aws_lc_rs::aead::Aad;
use aws_lc_rs::hmac;

use super::{
    CM_TAG_BYTES, Half, MAX_SOURCES, RTCP_HEADER_BYTES, RTP_HEADER_BYTES, SrtpError, SrtpProfile,
    counter_iv, gcm_nonce, word,
};

/// SRTP indices have 48 bits: a 32-bit rollover counter and the seq.
const MAX_INDEX: u64 = (1 << 48) - 1;
const MAX_SRTCP_INDEX: u32 = (1 << 31) - 1;
const ENCRYPTED: u32 = 1 << 31;

/// Protects RTP and RTCP of one direction. Allocates nothing per packet beyond what `out` needs.
pub struct SrtpSealer {
    pub(super) profile: SrtpProfile,
    pub(super) rtp: Half,
    pub(super) rtcp: Half,
    /// The newest index spent per SSRC. A handful: searched linearly.
    pub(super) spent: Vec<(u32, u64)>,
    pub(super) next_srtcp_index: u32,
}

impl SrtpSealer {
    /// `key` and `salt` are the master key and salt of our direction.
    ///
    /// # Errors
    /// [`SrtpError::BadKeyLength`].
    pub fn new(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Result<Self, SrtpError> {
        Ok(Self {
            profile,
            rtp: Half::rtp(profile, key, salt)?,
            rtcp: Half::rtcp(profile, key, salt)?,
            spent: Vec::new(),
            next_srtcp_index: 0,
        })
    }

    #[must_use]
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// Bytes one sealed packet of `payload_bytes` occupies.
    #[must_use]
    pub fn sealed_bytes(&self, payload_bytes: usize) -> usize {
        RTP_HEADER_BYTES + payload_bytes + self.profile.rtp_tag_bytes()
    }

    /// Appends header, ciphertext and tag to `out`. The first packet of an SSRC starts at rollover
    /// counter 0; a seq of less than half the space ahead moves it on. An index is spent as soon
    /// as this is called with it, whether or not the packet is ever sent.
    ///
    /// # Errors
    /// [`SrtpError::IndexSpent`] for the same or an older seq, [`SrtpError::KeyExhausted`],
    /// [`SrtpError::TooManySources`]; `out` is then as it was.
    pub fn seal(
        &mut self,
        header: &[u8; RTP_HEADER_BYTES],
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SrtpError> {
        let ssrc = word(header, 8);
        let index = self.spend(ssrc, u16::from_be_bytes([header[2], header[3]]))?;
        let start = out.len();
        out.reserve(self.sealed_bytes(payload.len()));
        out.extend_from_slice(header);
        out.extend_from_slice(payload);
        let sealed = match &self.rtp {
            Half::Gcm { cipher, salt } => cipher
                .seal_in_place_separate_tag(
                    gcm_nonce(salt, ssrc, index),
                    Aad::from(header),
                    &mut out[start + RTP_HEADER_BYTES..],
                )
                .map(|tag| out.extend_from_slice(tag.as_ref()))
                .map_err(|_| SrtpError::Cipher),
            Half::Counter { cipher, auth, salt } => cipher
                .apply(
                    counter_iv(salt, ssrc, index),
                    &mut out[start + RTP_HEADER_BYTES..],
                )
                .map(|()| {
                    let rollover = ((index >> 16) as u32).to_be_bytes();
                    let mut context = hmac::Context::with_key(auth);
                    context.update(&out[start..]);
                    context.update(&rollover);
                    out.extend_from_slice(&context.sign().as_ref()[..CM_TAG_BYTES]);
                }),
        };
        if sealed.is_err() {
            out.truncate(start);
        }
        sealed
    }

    /// Appends the protected form of an RTCP compound to `out`.
    ///
    /// # Errors
    /// [`SrtpError::Truncated`] for less than one header, [`SrtpError::KeyExhausted`] after 2^31
    /// packets; `out` is then as it was.
    pub fn seal_rtcp(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), SrtpError> {
        if packet.len() < RTCP_HEADER_BYTES {
            return Err(SrtpError::Truncated);
        }
        if self.next_srtcp_index > MAX_SRTCP_INDEX {
            return Err(SrtpError::KeyExhausted);
        }
        let index = self.next_srtcp_index;
        self.next_srtcp_index += 1;
        let ssrc = word(packet, 4);
        let trailer = (ENCRYPTED | index).to_be_bytes();
        let start = out.len();
        out.extend_from_slice(packet);
        let body = start + RTCP_HEADER_BYTES;
        let sealed = match &self.rtcp {
            Half::Gcm { cipher, salt } => {
                let mut aad = [0; RTCP_HEADER_BYTES + 4];
                aad[..RTCP_HEADER_BYTES].copy_from_slice(&packet[..RTCP_HEADER_BYTES]);
                aad[RTCP_HEADER_BYTES..].copy_from_slice(&trailer);
                cipher
                    .seal_in_place_separate_tag(
                        gcm_nonce(salt, ssrc, u64::from(index)),
                        Aad::from(aad),
                        &mut out[body..],
                    )
                    .map(|tag| {
                        out.extend_from_slice(tag.as_ref());
                        out.extend_from_slice(&trailer);
                    })
                    .map_err(|_| SrtpError::Cipher)
            }
            Half::Counter { cipher, auth, salt } => cipher
                .apply(counter_iv(salt, ssrc, u64::from(index)), &mut out[body..])
                .map(|()| {
                    out.extend_from_slice(&trailer);
                    let tag = hmac::sign(auth, &out[start..]);
                    out.extend_from_slice(&tag.as_ref()[..CM_TAG_BYTES]);
                }),
        };
        if sealed.is_err() {
            out.truncate(start);
        }
        sealed
    }

    /// Marks the index of `seq` as spent, before any byte is encrypted with it.
    fn spend(&mut self, ssrc: u32, seq: u16) -> Result<u64, SrtpError> {
        let Some((_, newest)) = self.spent.iter_mut().find(|(known, _)| *known == ssrc) else {
            if self.spent.len() == MAX_SOURCES {
                return Err(SrtpError::TooManySources);
            }
            self.spent.push((ssrc, u64::from(seq)));
            return Ok(u64::from(seq));
        };
        let ahead = seq.wrapping_sub(*newest as u16);
        if ahead == 0 || ahead >= 0x8000 {
            return Err(SrtpError::IndexSpent { ssrc, seq });
        }
        let index = *newest + u64::from(ahead);
        if index > MAX_INDEX {
            return Err(SrtpError::KeyExhausted);
        }
        *newest = index;
        Ok(index)
    }
}

impl std::fmt::Debug for SrtpSealer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SrtpSealer")
            .field("profile", &self.profile)
            .field("keys", &"***")
            .finish_non_exhaustive()
    }
}

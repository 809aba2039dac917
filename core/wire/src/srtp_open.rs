//! Opening: what arrives. The core only opens a viewer's SRTCP; media is opened by tests and load
//! viewers.

use aws_lc_rs::aead::Aad;
use aws_lc_rs::hmac;

use super::{
    Half, MAX_SOURCES, RTCP_HEADER_BYTES, RTP_HEADER_BYTES, SRTCP_TRAILER_BYTES, SrtpError,
    SrtpProfile, counter_iv, gcm_nonce, tags_match, word,
};

const ENCRYPTED: u32 = 1 << 31;
/// RFC 3711 section 3.3.2 asks for at least 64.
const REPLAY_WINDOW: u64 = 128;

/// Authenticates and decrypts RTP and RTCP of one direction, and refuses replays.
pub struct SrtpOpener {
    profile: SrtpProfile,
    rtp: Half,
    rtcp: Half,
    rtp_windows: Vec<(u32, ReplayWindow)>,
    rtcp_windows: Vec<(u32, ReplayWindow)>,
}

impl SrtpOpener {
    /// `key` and `salt` are the master key and salt of the other side's direction.
    ///
    /// # Errors
    /// [`SrtpError::BadKeyLength`].
    pub fn new(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Result<Self, SrtpError> {
        Ok(Self {
            profile,
            rtp: Half::rtp(profile, key, salt)?,
            rtcp: Half::rtcp(profile, key, salt)?,
            rtp_windows: Vec::new(),
            rtcp_windows: Vec::new(),
        })
    }

    #[must_use]
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// Replaces `out` by the RTP packet in clear. Header extensions are never encrypted here.
    ///
    /// # Errors
    /// [`SrtpError`]; the packet is to be dropped, no state has changed.
    pub fn open(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), SrtpError> {
        out.clear();
        let header = rtp_header_bytes(packet)?;
        let tag_bytes = self.rtp.tag_bytes();
        if packet.len() < header + tag_bytes {
            return Err(SrtpError::Truncated);
        }
        let seq = u16::from_be_bytes([packet[2], packet[3]]);
        let ssrc = word(packet, 8);
        let index = match find(&self.rtp_windows, ssrc) {
            Some(window) => {
                let index = window.estimate(seq);
                window.check(index)?;
                index
            }
            None if self.rtp_windows.len() == MAX_SOURCES => return Err(SrtpError::TooManySources),
            None => u64::from(seq),
        };
        let (body, tag) = packet.split_at(packet.len() - tag_bytes);
        match &self.rtp {
            Half::Gcm { cipher, salt } => {
                out.extend_from_slice(packet);
                cipher
                    .open_in_place(
                        gcm_nonce(salt, ssrc, index),
                        Aad::from(&packet[..header]),
                        &mut out[header..],
                    )
                    .map_err(|_| SrtpError::AuthFailed)?;
                out.truncate(body.len());
            }
            Half::Counter { cipher, auth, salt } => {
                let mut context = hmac::Context::with_key(auth);
                context.update(body);
                context.update(&((index >> 16) as u32).to_be_bytes());
                tags_match(&context.sign(), tag)?;
                out.extend_from_slice(body);
                cipher.apply(counter_iv(salt, ssrc, index), &mut out[header..])?;
            }
        }
        accept(&mut self.rtp_windows, ssrc, index);
        Ok(())
    }

    /// Replaces `out` by the RTCP compound in clear.
    ///
    /// # Errors
    /// [`SrtpError`]; the packet is to be dropped, no state has changed.
    pub fn open_rtcp(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), SrtpError> {
        out.clear();
        let tag_bytes = self.rtcp.tag_bytes();
        if packet.len() < RTCP_HEADER_BYTES + tag_bytes + SRTCP_TRAILER_BYTES {
            return Err(SrtpError::Truncated);
        }
        // The counter profile puts the tag after the trailer, GCM before it
        // (RFC 3711 section 3.4, RFC 7714 section 9.2).
        let trailer_at = match &self.rtcp {
            Half::Gcm { .. } => packet.len() - SRTCP_TRAILER_BYTES,
            Half::Counter { .. } => packet.len() - tag_bytes - SRTCP_TRAILER_BYTES,
        };
        let trailer = word(packet, trailer_at);
        if trailer & ENCRYPTED == 0 {
            return Err(SrtpError::NotEncrypted);
        }
        let index = u64::from(trailer & !ENCRYPTED);
        let ssrc = word(packet, 4);
        match find(&self.rtcp_windows, ssrc) {
            Some(window) => window.check(index)?,
            None if self.rtcp_windows.len() == MAX_SOURCES => {
                return Err(SrtpError::TooManySources);
            }
            None => {}
        }
        match &self.rtcp {
            Half::Gcm { cipher, salt } => {
                let mut aad = [0; RTCP_HEADER_BYTES + 4];
                aad[..RTCP_HEADER_BYTES].copy_from_slice(&packet[..RTCP_HEADER_BYTES]);
                aad[RTCP_HEADER_BYTES..].copy_from_slice(&trailer.to_be_bytes());
                out.extend_from_slice(&packet[..trailer_at]);
                let plain = cipher
                    .open_in_place(
                        gcm_nonce(salt, ssrc, index),
                        Aad::from(aad),
                        &mut out[RTCP_HEADER_BYTES..],
                    )
                    .map_err(|_| SrtpError::AuthFailed)?
                    .len();
                out.truncate(RTCP_HEADER_BYTES + plain);
            }
            Half::Counter { cipher, auth, salt } => {
                let (covered, tag) = packet.split_at(packet.len() - tag_bytes);
                tags_match(&hmac::sign(auth, covered), tag)?;
                out.extend_from_slice(&packet[..trailer_at]);
                cipher.apply(counter_iv(salt, ssrc, index), &mut out[RTCP_HEADER_BYTES..])?;
            }
        }
        accept(&mut self.rtcp_windows, ssrc, index);
        Ok(())
    }
}

impl std::fmt::Debug for SrtpOpener {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SrtpOpener")
            .field("profile", &self.profile)
            .field("keys", &"***")
            .finish_non_exhaustive()
    }
}

/// Length of the clear part: fixed header, CSRCs and header extension.
fn rtp_header_bytes(packet: &[u8]) -> Result<usize, SrtpError> {
    let first = *packet.first().ok_or(SrtpError::Truncated)?;
    if first >> 6 != 2 {
        return Err(SrtpError::Malformed);
    }
    let mut header = RTP_HEADER_BYTES + 4 * usize::from(first & 0x0F);
    if first & 0x10 != 0 {
        let length = packet
            .get(header + 2..header + 4)
            .ok_or(SrtpError::Truncated)?;
        header += 4 + 4 * usize::from(u16::from_be_bytes([length[0], length[1]]));
    }
    if packet.len() < header {
        return Err(SrtpError::Truncated);
    }
    Ok(header)
}

/// Which of the last [`REPLAY_WINDOW`] indices were seen; bit 0 is `newest`.
#[derive(Clone, Copy)]
struct ReplayWindow {
    newest: u64,
    seen: u128,
}

impl ReplayWindow {
    /// The index `seq` most likely has (RFC 3711 appendix A).
    fn estimate(&self, seq: u16) -> u64 {
        let newest_seq = self.newest as u16;
        let ahead = i64::from(seq.wrapping_sub(newest_seq).cast_signed());
        self.newest
            .checked_add_signed(ahead)
            .unwrap_or(u64::from(seq))
    }

    fn check(&self, index: u64) -> Result<(), SrtpError> {
        match self.newest.checked_sub(index) {
            None => Ok(()),
            Some(behind) if behind < REPLAY_WINDOW && self.seen >> behind & 1 == 0 => Ok(()),
            Some(_) => Err(SrtpError::Replayed),
        }
    }

    fn accept(&mut self, index: u64) {
        if let Some(behind) = self.newest.checked_sub(index) {
            self.seen |= 1_u128.checked_shl(behind as u32).unwrap_or(0);
        } else {
            let shift = u32::try_from(index - self.newest).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(shift).unwrap_or(0) | 1;
            self.newest = index;
        }
    }
}

fn find(windows: &[(u32, ReplayWindow)], ssrc: u32) -> Option<&ReplayWindow> {
    windows
        .iter()
        .find(|(known, _)| *known == ssrc)
        .map(|(_, window)| window)
}

/// Only after authentication.
fn accept(windows: &mut Vec<(u32, ReplayWindow)>, ssrc: u32, index: u64) {
    match windows.iter_mut().find(|(known, _)| *known == ssrc) {
        Some((_, window)) => window.accept(index),
        None => windows.push((
            ssrc,
            ReplayWindow {
                newest: index,
                seen: 1,
            },
        )),
    }
}

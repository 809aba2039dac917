//! RTP packets (RFC 3550 section 5.1): a validating reader over borrowed bytes, a header writer for
//! the fan-out, and unwrapping of 16 and 32 bit counters.
//!
//! Belongs here: the fixed header and its variable parts. Does not: payload formats (`h264`), loss
//! accounting (`fanout::intake`), encryption (`srtp`). Anyone may call.

use thiserror::Error;

/// Size of the fixed header, without CSRCs or extension.
pub const RTP_HEADER_BYTES: usize = 12;

/// The P bit, in the first byte: the packet ends in padding (RFC 3550 section 5.1).
pub const RTP_PADDING_BIT: u8 = 0x20;

/// Why bytes are not an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RtpError {
    /// Fewer bytes than the header, its CSRCs or its extension need.
    #[error("RTP packet of {len_bytes} bytes is too short for its header ({need_bytes} bytes)")]
    Short {
        /// Bytes that were given.
        len_bytes: usize,
        /// Bytes that the header claims.
        need_bytes: usize,
    },
    /// Not version 2.
    #[error("RTP version {0}, not 2")]
    Version(u8),
    /// The padding count is 0 or reaches into the header.
    #[error("RTP padding of {padding_bytes} bytes does not fit {available_bytes} bytes")]
    Padding {
        /// What the last byte says.
        padding_bytes: u8,
        /// Bytes after the header.
        available_bytes: usize,
    },
}

/// One RTP packet, validated once, then read through accessors over the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpPacket<'a> {
    header: RtpHeader,
    extension: Option<(u16, &'a [u8])>,
    payload: &'a [u8],
}

impl<'a> RtpPacket<'a> {
    /// Validates version, CSRC list, header extension and padding (RFC 3550 sections 5.1, 5.3.1).
    ///
    /// # Errors
    /// [`RtpError`] for whatever does not fit the bytes; nothing is guessed.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtpError> {
        let short = |need_bytes| RtpError::Short {
            len_bytes: bytes.len(),
            need_bytes,
        };
        let Some((fixed, _)) = bytes.split_first_chunk::<RTP_HEADER_BYTES>() else {
            return Err(short(RTP_HEADER_BYTES));
        };
        let version = fixed[0] >> 6;
        if version != 2 {
            return Err(RtpError::Version(version));
        }
        let mut start = RTP_HEADER_BYTES + 4 * usize::from(fixed[0] & 0x0f);
        let mut extension = None;
        if fixed[0] & 0x10 != 0 {
            let Some(head) = bytes.get(start..).and_then(|b| b.first_chunk::<4>()) else {
                return Err(short(start + 4));
            };
            let profile = u16::from_be_bytes([head[0], head[1]]);
            let len_bytes = 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
            start += 4;
            let Some(body) = bytes.get(start..start + len_bytes) else {
                return Err(short(start + len_bytes));
            };
            extension = Some((profile, body));
            start += len_bytes;
        }
        let Some(mut payload) = bytes.get(start..) else {
            return Err(short(start));
        };
        if fixed[0] & RTP_PADDING_BIT != 0 {
            let padding_bytes = payload.last().copied().unwrap_or(0);
            let available_bytes = payload.len();
            if padding_bytes == 0 || usize::from(padding_bytes) > available_bytes {
                return Err(RtpError::Padding {
                    padding_bytes,
                    available_bytes,
                });
            }
            payload = &payload[..available_bytes - usize::from(padding_bytes)];
        }
        let header = RtpHeader {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            seq: u16::from_be_bytes([fixed[2], fixed[3]]),
            rtp_ts: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        };
        Ok(Self {
            header,
            extension,
            payload,
        })
    }

    /// The fixed fields.
    #[must_use]
    #[inline]
    pub fn header(&self) -> RtpHeader {
        self.header
    }

    /// Marker bit; for video the last packet of a picture, where the sender is honest.
    #[must_use]
    #[inline]
    pub fn marker(&self) -> bool {
        self.header.marker
    }

    /// Payload type, 0 to 127.
    #[must_use]
    #[inline]
    pub fn payload_type(&self) -> u8 {
        self.header.payload_type
    }

    /// Sequence number on the wire.
    #[must_use]
    #[inline]
    pub fn seq(&self) -> u16 {
        self.header.seq
    }

    /// RTP time in units of the payload's clock.
    #[must_use]
    #[inline]
    pub fn rtp_ts(&self) -> u32 {
        self.header.rtp_ts
    }

    /// Synchronisation source.
    #[must_use]
    #[inline]
    pub fn ssrc(&self) -> u32 {
        self.header.ssrc
    }

    /// Header extension as `(profile, body)`; the body is a multiple of four bytes.
    #[must_use]
    pub fn extension(&self) -> Option<(u16, &'a [u8])> {
        self.extension
    }

    /// Payload without CSRCs, extension and padding; may be empty.
    #[must_use]
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// The fixed header as we write it: version 2, no padding, no extension, no CSRC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpHeader {
    /// Set on the last packet of an access unit.
    pub marker: bool,
    /// 0 to 127; the top bit is ignored.
    pub payload_type: u8,
    /// Sequence number.
    pub seq: u16,
    /// RTP time in units of the payload's clock.
    pub rtp_ts: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

impl RtpHeader {
    /// Writes the twelve bytes (RFC 3550 section 5.1).
    pub fn write(&self, out: &mut [u8; RTP_HEADER_BYTES]) {
        out[0] = 0x80;
        out[1] = (u8::from(self.marker) << 7) | (self.payload_type & 0x7f);
        out[2..4].copy_from_slice(&self.seq.to_be_bytes());
        out[4..8].copy_from_slice(&self.rtp_ts.to_be_bytes());
        out[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
    }

    /// The twelve bytes by value.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; RTP_HEADER_BYTES] {
        let mut out = [0; RTP_HEADER_BYTES];
        self.write(&mut out);
        out
    }
}

/// Unwraps 16 bit sequence numbers into a growing 64 bit count, by the nearest step.
///
/// The low 16 bits stay those of the wire. The first value lands in the second cycle (+65,536), so
/// that packets reordered before it still have room below.
#[derive(Debug, Clone, Copy, Default)]
pub struct SeqExtender {
    last: Option<u64>,
}

impl SeqExtender {
    /// Extends `seq` relative to the last value given, at most half a cycle away.
    #[inline]
    pub fn extend(&mut self, seq: u16) -> u64 {
        let extended = match self.last {
            None => (1 << 16) + u64::from(seq),
            Some(last) => {
                #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
                let step = seq.wrapping_sub(last as u16) as i16;
                last.checked_add_signed(i64::from(step))
                    .unwrap_or_else(|| (1 << 16) + u64::from(seq))
            }
        };
        self.last = Some(extended);
        extended
    }
}

/// Unwraps 32 bit RTP times into 64 bits, by the nearest step; the first lands at +2^32.
#[derive(Debug, Clone, Copy, Default)]
pub struct TsExtender {
    last: Option<u64>,
}

impl TsExtender {
    /// Extends `rtp_ts` relative to the last value given, at most half a cycle away.
    #[inline]
    pub fn extend(&mut self, rtp_ts: u32) -> u64 {
        let extended = match self.last {
            None => (1 << 32) + u64::from(rtp_ts),
            Some(last) => {
                #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
                let step = rtp_ts.wrapping_sub(last as u32) as i32;
                last.checked_add_signed(i64::from(step))
                    .unwrap_or_else(|| (1 << 32) + u64::from(rtp_ts))
            }
        };
        self.last = Some(extended);
        extended
    }
}

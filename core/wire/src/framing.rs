//! Datagrams over a byte stream: each behind its length, 16 bits in network order (RFC 4571
//! section 2), as ICE-TCP carries STUN, DTLS and SRTP (RFC 6544 section 3).

/// Longest frame taken: what a viewer sends are checks, handshakes and reports, none over an MTU.
pub const MAX_FRAME_BYTES: usize = 2_048;
pub const FRAME_HEADER_BYTES: usize = 2;

/// A frame longer than [`MAX_FRAME_BYTES`]: not one of ours, and no way to find the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame of {0} bytes")]
pub struct FrameTooLong(pub usize);

/// Takes frames out of bytes that are cut anywhere.
#[derive(Debug, Default)]
pub struct Deframer {
    /// Begun and not whole: at most one frame.
    pending: Vec<u8>,
}

impl Deframer {
    /// Hands every frame that is whole to `sink`; empty ones are passed over.
    ///
    /// # Errors
    /// [`FrameTooLong`]: give the connection up.
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), FrameTooLong> {
        while !bytes.is_empty() {
            if self.pending.is_empty()
                && let Some((header, rest)) = bytes.split_first_chunk()
            {
                let len_bytes = frame_bytes(*header)?;
                if let Some((frame, rest)) = rest.split_at_checked(len_bytes) {
                    if !frame.is_empty() {
                        sink(frame);
                    }
                    bytes = rest;
                    continue;
                }
            }
            let want = match self.pending.first_chunk() {
                Some(header) => FRAME_HEADER_BYTES + frame_bytes(*header)?,
                None => FRAME_HEADER_BYTES,
            };
            let (taken, rest) = bytes.split_at(bytes.len().min(want - self.pending.len()));
            self.pending.extend_from_slice(taken);
            bytes = rest;
            if let Some(header) = self.pending.first_chunk()
                && self.pending.len() == FRAME_HEADER_BYTES + frame_bytes(*header)?
            {
                if self.pending.len() > FRAME_HEADER_BYTES {
                    sink(&self.pending[FRAME_HEADER_BYTES..]);
                }
                self.pending.clear();
            }
        }
        Ok(())
    }
}

fn frame_bytes(header: [u8; FRAME_HEADER_BYTES]) -> Result<usize, FrameTooLong> {
    let len_bytes = usize::from(u16::from_be_bytes(header));
    if len_bytes > MAX_FRAME_BYTES {
        return Err(FrameTooLong(len_bytes));
    }
    Ok(len_bytes)
}

/// Appends one frame. False, with `out` untouched, when the length does not fit 16 bits.
#[must_use]
pub fn write_frame(out: &mut Vec<u8>, datagram: &[u8]) -> bool {
    let Ok(len_bytes) = u16::try_from(datagram.len()) else {
        return false;
    };
    out.extend_from_slice(&len_bytes.to_be_bytes());
    out.extend_from_slice(datagram);
    true
}

//! Annex B byte streams: start codes and the NAL units between them (H.264 annex B).

/// The four byte start code that we write.
pub const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Bytes tested for a zero at once: wide enough for vector registers, and in coded pictures, where
/// one byte in 256 is zero, seven of eight blocks have none.
const BLOCK_BYTES: usize = 32;

/// Offset of the first `00 00 01`, if any.
///
/// It runs over every byte that a camera sends, so blocks without a zero byte are passed over whole.
#[must_use]
pub fn find_start_code(bytes: &[u8]) -> Option<usize> {
    let (blocks, tail) = bytes.as_chunks::<BLOCK_BYTES>();
    for (place, block) in blocks.iter().enumerate() {
        if block.iter().fold(false, |zero, &byte| zero | (byte == 0)) {
            let start = place * BLOCK_BYTES;
            // A start code that begins here may reach two bytes into the next block.
            let end = bytes.len().min(start + BLOCK_BYTES + 2);
            if let Some(at) = find_in(&bytes[start..end]) {
                return Some(start + at);
            }
        }
    }
    find_in(tail).map(|at| bytes.len() - tail.len() + at)
}

/// Looks at every third byte of ordinary data.
fn find_in(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    while let Some(&third) = bytes.get(at) {
        if third > 1 {
            at += 3;
        } else if third == 1 && bytes[at - 1] == 0 && bytes[at - 2] == 0 {
            return Some(at - 2);
        } else {
            at += 1;
        }
    }
    None
}

/// Whether a start code occurs anywhere: never so in one well-formed NAL unit.
#[must_use]
pub fn has_start_code(bytes: &[u8]) -> bool {
    find_start_code(bytes).is_some()
}

/// Without the zero bytes at the end; a NAL unit cannot end in one (H.264 section 7.4.1).
#[must_use]
pub fn trim_trailing_zeros(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .rposition(|&b| b != 0)
        .map_or(0, |last| last + 1);
    &bytes[..end]
}

/// The NAL units between start codes, not empty, without trailing zeros.
///
/// Bytes before the first start code count as a NAL unit too: cameras glue Annex B behind a first
/// NAL unit that has none.
pub fn annexb_nals(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        loop {
            let current = rest?;
            let nal = if let Some(at) = find_start_code(current) {
                rest = Some(&current[at + 3..]);
                &current[..at]
            } else {
                rest = None;
                current
            };
            let nal = trim_trailing_zeros(nal);
            if !nal.is_empty() {
                return Some(nal);
            }
        }
    })
}

//! Annex B byte streams: start codes and the NAL units between them (H.264 annex B).

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// The four byte start code that we write.
pub const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Offset of the first `00 00 01`, if any.
///
/// It runs over every byte that a camera sends.
#[must_use]
pub fn find_start_code(bytes: &[u8]) -> Option<usize> {
    static START: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(&START_CODE[1..]));
    START.find(bytes)
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

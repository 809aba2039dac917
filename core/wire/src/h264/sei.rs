//! Supplemental enhancement information (H.264 section 7.3.2.3, annex D).

use super::{NalType, nal_type};

/// Payload type of a recovery point message (D.1.8): decoding may begin there without an IDR.
pub const SEI_RECOVERY_POINT: u32 = 6;
/// Payload type of user data with a UUID (D.1.7).
const SEI_USER_DATA_UNREGISTERED: u32 = 5;

/// An SEI NAL unit's raw bytes without emulation prevention bytes, header byte left out.
fn unescaped(nal: &[u8]) -> Option<Vec<u8>> {
    if nal_type(nal)? != NalType::Sei {
        return None;
    }
    let mut out = Vec::with_capacity(nal.len());
    let mut zeros = 0u8;
    for &byte in &nal[1..] {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 {
            zeros.saturating_add(1)
        } else {
            0
        };
        out.push(byte);
    }
    Some(out)
}

/// A number in the form ff ff .. last (D.1).
fn ff_coded(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0usize;
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value = value.checked_add(usize::from(byte))?;
        if byte != 0xff {
            return Some(value);
        }
    }
}

/// Calls `see(payload_type, payload)` for each message until it returns `true`.
fn each_message(nal: &[u8], mut see: impl FnMut(u32, &[u8]) -> bool) {
    let Some(raw) = unescaped(nal) else { return };
    let mut rest = raw.as_slice();
    // The last byte is the trailing stop bit, so a message needs at least two bytes before it.
    while rest.len() > 2 {
        let (Some(kind), Some(len_bytes)) = (ff_coded(&mut rest), ff_coded(&mut rest)) else {
            return;
        };
        let Some((payload, after)) = rest.split_at_checked(len_bytes) else {
            return;
        };
        if see(u32::try_from(kind).unwrap_or(u32::MAX), payload) {
            return;
        }
        rest = after;
    }
}

/// Payload types of all messages in an SEI NAL unit, in order; empty for anything else.
#[must_use]
pub fn sei_payload_types(nal: &[u8]) -> Vec<u32> {
    let mut kinds = Vec::new();
    each_message(nal, |kind, _| {
        kinds.push(kind);
        false
    });
    kinds
}

/// The first `user_data_unregistered` message: its UUID and the bytes behind it.
#[must_use]
pub fn sei_user_data_unregistered(nal: &[u8]) -> Option<([u8; 16], Vec<u8>)> {
    let mut found = None;
    each_message(nal, |kind, payload| {
        if kind == SEI_USER_DATA_UNREGISTERED
            && let Some((uuid, rest)) = payload.split_first_chunk::<16>()
        {
            found = Some((*uuid, rest.to_vec()));
        }
        found.is_some()
    });
    found
}

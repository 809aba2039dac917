//! Supplemental enhancement information (H.264 section 7.3.2.3, annex D).

use super::{NalType, nal_type};

/// Payload type of a recovery point message (D.1.8): decoding may begin there without an IDR.
pub const SEI_RECOVERY_POINT: u32 = 6;
/// Payload type of user data with a UUID (D.1.7).
const SEI_USER_DATA_UNREGISTERED: u32 = 5;

/// An SEI NAL unit's raw bytes without emulation prevention bytes, header byte left out; nothing of
/// anything else.
fn unescaped(nal: &[u8]) -> impl Iterator<Item = u8> + Clone {
    let body = match nal_type(nal) {
        Some(NalType::Sei) => &nal[1..],
        _ => &[],
    };
    let mut zeros = 0u8;
    body.iter().copied().filter(move |&byte| {
        let is_prevention = zeros >= 2 && byte == 3;
        zeros = match byte {
            0 => zeros.saturating_add(1),
            _ => 0,
        };
        !is_prevention
    })
}

/// A number in the form ff ff .. last (D.1).
fn ff_coded(bytes: &mut impl Iterator<Item = u8>) -> Option<usize> {
    let mut value = 0usize;
    loop {
        let byte = bytes.next()?;
        value = value.checked_add(usize::from(byte))?;
        if byte != 0xff {
            return Some(value);
        }
    }
}

/// Payload type and payload of each whole message. Allocates nothing: many cameras send one with every
/// picture.
fn messages(nal: &[u8]) -> impl Iterator<Item = (u32, impl Iterator<Item = u8>)> {
    let mut rest = unescaped(nal);
    std::iter::from_fn(move || {
        // The last byte is the trailing stop bit, so a message needs at least two bytes before it.
        rest.clone().nth(2)?;
        let kind = ff_coded(&mut rest)?;
        let len_bytes = ff_coded(&mut rest)?;
        let payload = rest.clone().take(len_bytes);
        if len_bytes > 0 {
            rest.nth(len_bytes - 1)?;
        }
        Some((u32::try_from(kind).unwrap_or(u32::MAX), payload))
    })
}

/// Payload types of all messages in an SEI NAL unit, in order; none for anything else.
pub fn sei_payload_types(nal: &[u8]) -> impl Iterator<Item = u32> {
    messages(nal).map(|(kind, _)| kind)
}

/// The first `user_data_unregistered` message: its UUID and the bytes behind it.
#[must_use]
pub fn sei_user_data_unregistered(nal: &[u8]) -> Option<([u8; 16], Vec<u8>)> {
    messages(nal).find_map(|(kind, payload)| {
        if kind != SEI_USER_DATA_UNREGISTERED {
            return None;
        }
        let payload: Vec<u8> = payload.collect();
        let (uuid, rest) = payload.split_first_chunk::<16>()?;
        Some((*uuid, rest.to_vec()))
    })
}

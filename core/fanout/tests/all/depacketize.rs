//! A depacketiser of our own for the tests, strict where browsers are (RFC 6184).

use fanout::PackedUnit;

/// The NAL units of a unit's payloads, in order; panics at whatever a browser would refuse.
pub fn nals_of(unit: &PackedUnit) -> Vec<Vec<u8>> {
    nals_of_payloads((0..unit.len()).map(|packet| unit.payload(packet)))
}

pub fn nals_of_payloads<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut nals = Vec::new();
    let mut open: Option<Vec<u8>> = None;
    for payload in payloads {
        match payload[0] & 0x1f {
            28 => {
                let (start, end) = (payload[1] & 0x80 != 0, payload[1] & 0x40 != 0);
                assert!(!(start && end), "a NAL unit in one fragment");
                assert!(payload.len() > 2, "an empty fragment");
                assert_eq!(start, open.is_none(), "a start exactly where none is open");
                let header = (payload[0] & 0xe0) | (payload[1] & 0x1f);
                let nal = open.get_or_insert_with(|| vec![header]);
                assert_eq!(nal[0], header, "the same kind in every fragment");
                nal.extend(&payload[2..]);
                if end {
                    nals.extend(open.take());
                }
            }
            24 => {
                assert!(open.is_none());
                let mut rest = &payload[1..];
                while !rest.is_empty() {
                    let len_bytes = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
                    nals.push(rest[2..2 + len_bytes].to_vec());
                    rest = &rest[2 + len_bytes..];
                }
            }
            kind => {
                assert!(open.is_none() && (1..=23).contains(&kind), "kind {kind}");
                nals.push(payload.to_vec());
            }
        }
    }
    assert!(open.is_none(), "a NAL unit without an end");
    nals
}

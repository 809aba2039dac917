//! Access units from decrypted H.264 payloads (RFC 6184): is a keyframe whole, how many bytes of
//! slices has a unit. Pure; nothing is kept of the bytes.

use wire::h264::NalType;

use crate::tally::Order;

/// A unit whose packets were all decrypted, in order and without a gap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Assembled {
    /// Bytes of its slice NAL units, header byte included, start codes not.
    pub vcl_bytes: u32,
    pub idr: bool,
    pub sps: bool,
    pub pps: bool,
}

impl Assembled {
    /// A decoder that has seen nothing can start with it.
    pub fn is_whole_keyframe(&self) -> bool {
        self.idr && self.sps && self.pps
    }
}

#[derive(Debug, Default)]
pub struct Assembly {
    current: Option<Assembled>,
    in_fragment: bool,
    /// The packet before ended a unit, or there was none.
    at_start: bool,
}

impl Assembly {
    pub fn new() -> Self {
        Self {
            at_start: true,
            ..Self::default()
        }
    }

    /// Packets were not decrypted meanwhile: the unit that is under way cannot be known.
    pub fn skip(&mut self) {
        *self = Self::default();
    }

    /// Takes the next decrypted payload; gives the unit that `marker` ends, when it is whole.
    pub fn push(&mut self, order: Order, payload: &[u8], marker: bool) -> Option<Assembled> {
        match order {
            Order::Next => {}
            Order::AfterGap | Order::Late => self.skip(),
            Order::Duplicate => return None,
        }
        if self.at_start {
            (self.current, self.in_fragment) = (Some(Assembled::default()), false);
        }
        self.at_start = marker;
        if let Some(unit) = &mut self.current
            && !take(unit, &mut self.in_fragment, payload)
        {
            self.current = None;
        }
        if marker { self.current.take() } else { None }
    }
}

/// False when the payload does not fit what came before.
fn take(unit: &mut Assembled, in_fragment: &mut bool, payload: &[u8]) -> bool {
    let Some((&first, rest)) = payload.split_first() else {
        return true; // Padding only.
    };
    let kind = NalType::from_header(first);
    if *in_fragment && kind != NalType::FuA {
        return false;
    }
    match kind {
        NalType::StapA => {
            let mut rest = rest;
            while let Some((size, after)) = rest.split_first_chunk::<2>() {
                let size = usize::from(u16::from_be_bytes(*size));
                let Some((nal, after)) = after.split_at_checked(size) else {
                    return false;
                };
                let Some(&header) = nal.first() else {
                    return false;
                };
                note(unit, header, size);
                rest = after;
            }
            rest.is_empty()
        }
        NalType::FuA => {
            let Some((&fu, body)) = rest.split_first() else {
                return false;
            };
            let (start, end) = (fu & 0x80 != 0, fu & 0x40 != 0);
            if start == *in_fragment {
                return false;
            }
            *in_fragment = !end;
            let header_bytes = usize::from(start);
            note(unit, fu & 0x1f, header_bytes + body.len());
            true
        }
        _ => {
            note(unit, first, payload.len());
            true
        }
    }
}

fn note(unit: &mut Assembled, header: u8, bytes: usize) {
    match NalType::from_header(header) {
        NalType::Sps => unit.sps = true,
        NalType::Pps => unit.pps = true,
        kind if kind.is_vcl() => {
            unit.idr |= kind == NalType::IdrSlice;
            unit.vcl_bytes += u32::try_from(bytes).unwrap_or(u32::MAX);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAP: &[u8] = &[0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 1];

    #[test]
    fn a_keyframe_is_whole_with_its_parameter_sets_and_all_fragments() {
        let mut assembly = Assembly::new();
        assert_eq!(assembly.push(Order::Next, STAP, false), None);
        assert_eq!(assembly.push(Order::Next, &[0x7c, 0x85, 1, 2], false), None);
        assert_eq!(assembly.push(Order::Next, &[0x7c, 0x05, 1, 2], false), None);
        let unit = assembly.push(Order::Next, &[0x7c, 0x45, 9], true).unwrap();
        assert!(unit.is_whole_keyframe());
        assert_eq!(unit.vcl_bytes, 6);
        let unit = assembly.push(Order::Next, &[0x41, 1, 2], true).unwrap();
        assert!(!unit.is_whole_keyframe());
        assert_eq!(unit.vcl_bytes, 3);
    }

    #[test]
    fn a_gap_spoils_its_unit_and_no_other() {
        let mut assembly = Assembly::new();
        assembly.push(Order::Next, &[0x7c, 0x85, 1, 2], false);
        assert_eq!(assembly.push(Order::AfterGap, &[0x7c, 0x45, 9], true), None);
        assert!(assembly.push(Order::Next, &[0x41, 1], true).is_some());
    }

    #[test]
    fn fragments_without_their_start_or_cut_aggregates_are_no_unit() {
        for bad in [&[0x7c, 0x45, 9][..], &[0x78, 0, 9, 0x67], &[0x7c]] {
            assert_eq!(Assembly::new().push(Order::Next, bad, true), None);
        }
    }
}

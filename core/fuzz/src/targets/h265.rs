//! NAL units (ITU-T H.265).

use wire::h264::annexb_nals;
use wire::h265::{Pps, Sps, layer_id, nal_type, slice_info, slice_order, vps_id};

/// What a NAL unit says is in the standard's range, also with the sets of others.
pub fn h265(bytes: &[u8]) {
    let nals: Vec<&[u8]> = std::iter::once(bytes).chain(annexb_nals(bytes)).collect();
    let sets: Vec<Sps> = nals.iter().filter_map(|nal| Sps::parse(nal)).collect();
    let picture_sets: Vec<Pps> = nals.iter().filter_map(|nal| Pps::parse(nal)).collect();
    for sps in &sets {
        assert!(sps.id <= 15 && (1..=16_384).contains(&sps.width));
        assert!((1..=16_384).contains(&sps.height) && (4..=16).contains(&sps.order_bits));
        let _ = sps.profile_name();
    }
    for nal in &nals {
        assert!(nal_type(nal).is_none_or(|_| nal.len() >= 2));
        assert!(layer_id(nal).is_none_or(|id| id <= 63));
        assert!(vps_id(nal).is_none_or(|id| id <= 15));
        assert!(slice_info(nal).is_none_or(|slice| slice.pps_id <= 63));
        for (sps, pps) in sets.iter().zip(&picture_sets) {
            let order = slice_order(nal, pps, sps);
            assert!(order.is_none_or(|order| order < 1 << sps.order_bits));
        }
    }
}

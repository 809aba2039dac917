//! NAL units (ITU-T H.264).

use wire::h264::{
    START_CODE, Sps, annexb_nals, find_start_code, has_start_code, is_vcl, nal_type, pps_ids,
    sei_payload_types, sei_user_data_unregistered, slice_info, sps_id, trim_trailing_zeros,
};

/// Splitting loses nothing but zeros and start codes; what a NAL unit says is in the standard's range.
pub fn h264(bytes: &[u8]) {
    nal(bytes);
    let nals: Vec<&[u8]> = annexb_nals(bytes).collect();
    let mut joined = Vec::new();
    for one in &nals {
        assert!(!one.is_empty() && !has_start_code(one) && !one.ends_with(&[0]));
        joined.extend(START_CODE);
        joined.extend_from_slice(one);
        nal(one);
    }
    assert_eq!(annexb_nals(&joined).collect::<Vec<_>>(), nals);
    let found = find_start_code(bytes);
    assert_eq!(found, bytes.windows(3).position(|three| three == [0, 0, 1]));
}

fn nal(nal: &[u8]) {
    if let Some(sps) = Sps::parse(nal) {
        assert!(sps.id <= 31 && (1..=16_384).contains(&sps.width));
        assert!((1..=16_384).contains(&sps.height));
        assert_eq!(sps_id(nal), Some(sps.id));
        assert_eq!(sps.profile_level_id().len(), 6);
        let _ = sps.profile_name();
    }
    if let Some((pps, sps)) = pps_ids(nal) {
        assert!(pps <= 255 && sps <= 31);
    }
    if let Some(slice) = slice_info(nal) {
        assert!(is_vcl(nal) && slice.slice_type <= 9);
        let _ = (slice.is_b(), slice.begins_picture());
    }
    assert!(2 * sei_payload_types(nal).count() <= nal.len());
    if let Some((_, data)) = sei_user_data_unregistered(nal) {
        assert!(data.len() < nal.len());
    }
    assert!(nal_type(nal).is_some() != nal.is_empty());
    assert!(nal.starts_with(trim_trailing_zeros(nal)));
}

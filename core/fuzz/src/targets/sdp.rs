//! Session descriptions, as the core and as its judge read them.

use wire::sdp::{MAX_MEDIA, Sdp, sprop_parameter_sets};

use crate::assembly::Assembly;
use crate::input::{Input, text};
use crate::loadgen_sdp::Answer;
use crate::tally::{ClearHeader, Order};

/// What was read is written in lines, and reads back the same.
pub fn sdp(bytes: &[u8]) {
    let text = text(bytes);
    for set in sprop_parameter_sets(&text) {
        assert!(!set.is_empty() && set.len() <= bytes.len());
    }
    let Ok(sdp) = Sdp::parse(&text) else { return };
    assert!(sdp.media.len() <= MAX_MEDIA);
    let _ = sdp.control();
    for media in &sdp.media {
        let _ = (media.mid(), media.control(), media.direction());
        for map in media.rtp_maps() {
            assert!(map.clock_rate > 0 && !map.encoding.is_empty());
            let fmtp = media.fmtp(map.payload_type);
            if let Some(sets) = fmtp.get("sprop-parameter-sets") {
                let _ = sprop_parameter_sets(sets);
            }
        }
    }
    // An m= line that lacks a word is taken, and never written.
    let whole = |media: &wire::sdp::Media| !media.kind.is_empty() && !media.protocol.is_empty();
    if !sdp.media.iter().all(whole) {
        return;
    }
    let written = sdp.to_string();
    if let Ok(again) = Sdp::parse(&written) {
        assert_eq!(again, sdp);
    } else {
        assert!(written.len() > wire::sdp::MAX_SDP_BYTES);
    }
}

/// The load generator reads a server's answer and its media.
pub fn loadgen(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut assembly = Assembly::new();
    let _ = Answer::parse(&text(input.piece()));
    while !input.is_empty() {
        let kind = input.byte();
        let order = match kind % 8 {
            0 => Order::AfterGap,
            1 => Order::Duplicate,
            2 => Order::Late,
            _ => Order::Next,
        };
        let payload = input.piece();
        let _ = ClearHeader::read(payload);
        let unit = assembly.push(order, payload, kind & 0x80 != 0);
        assert!(unit.is_none_or(|unit| unit.vcl_bytes as usize <= bytes.len()));
    }
}

//! What an H.265 camera sends: NAL units that a slice parser accepts, packed as RFC 7798 says.

use std::time::Instant;

use bytes::Bytes;
use fanout::AccessUnit;
use wire::codec::VideoCodec;

use crate::camera::{Camera, PICTURE, ms};

/// 640x360 Main, as x265 writes it: 8 bits of picture order count.
pub const VPS: &[u8] = &[
    0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03,
    0x00, 0x00, 0x03, 0x00, 0x3f, 0xba, 0x02, 0x40,
];
pub const SPS: &[u8] = &[
    0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03,
    0x00, 0x3f, 0xa0, 0x05, 0x02, 0x01, 0x69, 0x65, 0xba, 0xb9, 0x30, 0xb9, 0xa0, 0x20, 0x00, 0x00,
    0x03, 0x00, 0x20, 0x00, 0x00, 0x03, 0x03, 0x21,
];
pub const PPS: &[u8] = &[0x44, 0x01, 0xc1, 0x73, 0xc1, 0x89];
pub const SEI: &[u8] = &[0x4e, 0x01, 0x04, 0x02, 0x11, 0x22, 0x80];
pub const SUFFIX_SEI: &[u8] = &[0x50, 0x01, 0x84, 0x01, 0x11, 0x80];
pub const AUD: &[u8] = &[0x46, 0x01, 0x10];
pub const PACI: &[u8] = &[0x64, 0x01, 0x02, 0x00, 0xaa, 0xbb];

pub const TRAIL: u8 = 1;
pub const RADL: u8 = 7;
pub const RASL: u8 = 9;
pub const BLA: u8 = 16;
pub const IDR: u8 = 19;
pub const CRA: u8 = 21;

/// A slice segment of `len_bytes`: real header, then bytes that hold no start code. `order` is its
/// picture's place in display order; `slice_type` is P.
pub fn slice(kind: u8, first: bool, order: u32, len_bytes: usize) -> Vec<u8> {
    slice_of_type(kind, first, 1, order, len_bytes)
}

/// 0 is B, 1 P, 2 I.
pub fn slice_of_type(kind: u8, first: bool, slice_type: u8, order: u32, len: usize) -> Vec<u8> {
    let mut bits = String::from(if first { "1" } else { "0" });
    if (16..24).contains(&kind) {
        bits.push('0');
    }
    bits.push('1'); // PPS 0
    if first {
        bits.push_str(["1", "010", "011"][usize::from(slice_type)]);
        if !matches!(kind, 19 | 20) {
            bits.push_str(&format!("{:08b}", order % 256));
        }
    } else {
        bits.push_str("0101");
    }
    while !bits.len().is_multiple_of(8) {
        bits.push('1');
    }
    let mut nal = vec![kind << 1, 1];
    nal.extend(
        (0..bits.len())
            .step_by(8)
            .map(|at| u8::from_str_radix(&bits[at..at + 8], 2).unwrap()),
    );
    let filler = (0..).map(|n: usize| 2 + (n % 251) as u8);
    let missing = len.saturating_sub(nal.len());
    nal.extend(filler.take(missing));
    nal
}

pub fn idr(len_bytes: usize) -> Vec<u8> {
    slice(IDR, true, 0, len_bytes)
}

pub fn p(len_bytes: usize, order: u32) -> Vec<u8> {
    slice(TRAIL, true, order, len_bytes)
}

/// Fragments (RFC 7798 section 4.4.3) of at most `size_bytes` of the NAL unit's body each.
pub fn fragments(nal: &[u8], size_bytes: usize) -> Vec<Vec<u8>> {
    let chunks: Vec<&[u8]> = nal[2..].chunks(size_bytes).collect();
    let last = chunks.len() - 1;
    let parts = chunks.iter().enumerate().map(|(place, chunk)| {
        let start = if place == 0 { 0x80 } else { 0 };
        let end = if place == last { 0x40 } else { 0 };
        let fu = start | end | (nal[0] >> 1) & 0x3f;
        let mut payload = vec![(nal[0] & 0x81) | 49 << 1, nal[1], fu];
        payload.extend_from_slice(chunk);
        payload
    });
    parts.collect()
}

/// An aggregation packet (RFC 7798 section 4.4.2).
pub fn aggregate(nals: &[&[u8]]) -> Vec<u8> {
    let mut payload = vec![48 << 1, 1];
    for nal in nals {
        payload.extend((nal.len() as u16).to_be_bytes());
        payload.extend_from_slice(nal);
    }
    payload
}

pub fn camera() -> Camera {
    Camera::of(VideoCodec::H265, &[])
}

/// NAL units as one unit, in fragments where they are long.
pub fn send<N: AsRef<[u8]>>(camera: &mut Camera, nals: &[N]) -> Vec<AccessUnit> {
    let payloads: Vec<Vec<u8>> = nals
        .iter()
        .flat_map(|nal| match nal.as_ref() {
            long if long.len() > 1_400 => fragments(long, 1_397),
            nal => vec![nal.to_vec()],
        })
        .collect();
    camera.payloads(&payloads)
}

/// A keyframe with its parameter sets.
pub fn key(camera: &mut Camera, len_bytes: usize) -> Vec<AccessUnit> {
    send(camera, &[VPS, SPS, PPS, &idr(len_bytes)])
}

/// A unit that never was RTP, at picture `number`.
pub fn unit(from: Instant, number: u32, nals: &[Vec<u8>]) -> AccessUnit {
    let kind = |nal: &Vec<u8>| (nal[0] >> 1) & 0x3f;
    let keyframe = nals.iter().map(kind).any(|kind| (16..=21).contains(&kind));
    AccessUnit {
        codec: VideoCodec::H265,
        media_time: 90_000 + u64::from(number * PICTURE),
        recv_time: from + ms(40) * number,
        keyframe,
        has_b_slices: false,
        needs_past: nals.iter().map(kind).any(|kind| matches!(kind, 8 | 9)),
        source_epoch: 0,
        parameter_sets: match keyframe {
            true => [VPS, SPS, PPS].map(Bytes::from_static).to_vec(),
            false => Vec::new(),
        },
        nals: nals.iter().collect(),
    }
}

//! The SEI message that tells which camera sent an access unit, and when.

use wire::codec::VideoCodec;

/// Marks our user data among others: fixed, in docs/farm.md.
pub const SEI_UUID: [u8; 16] = [
    0x73, 0x74, 0x72, 0x65, 0x61, 0x6d, 0x48, 0x75, 0x62, 0x2d, 0x66, 0x61, 0x72, 0x6d, 0x2d, 0x31,
];

/// UUID, camera number, send time.
const PAYLOAD_BYTES: u8 = 16 + 4 + 8;

/// An SEI NAL unit, user data unregistered (H.264 D.1.7, H.265 D.2.7): UUID, camera number as u32 and send
/// time as u64 Unix microseconds, both big-endian; with emulation prevention bytes (7.4.1), so
/// its length varies by a few bytes.
pub fn write_nal(codec: VideoCodec, camera: u32, sent_unix_us: u64, out: &mut Vec<u8>) {
    match codec {
        VideoCodec::H264 => out.push(6),
        VideoCodec::H265 => out.extend_from_slice(&[39 << 1, 1]), // before the picture
    }
    out.extend_from_slice(&[5, PAYLOAD_BYTES]);
    let mut zeros = 0;
    let numbers = camera
        .to_be_bytes()
        .into_iter()
        .chain(sent_unix_us.to_be_bytes());
    for byte in SEI_UUID.into_iter().chain(numbers) {
        if zeros == 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out.push(0x80); // rbsp_trailing_bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_for_numbers_full_of_zeros() {
        for camera in [0, 1, 3, 256, 3000, 0x0001_0000, u32::MAX] {
            for time in [0, 1, 0x0300_0000, 1_795_000_000_000_000, u64::MAX] {
                let mut nal = Vec::new();
                write_nal(VideoCodec::H264, camera, time, &mut nal);
                assert!(!wire::h264::has_start_code(&nal));
                let Some((uuid, data)) = wire::h264::sei_user_data_unregistered(&nal) else {
                    panic!("unreadable for camera {camera}, time {time}");
                };
                assert_eq!(uuid, SEI_UUID);
                assert_eq!(data[..4], camera.to_be_bytes());
                assert_eq!(data[4..12], time.to_be_bytes());
                let mut h265 = Vec::new();
                write_nal(VideoCodec::H265, camera, time, &mut h265);
                assert_eq!((&h265[..2], &h265[2..]), (&[0x4e, 1][..], &nal[1..]));
            }
        }
    }
}

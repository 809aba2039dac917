//! Frames over a byte stream: whole, in order, however the bytes were cut.

use proptest::prelude::*;
use wire::framing::{Deframer, FrameTooLong, MAX_FRAME_BYTES, write_frame};

fn frames(deframer: &mut Deframer, bytes: &[u8]) -> Result<Vec<Vec<u8>>, FrameTooLong> {
    let mut frames = Vec::new();
    deframer.push(bytes, &mut |frame| frames.push(frame.to_vec()))?;
    Ok(frames)
}

#[test]
fn a_frame_longer_than_any_of_ours_ends_the_connection() {
    let mut long = Vec::new();
    assert!(write_frame(&mut long, &[7; MAX_FRAME_BYTES + 1]));
    let refused = Err(FrameTooLong(MAX_FRAME_BYTES + 1));
    assert_eq!(frames(&mut Deframer::default(), &long), refused);
    let mut cut = Deframer::default();
    assert_eq!(frames(&mut cut, &long[..1]), Ok(vec![]));
    assert_eq!(frames(&mut cut, &long[1..2]), refused);
}

#[test]
fn what_does_not_fit_a_length_is_not_written() {
    let mut out = Vec::new();
    assert!(!write_frame(&mut out, &[0; 65_536]));
    assert!(out.is_empty());
}

proptest! {
    #[test]
    fn frames_come_whole_and_in_order_however_they_are_cut(
        sent in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..MAX_FRAME_BYTES), 1..12),
        cuts in prop::collection::vec(1usize..3_000, 1..40),
    ) {
        let mut bytes = Vec::new();
        for frame in &sent {
            prop_assert!(write_frame(&mut bytes, frame));
        }
        let (mut deframer, mut got, mut rest) = (Deframer::default(), Vec::new(), &bytes[..]);
        for cut in cuts.into_iter().cycle() {
            let (part, after) = rest.split_at(cut.min(rest.len()));
            got.extend(frames(&mut deframer, part).unwrap());
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        let whole: Vec<Vec<u8>> = sent.into_iter().filter(|frame| !frame.is_empty()).collect();
        prop_assert_eq!(got, whole);
    }

    #[test]
    fn any_bytes_are_frames_or_the_end(bytes in prop::collection::vec(any::<u8>(), 0..5_000)) {
        let _ = frames(&mut Deframer::default(), &bytes);
    }
}

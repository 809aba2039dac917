//! Delay added by the server: kernel receive time of an access unit's last packet, less the farm's
//! time just before its last write of that unit.
//!
//! The farm writes down what it sent when (docs/farm.md, "The send log"), by its own rtp_ts. A
//! viewer's rtp_ts differ from those by a constant, which is found by the sizes of the units that
//! were decrypted: so nothing has to travel inside the stream that is measured.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use serde_json::{Value, json};

use crate::args::Watched;
use crate::figures::percentiles_ms;
use crate::viewer::Viewer;

/// Access units up to this size are one run of packets; above, pacing spreads them.
const SMALL_PACKETS: u32 = 20;
/// Two clocks readings of one machine may disagree by this.
const CLOCK_SLACK_US: i64 = 1_000;
/// Sizes that must agree before a viewer's place is believed.
const SIZES_NEEDED: usize = 3;

#[derive(Debug, Clone, Copy)]
struct Sent {
    vcl_bytes: u32,
    keyframe: bool,
    at_us: u64,
}

/// What the farm sent, by camera.
#[derive(Debug, Default)]
pub struct SendLog {
    cameras: HashMap<u32, CameraLog>,
}

#[derive(Debug, Default)]
struct CameraLog {
    by_rtp_ts: HashMap<u32, Sent>,
    by_size: HashMap<u32, Vec<u32>>,
}

impl SendLog {
    /// # Errors
    /// A sentence, when the file can't be read.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("the send log {} can't be read ({error}).", path.display()))?;
        Ok(Self::parse(&text))
    }

    /// Lines of `camera rtp_ts vcl_bytes keyframe sent_unix_us`; others are passed over.
    fn parse(text: &str) -> Self {
        let mut log = Self::default();
        for line in text.lines() {
            let words: Vec<u64> = line
                .split(' ')
                .map_while(|word| word.parse().ok())
                .collect();
            let [camera, rtp_ts, vcl_bytes, keyframe, at_us] = words[..] else {
                continue;
            };
            let (Ok(camera), Ok(rtp_ts), Ok(vcl_bytes)) =
                (camera.try_into(), rtp_ts.try_into(), vcl_bytes.try_into())
            else {
                continue;
            };
            let sent = Sent {
                vcl_bytes,
                keyframe: keyframe != 0,
                at_us,
            };
            let of_camera: &mut CameraLog = log.cameras.entry(camera).or_default();
            of_camera.by_rtp_ts.insert(rtp_ts, sent);
            of_camera.by_size.entry(vcl_bytes).or_default().push(rtp_ts);
        }
        log
    }

    /// Of one camera; of the only one, when it was not said which.
    fn of(&self, camera: Option<u32>) -> Option<&CameraLog> {
        match camera {
            Some(number) => self.cameras.get(&number),
            None if self.cameras.len() == 1 => self.cameras.values().next(),
            None => None,
        }
    }
}

impl CameraLog {
    /// The constant between a viewer's rtp_ts and the farm's: all sizes agree and, as the clip
    /// repeats, the delay is the smallest that is not negative.
    fn offset(&self, sizes: &[(u32, u32)], received: &HashMap<u32, u64>) -> Option<u32> {
        let mut best: Option<(i64, u32)> = None;
        for (rtp_ts, vcl_bytes) in sizes {
            let Some(at_ns) = received.get(rtp_ts) else {
                continue;
            };
            for farm_rtp_ts in self.by_size.get(vcl_bytes).into_iter().flatten() {
                let offset = rtp_ts.wrapping_sub(*farm_rtp_ts);
                let sent = self.by_rtp_ts.get(farm_rtp_ts)?;
                let delay = added_us(*at_ns, sent.at_us);
                let better = best.is_none_or(|(known, _)| delay < known);
                if delay >= -CLOCK_SLACK_US && better && self.agrees(offset, sizes) {
                    best = Some((delay, offset));
                }
            }
        }
        best.map(|(_, offset)| offset)
    }

    fn agrees(&self, offset: u32, sizes: &[(u32, u32)]) -> bool {
        let mut known = 0;
        for (rtp_ts, vcl_bytes) in sizes {
            match self.by_rtp_ts.get(&rtp_ts.wrapping_sub(offset)) {
                Some(sent) if sent.vcl_bytes != *vcl_bytes => return false,
                Some(_) => known += 1,
                None => {}
            }
        }
        known >= SIZES_NEEDED
    }
}

fn added_us(received_ns: u64, sent_us: u64) -> i64 {
    (received_ns / 1_000).cast_signed() - sent_us.cast_signed()
}

/// Of all units whose last packet came within `span_ns`; viewer i watches `urls[i % n]`.
pub fn figures(viewers: &[Viewer], urls: &[Watched], log: &SendLog, span_ns: Range<u64>) -> Value {
    let (mut small, mut large, mut key) = (Vec::new(), Vec::new(), Vec::new());
    let (mut unplaced, mut unknown_units) = (0, 0);
    let mut keyframe_packets = 0;
    for (viewer, watched) in viewers.iter().zip(urls.iter().cycle()) {
        let received: HashMap<u32, u64> = viewer
            .ends
            .iter()
            .map(|end| (end.rtp_ts, end.at_ns))
            .collect();
        let placed = log.of(watched.camera).and_then(|log| {
            let offset = log.offset(&viewer.sizes, &received)?;
            Some((log, offset))
        });
        let Some((log, offset)) = placed else {
            unplaced += 1;
            continue;
        };
        for end in viewer
            .ends
            .iter()
            .filter(|end| span_ns.contains(&end.at_ns))
        {
            let Some(sent) = log.by_rtp_ts.get(&end.rtp_ts.wrapping_sub(offset)) else {
                unknown_units += 1;
                continue;
            };
            let added_ms = added_us(end.at_ns, sent.at_us) as f64 / 1e3;
            if sent.keyframe {
                keyframe_packets = keyframe_packets.max(end.packets);
                key.push(added_ms);
            } else if end.packets <= SMALL_PACKETS {
                small.push(added_ms);
            } else {
                large.push(added_ms);
            }
        }
    }
    json!({
        "added_ms": percentiles_ms(small),
        "added_large_ms": percentiles_ms(large),
        "added_key_ms": percentiles_ms(key),
        "keyframe_packets_max": keyframe_packets,
        "viewers_unplaced": unplaced,
        "units_unknown": unknown_units,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_is_placed_by_sizes_and_the_clips_repetition_is_told_apart() {
        // A clip of four units, sent twice, 1 s apart; the viewer's rtp_ts run 500 ahead.
        let sizes = [900, 100, 110, 120];
        let mut text = String::from("a line that is none\n");
        for n in 0..8u64 {
            let key = u8::from(n % 4 == 0);
            let size = sizes[(n % 4) as usize];
            let at_us = 1_000_000 + n * 250_000;
            text += &format!("1 {} {size} {key} {at_us}\n", n * 22_500);
        }
        // Another camera, with the same sizes at another time.
        for n in 0..8u64 {
            let size = sizes[(n % 4) as usize];
            text += &format!("2 {} {size} 0 {}\n", 7 + n * 22_500, n * 250_000);
        }
        let log = SendLog::parse(&text);
        assert!(log.of(None).is_none() && log.of(Some(3)).is_none());
        let log = log.of(Some(1)).unwrap();
        assert_eq!(log.by_rtp_ts.len(), 8);
        // It saw units 4, 5 and 6, each 3 ms late.
        let seen = |n: u64| (500 + n as u32 * 22_500, sizes[(n % 4) as usize]);
        let sizes = [seen(4), seen(5), seen(6)];
        let received = (4..7)
            .map(|n| (seen(n).0, (1_000_000 + n * 250_000 + 3_000) * 1_000))
            .collect();
        assert_eq!(log.offset(&sizes, &received), Some(500));
        assert_eq!(log.offset(&sizes[..2], &received), None);
        assert_eq!(log.offset(&[(1, 7), (2, 8), (3, 9)], &received), None);
    }
}

//! What a viewer reports and asks for: read into its figures, or kept for its next visit.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use wire::rtcp::{ReportBlock, RtcpItem};

use crate::stats::ViewerFigures;

/// Packets asked for again that wait for a visit: two large keyframes. One that asks for more has
/// lost its way, and will ask for a keyframe next.
const WANTED_AGAIN: usize = 512;
/// NTP counts from 1900, Unix from 1970 (RFC 5905).
const NTP_UNIX_OFFSET_S: u64 = 2_208_988_800;
/// A report counts for this part of the smoothed share.
const SMOOTHING: u64 = 4;
const RTP_CLOCK_HZ: u64 = 90_000;

#[derive(Debug, Default)]
pub(super) struct Feedback {
    /// Sequence numbers, in the order they were asked for.
    pub wanted_again: VecDeque<u16>,
    pub keyframe_wanted: bool,
    /// Share lost, smoothed over the last few reports: each is of a second, and a second may lose none.
    pub lost_permille: u64,
}

impl Feedback {
    /// Takes what came for the stream `ssrc`.
    pub fn take(&mut self, items: &[RtcpItem], ssrc: u32, figures: &ViewerFigures) {
        for item in items {
            match item {
                RtcpItem::Pli { media_ssrc } if *media_ssrc == ssrc => self.want_keyframe(figures),
                RtcpItem::Fir { targets } if targets.contains(&ssrc) => self.want_keyframe(figures),
                RtcpItem::Nack { media_ssrc, pairs } if *media_ssrc == ssrc => {
                    for seq in pairs.iter().copied().flat_map(numbers) {
                        figures.nacked.add(1);
                        if self.wanted_again.len() < WANTED_AGAIN {
                            self.wanted_again.push_back(seq);
                        }
                    }
                }
                RtcpItem::ReceiverReport { blocks, .. } => {
                    let ours = blocks.iter().filter(|block| block.ssrc == ssrc);
                    for block in ours {
                        note_report(block, figures);
                        let reported = figures.lost_permille_remote.get();
                        self.lost_permille =
                            (SMOOTHING - 1) * self.lost_permille / SMOOTHING + reported / SMOOTHING;
                    }
                }
                RtcpItem::Remb { bitrate_bps, .. } => figures.remb_bps.set(*bitrate_bps),
                _ => {}
            }
        }
    }

    fn want_keyframe(&mut self, figures: &ViewerFigures) {
        figures.keyframe_requests.add(1);
        self.keyframe_wanted = true;
    }
}

/// The packet ids of a NACK's pair (RFC 4585 section 6.2.1).
fn numbers((first, following): (u16, u16)) -> impl Iterator<Item = u16> {
    let more = (0..16u16).filter(move |bit| following >> bit & 1 == 1);
    std::iter::once(first).chain(more.map(move |bit| first.wrapping_add(bit + 1)))
}

fn note_report(block: &ReportBlock, figures: &ViewerFigures) {
    let lost = u64::try_from(block.cumulative_lost).unwrap_or(0);
    figures.packets_lost_remote.set(lost);
    let permille = u64::from(block.fraction_lost) * 1_000 / 256;
    figures.lost_permille_remote.set(permille);
    let jitter_us = u64::from(block.jitter) * 1_000_000 / RTP_CLOCK_HZ;
    figures.jitter_us_remote.set(jitter_us);
    if block.last_sr != 0 {
        // RFC 3550 section 6.4.1: the middle 32 bits of NTP time, 1/65536 s.
        #[allow(clippy::cast_possible_truncation)]
        let now = (ntp(SystemTime::now()) >> 16) as u32;
        let round_trip = now
            .wrapping_sub(block.last_sr)
            .wrapping_sub(block.delay_since_last_sr);
        // A clock that was set meanwhile gives half the circle.
        if round_trip < u32::MAX / 2 {
            figures
                .rtt_us
                .set((u64::from(round_trip) * 1_000_000) >> 16);
        }
    }
}

/// 32.32 fixed point seconds since 1900 (RFC 3550 section 4).
pub(super) fn ntp(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() + NTP_UNIX_OFFSET_S;
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    seconds << 32 | fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nack_names_a_packet_and_some_of_the_sixteen_after_it_over_the_wrap() {
        let seqs: Vec<u16> = numbers((65_534, 0b1000_0000_0000_0011)).collect();
        assert_eq!(seqs, [65_534, 65_535, 0, 14]);
    }

    #[test]
    fn feedback_for_another_stream_is_passed_over_and_a_flood_of_nacks_is_bounded() {
        let (mut feedback, figures) = (Feedback::default(), ViewerFigures::default());
        let pairs = vec![(1, u16::MAX); 100];
        let nack = |media_ssrc| RtcpItem::Nack {
            media_ssrc,
            pairs: pairs.clone(),
        };
        feedback.take(&[nack(8), RtcpItem::Pli { media_ssrc: 8 }], 9, &figures);
        assert!(feedback.wanted_again.is_empty() && !feedback.keyframe_wanted);
        feedback.take(&[nack(9), RtcpItem::Pli { media_ssrc: 9 }], 9, &figures);
        assert!(feedback.keyframe_wanted);
        assert_eq!(feedback.wanted_again.len(), WANTED_AGAIN);
        assert_eq!(figures.nacked.get(), 1_700);
    }

    #[test]
    fn an_estimate_is_kept_as_it_was_last_said() {
        let (mut feedback, figures) = (Feedback::default(), ViewerFigures::default());
        for bitrate_bps in [2_000_000, 750_000] {
            let ssrcs = vec![9];
            feedback.take(&[RtcpItem::Remb { bitrate_bps, ssrcs }], 9, &figures);
        }
        assert_eq!(figures.remb_bps.get(), 750_000);
    }

    #[test]
    fn a_report_is_read_in_milliseconds_and_the_loss_is_smoothed() {
        let (mut feedback, figures) = (Feedback::default(), ViewerFigures::default());
        #[allow(clippy::cast_possible_truncation)]
        let now = (ntp(SystemTime::now()) >> 16) as u32;
        let block = ReportBlock {
            ssrc: 9,
            fraction_lost: 64,
            cumulative_lost: 12,
            jitter: 900,
            // Half a second ago, held for 0.4 s.
            last_sr: now.wrapping_sub(0x8000),
            delay_since_last_sr: 0x6666,
            ..ReportBlock::default()
        };
        let report = RtcpItem::ReceiverReport {
            ssrc: 1,
            blocks: vec![block],
        };
        feedback.take(&[report], 9, &figures);
        assert_eq!(figures.lost_permille_remote.get(), 250);
        assert_eq!(figures.packets_lost_remote.get(), 12);
        assert_eq!(figures.jitter_us_remote.get(), 10_000);
        assert!((99_000..200_000).contains(&figures.rtt_us.get()));
        assert_eq!(feedback.lost_permille, 62);
    }
}

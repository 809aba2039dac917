//! Arbitrary and mutated packets: no panic, no growth, and the stream recovers.

use std::time::Duration;

use fanout::{IntakeConfig, MAX_ACCESS_UNIT_BYTES, MAX_READY_BYTES, Place, Stream};
use proptest::prelude::*;
use wire::codec::{PayloadTypes, VideoCodec};

use crate::camera::*;
use crate::h265_camera as h265;
use crate::subscriber::{CONFIG, H264, Viewer};

/// Rounds of the seeded mutations: about two seconds in a debug build.
const ROUNDS: u64 = 3_000;

/// A small generator with a fixed seed, so that a failure comes back.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound.max(1) as u64) as usize
    }
}

fn corpus(codec: VideoCodec) -> Vec<Vec<u8>> {
    match codec {
        VideoCodec::H264 => h264_corpus(),
        VideoCodec::H265 => h265_corpus(),
    }
}

fn h265_corpus() -> Vec<Vec<u8>> {
    let mut payloads = vec![
        h265::VPS.to_vec(),
        h265::SPS.to_vec(),
        h265::PPS.to_vec(),
        h265::SEI.to_vec(),
        h265::PACI.to_vec(),
        h265::aggregate(&[h265::VPS, h265::SPS, h265::PPS]),
        glued(&[h265::VPS, h265::SPS, h265::PPS, &h265::idr(600)]),
        h265::idr(400),
        h265::slice(h265::CRA, true, 9, 400),
        h265::slice(h265::RASL, true, 8, 300),
        h265::p(900, 1),
    ];
    payloads.extend(h265::fragments(&h265::idr(9_000), 1_300));
    let two = glued(&[&h265::p(2_000, 2), &h265::p(2_000, 3)]);
    payloads.extend(h265::fragments(&two, 1_300));
    payloads
}

fn h264_corpus() -> Vec<Vec<u8>> {
    let mut payloads = vec![
        SPS.to_vec(),
        PPS.to_vec(),
        SEI.to_vec(),
        RECOVERY_POINT.to_vec(),
        SPS_INTERLACED.to_vec(),
        stap_a(&[SPS, PPS, SEI]),
        glued(&[SPS_1080, PPS_1080, &idr(600)]),
        idr(400),
        p(900),
        b(50),
    ];
    payloads.extend(fragments(&idr(9_000), 1_300));
    payloads.extend(fragments(&glued(&[&p(2_000), &p(2_000)]), 1_300));
    payloads
}

fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..dice.below(4) {
        let at = dice.below(bytes.len());
        match dice.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.extend((0..dice.below(40)).map(|n| n as u8)),
            2 if !bytes.is_empty() => bytes[at] = dice.roll() as u8,
            3 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
            4 => bytes.splice(at..at, [0, 0, 1]).for_each(drop),
            _ if bytes.len() > 14 => bytes[12 + dice.below(2)] = dice.roll() as u8,
            _ => {}
        }
    }
}

#[test]
fn mutated_packets_never_panic_hold_memory_or_end_the_stream() {
    mutated_packets(VideoCodec::H264, [SPS, PPS, &[]], &idr(900));
}

#[test]
fn mutated_packets_of_h265_do_not_either() {
    let sets = [h265::VPS, h265::SPS, h265::PPS];
    mutated_packets(VideoCodec::H265, sets, &h265::idr(900));
}

fn mutated_packets(codec: VideoCodec, sets: [&[u8]; 3], keyframe: &[u8]) {
    let mut dice = Dice(0x5eed);
    let corpus = corpus(codec);
    let mut stream = Stream::new(IntakeConfig {
        codec,
        ..IntakeConfig::default()
    });
    let mut camera = Camera::new();
    let mut viewer = Viewer::with(fanout::SubscriberConfig {
        payload_types: PayloadTypes::only(codec, H264),
        ..CONFIG
    });
    for _ in 0..ROUNDS {
        for _ in 0..8 {
            match dice.below(12) {
                0 => camera.lose(dice.below(5_000) as u16),
                1 => camera.tick(),
                2 => camera.rtp_ts = dice.roll() as u32,
                3 if dice.below(20) == 0 => camera.ssrc = dice.roll() as u32,
                _ => {}
            }
            let payload = &corpus[dice.below(corpus.len())];
            let mut packet = camera.packet(payload, dice.below(3) == 0);
            mutate(&mut packet, &mut dice);
            let _ = stream.receive(camera.now, &packet);
        }
        if dice.below(50) == 0 {
            stream.source_lost();
        }
        assert!(stream.intake().held_bytes() <= MAX_ACCESS_UNIT_BYTES + 65_536);
        viewer.drain(camera.now, stream.ring());
        camera.now += Duration::from_micros(dice.roll() % 20_000);
    }
    viewer.check_seq();
    // A sane camera afterwards is seen again.
    stream.source_lost();
    let before = stream.ring().next_index();
    for _ in 0..3 {
        for set in sets {
            let packet = camera.packet(set, false);
            let _ = stream.receive(camera.now, &packet);
        }
        let packet = camera.packet(keyframe, true);
        let _ = stream.receive(camera.now, &packet);
        camera.tick();
    }
    assert!(stream.ring().next_index() > before);
    assert!(viewer.counters().packets > 0);
}

#[test]
fn a_flood_without_an_end_stays_within_the_bound() {
    let mut camera = Camera::with_sets(&[SPS, PPS]);
    let start = fragments(&idr(60_000), 59_000).remove(0);
    let _ = camera.push(&start, false);
    let body = [vec![0x7c, 0x05], vec![7; 60_000]].concat();
    for _ in 0..300 {
        let _ = camera.push(&body, false);
        assert!(camera.intake.held_bytes() <= MAX_ACCESS_UNIT_BYTES + 65_536);
    }
    // One packet that holds very many pictures.
    let pictures = vec![idr(8); 6_000];
    let refs: Vec<&[u8]> = pictures.iter().map(Vec::as_slice).collect();
    let _ = camera.push(&glued(&refs), true);
    assert!(camera.intake.held_bytes() <= MAX_READY_BYTES);
    assert!(camera.units().len() <= 64);
}

proptest! {
    #[test]
    fn arbitrary_payloads_never_panic(
        payloads in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..120), any::<bool>()), 1..60),
        is_h265: bool,
    ) {
        let mut camera = match is_h265 {
            true => Camera::of(VideoCodec::H265, &[h265::VPS, h265::SPS, h265::PPS]),
            false => Camera::with_sets(&[SPS, PPS]),
        };
        for (payload, marker) in payloads {
            let _ = camera.push(&payload, marker);
            let _ = camera.intake.push(camera.now, &payload);
        }
        for unit in camera.units() {
            if let Some(packed) = fanout::Packer::default().pack(&unit, unit.media_time, Place::default()) {
                prop_assert!(!packed.is_empty());
                let _ = packed.to_annexb();
            }
        }
    }

    #[test]
    fn units_cut_into_fragments_of_any_size_come_through_whole(
        sizes in prop::collection::vec((2usize..20_000, 2usize..1_500), 1..20),
    ) {
        let mut camera = Camera::new();
        camera.key(100);
        for (len, fragment) in sizes {
            let nal = p(len);
            let payloads = if len > fragment + 1 { fragments(&nal, fragment) } else { vec![nal.clone()] };
            let units = camera.payloads(&payloads);
            prop_assert_eq!(units.len(), 1);
            prop_assert_eq!(nals(&units[0]), [nal]);
        }
    }
}

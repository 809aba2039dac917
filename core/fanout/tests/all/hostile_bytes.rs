//! Arbitrary and mutated packets: no panic, no growth, and the stream recovers.

use std::time::Duration;

use fanout::{IntakeConfig, MAX_ACCESS_UNIT_BYTES, MAX_READY_BYTES, Place, Stream};
use proptest::prelude::*;

use crate::camera::*;
use crate::subscriber::Viewer;

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

fn corpus() -> Vec<Vec<u8>> {
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
    let mut dice = Dice(0x5eed);
    let corpus = corpus();
    let mut stream = Stream::new(IntakeConfig::default());
    let mut camera = Camera::new();
    let mut viewer = Viewer::new();
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
        for (nal, last) in [(SPS, false), (PPS, false), (&idr(900), true)] {
            let packet = camera.packet(nal, last);
            let _ = stream.receive(camera.now, &packet);
        }
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
    ) {
        let mut camera = Camera::with_sets(&[SPS, PPS]);
        for (payload, marker) in payloads {
            let _ = camera.push(&payload, marker);
            let _ = camera.intake.push(camera.now, &payload);
        }
        for unit in camera.units() {
            if let Some(packed) = fanout::packetize(&unit, unit.media_time, Place::default()) {
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

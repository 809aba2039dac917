//! G.711 as cameras send it, and as listeners get it: as it comes, in a time that only grows.

use std::time::Instant;

use fanout::{AudioConfig, AudioIntake, AudioLeg, AudioPacket, G711, MAX_AUDIO_PACKETS};
use proptest::prelude::*;

use crate::camera::{ms, start};

const CONFIG: AudioConfig = AudioConfig {
    ssrc: 77,
    a_law: Some(8),
    mu_law: Some(0),
    first_seq: 65_530,
    first_rtp_ts: u32::MAX - 500,
};

fn rtp(seq: u16, rtp_ts: u32, samples: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend(seq.to_be_bytes());
    packet.extend(rtp_ts.to_be_bytes());
    packet.extend([0, 0, 0, 9]);
    packet.resize(12 + samples, 0xD5);
    packet
}

struct Mic {
    intake: AudioIntake,
    now: Instant,
    out: Vec<AudioPacket>,
}

impl Mic {
    fn new() -> Self {
        Self {
            intake: AudioIntake::default(),
            now: start(),
            out: Vec::new(),
        }
    }

    fn push(&mut self, seq: u16, rtp_ts: u32, samples: usize) {
        let packet = rtp(seq, rtp_ts, samples);
        self.intake
            .push(self.now, G711::ALaw, &packet, &mut self.out);
    }

    fn times(&self) -> Vec<u64> {
        let first = self.out[0].media_time;
        self.out.iter().map(|p| p.media_time - first).collect()
    }
}

#[test]
fn packets_of_any_length_are_as_far_apart_as_their_samples() {
    let mut mic = Mic::new();
    let mut at = 4_294_967_000_u32;
    for (seq, samples) in [160, 320, 160, 1_024, 80, 480].into_iter().enumerate() {
        mic.push(seq as u16, at, samples);
        mic.now += ms(samples as u64 / 8);
        at = at.wrapping_add(samples as u32);
    }
    assert_eq!(mic.times(), [0, 160, 480, 640, 1_664, 1_744]);
    let begins: Vec<bool> = mic.out.iter().map(|p| p.begins).collect();
    assert_eq!(begins, [true, false, false, false, false, false]);
}

#[test]
fn a_packet_over_the_size_of_a_datagram_is_split_where_it_stands_in_time() {
    let mut mic = Mic::new();
    mic.push(1, 0, 2_400);
    mic.push(2, 2_400, 160);
    assert_eq!(mic.times(), [0, 1_160, 2_320, 2_400]);
    assert!(mic.out.iter().all(|p| p.payload.len() <= 1_160));
    let whole: usize = mic.out.iter().map(|p| p.payload.len()).sum();
    assert_eq!(whole, 2_560);
}

#[test]
fn bad_times_are_replaced_by_the_number_of_samples() {
    // Constant, milliseconds, the picture's clock, backwards.
    let clocks: [fn(u32) -> u32; 4] = [
        |_| 5,
        |n| n * 20,
        |n| n * 1_800,
        |n| n.wrapping_mul(4_294_967_000),
    ];
    for clock in clocks {
        let mut mic = Mic::new();
        for n in 0..60_u16 {
            mic.push(n, clock(n.into()), 160);
            mic.now += ms(20);
        }
        let expected: Vec<u64> = (0..60).map(|n| n * 160).collect();
        assert_eq!(mic.times(), expected);
    }
}

#[test]
fn losses_and_silence_leave_their_room_and_a_stall_of_the_network_does_not() {
    let mut mic = Mic::new();
    mic.push(10, 0, 160);
    mic.now += ms(60);
    mic.push(13, 480, 160); // two lost
    mic.now += ms(3_000);
    mic.push(14, 24_480, 160); // silence, and the camera says so
    mic.now += ms(400);
    mic.push(15, 24_640, 160); // held up on the way
    mic.push(16, 24_800, 160);
    assert_eq!(mic.times(), [0, 480, 24_480, 24_640, 24_800]);
    // A camera whose clock says nothing of the silence: as long as it took.
    mic.now += ms(2_000);
    mic.push(17, 7, 160);
    assert_eq!(*mic.times().last().unwrap(), 24_800 + 16_000);
    assert!(mic.out.last().unwrap().begins);
}

#[test]
fn late_repeated_and_empty_packets_are_dropped_and_a_redial_goes_on_in_time() {
    let mut mic = Mic::new();
    for seq in [5, 6, 6, 5, 7] {
        mic.push(seq, u32::from(seq) * 160, 160);
    }
    mic.push(8, 1_280, 0);
    mic.intake
        .push(mic.now, G711::ALaw, &[1, 2, 3], &mut mic.out);
    assert_eq!((mic.out.len(), mic.intake.dropped()), (3, 4));
    mic.intake.interrupt();
    mic.now += ms(1_000);
    mic.push(6, 99, 160);
    assert_eq!(mic.times(), [0, 160, 320, 8_320]);
    assert!(mic.out[3].begins);
}

#[test]
fn one_visits_packets_are_bounded() {
    let mut mic = Mic::new();
    for seq in 0..500 {
        mic.push(seq, u32::from(seq) * 160, 160);
    }
    assert_eq!(mic.out.len(), MAX_AUDIO_PACKETS);
}

#[test]
fn a_listener_gets_seq_without_gaps_over_the_wrap_and_over_a_time_of_silence() {
    let (mut mic, mut leg) = (Mic::new(), AudioLeg::new(CONFIG));
    let mut headers = Vec::new();
    for n in 0..30_u16 {
        mic.push(n, u32::from(n) * 160, 160);
        let packet = mic.out.pop().unwrap();
        // Muted from 10 to 19.
        if n == 20 {
            leg.begin();
        }
        if !(10..20).contains(&n) {
            headers.push(leg.next_header(&packet).unwrap());
        }
        mic.now += ms(20);
    }
    for (place, header) in headers.iter().enumerate() {
        assert_eq!(header.seq, 65_530_u16.wrapping_add(place as u16));
        let n = if place < 10 { place } else { place + 10 } as u32;
        assert_eq!(header.rtp_ts, CONFIG.first_rtp_ts.wrapping_add(n * 160));
        assert_eq!((header.ssrc, header.payload_type), (77, 8));
        assert_eq!(header.marker, place == 0 || place == 10);
    }
    let time = leg.sender_time(mic.now).unwrap();
    assert_eq!(time.rtp_ts, CONFIG.first_rtp_ts.wrapping_add(30 * 160));
    assert_eq!((time.packets, time.octets), (20, 3_200));
}

#[test]
fn over_to_another_stream_time_goes_on_as_it_passed() {
    let (mut main, mut sub) = (Mic::new(), Mic::new());
    let mut leg = AudioLeg::new(CONFIG);
    main.push(1, 1_000_000, 160);
    sub.now = main.now + ms(100);
    sub.push(9, 5, 160);
    let before = leg.next_header(&main.out[0]).unwrap();
    leg.begin();
    let after = leg.next_header(&sub.out[0]).unwrap();
    assert_eq!(after.rtp_ts.wrapping_sub(before.rtp_ts), 800);
    assert_eq!(after.seq, before.seq.wrapping_add(1));
    assert!(after.marker);
}

#[test]
fn a_law_that_the_listener_does_not_take_is_not_sent_and_spends_nothing() {
    let mut leg = AudioLeg::new(AudioConfig {
        mu_law: None,
        ..CONFIG
    });
    let mut mic = Mic::new();
    mic.push(1, 0, 160);
    let packet = AudioPacket {
        law: G711::MuLaw,
        ..mic.out[0].clone()
    };
    assert_eq!(leg.next_header(&packet), None);
    assert_eq!(leg.next_header(&mic.out[0]).unwrap().seq, CONFIG.first_seq);
}

proptest! {
    #[test]
    fn whatever_comes_time_grows_by_at_least_the_samples_sent(
        packets in prop::collection::vec((any::<u16>(), any::<u32>(), 1..1_500_usize, 0..3_000_u64), 1..200),
    ) {
        let (mut mic, mut leg) = (Mic::new(), AudioLeg::new(CONFIG));
        let mut end: Option<u64> = None;
        let mut last_ts: Option<u32> = None;
        for (seq, rtp_ts, samples, wait_ms) in packets {
            mic.push(seq, rtp_ts, samples);
            mic.now += ms(wait_ms);
            for packet in mic.out.drain(..) {
                prop_assert!(end.is_none_or(|end| packet.media_time >= end));
                end = Some(packet.media_time + packet.payload.len() as u64);
                let header = leg.next_header(&packet).unwrap();
                if let Some(last) = last_ts {
                    prop_assert!(header.rtp_ts.wrapping_sub(last) < 1 << 31);
                }
                last_ts = Some(header.rtp_ts);
            }
        }
    }
}

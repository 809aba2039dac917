//! Packets by UDP: overtaken, repeated, lost, and put back into order within a bounded wait.

use std::time::{Duration, Instant};

use fanout::{IntakeConfig, REORDER_BYTES, REORDER_PACKETS, REORDER_WAIT, ReorderWindow, Stream};
use proptest::prelude::*;

use crate::camera::*;

fn rtp(seq: u16, ssrc: u32, payload_bytes: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend(seq.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(ssrc.to_be_bytes());
    packet.resize(12 + payload_bytes, 0x41);
    packet
}

struct Bench {
    window: ReorderWindow,
    now: Instant,
    /// Sequence numbers in the order they came out, and when.
    out: Vec<(u16, Instant)>,
}

impl Bench {
    fn new() -> Self {
        Self {
            window: ReorderWindow::default(),
            now: start(),
            out: Vec::new(),
        }
    }

    fn push(&mut self, seq: u16) {
        self.push_packet(&rtp(seq, 7, 100));
    }

    fn push_packet(&mut self, packet: &[u8]) {
        let (now, out) = (self.now, &mut self.out);
        self.window.push(now, packet, &mut |packet| {
            out.push((u16::from_be_bytes([packet[2], packet[3]]), now));
        });
    }

    /// Lets time pass up to `until`, calling at each due time.
    fn pass_until(&mut self, until: Instant) {
        while let Some(due) = self.window.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            let (now, out) = (self.now, &mut self.out);
            self.window.handle_timeout(now, &mut |packet| {
                out.push((u16::from_be_bytes([packet[2], packet[3]]), now));
            });
            assert_ne!(self.window.poll_timeout(), Some(due), "due for ever");
        }
        self.now = until;
    }

    fn seqs(&self) -> Vec<u16> {
        self.out.iter().map(|(seq, _)| *seq).collect()
    }
}

#[test]
fn packets_in_order_go_through_at_once_and_nothing_is_held_or_due() {
    let mut bench = Bench::new();
    for step in 0..200u16 {
        bench.push(65_500u16.wrapping_add(step));
        assert_eq!(bench.window.poll_timeout(), None);
    }
    assert_eq!(bench.out.len(), 200);
    assert_eq!(bench.window.held_bytes(), 0);
}

#[test]
fn overtaken_packets_wait_for_their_turn_over_the_wrap_too() {
    let mut bench = Bench::new();
    for seq in [65_534, 0, 65_535, 3, 1, 2, 4] {
        bench.push(seq);
    }
    assert_eq!(bench.seqs(), [65_534, 65_535, 0, 1, 2, 3, 4]);
    let counters = bench.window.counters();
    assert_eq!((counters.reordered, counters.given_up), (3, 0));
}

#[test]
fn what_is_missing_is_given_up_after_the_wait_and_late_when_it_comes_then() {
    let mut bench = Bench::new();
    for seq in [10, 12, 13, 15] {
        bench.push(seq);
    }
    let due = bench.window.poll_timeout().unwrap();
    assert_eq!(due, bench.now + REORDER_WAIT);
    bench.pass_until(due - ms(1));
    assert_eq!(bench.seqs(), [10]);
    bench.pass_until(due);
    assert_eq!(bench.seqs(), [10, 12, 13, 15]);
    bench.push(11);
    bench.push(11);
    bench.push(12);
    bench.push(16);
    assert_eq!(bench.seqs(), [10, 12, 13, 15, 16]);
    let counters = bench.window.counters();
    assert_eq!(
        (counters.given_up, counters.late, counters.repeated),
        (2, 1, 2)
    );
}

#[test]
fn a_repetition_of_what_is_held_is_dropped() {
    let mut bench = Bench::new();
    for seq in [1, 3, 3, 3, 2, 3] {
        bench.push(seq);
    }
    assert_eq!(bench.seqs(), [1, 2, 3]);
    assert_eq!(bench.window.counters().repeated, 3);
}

#[test]
fn no_more_is_held_than_the_bounds_allow() {
    let mut bench = Bench::new();
    bench.push(0);
    for seq in 2..500 {
        bench.push(seq);
        assert!(bench.window.held_bytes() <= REORDER_PACKETS * 112);
    }
    assert_eq!(bench.out.len(), 499);
    let mut bench = Bench::new();
    bench.push(0);
    for seq in 1..200 {
        // Each leaves a gap before the next.
        bench.push_packet(&rtp(seq * 2, 7, 60_000));
        assert!(bench.window.held_bytes() <= REORDER_BYTES);
    }
    assert!(bench.out.len() > 190);
}

#[test]
fn a_camera_that_counts_anew_is_followed_from_its_first_packet_and_the_held_goes_out_before() {
    let mut bench = Bench::new();
    for seq in [100, 102, 40_000, 40_001] {
        bench.push(seq);
    }
    assert_eq!(bench.seqs(), [100, 102, 40_000, 40_001]);
    assert_eq!(bench.window.counters().late, 0);
    bench.push_packet(&rtp(9, 8, 10));
    bench.push_packet(&rtp(10, 8, 10));
    assert_eq!(bench.seqs()[4..], [9, 10]);
    assert_eq!(bench.window.counters().restarts, 2);
    assert_eq!(bench.window.counters().given_up, 0);
}

#[test]
fn one_straggler_from_far_back_is_dropped_and_disturbs_nothing() {
    let mut bench = Bench::new();
    for seq in [1_000, 1_001, 500, 1_002, 9_000, 1_003, 501, 1_004] {
        bench.push(seq);
    }
    assert_eq!(bench.seqs(), [1_000, 1_001, 1_002, 1_003, 1_004]);
    assert_eq!(bench.window.counters().late, 3);
    assert_eq!(bench.window.counters().restarts, 0);
}

#[test]
fn what_is_no_rtp_packet_goes_through_and_a_lost_source_leaves_nothing() {
    let mut bench = Bench::new();
    bench.push_packet(&[0x80, 96, 0, 1]);
    assert_eq!(bench.out.len(), 1);
    bench.push(1);
    bench.push(3);
    bench.window.reset();
    assert_eq!(
        (bench.window.poll_timeout(), bench.window.held_bytes()),
        (None, 0)
    );
    bench.push(60_000);
    assert_eq!(bench.seqs()[1..], [1, 60_000]);
}

#[test]
fn pictures_whose_packets_came_shuffled_are_whole_and_none_is_dropped() {
    let mut stream = Stream::new(IntakeConfig::default());
    let mut camera = Camera::new();
    for picture in 0..50 {
        let nal = if picture % 10 == 0 {
            idr(20_000)
        } else {
            p(4_000)
        };
        let mut packets = Vec::new();
        if picture % 10 == 0 {
            packets.push(camera.packet(SPS, false));
            packets.push(camera.packet(PPS, false));
        }
        let parts = fragments(&nal, 1_000);
        let last = parts.len() - 1;
        for (part, payload) in parts.iter().enumerate() {
            packets.push(camera.packet(payload, part == last));
        }
        // The first packet of all stays first: what comes before it is not known to be missing.
        let fixed = usize::from(picture == 0);
        for pair in packets[fixed..].chunks_mut(3) {
            pair.reverse();
        }
        for packet in &packets {
            assert_eq!(stream.receive_unordered(camera.now, packet), 0);
        }
        camera.tick();
    }
    let counters = stream.intake().counters();
    assert_eq!((counters.units, counters.packets_lost), (50, 0));
    // One in each three that were turned round.
    assert_eq!(stream.reorder_counters().reordered, 80);
    assert_eq!(stream.poll_timeout(), None);
}

#[test]
fn a_picture_behind_a_loss_comes_at_the_due_time_and_a_lost_source_forgets_it() {
    let mut stream = Stream::new(IntakeConfig::default());
    let mut camera = Camera::new();
    for nal in [SPS, PPS, &idr(500)] {
        let marker = nal.len() > 100;
        let packet = camera.packet(nal, marker);
        stream.receive_unordered(camera.now, &packet);
    }
    camera.tick();
    camera.lose(1);
    let packet = camera.packet(&idr(600), true);
    stream.receive_unordered(camera.now, &packet);
    assert_eq!(stream.intake().counters().units, 1);
    let due = stream.poll_timeout().unwrap();
    assert_eq!(due, camera.now + REORDER_WAIT);
    stream.handle_timeout(due);
    assert_eq!(stream.intake().counters().units, 2);
    assert_eq!(stream.intake().counters().packets_lost, 1);
    assert_eq!(stream.reorder_counters().given_up, 1);
    camera.lose(1);
    let packet = camera.packet(&idr(600), true);
    stream.receive_unordered(due, &packet);
    stream.source_lost();
    assert_eq!(stream.poll_timeout(), None);
}

/// What a link does to one packet: lost, repeated, and by how much each copy is late.
#[derive(Debug, Clone)]
struct Fate {
    lost: bool,
    copies_late_ms: Vec<u64>,
}

fn fates(lost_in_100: u32, most_late_ms: u64) -> impl Strategy<Value = Vec<Fate>> {
    let fate = (0..100u32, prop::collection::vec(0..=most_late_ms, 1..=2)).prop_map(
        move |(dice, copies_late_ms)| Fate {
            lost: dice < lost_in_100,
            copies_late_ms,
        },
    );
    prop::collection::vec(fate, 2..400)
}

/// Sends a packet each millisecond over the link. Returns the bench and how many came.
fn over_the_link(first_seq: u16, fates: &[Fate]) -> (Bench, u64) {
    let mut bench = Bench::new();
    let began = bench.now;
    let mut arrivals: Vec<(Duration, u16)> = Vec::new();
    for (place, fate) in fates.iter().enumerate().filter(|(_, fate)| !fate.lost) {
        for late_ms in &fate.copies_late_ms {
            // The first is not overtaken: the window cannot know what came before it.
            let late_ms = if place == 0 { 0 } else { *late_ms };
            let sent = ms(place as u64);
            arrivals.push((sent + ms(late_ms), first_seq.wrapping_add(place as u16)));
        }
    }
    arrivals.sort_by_key(|(at, _)| *at);
    for (at, seq) in &arrivals {
        bench.pass_until(began + *at);
        bench.push(*seq);
        assert!(bench.window.held_bytes() <= REORDER_PACKETS * 112);
    }
    bench.pass_until(bench.now + REORDER_WAIT);
    assert_eq!(bench.window.poll_timeout(), None);
    (bench, arrivals.len() as u64)
}

proptest! {
    #[test]
    fn whatever_the_link_does_what_comes_out_grows_and_every_packet_is_accounted_for(
        first_seq in any::<u16>(),
        fates in fates(10, 120),
    ) {
        let (bench, came) = over_the_link(first_seq, &fates);
        let places: Vec<u16> = bench.seqs().iter().map(|seq| seq.wrapping_sub(first_seq)).collect();
        prop_assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{places:?}");
        let counters = bench.window.counters();
        prop_assert_eq!(came, places.len() as u64 + counters.late + counters.repeated);
        if let (Some(first), Some(last)) = (places.first(), places.last()) {
            let span = u64::from(last - first) + 1;
            prop_assert_eq!(span, places.len() as u64 + counters.given_up);
        }
        prop_assert_eq!(counters.restarts, 0);
    }

    #[test]
    fn a_link_that_only_reorders_within_the_wait_loses_nothing_and_delays_no_longer(
        first_seq in any::<u16>(),
        fates in fates(0, 30),
    ) {
        let (bench, _) = over_the_link(first_seq, &fates);
        let all: Vec<u16> = (0..fates.len()).map(|n| first_seq.wrapping_add(n as u16)).collect();
        prop_assert_eq!(bench.seqs(), all);
        prop_assert_eq!((bench.window.counters().given_up, bench.window.counters().late), (0, 0));
        let began = bench.out[0].1;
        for (place, (_, at)) in bench.out.iter().enumerate() {
            prop_assert!(*at <= began + ms(place as u64 + 30));
        }
    }
}

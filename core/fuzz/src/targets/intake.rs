//! A stream's whole way: a camera's packets, the ring, a viewer's cursor.

use std::time::{Duration, Instant};

use bytes::Bytes;
use fanout::{
    GOP_MAX_BYTES, IntakeConfig, MAX_ACCESS_UNIT_BYTES, MAX_RTP_PAYLOAD_BYTES, PACKETS_PER_MS,
    RTX_HEADER_BYTES, RtxConfig, Stream, Subscriber, SubscriberConfig,
};

use wire::codec::{PayloadType, PayloadTypes, VideoCodec};

use crate::input::Input;

const FIRST_SEQ: u16 = 32_000;

struct Scene {
    stream: Stream,
    viewer: Subscriber,
    now: Instant,
    seq: u16,
    rtp_ts: u32,
    ssrc: u32,
    // of the viewer
    sent: u16,
    sent_again: u16,
    /// RTP time of the unit being sent, while it is not whole.
    open: Option<u32>,
}

/// A viewer of either codec.
const BOTH: PayloadTypes = PayloadTypes::only(VideoCodec::H264, numbers(102, 103))
    .with(VideoCodec::H265, numbers(104, 105));

const fn numbers(media: u8, rtx: u8) -> PayloadType {
    PayloadType {
        media,
        rtx: Some(rtx),
    }
}

/// Memory stays bounded; each number is spent once and in order; a unit comes whole under one time.
pub fn intake(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let kind = input.byte();
    let track = IntakeConfig {
        clock_rate: [0, 90_000, 1, 8_000, u32::MAX][usize::from(kind) % 5],
        codec: VideoCodec::ALL[usize::from(kind >> 7)],
        ..IntakeConfig::default()
    };
    let rtx = RtxConfig {
        ssrc: 6,
        first_seq: 9,
    };
    let mut scene = Scene {
        stream: Stream::new(track.clone()),
        viewer: Subscriber::new(SubscriberConfig {
            ssrc: 5,
            payload_types: BOTH,
            first_seq: FIRST_SEQ,
            first_rtp_ts: u32::MAX - 10,
            rtx: Some(rtx),
        }),
        now: Instant::now(),
        seq: 65_500,
        rtp_ts: u32::MAX - 50_000,
        ssrc: 77,
        sent: FIRST_SEQ,
        sent_again: 9,
        open: None,
    };
    while !input.is_empty() {
        scene.step(&mut input, &track);
        let held = scene.stream.intake().held_bytes();
        assert!(held <= MAX_ACCESS_UNIT_BYTES + 65_536);
        let ring = scene.stream.ring().held_bytes();
        assert!(ring <= 2 * GOP_MAX_BYTES + MAX_ACCESS_UNIT_BYTES);
    }
}

impl Scene {
    fn step(&mut self, input: &mut Input<'_>, track: &IntakeConfig) {
        let what = input.byte();
        match what {
            // Most are packets in order: the low bits say how the picture goes on.
            0..=199 => {
                if what & 2 != 0 {
                    self.rtp_ts = self.rtp_ts.wrapping_add(3_600);
                    self.now += Duration::from_millis(40);
                }
                self.packet(input.piece(), what & 1 != 0);
            }
            200..=207 => self.seq = self.seq.wrapping_add(u16::from(input.byte())),
            208..=211 => self.seq = self.seq.wrapping_sub(u16::from(input.byte())),
            212..=215 => self.rtp_ts = input.word(),
            216 => self.ssrc = input.word(),
            217..=222 => {
                self.stream.source_lost();
                self.stream.source_resumed(&IntakeConfig {
                    parameter_sets: vec![Bytes::copy_from_slice(input.piece())],
                    ..track.clone()
                });
            }
            223..=229 => self.now += Duration::from_millis(u64::from(input.byte()) * 20),
            230..=236 => {
                let back = u16::from(input.byte());
                self.again(self.sent.wrapping_sub(back));
            }
            237..=240 => {
                let _ = self.viewer.request_keyframe(self.now, self.stream.ring());
            }
            241..=244 => {
                let _ = self.stream.receive(self.now, input.piece());
            }
            _ => self.drain(usize::from(input.byte())),
        }
    }

    fn packet(&mut self, payload: &[u8], marker: bool) {
        self.seq = self.seq.wrapping_add(1);
        let mut packet = vec![0x80, 96 | u8::from(marker) << 7];
        packet.extend(self.seq.to_be_bytes());
        packet.extend(self.rtp_ts.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend_from_slice(payload);
        let _ = self.stream.receive(self.now, &packet);
    }

    fn drain(&mut self, budget: usize) {
        let mut packets = 0;
        while let Some(run) =
            self.viewer
                .next_run(self.now, self.stream.ring(), budget.min(PACKETS_PER_MS))
        {
            assert!(!run.packets.is_empty());
            for packet in run.packets.clone() {
                let header = run.header_for(packet);
                assert_eq!(header.seq, self.sent, "spent once and in order");
                assert!((1..=MAX_RTP_PAYLOAD_BYTES).contains(&run.payload(packet).len()));
                assert_eq!(*self.open.get_or_insert(header.rtp_ts), header.rtp_ts);
                if header.marker {
                    self.open = None;
                }
                self.sent = self.sent.wrapping_add(1);
            }
            let count = run.packets.len();
            packets += count;
            assert!(self.viewer.commit(self.now, run, count));
        }
        assert!(packets <= PACKETS_PER_MS, "{packets} within a millisecond");
        let _ = self.viewer.next_wake(self.now, self.stream.ring());
        let _ = self.viewer.sender_time(self.now);
    }

    fn again(&mut self, seq: u16) {
        let Some(again) = self.viewer.retransmit(self.now, self.stream.ring(), seq) else {
            return;
        };
        assert_eq!(again.original_seq, seq);
        let twice = self.viewer.retransmit_twice(&again);
        for sent in std::iter::once(again).chain(twice) {
            assert_eq!(sent.header.seq, self.sent_again);
            assert!(sent.payload().len() + RTX_HEADER_BYTES <= MAX_RTP_PAYLOAD_BYTES + 2);
            self.sent_again = self.sent_again.wrapping_add(1);
        }
    }
}

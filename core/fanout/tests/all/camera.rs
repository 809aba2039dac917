//! A camera in a jar: NAL units that a slice parser accepts, packed as cameras do, and a clock.

use std::time::{Duration, Instant};

use bytes::Bytes;
use fanout::{AccessUnit, Intake, IntakeConfig, Packer, Ring};
use wire::codec::VideoCodec;
use wire::rtp::RtpHeader;

/// 640x360 Constrained Baseline and its PPS, as x264 writes them.
pub const SPS: &[u8] = &[
    0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xbf, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00,
    0x00, 0x03, 0x00, 0xca, 0x3c, 0x58, 0xba, 0x80,
];
pub const PPS: &[u8] = &[0x68, 0xce, 0x0f, 0xc8];
/// 1920x1080 High with the same ids.
pub const SPS_1080: &[u8] = &[
    0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00,
    0x04, 0x00, 0x00, 0x03, 0x00, 0xc8, 0x3c, 0x60, 0xc6, 0x58,
];
pub const PPS_1080: &[u8] = &[0x68, 0xea, 0xe3, 0xcb, 0x22, 0xc0];
/// 1920x1080 Main that may hold fields.
pub const SPS_INTERLACED: &[u8] = &[
    0x67, 0x4d, 0x40, 0x28, 0xec, 0xa0, 0x3c, 0x02, 0x27, 0xee, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10,
    0x00, 0x00, 0x03, 0x03, 0x21, 0xf1, 0x62, 0xd9, 0x60,
];
pub const AUD: &[u8] = &[0x09, 0xf0];
pub const SEI: &[u8] = &[0x06, 0x04, 0x02, 0x11, 0x22, 0x80];
pub const RECOVERY_POINT: &[u8] = &[0x06, 0x06, 0x01, 0xc4, 0x80];

/// Between two pictures at 25 a second, 90 kHz.
pub const PICTURE: u32 = 3_600;

/// What an SDP of H.264 says.
pub fn track(clock_rate: u32, payload_type: Option<u8>, sets: &[Bytes]) -> IntakeConfig {
    IntakeConfig {
        codec: VideoCodec::H264,
        clock_rate,
        payload_type,
        parameter_sets: sets.to_vec(),
    }
}

pub fn start() -> Instant {
    // Far from the process's own beginning, so that tests may look back.
    Instant::now() + Duration::from_secs(3_600)
}

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A slice of `len_bytes`: real header, then bytes that hold no start code.
pub fn slice(header: u8, first_mb: u32, slice_type: u32, len_bytes: usize) -> Vec<u8> {
    let mut bits = String::new();
    for value in [first_mb, slice_type, 0] {
        let plus1 = format!("{:b}", value + 1);
        bits.push_str(&"0".repeat(plus1.len() - 1));
        bits.push_str(&plus1);
    }
    while !bits.len().is_multiple_of(8) {
        bits.push('1');
    }
    let mut nal = vec![header];
    nal.extend(
        (0..bits.len())
            .step_by(8)
            .map(|at| u8::from_str_radix(&bits[at..at + 8], 2).unwrap()),
    );
    let filler = (0..).map(|n: usize| 2 + (n % 251) as u8);
    let missing = len_bytes.saturating_sub(nal.len());
    nal.extend(filler.take(missing));
    nal
}

pub fn idr(len_bytes: usize) -> Vec<u8> {
    slice(0x65, 0, 7, len_bytes)
}

pub fn p(len_bytes: usize) -> Vec<u8> {
    slice(0x41, 0, 5, len_bytes)
}

pub fn b(len_bytes: usize) -> Vec<u8> {
    slice(0x01, 0, 6, len_bytes)
}

/// FU-A fragments of at most `size_bytes` of the NAL unit's body each.
pub fn fragments(nal: &[u8], size_bytes: usize) -> Vec<Vec<u8>> {
    let chunks: Vec<&[u8]> = nal[1..].chunks(size_bytes).collect();
    let last = chunks.len() - 1;
    chunks
        .iter()
        .enumerate()
        .map(|(place, chunk)| {
            let start = if place == 0 { 0x80 } else { 0 };
            let end = if place == last { 0x40 } else { 0 };
            let mut payload = vec![(nal[0] & 0xe0) | 28, start | end | (nal[0] & 0x1f)];
            payload.extend_from_slice(chunk);
            payload
        })
        .collect()
}

pub fn stap_a(nals: &[&[u8]]) -> Vec<u8> {
    let mut payload = vec![0x78];
    for nal in nals {
        payload.extend((nal.len() as u16).to_be_bytes());
        payload.extend_from_slice(nal);
    }
    payload
}

/// Joined by start codes, the first NAL unit without one.
pub fn glued(nals: &[&[u8]]) -> Vec<u8> {
    nals.join([0, 0, 0, 1].as_slice())
}

/// Numbers and times packets; tests change its fields for what a quirk needs.
pub struct Camera {
    pub intake: Intake,
    pub now: Instant,
    pub seq: u16,
    pub rtp_ts: u32,
    pub ssrc: u32,
    pub payload_type: u8,
    /// Sets the marker on a unit's last packet.
    pub marks: bool,
}

impl Camera {
    pub fn new() -> Self {
        Self::with_sets(&[])
    }

    pub fn with_sets(sets: &[&[u8]]) -> Self {
        Self::of(VideoCodec::H264, sets)
    }

    pub fn of(codec: VideoCodec, sets: &[&[u8]]) -> Self {
        let parameter_sets = sets.iter().map(|set| Bytes::copy_from_slice(set)).collect();
        Self {
            intake: Intake::new(IntakeConfig {
                codec,
                parameter_sets,
                ..IntakeConfig::default()
            }),
            now: start(),
            seq: 65_530,
            rtp_ts: u32::MAX - 10_000,
            ssrc: 0x1234,
            payload_type: 96,
            marks: true,
        }
    }

    pub fn packet(&mut self, payload: &[u8], marker: bool) -> Vec<u8> {
        let header = RtpHeader {
            marker,
            payload_type: self.payload_type,
            seq: self.seq,
            rtp_ts: self.rtp_ts,
            ssrc: self.ssrc,
        };
        self.seq = self.seq.wrapping_add(1);
        [header.to_bytes().as_slice(), payload].concat()
    }

    /// One packet into the intake, refusals and all.
    pub fn push(&mut self, payload: &[u8], marker: bool) -> Result<(), fanout::IntakeError> {
        let packet = self.packet(payload, marker);
        self.intake.push(self.now, &packet)
    }

    pub fn lose(&mut self, packets: u16) {
        self.seq = self.seq.wrapping_add(packets);
    }

    /// The next picture's time.
    pub fn tick(&mut self) {
        self.rtp_ts = self.rtp_ts.wrapping_add(PICTURE);
        self.now += ms(40);
    }

    /// Payloads as one unit, then the next picture's time.
    pub fn payloads<P: AsRef<[u8]>>(&mut self, payloads: &[P]) -> Vec<AccessUnit> {
        for (place, payload) in payloads.iter().enumerate() {
            let marker = self.marks && place + 1 == payloads.len();
            self.push(payload.as_ref(), marker).unwrap();
        }
        self.tick();
        self.units()
    }

    /// NAL units as one unit, in fragments where they are long.
    pub fn send<N: AsRef<[u8]>>(&mut self, nals: &[N]) -> Vec<AccessUnit> {
        let payloads: Vec<Vec<u8>> = nals
            .iter()
            .flat_map(|nal| {
                let nal = nal.as_ref();
                if nal.len() > 1_400 {
                    fragments(nal, 1_398)
                } else {
                    vec![nal.to_vec()]
                }
            })
            .collect();
        self.payloads(&payloads)
    }

    /// A keyframe with its parameter sets.
    pub fn key(&mut self, len_bytes: usize) -> Vec<AccessUnit> {
        self.send(&[SPS, PPS, &idr(len_bytes)])
    }

    pub fn units(&mut self) -> Vec<AccessUnit> {
        std::iter::from_fn(|| self.intake.poll()).collect()
    }
}

/// The NAL units of a unit, to compare.
pub fn nals(unit: &AccessUnit) -> Vec<Vec<u8>> {
    unit.nals.iter().map(<[u8]>::to_vec).collect()
}

/// A unit that never was RTP, for what comes behind the intake.
pub fn unit(keyframe: bool, nals: Vec<Vec<u8>>, media_time: u64, recv_time: Instant) -> AccessUnit {
    AccessUnit {
        codec: VideoCodec::H264,
        media_time,
        recv_time,
        keyframe,
        has_b_slices: false,
        needs_past: false,
        source_epoch: 0,
        parameter_sets: if keyframe {
            vec![Bytes::from_static(SPS), Bytes::from_static(PPS)]
        } else {
            Vec::new()
        },
        nals: nals.iter().collect(),
    }
}

/// A unit of `len_bytes` at picture `number`, 25 a second from `from`.
pub fn picture(from: Instant, number: u32, keyframe: bool, len_bytes: usize) -> AccessUnit {
    let nal = if keyframe {
        idr(len_bytes)
    } else {
        p(len_bytes)
    };
    let media_time = 90_000 + u64::from(number * PICTURE);
    let recv_time = from + ms(40) * number;
    unit(keyframe, vec![nal], media_time, recv_time)
}

/// Packs a [`picture`] into the ring.
pub fn push_picture(ring: &mut Ring, from: Instant, number: u32, keyframe: bool, len_bytes: usize) {
    push_unit(ring, &picture(from, number, keyframe, len_bytes));
}

pub fn push_unit(ring: &mut Ring, unit: &AccessUnit) {
    ring.push(
        Packer::default()
            .pack(unit, unit.media_time, ring.place())
            .unwrap(),
    );
}

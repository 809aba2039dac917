//! Whatever bytes come, in whatever pieces, the RTSP server neither panics nor grows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use peer::rtsp_server::{ConnectionSeeds, Mount, Mounts, RtspServer, ServerConfig, ServerEvent};

struct One;

impl Mounts for One {
    fn look_up(&mut self, _path: &str, _: &wire::rtsp::Request) -> Mount {
        Mount::Stream {
            sdp: "v=0\r\n".to_owned(),
        }
    }
}

fn server(now: Instant) -> RtspServer {
    let config = ServerConfig {
        server_name: "test".to_owned(),
        realm: "farm".to_owned(),
        credentials: None,
        rtsp_session_timeout: Duration::from_secs(60),
        server_port: Some((6970, 6971)),
    };
    let seeds = ConnectionSeeds {
        nonce: 1,
        rtsp_session_id: 2,
        ssrc: 3,
        first_seq: 4,
        first_rtp_ts: 5,
    };
    RtspServer::new(Arc::new(config), seeds, now)
}

/// xorshift64: the same bytes at every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

const DIALOGUE: &[u8] = b"OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n\
DESCRIBE rtsp://h/a RTSP/1.0\r\nCSeq: 2\r\nAuthorization: Digest username=\"a\", uri=\"b\"\r\n\r\n\
SETUP rtsp://h/a/trackID=0 RTSP/1.0\r\nCSeq: 3\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n\
PLAY rtsp://h/a RTSP/1.0\r\nCSeq: 4\r\nSession: 0000000000000002\r\n\r\n\
$\x01\x00\x08\x80\xc9\x00\x01\x00\x00\x00\x01\
GET_PARAMETER rtsp://h/a RTSP/1.0\r\nCSeq: 5\r\nContent-Length: 3\r\n\r\nabc";

#[test]
fn mutated_dialogues_in_random_pieces_do_no_harm() {
    let now = Instant::now();
    let mut dice = Dice(0x5EED);
    let (mut answered, mut closed) = (0, 0);
    for _ in 0..3000 {
        let mut bytes = DIALOGUE.to_vec();
        for _ in 0..dice.below(6) {
            let at = dice.below(bytes.len());
            match dice.below(3) {
                0 => bytes[at] = dice.below(256) as u8,
                1 => drop(bytes.drain(at..(at + dice.below(20)).min(bytes.len()))),
                _ => bytes.insert(at, b"$\r\n:; 0"[dice.below(7)]),
            }
        }
        let mut machine = server(now);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(1 + dice.below(rest.len()));
            machine.receive(now, piece, &mut One);
            rest = later;
        }
        while machine.poll_transmit().is_some() {
            answered += 1;
        }
        while let Some(event) = machine.poll_event() {
            closed += usize::from(matches!(event, ServerEvent::Close(_)));
        }
    }
    assert!(answered > 3000, "{answered} answers");
    assert!(closed > 0, "some of it was no RTSP");
}

#[test]
fn a_dialogue_cut_at_any_byte_is_understood() {
    let now = Instant::now();
    for cut in 0..DIALOGUE.len() {
        let mut machine = server(now);
        machine.receive(now, &DIALOGUE[..cut], &mut One);
        machine.receive(now, &DIALOGUE[cut..], &mut One);
        let answers: Vec<Vec<u8>> = std::iter::from_fn(|| machine.poll_transmit()).collect();
        assert_eq!(answers.len(), 5, "cut at {cut}");
        for answer in answers {
            assert!(answer.starts_with(b"RTSP/1.0 200"), "cut at {cut}");
        }
    }
}

//! The RTSP stream reader against what cameras send.

use proptest::prelude::*;
use wire::rtsp::{
    DesyncCause, Item, MAX_BODY_BYTES, MAX_HEAD_BYTES, Message, Reader, Request, Response,
    write_interleaved,
};

/// An item without its borrow.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Packet(u8, Vec<u8>),
    Message(Message),
    Desync(DesyncCause),
}

fn read_with(reader: &mut Reader, chunks: &[&[u8]]) -> Vec<Seen> {
    read_by(reader, chunks, false)
}

/// `whole_first`: by [`Reader::next_whole`] wherever it gives something.
fn read_by(reader: &mut Reader, chunks: &[&[u8]], whole_first: bool) -> Vec<Seen> {
    let mut seen = Vec::new();
    for chunk in chunks {
        let mut input = *chunk;
        loop {
            if whole_first && let Some((channel, payload)) = reader.next_whole(&mut input) {
                seen.push(Seen::Packet(channel, payload.to_vec()));
                continue;
            }
            let Some(item) = reader.next(&mut input) else {
                break;
            };
            seen.push(match item {
                Item::Interleaved { channel, payload } => Seen::Packet(channel, payload.to_vec()),
                Item::Message(message) => Seen::Message(message),
                Item::Desync(cause) => Seen::Desync(cause),
            });
        }
        assert!(input.is_empty());
        assert!(reader.buffered_bytes() <= Reader::MAX_BUFFERED_BYTES);
    }
    seen
}

fn read(bytes: &[u8]) -> Vec<Seen> {
    read_with(&mut Reader::new(), &[bytes])
}

fn packet(channel: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(write_interleaved(&mut bytes, channel, payload));
    bytes
}

/// A payload that looks like RTP, as long as asked.
fn rtp(length: usize) -> Vec<u8> {
    let mut payload = vec![0x55; length];
    payload[0] = 0x80;
    payload
}

fn response(text: &str) -> Response {
    match read(text.as_bytes()).as_slice() {
        [Seen::Message(Message::Response(response))] => response.clone(),
        other => panic!("not one response: {other:?}"),
    }
}

#[test]
fn a_packet_whole_in_the_input_is_a_slice_of_it() {
    let bytes = packet(0, &rtp(100));
    let mut reader = Reader::new();
    let mut input = bytes.as_slice();
    let Some(Item::Interleaved { payload, .. }) = reader.next(&mut input) else {
        panic!("no packet");
    };
    assert_eq!(payload.as_ptr(), bytes[4..].as_ptr());
}

#[test]
fn a_response_and_packets_glued_together_come_apart() {
    let mut bytes = b"RTSP/1.0 200 OK\r\nCSeq: 4\r\nContent-Length: 3\r\n\r\nabc".to_vec();
    bytes.extend(packet(1, &rtp(20)));
    bytes.extend(b"\r\nRTSP/1.0 454 Session Not Found\r\n\r\n");
    let seen = read(&bytes);
    let [
        Seen::Message(Message::Response(first)),
        Seen::Packet(1, payload),
        Seen::Message(_),
    ] = seen.as_slice()
    else {
        panic!("{seen:?}");
    };
    assert_eq!((first.status, first.body.as_slice()), (200, &b"abc"[..]));
    assert_eq!(first.headers.cseq(), Some(4));
    assert_eq!(payload, &rtp(20));
}

#[test]
fn bare_line_feeds_odd_blanks_folded_and_broken_header_lines_are_read() {
    let text =
        "RTSP/1.0 401\ncseq :  7 \nWWW-Authenticate: Digest realm=\"a\",\n nonce=\"b\"\nnoise\n\n";
    let response = response(text);
    assert_eq!(response.status, 401);
    assert_eq!(response.headers.get("CSEQ"), Some("7"));
    let challenge = response.headers.get("www-authenticate");
    assert_eq!(challenge, Some("Digest realm=\"a\", nonce=\"b\""));
    assert_eq!(response.headers.len(), 2);
}

#[test]
fn a_camera_request_between_packets_is_a_message() {
    let mut bytes = packet(0, &rtp(12));
    bytes.extend(Request::new("OPTIONS", "*").header("CSeq", "1").encode());
    let seen = read(&bytes);
    assert!(matches!(&seen[1], Seen::Message(Message::Request(r)) if r.method == "OPTIONS"));
}

#[test]
fn empty_and_longest_packets_are_taken() {
    let mut bytes = packet(0, &[]);
    bytes.extend(packet(255, &rtp(65_535)));
    let seen = read(&bytes);
    assert_eq!(seen[0], Seen::Packet(0, Vec::new()));
    assert_eq!(seen[1], Seen::Packet(255, rtp(65_535)));
    let mut out = vec![1];
    assert!(!write_interleaved(&mut out, 0, &[0; 65_536]));
    assert_eq!(out, [1]);
}

#[test]
fn a_body_longer_than_announced_spills_and_the_next_response_is_found() {
    let text = "RTSP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nv=0\r\ns=x\r\nm=video 0 RTP/AVP 96\r\n\
                RTSP/1.0 200 OK\r\nCSeq: 9\r\n\r\n";
    let seen = read(text.as_bytes());
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[1], Seen::Desync(DesyncCause::UnexpectedByte(b's')));
    assert!(matches!(&seen[2], Seen::Message(m) if m.headers().cseq() == Some(9)));
}

#[test]
fn a_packet_of_a_wrong_length_costs_a_search_to_the_next_known_channel() {
    let mut short = packet(0, &rtp(40));
    short[3] = 20;
    let mut bytes = short;
    // Neither an unknown channel nor an implausible length is believed on the way.
    bytes.extend([
        b'$', 9, 0, 20, 0x80, b'$', 0, 0, 3, 0x80, b'$', 0, 0, 20, 0x00,
    ]);
    bytes.extend(packet(1, &rtp(28)));
    let mut reader = Reader::new();
    reader.set_known_channels(&[0, 1]);
    let seen = read_with(&mut reader, &[&bytes]);
    assert_eq!(seen[0], Seen::Packet(0, rtp(20)));
    assert!(matches!(seen[1], Seen::Desync(_)));
    assert_eq!(seen[2], Seen::Packet(1, rtp(28)));
    assert_eq!(seen.len(), 3);
    assert_eq!(reader.counters().desyncs, 1);
    assert_eq!(reader.counters().skipped_bytes, 20 + 15);
}

#[test]
fn an_endless_head_and_a_giant_body_are_refused() {
    let mut head = b"RTSP/1.0 200 OK\r\n".to_vec();
    head.extend(b"X: y\r\n".repeat(MAX_HEAD_BYTES / 6 + 1));
    assert!(read(&head).contains(&Seen::Desync(DesyncCause::HeadTooLong)));
    let length = MAX_BODY_BYTES + 1;
    let text = format!("RTSP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n");
    assert!(matches!(
        read(text.as_bytes())[0],
        Seen::Desync(DesyncCause::Malformed(_))
    ));
}

#[test]
fn what_is_written_is_read_back() {
    let request = Request::new("SETUP", "rtsp://a/b").header("CSeq", "2");
    let seen = read(&request.encode());
    assert_eq!(seen, [Seen::Message(Message::Request(request))]);
    let reply = Response::new(200).body("application/sdp", b"v=0\r\n".to_vec());
    let text = String::from_utf8(reply.encode()).unwrap();
    assert!(text.ends_with("Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"));
}

#[test]
fn a_line_end_in_a_value_adds_no_header() {
    let request = Request::new("OPTIONS", "rtsp://a/b c\r\nX: y").header("A", "b\r\nEvil: 1");
    let text = String::from_utf8(request.encode()).unwrap();
    assert_eq!(
        text,
        "OPTIONS rtsp://a/bcX:y RTSP/1.0\r\nA: b  Evil: 1\r\n\r\n"
    );
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let dollar =
        (any::<u8>(), 0_usize..300).prop_map(|(channel, n)| packet(channel % 4, &rtp(n + 1)));
    let reply = "[a-z]{0,40}".prop_map(|body| {
        Response::new(200)
            .header("CSeq", "3")
            .body("text/plain", body.into_bytes())
            .encode()
    });
    let ask = Just(
        Request::new("GET_PARAMETER", "rtsp://a/b")
            .header("CSeq", "1")
            .encode(),
    );
    let tricky = prop::sample::select(vec![
        b"RTSP/1.".to_vec(),
        b"R".to_vec(),
        b"$\x00\x00".to_vec(),
        b"$\x00\xff\xff\x80".to_vec(),
        b"\r\n\r\n".to_vec(),
        b"\n\r\n".to_vec(),
        b"RTSP/1.0 200 OK\r\n".to_vec(),
        b"Content-Length: 9\r\n\r\n".to_vec(),
    ]);
    let noise = prop::collection::vec(any::<u8>(), 0..30);
    prop_oneof![4 => dollar, 2 => reply, 1 => ask, 2 => tricky, 1 => noise]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_cuts_between_chunks_change_nothing(
        parts in prop::collection::vec(pieces(), 0..12),
        cuts in prop::collection::vec(1_usize..400, 0..200),
        known in any::<bool>(),
    ) {
        let bytes = parts.concat();
        let start = || {
            let mut reader = Reader::new();
            if known {
                reader.set_known_channels(&[0, 1]);
            }
            reader
        };
        let mut whole = start();
        let expected = read_with(&mut whole, &[&bytes]);
        let mut chunks = Vec::new();
        let mut rest = bytes.as_slice();
        for cut in cuts {
            let (chunk, after) = rest.split_at(cut.min(rest.len()));
            chunks.push(chunk);
            rest = after;
        }
        chunks.push(rest);
        let mut cut = start();
        prop_assert_eq!(read_with(&mut cut, &chunks), expected.clone());
        prop_assert_eq!(cut.counters(), whole.counters());
        let mut shortcut = start();
        prop_assert_eq!(read_by(&mut shortcut, &chunks, true), expected.clone());
        prop_assert_eq!(shortcut.counters(), whole.counters());
        let mut bytewise = start();
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(read_with(&mut bytewise, &single), expected);
    }
}

/// A small linear congruential generator: the same inputs on every machine.
fn next_random(state: &mut u64) -> usize {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

#[test]
fn twenty_thousand_mutated_streams_never_panic_and_stay_bounded() {
    let mut valid = Response::new(200)
        .header("CSeq", "2")
        .header(
            "Transport",
            "RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=0A0B0C0D",
        )
        .body(
            "application/sdp",
            b"v=0\r\nm=video 0 RTP/AVP 96\r\n".to_vec(),
        )
        .encode();
    valid.extend(packet(0, &rtp(60)));
    valid.extend(
        Request::new("ANNOUNCE", "rtsp://a/b")
            .header("CSeq", "8")
            .encode(),
    );
    valid.extend(packet(1, &rtp(28)));
    let mut state = 7;
    for _ in 0..20_000 {
        let mut bytes = valid.clone();
        for _ in 0..1 + next_random(&mut state) % 6 {
            let at = next_random(&mut state) % bytes.len();
            match next_random(&mut state) % 4 {
                0 => bytes[at] = next_random(&mut state) as u8,
                1 => bytes.truncate(at.max(1)),
                2 => {
                    bytes.remove(at);
                    bytes.push(b'$');
                }
                _ => bytes.insert(at, next_random(&mut state) as u8),
            }
        }
        let cut = next_random(&mut state) % bytes.len();
        let (first, second) = bytes.split_at(cut);
        read_with(&mut Reader::new(), &[first, second]);
    }
}

//! RTSP text and its framing.

use wire::rtsp::{
    Counters, Item, Message, Methods, Reader, RtspIdHeader, RtspUrl, Transport, absolute_in,
    base_url, parse_rtp_info, redact_url, track_url,
};

use crate::input::{Input, text};

/// What comes out does not depend on how the bytes were cut, and little is kept.
pub fn reader(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let known = input.byte();
    let step = usize::from(input.byte()) + 1;
    let stream = input.rest();
    let whole = read(stream, stream.len().max(1), known);
    assert_eq!(read(stream, step, known), whole);
    assert_eq!(read(stream, 1, known), whole);
}

fn read(stream: &[u8], step: usize, known: u8) -> (Vec<String>, Counters) {
    let mut reader = Reader::new();
    if known % 2 == 1 {
        reader.set_known_channels(&[0, 1]);
    }
    let mut seen = Vec::new();
    for mut chunk in stream.chunks(step) {
        let mut left = usize::MAX;
        while let Some(item) = reader.next(&mut chunk) {
            if let Item::Message(message) = &item {
                reads_back(message);
            }
            seen.push(format!("{item:?}"));
        }
        assert!(chunk.len() < left, "no progress");
        left = chunk.len();
        assert_eq!(left, 0);
        assert!(reader.buffered_bytes() <= Reader::MAX_BUFFERED_BYTES);
    }
    (seen, reader.counters())
}

/// What we would write of it is one message, and the same.
fn reads_back(message: &Message) {
    let encoded = match message {
        Message::Request(request) => request.encode(),
        Message::Response(response) => response.encode(),
    };
    let mut reader = Reader::new();
    let mut input = encoded.as_slice();
    let Some(Item::Message(again)) = reader.next(&mut input) else {
        // A head that grew over the bound by being written in full, or a folded name.
        return;
    };
    match (message, &again) {
        (Message::Request(one), Message::Request(other)) => {
            assert_eq!((&one.method, &one.uri), (&other.method, &other.uri));
            assert_eq!(one.body, other.body);
        }
        (Message::Response(one), Message::Response(other)) => {
            assert_eq!((one.status, &one.body), (other.status, &other.body));
        }
        _ => panic!("a request became a response"),
    }
    assert_eq!(message.headers().cseq(), again.headers().cseq());
}

/// Each header value that was read is written and reads back the same.
pub fn headers(bytes: &[u8]) {
    let value = text(bytes);
    for transport in Transport::parse_list(&value) {
        let again = Transport::parse(&transport.to_string()).expect("written by us");
        assert_eq!(again.interleaved, transport.interleaved);
        assert_eq!(again.client_port, transport.client_port);
        assert_eq!(again.server_port, transport.server_port);
        assert_eq!(again.ssrc, transport.ssrc);
        let _ = transport.is_interleaved();
    }
    if let Some(id) = RtspIdHeader::parse(&value) {
        assert_eq!(RtspIdHeader::parse(&id.to_string()), Some(id));
    }
    let methods = Methods::parse(&value);
    assert!(!methods.contains("") || methods.is_empty());
    for entry in parse_rtp_info(&value) {
        assert!(!entry.url.is_empty());
    }
}

/// An address that was read is written without its user part, and dials the same place.
pub fn url(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let address = text(input.piece());
    let control = text(input.piece());
    let base = text(input.piece());
    let _shown = redact_url(&address);
    let Ok(url) = RtspUrl::parse(&address) else {
        return;
    };
    let written = url.to_string();
    assert!(written.starts_with(&format!("rtsp://{}", url.authority())));
    // An @ further on may be of a password, to who reads it without knowing.
    if !url.path.contains('@') {
        let again = RtspUrl::parse(&written).expect("written by us");
        assert_eq!((&again.host, again.port), (&url.host, url.port));
    }
    let dialled = RtspUrl {
        userinfo: None,
        ..url
    };
    // Only the path is theirs: whatever they say, the request goes where the connection goes.
    let same_place = |text: &str| assert!(text.starts_with(&dialled.with_path("")), "{text}");
    same_place(&absolute_in(&dialled, &control));
    let base = base_url(&dialled, Some(&control), Some(&base), None);
    same_place(&base);
    same_place(&track_url(&dialled, &base, Some(&control)));
}

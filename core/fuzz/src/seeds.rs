//! First inputs of each target, made from what real ends say: where a search begins.

use std::time::Instant;

use dimpl::Output;
use wire::rtcp::{self, ReportBlock, SenderReport};

use crate::input::piece;
use crate::targets::rtsp_door::ticket_text;
use crate::targets::webrtc::{check, dtls_client};

const SPS: &[u8] = &[
    0x67, 0x42, 0xc0, 0x1f, 0xda, 0x02, 0x80, 0xbf, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04,
];
/// Monochrome, High, with scaling matrices and cropping.
const SPS_HIGH: &[u8] = &[
    0x67, 0x64, 0x00, 0x29, 0xad, 0x84, 0x01, 0x0c, 0x20, 0x08, 0x61, 0x00, 0x43, 0x08, 0x02, 0x18,
];
const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];
const SEI: &[u8] = &[
    0x06, 0x05, 0x12, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 0x80,
];
const RECOVERY_POINT: &[u8] = &[0x06, 0x06, 0x01, 0x84, 0x80];
const IDR: &[u8] = &[0x65, 0x88, 0x84, 0x00, 0x33, 0xff, 0x41, 0x42, 0x43];
const SLICE: &[u8] = &[0x41, 0x9a, 0x24, 0x6c, 0x41, 0x7f];
const B_SLICE: &[u8] = &[0x01, 0x9e, 0x41, 0x79, 0x08];

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.5\r\ns=cam\r\nt=0 0\r\na=control:*\r\na=range:npt=0-\r\n\
    m=video 0 RTP/AVP 96\r\nb=AS:5000\r\na=rtpmap:96 H264/90000\r\n\
    a=fmtp:96 profile-level-id=420029; packetization-mode=1;sprop-parameter-sets=Z0IAKeKQ,aM48gA==\r\n\
    a=control:trackID=1\r\nm=audio 0 RTP/AVP 8\r\na=control:trackID=2\r\n";
const SETUP_FIELDS: &str =
    "Session: 77;timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=00004D2A\r\n";
const CHALLENGE: &str = "Digest realm=\"cam\", nonce=\"abc\", algorithm=SHA-256, qop=\"auth\", opaque=\"o\", stale=true";
const ADDRESSES: [&str; 4] = [
    "rtsp://admin:p%40ss@10.0.0.5:8554/Streaming/Channels/101?transportmode=unicast",
    "rtsp://[2001:db8::1]/live",
    "rtsp://user:a/b?c@camera.example/cam/realmonitor?channel=1&subtype=0",
    "rtsp://10.0.0.5/user=admin&password=&channel=1&stream=0.sdp?",
];

/// First inputs for the target of that name.
#[must_use]
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "rtp" => vec![packets().concat(), piece(&with_extension())],
        "rtcp" => reports(),
        "stun" => vec![check(0), check(1), check(2)],
        "srtp" => vec![sealed_runs(0), sealed_runs(1), sealed_runs(2)],
        "framing" => vec![[&[4][..], &frames()].concat(), [&[200][..], &frames()].concat()],
        "digest" => vec![
            CHALLENGE.into(),
            format!("Basic realm=\"x\"\n{CHALLENGE}\nDigest realm=\"r\\\"\", nonce=\"n\"").into(),
            "Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"u\", response=\"00\", qop=auth, nc=00000001, cnonce=\"c\"".into(),
            "Basic YWRtaW46cGFzcw==".into(),
        ],
        "h264" => nals(),
        "h265" => h265_nals(),
        "sdp" => vec![SDP.into(), offer(108).into()],
        "loadgen" => vec![judged()],
        "rtsp_reader" => vec![
            [&[0, 6][..], dialogue().as_bytes()].concat(),
            [&[1, 90][..], &noisy_stream()].concat(),
        ],
        "rtsp_headers" => [
            "RTP/AVP/TCP;unicast;interleaved=0-1,RTP/AVP;unicast;client_port=4588-4589;server_port=6256-6257;ssrc= 4D2A 12;source=10.0.0.5",
            "77;timeout=60",
            "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER",
            "url=rtsp://10.0.0.5/live/trackID=1;seq=17;rtptime=12345678,url=rtsp://h/2",
        ]
        .map(Into::into)
        .to_vec(),
        "rtsp_url" => ADDRESSES.map(addressed).to_vec(),
        "rtsp_client" => pulls(),
        "rtsp_server" => vec![
            [&[0, 0, 1][..], &piece(dialogue().as_bytes())].concat(),
            [&[1, 1, 1][..], &piece(dialogue().as_bytes()), &[0, 61]].concat(),
        ],
        "rtsp_door" => vec![doors(false), doors(true)],
        "ticket" => vec![ticket_text().into()],
        "intake" => vec![streams(1), streams(2)],
        "webrtc_offer" => vec![offer(108).into(), offer(96).into(), audio_first().into()],
        "webrtc_transport" => connections(),
        "webrtc_feedback" => feedbacks(),
        _ => Vec::new(),
    }
}

/// A client that shows a ticket, is accepted or refused, and plays.
fn doors(refused: bool) -> Vec<u8> {
    let url = "rtsp://h:8554/ch_a/main";
    let ask = |method: &str, uri: &str, headers: &str| {
        let request = format!("{method} {uri} RTSP/1.0\r\nCSeq: 1\r\n{headers}\r\n");
        [&[9][..], &piece(request.as_bytes())].concat()
    };
    let word = if refused {
        vec![2, 5]
    } else {
        vec![1, 3, 0, 4, 0x67, 1, 2, 3]
    };
    [
        ask("DESCRIBE", &format!("{url}?ticket={}", ticket_text()), ""),
        word,
        ask(
            "SETUP",
            &format!("{url}/trackID=0"),
            "Transport: RTP/AVP/TCP;interleaved=0-1\r\n",
        ),
        ask("PLAY", url, "Session: 0000000000000002\r\n"),
        vec![0, 61],
    ]
    .concat()
}

fn rtp_packet(seq: u16, marker: bool, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 96 | u8::from(marker) << 7];
    packet.extend(seq.to_be_bytes());
    packet.extend((u32::from(seq) * 3_600).to_be_bytes());
    packet.extend([0, 0, 0xCA, 0xFE]);
    packet.extend_from_slice(payload);
    packet
}

fn packets() -> Vec<Vec<u8>> {
    let payloads = [SPS, PPS, IDR, SLICE];
    let numbered = (65_534u16..=u16::MAX).chain(0..).zip(payloads);
    numbered
        .map(|(seq, payload)| piece(&rtp_packet(seq, payload == SLICE, payload)))
        .collect()
}

fn with_extension() -> Vec<u8> {
    let mut packet = rtp_packet(1, true, &[0, 0, 0, 0]);
    packet[0] = 0xB2;
    packet.extend([0, 0, 0, 0, 0xBE, 0xDE, 0, 1, 0x10, 0xAA, 0, 0, 9, 9, 0, 2]);
    packet
}

fn reports() -> Vec<Vec<u8>> {
    let block = ReportBlock {
        ssrc: 5,
        fraction_lost: 64,
        cumulative_lost: -2,
        ..ReportBlock::default()
    };
    let (mut sender, mut receiver) = (Vec::new(), Vec::new());
    let report = SenderReport {
        ssrc: 5,
        ntp: 1 << 40,
        rtp_ts: 7,
        packets: 8,
        octets: 9,
    };
    rtcp::write_sender_report(&report, "cam", &mut sender);
    rtcp::write_bye(5, &mut sender);
    rtcp::write_receiver_report(6, &[block, block], "page", &mut receiver);
    rtcp::write_pli(6, 5, &mut receiver);
    let nack = [0x81, 205, 0, 3, 0, 0, 0, 6, 0, 0, 0, 5, 0x7D, 0, 0x80, 1];
    let fir = [
        0x84, 206, 0, 4, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 5, 1, 0, 0, 0,
    ];
    let remb = [
        0x8F, 206, 0, 5, 0, 0, 0, 6, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1, 0x12, 0x34, 0x56, 0, 0,
        0, 5,
    ];
    let padded = [0xA1, 201, 0, 8]
        .into_iter()
        .chain([0; 28])
        .chain([0, 0, 0, 4]);
    vec![
        sender,
        receiver,
        [&nack[..], &fir, &remb].concat(),
        padded.collect(),
    ]
}

fn sealed_runs(profile: u8) -> Vec<u8> {
    let mut input = vec![profile];
    for number in 0..4u8 {
        input.extend([4 * number + 2, number]);
        input.extend(piece(IDR));
        input.extend([4 * number + 3, number]);
        input.extend(piece(&[0, 0, 0, 5]));
    }
    input.extend([0, 0]);
    input.extend(piece(&[0x90; 40]));
    input.extend([1, 0]);
    input.extend(piece(&[0x80; 60]));
    input
}

fn frames() -> Vec<u8> {
    [piece(&check(0)), piece(&[]), piece(&[22; 300]), piece(&[1])].concat()
}

fn nals() -> Vec<Vec<u8>> {
    let all = [SPS, SPS_HIGH, PPS, SEI, RECOVERY_POINT, IDR, SLICE, B_SLICE];
    let glued = all.map(|nal| [&[0, 0, 0, 1], nal].concat()).concat();
    all.iter().map(|nal| nal.to_vec()).chain([glued]).collect()
}

/// As x265 writes them: VPS, SPS, PPS, the start of a keyframe's slice and of another's.
fn h265_nals() -> Vec<Vec<u8>> {
    const NALS: [&[u8]; 5] = [
        &[
            0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00,
            0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x3f, 0xba, 0x02, 0x40,
        ],
        &[
            0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00,
            0x00, 0x03, 0x00, 0x3f, 0xa0, 0x05, 0x02, 0x01, 0x69, 0x65, 0xba, 0xb9, 0x30, 0xb9,
            0xa0, 0x20, 0x00, 0x00, 0x03, 0x00, 0x20, 0x00, 0x00, 0x03, 0x03, 0x21,
        ],
        &[0x44, 0x01, 0xc1, 0x73, 0xc1, 0x89],
        &[0x26, 0x01, 0xac, 0x11, 0x22, 0x33],
        &[0x02, 0x01, 0xd0, 0x2e, 0x11, 0x22],
    ];
    let glued = NALS.map(|nal| [&[0, 0, 0, 1], nal].concat()).concat();
    NALS.iter().map(|nal| nal.to_vec()).chain([glued]).collect()
}

fn fragment(start: bool, end: bool, body: &[u8]) -> Vec<u8> {
    let flags = u8::from(start) << 7 | u8::from(end) << 6;
    [&[0x7c, 5 | flags], body].concat()
}

fn aggregate(nals: &[&[u8]]) -> Vec<u8> {
    let parts: Vec<u8> = nals.iter().flat_map(|nal| piece(nal)).collect();
    [&[0x78][..], &parts].concat()
}

/// A picture's packets, whole and in pieces, for a stream of the intake.
fn streams(clock: u8) -> Vec<u8> {
    let mut input = vec![clock];
    let mut packet = |what: u8, payload: &[u8]| {
        input.push(what);
        input.extend(piece(payload));
    };
    packet(0, &aggregate(&[SPS, PPS]));
    packet(0, &fragment(true, false, &[0x88; 1_000]));
    packet(0, &fragment(false, false, &[0x11; 1_000]));
    packet(1, &fragment(false, true, &[0x12; 500]));
    for number in 0..6 {
        packet(3, if number % 2 == 0 { SLICE } else { B_SLICE });
    }
    input.extend([255, 32, 230, 1, 237, 255, 32]);
    input.extend([2, 0, 16]);
    input.extend_from_slice(SPS);
    input.extend([1]);
    input.extend(piece(&[&[0, 0, 0, 1][..], IDR, &[0, 0, 1], IDR].concat()));
    input.extend([223, 10, 255, 32, 200, 4, 3]);
    input.extend(piece(SLICE));
    input.push(217);
    input.extend(piece(SPS));
    input
}

fn dialogue() -> String {
    let asked = [
        ("OPTIONS", "a", ""),
        (
            "DESCRIBE",
            "a",
            "Accept: application/sdp\r\nAuthorization: Digest username=\"admin\", realm=\"farm\", nonce=\"00000000000000000000000000000001\", uri=\"rtsp://h/a\", response=\"0\"\r\n",
        ),
        (
            "SETUP",
            "a/trackID=0",
            "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n",
        ),
        ("PLAY", "a", "Session: 0000000000000002\r\n"),
        (
            "GET_PARAMETER",
            "a",
            "Session: 0000000000000002\r\nContent-Length: 3\r\n",
        ),
    ];
    let mut text = String::new();
    for (number, (method, path, fields)) in asked.iter().enumerate() {
        text += &format!("{method} rtsp://h/{path} RTSP/1.0\r\nCSeq: {number}\r\n{fields}\r\n");
    }
    text + "abc$\x01\x00\x01xTEARDOWN rtsp://h/a RTSP/1.0\r\nCSeq: 9\r\nSession: 0000000000000002\r\n\r\n"
}

fn interleaved(channel: u8, packet: &[u8]) -> Vec<u8> {
    [&[b'$', channel][..], &piece(packet)].concat()
}

fn noisy_stream() -> Vec<u8> {
    let answer = b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 2\r\n\r\nhi";
    [
        &interleaved(0, &rtp_packet(1, true, SLICE))[..],
        b"\xff\x00noise R$RTSP/1",
        answer,
        &interleaved(1, &[0x80, 200, 0, 1, 0, 0, 0, 1]),
        b"\r\n",
        &interleaved(2, &[]),
    ]
    .concat()
}

fn addressed(address: &str) -> Vec<u8> {
    [
        piece(address.as_bytes()),
        piece(b"trackID=1"),
        piece(b"rtsp://192.168.1.64:554/Streaming/Channels/101/"),
    ]
    .concat()
}

fn answered(cseq: u32, status: u16, fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let text = format!(
        "RTSP/1.0 {status} Word\r\nCSeq: {cseq}\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    );
    [&[9][..], &piece(text.as_bytes())].concat()
}

/// Whole dialogues, up to the stream and its end.
fn pulls() -> Vec<Vec<u8>> {
    let public = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER\r\n";
    let sdp_type = "Content-Type: application/sdp\r\nContent-Base: rtsp://10.0.0.5/live/main/\r\n";
    let challenge = format!("WWW-Authenticate: {CHALLENGE}\r\n");
    let plain = [
        answered(1, 200, public, ""),
        answered(2, 200, sdp_type, SDP),
        answered(3, 200, SETUP_FIELDS, ""),
        answered(
            4,
            200,
            "Session: 77\r\nRTP-Info: url=x;seq=1;rtptime=0\r\n",
            "",
        ),
    ]
    .concat();
    let media = [
        interleaved(0, &rtp_packet(1, true, SLICE)),
        interleaved(1, &reports()[0]),
    ]
    .concat();
    let asks = b"OPTIONS rtsp://10.0.0.6/live RTSP/1.0\r\nCSeq: 1\r\n\r\n";
    let played = [
        &[1][..],
        &plain,
        &[9],
        &piece(&media),
        &[9],
        &piece(asks),
        &[0, 255, 0, 255],
    ]
    .concat();
    let signed_in = [
        &[3][..],
        &answered(1, 401, &challenge, ""),
        &answered(2, 200, public, ""),
        &answered(3, 401, &challenge, ""),
        &answered(4, 200, sdp_type, SDP),
        &answered(5, 454, "", ""),
        &[1],
    ]
    .concat();
    let redirected = [
        &[0][..],
        &answered(1, 302, "Location: rtsp://10.0.0.9:5554/live/sub\r\n", ""),
        &answered(2, 200, public, ""),
        &answered(3, 461, "", ""),
        &[2],
    ]
    .concat();
    let by_udp = [
        &[1][..],
        &answered(1, 200, public, ""),
        &answered(2, 200, sdp_type, SDP),
        &answered(3, 461, "", ""),
        &answered(
            4,
            200,
            "Session: 77\r\nTransport: RTP/AVP;unicast;client_port=7000-7001;server_port=9000-9000\r\n",
            "",
        ),
        &answered(5, 200, "Session: 77\r\n", ""),
        &[9],
        &piece(&rtp_packet(1, true, SLICE)),
        &[9],
        &piece(&reports()[0]),
        &[0, 255],
    ]
    .concat();
    vec![played, signed_in, redirected, by_udp]
}

fn offer(payload_type: u8) -> String {
    let hex = ["0A"; 32].join(":");
    format!(
        "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         a=extmap-allow-mixed\r\nm=video 9 UDP/TLS/RTP/SAVPF {payload_type} 97 98\r\n\
         c=IN IP4 0.0.0.0\r\na=ice-ufrag:brow\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n\
         a=ice-options:trickle\r\na=fingerprint:sha-256 {hex}\r\na=setup:actpass\r\na=mid:0\r\n\
         a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=recvonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
         a=rtpmap:{payload_type} H264/90000\r\na=rtcp-fb:{payload_type} goog-remb\r\n\
         a=rtcp-fb:{payload_type} ccm fir\r\na=rtcp-fb:{payload_type} nack\r\n\
         a=rtcp-fb:{payload_type} nack pli\r\n\
         a=fmtp:{payload_type} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
         a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt={payload_type}\r\na=rtpmap:98 VP8/90000\r\n"
    )
}

fn audio_first() -> String {
    offer(108).replace(
        "m=video",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=rtpmap:111 opus/48000/2\r\nm=video",
    )
}

fn judged() -> Vec<u8> {
    let hex = ["0A"; 32].join(":");
    let answer = format!(
        "v=0\r\na=ice-lite\r\nm=video 9 UDP/TLS/RTP/SAVPF 108\r\na=ice-ufrag:abcd\r\n\
         a=ice-pwd:secretsecret\r\na=fingerprint:sha-256 {hex}\r\na=setup:passive\r\n\
         a=candidate:1 1 udp 2130706431 127.0.0.1 5004 typ host\r\n"
    );
    let mut input = piece(answer.as_bytes());
    for (order, payload) in [
        (3, aggregate(&[SPS, PPS])),
        (3, fragment(true, false, IDR)),
        (0x83, fragment(false, true, IDR)),
        (0x83, SLICE.to_vec()),
        (0, SLICE.to_vec()),
    ] {
        input.push(order);
        input.extend(piece(&payload));
    }
    input
}

/// A browser's first flight, before and after its check.
fn connections() -> Vec<Vec<u8>> {
    let mut client = dtls_client(Instant::now());
    let mut buffer = vec![0; 4_096];
    let mut hello = Vec::new();
    loop {
        match client.poll_output(&mut buffer) {
            Output::Packet(packet) => {
                hello.extend([0, 1]);
                hello.extend(piece(packet));
            }
            Output::Timeout(_) => break,
            _ => {}
        }
    }
    let checked = [100, 1, 1];
    vec![
        [&checked[..], &hello, &[255, 200, 100, 2, 0]].concat(),
        [&hello[..], &checked, &[100, 3, 1, 200, 3, 255, 100]].concat(),
        [&checked[..], &[100, 1, 2, 220, 0]].concat(),
    ]
}

fn feedbacks() -> Vec<Vec<u8>> {
    let under_keys = reports()
        .iter()
        .flat_map(|report| [&[2][..], &piece(report)].concat())
        .collect();
    let alert = [21, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9, 0, 2, 1, 0];
    vec![
        under_keys,
        [
            &[0][..],
            &piece(&alert),
            &[1],
            &piece(&[0, 0, 0, 6, 0, 0, 0, 5]),
        ]
        .concat(),
    ]
}

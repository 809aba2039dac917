//! The RTSP server machine: a client's bytes, and time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use peer::rtsp_server::{
    ConnectionSeeds, Credentials, Mount, Mounts, RtspServer, ServerConfig, ServerEvent,
};

use crate::input::Input;

struct AnyPath;

impl Mounts for AnyPath {
    fn look_up(&mut self, path: &str, _: &wire::rtsp::Request) -> Mount {
        assert!(path.starts_with('/'));
        match path {
            "/gone" => Mount::Refused { status: 404 },
            "/private" => Mount::Unauthorized,
            "/mute" => Mount::Mute,
            "/reset" => Mount::Reset,
            _ => Mount::Stream {
                sdp: "v=0\r\nm=video 0 RTP/AVP 96\r\n".to_owned(),
            },
        }
    }
}

/// One answer at most per request, none after the close, which is said once.
pub fn server(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let credentials = (input.byte() & 1 != 0).then(|| Credentials {
        username: "admin".to_owned(),
        password: "s3cr3t".to_owned(),
    });
    let config = ServerConfig {
        server_name: "test".to_owned(),
        realm: "farm".to_owned(),
        credentials,
        rtsp_session_timeout: Duration::from_secs(60),
        server_port: (input.byte() & 1 != 0).then_some((6_000, 6_001)),
    };
    let seeds = ConnectionSeeds {
        nonce: 1,
        rtsp_session_id: 2,
        ssrc: 3,
        first_seq: 4,
        first_rtp_ts: 5,
    };
    let mut now = Instant::now();
    let mut server = RtspServer::new(Arc::new(config), seeds, now);
    let (mut ends, mut stream) = (0, Vec::new());
    while !input.is_empty() {
        if input.byte() == 0 {
            now += Duration::from_secs(u64::from(input.byte()));
            server.handle_timeout(now);
        } else {
            let chunk = input.piece();
            stream.extend_from_slice(chunk);
            server.receive(now, chunk, &mut AnyPath);
        }
        let mut answers = 0;
        while let Some(answer) = server.poll_transmit() {
            assert!(answer.starts_with(b"RTSP/1.0 "));
            assert!(!answer.windows(6).any(|six| six == b"s3cr3t") || holds(&stream, b"s3cr3t"));
            answers += 1;
        }
        // The shortest request has more bytes than this.
        assert!(16 * answers <= stream.len() + 16);
        while let Some(event) = server.poll_event() {
            ends += usize::from(matches!(event, ServerEvent::Close(_) | ServerEvent::Reset));
        }
        assert!(ends <= 1);
        assert!(ends == 0 || server.poll_timeout().is_none());
    }
}

fn holds(stream: &[u8], wanted: &[u8]) -> bool {
    stream.windows(wanted.len()).any(|part| part == wanted)
}

//! Connections that break while they are being written to.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanout::IntakeConfig;
use rustix::event::epoll;
use socket2::SockRef;
use wire::codec::VideoCodec;
use wire::ticket::{Ticket, TicketKey};

use super::RtspPorts;
use super::faults::Scene;
use crate::command::{AcceptRtsp, Command};
use crate::event::EventBody;
use crate::viewer::RTSP_PAYLOAD_TYPES;

const PATIENCE: Duration = Duration::from_secs(10);
const KEY: [u8; 32] = [7; 32];
/// 640x360 Constrained Baseline and its PPS, as x264 writes them.
const SPS: &[u8] = &[
    0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xbf, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00,
    0x00, 0x03, 0x00, 0xca, 0x3c, 0x58, 0xba, 0x80,
];
const PPS: &[u8] = &[0x68, 0xce, 0x0f, 0xc8];
/// The header of a whole picture's first slice, and some of it.
const IDR: &[u8] = &[0x65, 0x88, 0xff, 2, 3, 4, 5, 6, 7, 8, 9];

/// A camera's next picture, a keyframe, in the stream that the scene's viewers have.
fn picture(scene: &mut Scene, number: u16) {
    let key = scene.shard.stream_keys["cam/main"];
    let nals = [SPS, PPS, IDR];
    for (seq, nal) in (number * 3..).zip(nals) {
        let marker = if nal == IDR { 0x80 } else { 0 };
        let mut packet = vec![0x80, marker | 96];
        packet.extend_from_slice(&seq.to_be_bytes());
        packet.extend_from_slice(&(u32::from(number) * 3_600).to_be_bytes());
        packet.extend_from_slice(&1u32.to_be_bytes());
        packet.extend_from_slice(nal);
        let taken = scene.shard.streams[key].stream.receive(scene.now, &packet);
        assert!(taken.is_ok());
    }
    scene.shard.dirty.push(key);
    scene.shard.visit_dirty(scene.now);
}

fn ask(scene: &mut Scene, wire: &mut TcpStream, request: &str) {
    wire.write_all(request.as_bytes()).unwrap();
    scene.shard.serve_tcp(scene.now, 0, epoll::EventFlags::IN);
}

/// A client by RTSP in the clear, to whom the stream plays.
fn playing(scene: &mut Scene) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let at = listener.local_addr().unwrap();
    let key = Arc::new(TicketKey::new(&KEY));
    scene.shard.rtsp = Some(RtspPorts {
        plain: Some(listener),
        tls: None,
        key: key.clone(),
    });
    let mut wire = TcpStream::connect(at).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while scene.shard.connections.len() == 0 && Instant::now() < deadline {
        scene.shard.accept_rtsp_clients(scene.now, false);
    }
    let ticket = key.seal(&Ticket {
        expires_unix_s: u64::MAX,
        ticket_id: "one".to_owned(),
        profiles: vec!["main".to_owned()],
        channel_id: "cam".to_owned(),
        subject_id: "someone".to_owned(),
        subject_version: 1,
    });
    let url = format!("rtsp://{at}/cam/main");
    let describe = format!("DESCRIBE {url}?ticket={ticket} RTSP/1.0\r\nCSeq: 1\r\n\r\n");
    ask(scene, &mut wire, &describe);
    let row = (scene.shard.figures).add_viewer("v3", "cam/main", RTSP_PAYLOAD_TYPES);
    scene.command(Command::AcceptRtsp(Box::new(AcceptRtsp {
        connection_id: "rtsp-1".to_owned(),
        shard: 0,
        viewer_id: "v3".to_owned(),
        stream_id: "cam/main".to_owned(),
        channel_id: "cam".to_owned(),
        subject_id: "someone".to_owned(),
        until: scene.now + Duration::from_secs(600),
        row,
    })));
    let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1";
    let setup = format!("SETUP {url}/trackID=0 RTSP/1.0\r\nCSeq: 2\r\n{transport}\r\n\r\n");
    ask(scene, &mut wire, &setup);
    ask(
        scene,
        &mut wire,
        &format!("PLAY {url} RTSP/1.0\r\nCSeq: 3\r\n\r\n"),
    );
    scene.shard.flush();
    wire
}

#[test]
fn a_client_that_breaks_off_while_it_is_written_to_ends_its_own_view_alone() {
    let mut scene = Scene::new();
    let key = scene.shard.stream_keys["cam/main"];
    scene.shard.streams[key]
        .stream
        .source_resumed(&IntakeConfig {
            codec: VideoCodec::H264,
            clock_rate: 90_000,
            payload_type: Some(96),
            parameter_sets: [SPS, PPS].map(Bytes::from_static).to_vec(),
        });
    picture(&mut scene, 1);
    let mut wire = playing(&mut scene);
    let mut got = [0; 16_384];
    let mut size = 0;
    wire.set_read_timeout(Some(PATIENCE)).unwrap();
    while !got[..size].windows(IDR.len()).any(|part| part == IDR) {
        size += wire.read(&mut got[size..]).unwrap();
    }
    scene.shard.events.drain(usize::MAX);
    // Reset, and nobody has been told of it yet: the next write finds out.
    SockRef::from(&wire)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(wire);
    let deadline = Instant::now() + PATIENCE;
    for number in 2.. {
        assert!(Instant::now() < deadline);
        scene.now += Duration::from_millis(400);
        picture(&mut scene, number);
        scene.shard.flush();
        if scene.viewers() == ["v1", "v2"] {
            break;
        }
    }
    let told = scene.shard.events.drain(usize::MAX);
    let [closed] = &told[..] else {
        panic!("{told:?}");
    };
    assert!(
        matches!(&closed.body, EventBody::ViewerClosed { cause, .. } if cause == "client_gone")
    );
    // Its last word had nowhere to go, and is not in the way of the others'.
    scene.shard.flush();
    assert!(!scene.shard.outbox.has_waiting());
}

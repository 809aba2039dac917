//! Views by RTSP in the clear, as a shard has them: how they play, and how each of them ends.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanout::IntakeConfig;
use rustix::event::epoll;
use socket2::{Domain, SockRef, Socket, Type};
use wire::codec::VideoCodec;
use wire::ticket::{Ticket, TicketKey};

use super::RtspPorts;
use super::faults::Scene;
use crate::command::{AcceptRtsp, Command, Select};
use crate::event::EventBody;
use crate::tcp::{GOODBYE_DEADLINE, TICKET_DEADLINE};
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
const FILLER: usize = 1_000;

/// A camera's next picture, a keyframe, in the stream that the scene's viewers have.
fn picture(scene: &mut Scene, number: u16) {
    let key = scene.shard.stream_keys["cam/main"];
    let filled = [IDR, &[7; FILLER]].concat();
    for (seq, nal) in (number * 3..).zip([SPS, PPS, &filled]) {
        let marker = if nal[0] == IDR[0] { 0x80 } else { 0 };
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

/// A scene whose camera has sent a picture.
fn live() -> Scene {
    let mut scene = Scene::new();
    let key = scene.shard.stream_keys["cam/main"];
    let stream = &mut scene.shard.streams[key].stream;
    stream.source_resumed(&IntakeConfig {
        codec: VideoCodec::H264,
        clock_rate: 90_000,
        payload_type: Some(96),
        parameter_sets: [SPS, PPS].map(Bytes::from_static).to_vec(),
    });
    picture(&mut scene, 1);
    scene
}

/// What has come by the connection once `part` is in it.
fn read_until(wire: &mut TcpStream, part: &[u8]) -> Vec<u8> {
    wire.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut got = Vec::new();
    let mut chunk = [0; 4_096];
    while !got.windows(part.len()).any(|found| found == part) {
        let size = wire.read(&mut chunk).unwrap();
        assert!(size > 0, "the end");
        got.extend_from_slice(&chunk[..size]);
    }
    got
}

fn ask(scene: &mut Scene, wire: &mut TcpStream, request: &str) {
    wire.write_all(request.as_bytes()).unwrap();
    scene.shard.serve_tcp(scene.now, 0, epoll::EventFlags::IN);
}

/// The door in the clear, and its address.
fn open_door(scene: &mut Scene) -> (SocketAddr, Arc<TicketKey>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let at = listener.local_addr().unwrap();
    let key = Arc::new(TicketKey::new(&KEY));
    scene.shard.rtsp = Some(RtspPorts::new(Some(listener), None, key.clone()));
    (at, key)
}

fn connect(scene: &mut Scene, at: SocketAddr) -> TcpStream {
    let before = scene.shard.connections.len();
    let wire = TcpStream::connect(at).unwrap();
    wire.set_nodelay(true).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while scene.shard.connections.len() == before && Instant::now() < deadline {
        scene.shard.accept_rtsp_clients(scene.now, false);
    }
    wire
}

/// A client by RTSP in the clear that has shown its ticket, and its stream's address.
fn asking(scene: &mut Scene) -> (TcpStream, String) {
    let (at, key) = open_door(scene);
    let mut wire = connect(scene, at);
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
    (wire, url)
}

#[test]
fn wrong_tickets_are_told_of_and_a_flood_of_them_is_counted() {
    let mut scene = live();
    let (at, _) = open_door(&mut scene);
    let flood = |scene: &mut Scene, tickets: usize| {
        for _ in 0..tickets {
            let mut wire = connect(scene, at);
            let url = format!("rtsp://{at}/cam/main?ticket=1.AAAA");
            wire.write_all(format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n").as_bytes())
                .unwrap();
            for key in scene.shard.connections.keys_where(|_| true) {
                scene.shard.serve_tcp(scene.now, key, epoll::EventFlags::IN);
            }
        }
        let told = scene.shard.events.drain(usize::MAX).into_iter();
        told.filter(|event| match event.body {
            EventBody::RtspTicketRefused { remote, cause } => {
                assert_eq!((remote, cause), (at.ip(), "ticket_forged"));
                true
            }
            _ => false,
        })
        .count()
    };
    assert_eq!(flood(&mut scene, 1), 1);
    assert!((19..=20).contains(&flood(&mut scene, 30)));
    scene.now += Duration::from_secs(1);
    assert_eq!(flood(&mut scene, 1), 1);
    assert_eq!(scene.shard.totals.rtsp_tickets_refused.get(), 32);
}

const LEASE: Duration = Duration::from_secs(20);

/// The control plane's yes, for the viewer `v3`. `closed`: it has been closed since.
fn accept(scene: &mut Scene, closed: bool) {
    let row = (scene.shard.figures).add_viewer("v3", "cam/main", RTSP_PAYLOAD_TYPES);
    if closed {
        row.close();
    }
    scene.command(Command::AcceptRtsp(Box::new(AcceptRtsp {
        connection_id: "rtsp-1".to_owned(),
        shard: 0,
        viewer_id: "v3".to_owned(),
        stream_id: "cam/main".to_owned(),
        channel_id: "cam".to_owned(),
        subject_id: "someone".to_owned(),
        until: scene.now + LEASE,
        row,
    })));
}

/// One to whom the stream plays.
fn playing(scene: &mut Scene) -> TcpStream {
    let (mut wire, url) = asking(scene);
    accept(scene, false);
    let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1";
    for request in [
        format!("SETUP {url}/trackID=0 RTSP/1.0\r\nCSeq: 2\r\n{transport}\r\n\r\n"),
        format!("PLAY {url} RTSP/1.0\r\nCSeq: 3\r\n\r\n"),
    ] {
        ask(scene, &mut wire, &request);
    }
    scene.shard.flush();
    wire
}

/// The causes of those that were closed.
fn closed(scene: &Scene) -> Vec<(String, String)> {
    let told = scene.shard.events.drain(usize::MAX).into_iter();
    told.filter_map(|event| match event.body {
        EventBody::ViewerClosed { cause, .. } => Some((event.owner, cause)),
        _ => None,
    })
    .collect()
}

#[test]
fn the_picture_comes_on_the_channel_that_was_named_and_its_report_on_the_next() {
    let mut scene = live();
    let mut wire = playing(&mut scene);
    read_until(&mut wire, IDR);
    scene.shard.take_timers(Instant::now(), Duration::MAX);
    scene.shard.flush();
    // A sender report, RFC 3550 section 6.4.1.
    let got = read_until(&mut wire, &[0x80, 200, 0, 6]);
    let at = got.windows(2).position(|part| part == [0x80, 200]).unwrap();
    assert_eq!(got[at - 4..at - 2], *b"$\x01");
}

#[test]
fn a_view_goes_on_when_the_time_for_its_ticket_is_over_and_ends_with_its_lease() {
    let mut scene = live();
    let _wire = playing(&mut scene);
    let (begun, until) = (scene.now, scene.now + TICKET_DEADLINE + LEASE);
    let renewed = vec![("v3".to_owned(), until)];
    scene.command(Command::RenewViewers(renewed));
    for at in [
        begun + LEASE,
        begun + TICKET_DEADLINE,
        until - Duration::from_millis(1),
    ] {
        scene.now = at;
        scene.shard.take_timers(scene.now, Duration::MAX);
        assert!(scene.viewers().contains(&"v3"));
        assert_eq!(scene.shard.connections.len(), 1);
    }
    scene.shard.events.drain(usize::MAX);
    scene.now = until;
    scene.shard.take_timers(scene.now, Duration::MAX);
    assert_eq!(
        closed(&scene),
        [("v3".to_owned(), "lease_expired".to_owned())]
    );
    assert_eq!(scene.shard.connections.len(), 0);
}

#[test]
fn so_many_may_be_there_without_a_ticket_of_one_address_and_of_all() {
    let mut scene = live();
    let (_one, _) = asking(&mut scene);
    let ports = scene.shard.rtsp.as_ref().unwrap();
    let at = ports.plain.as_ref().unwrap().local_addr().unwrap();
    let mut clients = Vec::new();
    let mut crowd = |scene: &mut Scene, host: u8, count: usize| {
        for _ in 0..count {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let from = SocketAddr::from(([127, 0, 0, host], 0));
            client.bind(&from.into()).unwrap();
            client.connect(&at.into()).unwrap();
            clients.push(client);
        }
        let before = scene.shard.connections.len() + count;
        let seen = |scene: &Scene| {
            let refused = scene.shard.totals.rtsp_refused.get() as usize;
            scene.shard.connections.len() + refused
        };
        let (deadline, wanted) = (Instant::now() + PATIENCE, seen(scene) + count);
        while seen(scene) < wanted && Instant::now() < deadline {
            scene.shard.accept_rtsp_clients(scene.now, false);
        }
        before - scene.shard.connections.len()
    };
    assert_eq!(crowd(&mut scene, 2, 70), 6, "of one address");
    let refused: usize = (3..6).map(|host| crowd(&mut scene, host, 64)).sum();
    assert_eq!(refused, 1, "the first of all is there, too");
    assert_eq!(scene.shard.connections.len(), 256);
    assert_eq!(crowd(&mut scene, 6, 1), 1);
}

/// One that plays, and reads nothing until so much waits for it here that no more is sealed.
fn stuck(scene: &mut Scene) -> TcpStream {
    let wire = playing(scene);
    let stream = SockRef::from(scene.shard.connections[0].stream());
    stream.set_send_buffer_size(4_096).unwrap();
    let mut number = 1;
    while !scene.shard.connections[0].is_full() {
        number += 1;
        scene.now += Duration::from_millis(1);
        picture(scene, number);
        scene.shard.flush();
    }
    wire
}

#[test]
fn who_says_goodbye_and_does_not_read_the_answer_is_closed_soon() {
    let mut scene = live();
    let mut wire = stuck(&mut scene);
    ask(
        &mut scene,
        &mut wire,
        "TEARDOWN * RTSP/1.0\r\nCSeq: 4\r\n\r\n",
    );
    assert_eq!(
        closed(&scene),
        [("v3".to_owned(), "closed_by_viewer".to_owned())]
    );
    assert_eq!(scene.shard.connections.len(), 1);
    scene.now += GOODBYE_DEADLINE;
    scene.shard.take_timers(scene.now, Duration::MAX);
    assert_eq!(scene.shard.connections.len(), 0);
}

#[test]
fn who_sends_more_than_any_viewer_does_is_closed() {
    let mut scene = live();
    let mut wire = playing(&mut scene);
    let flood = "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n".repeat(600);
    ask(&mut scene, &mut wire, &flood);
    assert_eq!(
        closed(&scene),
        [("v3".to_owned(), "client_gone".to_owned())]
    );
    assert_eq!(scene.shard.connections.len(), 0);
}

#[test]
fn who_asks_on_and_on_and_reads_no_answer_is_closed() {
    let mut scene = live();
    let mut wire = stuck(&mut scene);
    let many = "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n".repeat(100);
    let mut asked = 0;
    while scene.shard.connections.len() == 1 {
        asked += 1;
        assert!(asked < 200, "unbounded");
        ask(&mut scene, &mut wire, &many);
    }
    assert_eq!(
        closed(&scene),
        [("v3".to_owned(), "client_gone".to_owned())]
    );
}

#[test]
fn the_end_of_a_right_ends_what_is_queued_too() {
    let mut scene = live();
    let _reads_nothing = stuck(&mut scene);
    scene.command(Command::CloseViewers {
        select: Select::Ids(vec!["v3".to_owned()]),
        cause: "revoked".to_owned(),
    });
    assert_eq!(scene.shard.connections.len(), 0);
    assert_eq!(closed(&scene), [("v3".to_owned(), "revoked".to_owned())]);
}

#[test]
fn a_view_that_was_closed_before_its_connection_came_shows_nothing() {
    let mut scene = live();
    let _wire = asking(&mut scene);
    accept(&mut scene, true);
    assert_eq!(scene.viewers(), ["v1", "v2"]);
    assert_eq!(scene.shard.connections.len(), 0);
    assert_eq!(closed(&scene), [("v3".to_owned(), "closed".to_owned())]);
}

#[test]
fn a_client_that_breaks_off_while_it_is_written_to_ends_its_own_view_alone() {
    let mut scene = live();
    let mut wire = playing(&mut scene);
    read_until(&mut wire, IDR);
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
    assert_eq!(
        closed(&scene),
        [("v3".to_owned(), "client_gone".to_owned())]
    );
    // Its last word had nowhere to go, and is not in the way of the others'.
    scene.shard.flush();
    assert!(!scene.shard.outbox.has_waiting());
}

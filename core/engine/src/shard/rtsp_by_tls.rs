//! The RTSP door by TLS as the first shard has it: who is let in, how fast, and what they are shown.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use wire::ticket::TicketKey;

use super::faults::Scene;
use super::rtsp::{HANDSHAKE_BURST, HANDSHAKES_PER_S};
use super::{RtspPorts, TlsPort};
use crate::command::Command;
use crate::tcp::TICKET_DEADLINE;
use crate::tls_client::{Made, TlsClient};

const PATIENCE: Duration = Duration::from_secs(10);

fn door(scene: &mut Scene, made: &Made) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let at = listener.local_addr().unwrap();
    scene.shard.rtsp = Some(RtspPorts::new(
        None,
        Some(TlsPort::new(listener, made.identity())),
        Arc::new(TicketKey::new(&[7; 32])),
    ));
    at
}

/// Takes in who waits until there are `wanted` connections.
fn let_in(scene: &mut Scene, wanted: usize) {
    let deadline = Instant::now() + PATIENCE;
    while scene.shard.connections.len() < wanted && Instant::now() < deadline {
        scene.shard.accept_rtsp_clients(scene.now, true);
    }
    assert_eq!(scene.shard.connections.len(), wanted);
}

fn shake_hands(scene: &mut Scene, key: usize, wire: &mut TcpStream) -> TlsClient {
    let mut client = TlsClient::new(&rustls::version::TLS13);
    wire.set_nonblocking(true).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !client.is_through() {
        assert!(Instant::now() < deadline);
        wire.write_all(&client.say()).unwrap();
        scene.shard.serve_tcp(scene.now, key, epoll::EventFlags::IN);
        let mut chunk = [0; 16_384];
        if let Ok(n) = wire.read(&mut chunk) {
            client.take(&chunk[..n]);
        }
    }
    client
}

#[test]
fn a_new_certificate_is_for_who_comes_after_it() {
    let (first, second) = (Made::new(), Made::new());
    let mut scene = Scene::new();
    let at = door(&mut scene, &first);
    let mut before = TcpStream::connect(at).unwrap();
    let_in(&mut scene, 1);
    scene.command(Command::SetRtspIdentity(second.identity()));
    let mut after = TcpStream::connect(at).unwrap();
    let_in(&mut scene, 2);
    let shown = [(0, &mut before), (1, &mut after)]
        .map(|(key, wire)| shake_hands(&mut scene, key, wire).shown().to_vec());
    assert_eq!(shown, [first.certificate, second.certificate]);
    assert_eq!(scene.shard.totals.rtsps_accepted.get(), 2);
    assert_eq!(scene.shard.totals.rtsps_handshakes_failed.get(), 0);
}

#[test]
fn who_never_ends_its_handshake_is_closed_at_the_tickets_deadline() {
    let mut scene = Scene::new();
    let at = door(&mut scene, &Made::new());
    let mut wire = TcpStream::connect(at).unwrap();
    let_in(&mut scene, 1);
    let hello = TlsClient::new(&rustls::version::TLS12).say();
    wire.write_all(&hello[..hello.len() / 2]).unwrap();
    scene.shard.serve_tcp(scene.now, 0, epoll::EventFlags::IN);
    scene.now += TICKET_DEADLINE - Duration::from_millis(1);
    scene.shard.take_timers(scene.now, Duration::MAX);
    assert_eq!(scene.shard.connections.len(), 1);
    scene.now += Duration::from_millis(1);
    scene.shard.take_timers(scene.now, Duration::MAX);
    assert_eq!(scene.shard.connections.len(), 0);
    assert_eq!(scene.shard.totals.rtsps_handshakes_failed.get(), 1);
}

#[test]
fn more_than_may_shake_hands_wait_and_are_not_refused() {
    let mut scene = Scene::new();
    let at = door(&mut scene, &Made::new());
    let burst = HANDSHAKE_BURST as usize;
    let clients: Vec<TcpStream> = (0..burst + 20)
        .map(|_| TcpStream::connect(at).unwrap())
        .collect();
    let_in(&mut scene, burst);
    scene.shard.accept_rtsp_clients(scene.now, true);
    assert_eq!(scene.shard.connections.len(), burst, "the others wait");
    scene.now += Duration::from_millis(10 * 1_000 / u64::from(HANDSHAKES_PER_S));
    let_in(&mut scene, burst + 10);
    scene.shard.accept_rtsp_clients(scene.now, true);
    assert_eq!(scene.shard.connections.len(), burst + 10);
    scene.now += Duration::from_secs(1);
    let_in(&mut scene, clients.len());
    assert_eq!(scene.shard.totals.rtsp_refused.get(), 0);
}

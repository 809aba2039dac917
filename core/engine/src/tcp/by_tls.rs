//! A connection whose client speaks TLS, over a real socket.

use peer::tls::RECORD_BYTES;

use super::tests::pair;
use super::*;
use crate::tls_client::{Made, TlsClient};

/// The same by TLS, with the client's end through its handshake.
fn pair_by_tls() -> (Connection, TcpStream, TlsClient) {
    let (made, mut client) = (Made::new(), TlsClient::new(&rustls::version::TLS13));
    let (mut connection, mut wire) = pair();
    let now = Instant::now();
    let seeds = ConnectionSeeds {
        nonce: 0,
        rtsp_session_id: 1,
        ssrc: 1,
        first_seq: 1,
        first_rtp_ts: 1,
    };
    let key = std::sync::Arc::new(wire::ticket::TicketKey::new(&[7; 32]));
    connection.tongue = Tongue::Rtsp(Box::new(Rtsp {
        door: RtspDoor::new(key, seeds, now),
        seeds,
        tls: TlsServer::new(&made.identity()),
    }));
    wire.set_nonblocking(true).unwrap();
    let deadline = now + Duration::from_secs(10);
    while !client.is_through() || connection.tls().unwrap().is_handshaking() {
        assert!(Instant::now() < deadline);
        exchange(&mut connection, &mut wire, &mut client);
    }
    (connection, wire, client)
}

/// Each end takes what the other has sent.
fn exchange(connection: &mut Connection, wire: &mut TcpStream, client: &mut TlsClient) -> Visit {
    let mut chunk = [0; 65_536];
    wire.write_all(&client.say()).unwrap();
    let read = connection.read(Instant::now(), 0, &mut chunk, &mut |_| {});
    let flushed = connection.flush();
    if let Ok(n) = wire.read(&mut chunk) {
        client.take(&chunk[..n]);
    }
    match read {
        Visit::Over => Visit::Over,
        Visit::Goes => flushed,
    }
}

#[test]
fn by_tls_a_backlog_is_bounded_not_sealed_and_comes_whole_later() {
    let (mut connection, mut wire, mut client) = pair_by_tls();
    let mut queued: Vec<u8> = Vec::new();
    for number in 0..20_000u32 {
        if connection.is_full() {
            break;
        }
        let frame = [number.to_be_bytes(); 300].concat();
        connection.queue(&frame);
        queued.extend(frame);
        assert_eq!(connection.flush(), Visit::Goes);
    }
    assert!(connection.is_full(), "the other side reads nothing");
    let waiting = connection.unsent.len();
    assert!(waiting < TCP_BACKLOG_BYTES + 2 * RECORD_BYTES);
    let before = connection.tls().unwrap().has_waiting();
    assert!(
        before,
        "one record waits for the kernel, the rest is not sealed yet"
    );
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut got = Vec::new();
    while got.len() < queued.len() && Instant::now() < deadline {
        assert_eq!(
            exchange(&mut connection, &mut wire, &mut client),
            Visit::Goes
        );
        got.extend(client.read());
    }
    assert!(got == queued, "in order, none cut");
    assert!(!connection.is_full());
}

#[test]
fn by_tls_a_goodbye_is_said_inside_and_an_abrupt_end_too() {
    let deadline = Instant::now() + Duration::from_secs(10);
    for abrupt in [false, true] {
        let (mut connection, mut wire, mut client) = pair_by_tls();
        connection.queue(b"bye");
        connection.closing = true;
        if abrupt {
            connection.unsent.clear();
            connection.say_end();
        } else {
            assert_eq!(connection.flush(), Visit::Over);
        }
        while !client.has_heard_the_end() {
            assert!(Instant::now() < deadline);
            let mut chunk = [0; 4_096];
            if let Ok(n) = wire.read(&mut chunk) {
                client.take(&chunk[..n]);
            }
        }
        assert_eq!(client.read(), if abrupt { &b""[..] } else { b"bye" });
    }
}

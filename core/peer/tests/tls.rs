//! TLS of the RTSP door: a foreign client's bytes in, the dialogue's out; both ends in memory.

#[path = "support/tls.rs"]
mod tls;

use peer::tls::{IdentityError, RECORD_BYTES, TlsIdentity, TlsServer};
use rustls::ProtocolVersion;
use tls::{Made, TlsClient};

struct Pair {
    server: TlsServer,
    client: TlsClient,
    heard: Vec<u8>,
    ended: bool,
}

impl Pair {
    fn new(identity: &TlsIdentity, client: TlsClient) -> Self {
        Self {
            server: TlsServer::new(identity).unwrap(),
            client,
            heard: Vec::new(),
            ended: false,
        }
    }

    /// Bytes go back and forth, `cut` at a time, until neither end has any.
    fn settle(&mut self, cut: usize) {
        loop {
            let mut out = Vec::new();
            while self.server.has_waiting() {
                self.server.write_to(&mut out).unwrap();
            }
            self.client.take(&out);
            let said = self.client.say();
            if said.is_empty() {
                return;
            }
            for part in said.chunks(cut) {
                let heard = &mut self.heard;
                let hear = &mut |plain: &[u8]| heard.extend_from_slice(plain);
                self.ended |= self.server.receive(part, hear).is_err();
            }
        }
    }
}

#[test]
fn what_is_said_inside_comes_through_however_it_is_cut() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for cut in [1, 7, 4_096] {
            let made = Made::new();
            let mut pair = Pair::new(&made.identity(), TlsClient::new(version));
            assert!(pair.server.is_handshaking());
            assert_eq!(pair.server.seal(b"too early"), 0);
            pair.settle(cut);
            assert!(!pair.server.is_handshaking());
            assert_eq!(pair.client.shown(), made.certificate);

            pair.client.write(b"OPTIONS * RTSP/1.0\r\n\r\n");
            pair.settle(cut);
            assert_eq!(pair.heard, b"OPTIONS * RTSP/1.0\r\n\r\n");

            let media: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
            let mut sealed = 0;
            while sealed < media.len() {
                let taken = pair.server.seal(&media[sealed..]);
                assert!((1..=RECORD_BYTES).contains(&taken));
                assert_eq!(pair.server.seal(&media), 0, "one record at a time");
                sealed += taken;
                pair.settle(cut);
            }
            assert!(pair.client.read() == media, "every byte, in order");

            assert!(pair.server.close());
            assert!(!pair.server.close(), "said once");
            pair.settle(cut);
            assert!(pair.client.has_heard_the_end());
        }
    }
}

#[test]
fn the_clients_end_is_the_end() {
    let mut pair = Pair::new(
        &Made::new().identity(),
        TlsClient::new(&rustls::version::TLS13),
    );
    pair.settle(usize::MAX);
    pair.client.write(b"last");
    pair.client.close();
    pair.settle(usize::MAX);
    assert!(pair.ended);
    assert_eq!(pair.heard, b"last");
}

#[test]
fn what_is_no_tls_ends_with_an_alert_and_nothing_is_heard() {
    let garbage: Vec<u8> = (0..=255u8).cycle().take(40_000).collect();
    for said in [
        &b"OPTIONS * RTSP/1.0\r\n\r\n"[..],
        &garbage,
        &[22, 3, 1, 0, 2, 1, 0],
    ] {
        let mut server = TlsServer::new(&Made::new().identity()).unwrap();
        let heard = server.receive(said, &mut |_| panic!("nothing was said"));
        if said.len() > 7 {
            assert!(heard.is_err());
            let mut alert = Vec::new();
            server.write_to(&mut alert).unwrap();
            assert_eq!(alert.first(), Some(&21), "RFC 8446 section 5.1: an alert");
        }
    }
}

#[test]
fn an_older_version_is_refused() {
    // A ClientHello of TLS 1.1 (RFC 4346), with a cipher suite of that time.
    let body = [&[3, 2][..], &[7; 32], &[0, 0, 2, 0, 0x2F, 1, 0]].concat();
    let hello = [&[1, 0, 0, body.len() as u8][..], &body].concat();
    let record = [&[22, 3, 1, 0, hello.len() as u8][..], &hello].concat();
    let mut server = TlsServer::new(&Made::new().identity()).unwrap();
    assert!(server.receive(&record, &mut |_| ()).is_err());
}

#[test]
fn a_connection_keeps_the_certificate_that_it_began_with() {
    let (first, second) = (Made::new(), Made::new());
    let mut before = Pair::new(&first.identity(), TlsClient::new(&rustls::version::TLS13));
    let mut after = Pair::new(&second.identity(), TlsClient::new(&rustls::version::TLS12));
    for pair in [&mut before, &mut after] {
        pair.settle(usize::MAX);
    }
    assert_eq!(before.client.shown(), first.certificate);
    assert_eq!(after.client.shown(), second.certificate);
    assert_eq!(after.client.version(), Some(ProtocolVersion::TLSv1_2));
}

#[test]
fn a_pair_that_can_not_be_used_is_said_without_the_key() {
    let (made, other) = (Made::new(), Made::new());
    let (certificate, key) = (made.certificate_pem(), made.key_pem());
    let refused = |certificate: &[u8], key: &[u8]| {
        TlsIdentity::from_pem(certificate, key).expect_err("it can't be used")
    };
    assert_eq!(refused(b"", &key), IdentityError::Certificate);
    assert_eq!(refused(b"no PEM", &key), IdentityError::Certificate);
    assert_eq!(refused(&certificate, &certificate), IdentityError::Key);
    let sealed = String::from_utf8(key.clone()).unwrap();
    let sealed = sealed.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert_eq!(refused(&certificate, sealed.as_bytes()), IdentityError::Key);
    let unlike = refused(&certificate, &other.key_pem());
    assert!(matches!(unlike, IdentityError::Refused(_)), "{unlike}");
    let identity = made.identity();
    let told = format!("{unlike} {unlike:?} {identity:?}");
    let secret = String::from_utf8(other.key_pem()).unwrap();
    let line = secret.lines().nth(1).unwrap();
    assert!(!told.contains(line));
}

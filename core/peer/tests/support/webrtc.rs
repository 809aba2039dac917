//! A small browser (STUN client, DTLS client, SRTP) and a link between it and the machine under
//! test, on a virtual clock. Nothing here sleeps or reads a clock after the first instant.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use dimpl::{Dtls, DtlsCertificate, Output};
use peer::webrtc::{DtlsIdentity, Fingerprint, FingerprintHash, PeerConfig, PeerEvent, WebrtcPeer};
use wire::srtp::{KeyBlock, SrtpOpener, SrtpProfile, SrtpSealer};
use wire::stun::{self, BindingResponse, CheckParams, Demux, IceRole, IntegrityKey};

pub const SERVER_UFRAG: &str = "srvA1234";
pub const SERVER_PWD: &str = "a-server-password-of-32-ice-chars";
pub const BROWSER_UFRAG: &str = "brow";

pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub fn home() -> SocketAddr {
    addr("192.0.2.10:40000")
}

/// One for the whole test binary: it is what a process does, and making it takes a while.
pub fn identity() -> Arc<DtlsIdentity> {
    static IDENTITY: OnceLock<Arc<DtlsIdentity>> = OnceLock::new();
    let made = || Arc::new(DtlsIdentity::generate().expect("identity"));
    IDENTITY.get_or_init(made).clone()
}

pub fn browser_certificate() -> DtlsCertificate {
    static CERTIFICATE: OnceLock<DtlsCertificate> = OnceLock::new();
    let made = || dimpl::certificate::generate_self_signed_certificate().expect("certificate");
    CERTIFICATE.get_or_init(made).clone()
}

pub fn browser_fingerprint() -> Fingerprint {
    Fingerprint::of(FingerprintHash::Sha256, &browser_certificate().certificate)
}

pub fn viewer(now: Instant, fingerprint: Fingerprint) -> WebrtcPeer {
    let config = PeerConfig {
        local_ufrag: SERVER_UFRAG.to_owned(),
        local_pwd: SERVER_PWD.to_owned(),
        remote_fingerprints: vec![fingerprint],
        identity: identity(),
    };
    WebrtcPeer::new(config, now)
}

pub fn check_datagram(number: u8, use_candidate: bool, role: IceRole) -> Vec<u8> {
    check_for(SERVER_UFRAG, SERVER_PWD, number, use_candidate, role)
}

pub fn check_for(
    ufrag: &str,
    pwd: &str,
    number: u8,
    use_candidate: bool,
    role: IceRole,
) -> Vec<u8> {
    let username = format!("{ufrag}:{BROWSER_UFRAG}");
    let params = CheckParams {
        username: &username,
        priority: 1,
        role,
        use_candidate,
    };
    stun::binding_request(&[number; 12], &params, &IntegrityKey::new(pwd))
}

pub const CONTROLLING: IceRole = IceRole::Controlling(77);

/// Small, seeded, and good enough for lossy links and mutations.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// What a browser does on one peer connection: checks, ClientHello after the first answer, RTCP.
pub struct Browser {
    pub addr: SocketAddr,
    pub dtls_profile: Option<SrtpProfile>,
    pub sealer: Option<SrtpSealer>,
    pub opener: Option<SrtpOpener>,
    pub saw_close_notify: bool,
    pub answered_checks: usize,
    pub checking: bool,
    dtls: Option<Dtls>,
    dtls_mtu: usize,
    dtls_timeout: Option<Instant>,
    next_check: Instant,
    checks: u8,
    outgoing: VecDeque<Vec<u8>>,
    pub received_media: Vec<Vec<u8>>,
}

impl Browser {
    pub fn new(now: Instant, addr: SocketAddr, dtls_mtu: usize) -> Self {
        Self {
            addr,
            dtls_profile: None,
            sealer: None,
            opener: None,
            saw_close_notify: false,
            answered_checks: 0,
            checking: true,
            dtls: None,
            dtls_mtu,
            dtls_timeout: None,
            next_check: now,
            checks: 0,
            outgoing: VecDeque::new(),
            received_media: Vec::new(),
        }
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        let check = self.checking.then_some(self.next_check);
        [check, self.dtls_timeout].into_iter().flatten().min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.checking && now >= self.next_check {
            // The first without a nomination, the second 50 ms later with it, then at leisure;
            // while unanswered, every 50 ms.
            let nominate = self.checks > 0;
            self.checks = self.checks.wrapping_add(1);
            self.outgoing
                .push_back(check_datagram(self.checks, nominate, CONTROLLING));
            let settled = self.answered_checks > 1;
            self.next_check = now + if settled { ms(2_500) } else { ms(50) };
        }
        if let Some(dtls) = &mut self.dtls {
            dtls.handle_timeout(now).expect("client clock");
            self.drain_dtls();
        }
    }

    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        match Demux::of(datagram) {
            Demux::Stun => {
                let key = IntegrityKey::new(SERVER_PWD);
                if let Ok(BindingResponse::Success { mapped, .. }) =
                    BindingResponse::parse(datagram, &key)
                {
                    assert_eq!(mapped, Some(self.addr));
                    self.answered_checks += 1;
                    self.start_dtls(now);
                }
            }
            Demux::Dtls => {
                if let Some(dtls) = &mut self.dtls {
                    dtls.handle_timeout(now).expect("client clock");
                    dtls.handle_packet(datagram)
                        .expect("client accepts the server's records");
                    self.drain_dtls();
                }
            }
            Demux::Rtp | Demux::Rtcp => self.received_media.push(datagram.to_vec()),
            Demux::Other => panic!("the server sent something unknown"),
        }
    }

    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    pub fn send_rtcp(&mut self, packet: &[u8]) {
        let mut out = Vec::new();
        let sealer = self.sealer.as_mut().expect("connected");
        sealer.seal_rtcp(packet, &mut out).expect("sealed");
        self.outgoing.push_back(out);
    }

    pub fn close_dtls(&mut self) {
        self.dtls
            .as_mut()
            .expect("started")
            .close()
            .expect("closable");
        self.drain_dtls();
    }

    pub fn check_now(&mut self, now: Instant) {
        self.next_check = now;
    }

    fn start_dtls(&mut self, now: Instant) {
        if self.dtls.is_some() {
            return;
        }
        let config = dimpl::Config::builder()
            .mtu(self.dtls_mtu)
            .flight_start_rto(ms(50))
            .flight_retries(12)
            .max_queue_tx(60)
            .build()
            .expect("config");
        let mut dtls = Dtls::new_12(Arc::new(config), browser_certificate(), now);
        dtls.set_active(true);
        dtls.handle_timeout(now).expect("client clock");
        self.dtls = Some(dtls);
        self.drain_dtls();
    }

    fn drain_dtls(&mut self) {
        let Some(dtls) = &mut self.dtls else { return };
        let mut buffer = vec![0; 4_096];
        loop {
            match dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => self.outgoing.push_back(packet.to_vec()),
                Output::Timeout(at) => {
                    self.dtls_timeout = Some(at);
                    return;
                }
                Output::KeyingMaterial(block, profile) => {
                    let profile = match profile {
                        dimpl::SrtpProfile::AEAD_AES_256_GCM => SrtpProfile::AeadAes256Gcm,
                        dimpl::SrtpProfile::AEAD_AES_128_GCM => SrtpProfile::AeadAes128Gcm,
                        _ => SrtpProfile::Aes128CmSha1_80,
                    };
                    let keys = KeyBlock::split(profile, &block).expect("block");
                    let sealer = SrtpSealer::new(profile, keys.client_key, keys.client_salt);
                    let opener = SrtpOpener::new(profile, keys.server_key, keys.server_salt);
                    self.sealer = Some(sealer.expect("sealer"));
                    self.opener = Some(opener.expect("opener"));
                    self.dtls_profile = Some(profile);
                }
                Output::CloseNotify => self.saw_close_notify = true,
                _ => {}
            }
        }
    }
}

/// How datagrams fare, both ways.
#[derive(Clone, Copy)]
pub struct Weather {
    pub loss_percent: u64,
    pub min_delay_ms: u64,
    pub max_delay_ms: u64,
}

pub const CALM: Weather = Weather {
    loss_percent: 0,
    min_delay_ms: 5,
    max_delay_ms: 5,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Towards {
    Server,
    Browser,
}

/// (due, order of sending, direction, the browser's address, datagram)
type Flight = (Instant, u64, Towards, SocketAddr, Vec<u8>);
pub type DropRule = Box<dyn FnMut(&[u8]) -> bool>;

/// Two peers in a jar.
pub struct Jar {
    pub now: Instant,
    pub start: Instant,
    pub server: WebrtcPeer,
    pub browser: Browser,
    pub events: Vec<(Duration, PeerEvent)>,
    pub weather: Weather,
    /// Datagrams towards the server for which it says true are lost.
    pub drop_to_server: DropRule,
    random: Random,
    flights: BinaryHeap<Reverse<Flight>>,
    sent: u64,
}

impl Jar {
    pub fn new(seed: u64, weather: Weather, fingerprint: Fingerprint) -> Self {
        Self::with_mtu(seed, weather, fingerprint, 1_150)
    }

    pub fn with_mtu(seed: u64, weather: Weather, fingerprint: Fingerprint, mtu: usize) -> Self {
        let now = Instant::now();
        Self {
            now,
            start: now,
            server: viewer(now, fingerprint),
            browser: Browser::new(now, home(), mtu),
            events: Vec::new(),
            weather,
            drop_to_server: Box::new(|_| false),
            random: Random::new(seed),
            flights: BinaryHeap::new(),
            sent: 0,
        }
    }

    /// Connected over a calm link.
    pub fn connected() -> Self {
        let mut jar = Self::new(1, CALM, browser_fingerprint());
        jar.run_until(ms(2_000), |jar| {
            jar.server.is_ready() && jar.browser.opener.is_some()
        });
        assert!(jar.server.is_ready());
        jar.run_for(ms(200));
        jar
    }

    pub fn run_for(&mut self, span: Duration) {
        self.run_until(span, |_| false);
    }

    /// Runs the virtual clock until `done`, at most `span`.
    pub fn run_until(&mut self, span: Duration, done: impl Fn(&Self) -> bool) {
        let end = self.now + span;
        loop {
            self.collect();
            if done(self) {
                return;
            }
            let due = self.flights.peek().map(|Reverse(flight)| flight.0);
            let wakes = [due, self.server.poll_timeout(), self.browser.next_timeout()];
            let next = wakes.into_iter().flatten().min().unwrap_or(end);
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            self.deliver();
            self.server.handle_timeout(self.now);
            self.browser.handle_timeout(self.now);
        }
    }

    pub fn has_event(&self, wanted: impl Fn(&PeerEvent) -> bool) -> bool {
        self.events.iter().any(|(_, event)| wanted(event))
    }

    pub fn closed_at(&self) -> Option<Duration> {
        let closed = |event: &PeerEvent| matches!(event, PeerEvent::Closed(_));
        self.events
            .iter()
            .find(|(_, event)| closed(event))
            .map(|(at, _)| *at)
    }

    fn deliver(&mut self) {
        while self
            .flights
            .peek()
            .is_some_and(|Reverse(flight)| flight.0 <= self.now)
        {
            let Some(Reverse((_, _, towards, addr, datagram))) = self.flights.pop() else {
                return;
            };
            match towards {
                Towards::Server => {
                    // What is refused shows in the events; the link does not care.
                    let _refused = self.server.handle_datagram(self.now, addr, &datagram);
                }
                Towards::Browser if addr == self.browser.addr => {
                    self.browser.handle_datagram(self.now, &datagram);
                }
                // To an address the browser has left.
                Towards::Browser => {}
            }
            self.collect();
        }
    }

    fn collect(&mut self) {
        while let Some((way, datagram)) = self.server.poll_transmit() {
            self.fly(Towards::Browser, way.remote, datagram);
        }
        while let Some(datagram) = self.browser.poll_transmit() {
            if !(self.drop_to_server)(&datagram) {
                self.fly(Towards::Server, self.browser.addr, datagram);
            }
        }
        while let Some(event) = self.server.poll_event() {
            self.events.push((self.now - self.start, event));
        }
    }

    fn fly(&mut self, towards: Towards, browser_addr: SocketAddr, datagram: Vec<u8>) {
        if self.random.below(100) < self.weather.loss_percent {
            return;
        }
        let spread = self.weather.max_delay_ms - self.weather.min_delay_ms + 1;
        let delay = ms(self.weather.min_delay_ms + self.random.below(spread));
        self.sent += 1;
        let flight = (self.now + delay, self.sent, towards, browser_addr, datagram);
        self.flights.push(Reverse(flight));
    }
}

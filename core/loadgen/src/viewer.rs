//! One viewer: ICE checks, DTLS client, SRTP; counts what comes and checks a sample of it.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use dimpl::{Dtls, DtlsCertificate, Output};
use wire::rtcp::{self, ReportBlock};
use wire::rtp::RtpPacket;
use wire::srtp::{KeyBlock, SrtpOpener, SrtpProfile, SrtpSealer};
use wire::stun::{
    self, BindingRequest, BindingResponse, CheckParams, Demux, IceRole, IntegrityKey,
};

use crate::assembly::Assembly;
use crate::sdp::{self, Answer};
use crate::sys;
use crate::tally::{ClearHeader, Order, Tally, UnitEnd};

/// As Chromium: until answered, then for consent (RFC 7675).
const CHECK_EVERY: Duration = Duration::from_millis(50);
const CONSENT_EVERY: Duration = Duration::from_millis(2_500);
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Units whose size is learnt, by decrypting, before a viewer is only sampled.
const UNITS_LEARNT: usize = 6;
/// Sizes kept per viewer.
const SIZES_KEPT: usize = 64;
/// Every so often one packet is opened although the viewer is not sampled, so that the rollover
/// counter is never guessed over more than a quarter of its half space.
const ROLLOVER_MASK: u16 = 0x1FFF;
/// Ten minutes at 25 pictures a second.
const ENDS_KEPT: usize = 15_000;
/// Without a packet for longer is a silence.
const SILENCE_NS: u64 = 1_000_000_000;
/// Of the longest soak, one each half minute.
const SILENCES_KEPT: usize = 1_000;
/// No secret: everybody who runs this program has it.
const ICE_PWD: &str = "aPasswordOfALoadViewer24";

/// What all viewers of this process share.
pub struct Identity {
    config: Arc<dimpl::Config>,
    certificate: DtlsCertificate,
    fingerprint: [u8; 32],
}

impl Identity {
    /// # Errors
    /// A sentence, when no certificate can be made.
    pub fn make() -> Result<Self, String> {
        let certificate = dimpl::certificate::generate_self_signed_certificate()
            .map_err(|error| format!("no certificate can be made ({error})."))?;
        let config = dimpl::Config::builder()
            .mtu(1_150)
            .use_server_cookie(false)
            .flight_start_rto(Duration::from_millis(50))
            .build()
            .map_err(|error| format!("DTLS can't be set up ({error})."))?;
        Ok(Self {
            fingerprint: sha256(&certificate.certificate),
            config: Arc::new(config),
            certificate,
        })
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// When things happened, in [`sys::unix_ns`]; 0 is not yet.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    pub posted: u64,
    pub answered: u64,
    pub ice: u64,
    pub dtls: u64,
    pub first_packet: u64,
    /// Last packet of the first decodable keyframe.
    pub keyframe: u64,
    pub last_packet: u64,
}

/// Checks of decrypted packets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checks {
    pub opened: u64,
    pub refused: u64,
    /// Datagrams that are none of what a WebRTC peer sends, or of another stream.
    pub strange: u64,
}

/// An access unit's end as it came.
#[derive(Debug, Clone, Copy)]
pub struct End {
    pub rtp_ts: u32,
    pub packets: u32,
    pub at_ns: u64,
}

struct Keys {
    profile: SrtpProfile,
    opener: SrtpOpener,
    sealer: SrtpSealer,
}

pub struct Viewer {
    // given
    pub socket: UdpSocket,
    identity: Arc<Identity>,
    number: usize,
    records_ends: bool,
    // owned
    pub times: Times,
    pub tally: Tally,
    pub checks: Checks,
    pub failure: Option<String>,
    /// The view's URL, to delete it.
    pub location: Option<String>,
    pub ends: Vec<End>,
    /// (rtp_ts, slice bytes) of units that were decrypted whole.
    pub sizes: Vec<(u32, u32)>,
    /// Last packet before and first after each silence, in [`sys::unix_ns`].
    pub silences: Vec<(u64, u64)>,
    /// All its packets are decrypted and checked.
    pub sampled: bool,
    server: Option<(Answer, IntegrityKey)>,
    dtls: Option<Dtls>,
    dtls_due: Option<Instant>,
    check_due: Option<Instant>,
    report_due: Option<Instant>,
    checks_sent: u32,
    peer_certificate: Option<[u8; 32]>,
    keys: Option<Keys>,
    media_ssrc: u32,
    assembly: Assembly,
    clear: Vec<u8>,
}

impl Viewer {
    /// A viewer with a socket of its own.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(number: usize, identity: Arc<Identity>, kernel_times: bool) -> io::Result<Self> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_nonblocking(true)?;
        sys::enlarge_receive_buffer(&socket)?;
        if kernel_times {
            sys::enable_kernel_times(&socket)?;
        }
        Ok(Self {
            socket,
            identity,
            number,
            records_ends: kernel_times,
            times: Times::default(),
            tally: Tally::default(),
            checks: Checks::default(),
            failure: None,
            location: None,
            ends: Vec::new(),
            sizes: Vec::new(),
            silences: Vec::new(),
            sampled: false,
            server: None,
            dtls: None,
            dtls_due: None,
            check_due: None,
            report_due: None,
            checks_sent: 0,
            peer_certificate: None,
            keys: None,
            media_ssrc: 0,
            assembly: Assembly::new(),
            clear: Vec::new(),
        })
    }

    fn ufrag(&self) -> String {
        format!("load{:04}", self.number)
    }

    pub fn offer(&self) -> String {
        sdp::offer(&self.ufrag(), ICE_PWD, &self.identity.fingerprint)
    }

    pub fn cipher(&self) -> Option<&'static str> {
        self.keys.as_ref().map(|keys| keys.profile.name())
    }

    /// Has it all it needs, and does it go on?
    pub fn is_connected(&self) -> bool {
        self.keys.is_some() && self.failure.is_none()
    }

    /// Is it still on the way to its first keyframe?
    pub fn is_joining(&self) -> bool {
        self.times.posted != 0 && self.times.keyframe == 0 && self.failure.is_none()
    }

    /// How far it came, of one that has neither failed nor had its first keyframe.
    pub fn stuck_at(&self) -> Option<&'static str> {
        if !self.is_joining() {
            return None;
        }
        Some(match self.times {
            Times { answered: 0, .. } => "POST had no answer yet",
            Times { ice: 0, .. } => "the server answered no ICE check",
            Times { dtls: 0, .. } => "the DTLS handshake did not end",
            Times {
                first_packet: 0, ..
            } => "no media came",
            _ => "no decodable keyframe came",
        })
    }

    fn is_learning(&self) -> bool {
        self.times.keyframe == 0 || self.sizes.len() < UNITS_LEARNT
    }

    /// The server answered: begins the checks.
    pub fn begin(&mut self, now: Instant, answer: Answer) {
        let key = IntegrityKey::new(&answer.pwd);
        let is_active = answer.is_active;
        self.server = Some((answer, key));
        self.check_due = Some(now);
        if is_active {
            // Its handshake may come as soon as it knows our address.
            self.start_dtls(now);
        }
        self.handle_timeout(now);
    }

    pub fn fail(&mut self, reason: String) {
        if self.failure.is_none() {
            self.failure = Some(reason);
        }
        self.dtls = None;
        (self.check_due, self.dtls_due, self.report_due) = (None, None, None);
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        [self.check_due, self.dtls_due, self.report_due]
            .into_iter()
            .flatten()
            .min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.check_due.is_some_and(|due| due <= now) {
            self.send_check(now);
        }
        if self.dtls_due.is_some_and(|due| due <= now)
            && let Some(dtls) = &mut self.dtls
        {
            let handled = dtls.handle_timeout(now);
            self.after_dtls(handled);
        }
        if self.report_due.is_some_and(|due| due <= now) {
            self.report_due = Some(now + REPORT_EVERY);
            self.send_report();
        }
    }

    /// Takes one datagram that came at `at_ns`.
    pub fn handle_datagram(&mut self, now: Instant, at_ns: u64, datagram: &[u8]) {
        match Demux::of(datagram) {
            Demux::Rtp => self.take_media(at_ns, datagram),
            // Sender reports tell a load viewer nothing; what ends a view shows in DTLS.
            Demux::Rtcp => {}
            Demux::Stun => self.take_stun(now, at_ns, datagram),
            Demux::Dtls => {
                if let Some(dtls) = &mut self.dtls {
                    let handled = dtls
                        .handle_timeout(now)
                        .and_then(|()| dtls.handle_packet(datagram));
                    self.after_dtls(handled);
                    if self.keys.is_some() && self.times.dtls == 0 {
                        self.times.dtls = at_ns;
                        self.report_due = Some(now + REPORT_EVERY);
                    }
                }
            }
            Demux::Other => self.checks.strange += 1,
        }
    }

    fn send(&self, datagram: &[u8]) {
        if let Some((answer, _)) = &self.server {
            // Lost like any datagram: checks and handshakes repeat themselves.
            let _ = self.socket.send_to(datagram, answer.server);
        }
    }

    fn send_check(&mut self, now: Instant) {
        let Some((answer, key)) = &self.server else {
            return;
        };
        let every = if self.times.ice == 0 {
            CHECK_EVERY
        } else {
            CONSENT_EVERY
        };
        self.check_due = Some(now + every);
        self.checks_sent += 1;
        let mut transaction_id = [0; 12];
        transaction_id[..4].copy_from_slice(&self.checks_sent.to_be_bytes());
        transaction_id[4..].copy_from_slice(&(self.number as u64).to_be_bytes());
        let username = format!("{}:{}", answer.ufrag, self.ufrag());
        let params = CheckParams {
            username: &username,
            priority: 1_853_693_695,
            role: IceRole::Controlling(self.number as u64),
            use_candidate: true,
        };
        self.send(&stun::binding_request(&transaction_id, &params, key));
    }

    fn take_stun(&mut self, now: Instant, at_ns: u64, datagram: &[u8]) {
        let Some((answer, key)) = &self.server else {
            return;
        };
        // A full agent checks us too, and sends nothing before it had an answer (RFC 8445 section 7.3).
        if let Ok(request) = BindingRequest::parse(datagram) {
            let ours = IntegrityKey::new(ICE_PWD);
            if request.verify(&ours).is_ok() {
                let id = request.transaction_id();
                self.send(&stun::binding_success(id, answer.server, &ours));
            }
            return;
        }
        if !matches!(
            BindingResponse::parse(datagram, key),
            Ok(BindingResponse::Success { .. })
        ) {
            return;
        }
        if self.times.ice == 0 {
            self.times.ice = at_ns;
            self.check_due = Some(now + CONSENT_EVERY);
            if self.dtls.is_none() {
                self.start_dtls(now);
            }
        }
    }

    fn start_dtls(&mut self, now: Instant) {
        let identity = &self.identity;
        let mut dtls = Dtls::new_12(identity.config.clone(), identity.certificate.clone(), now);
        let server_is_active = self
            .server
            .as_ref()
            .is_some_and(|(answer, _)| answer.is_active);
        dtls.set_active(!server_is_active);
        let handled = dtls.handle_timeout(now);
        self.dtls = Some(dtls);
        self.after_dtls(handled);
    }

    fn after_dtls(&mut self, handled: Result<(), dimpl::Error>) {
        self.drain_dtls();
        if let Err(error) = handled {
            self.fail(format!("DTLS failed: {error}"));
        }
    }

    fn drain_dtls(&mut self) {
        let Some(mut dtls) = self.dtls.take() else {
            return;
        };
        let mut buffer = [0; 2_048];
        loop {
            match dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => self.send(packet),
                Output::PeerCert(der) => self.peer_certificate = Some(sha256(der)),
                Output::KeyingMaterial(block, profile) => self.take_keys(&block, profile),
                Output::CloseNotify => {
                    self.fail("the server closed the connection".to_owned());
                    return;
                }
                Output::BufferTooSmall { needed } => {
                    self.fail(format!("a DTLS record of {needed} bytes"));
                    return;
                }
                Output::Timeout(at) => {
                    self.dtls_due = Some(at);
                    break;
                }
                _ => {}
            }
        }
        if self.failure.is_none() {
            self.dtls = Some(dtls);
        }
    }

    fn take_keys(&mut self, block: &[u8], profile: dimpl::SrtpProfile) {
        let Some((answer, _)) = &self.server else {
            return;
        };
        if self.peer_certificate != Some(answer.fingerprint) {
            self.fail("the server's certificate is not the one it promised".to_owned());
            return;
        }
        let profile = match profile {
            dimpl::SrtpProfile::AEAD_AES_256_GCM => SrtpProfile::AeadAes256Gcm,
            dimpl::SrtpProfile::AEAD_AES_128_GCM => SrtpProfile::AeadAes128Gcm,
            _ => SrtpProfile::Aes128CmSha1_80,
        };
        let server_is_client = answer.is_active;
        let made = KeyBlock::split(profile, block).and_then(|keys| {
            let (client, server) = (
                (keys.client_key, keys.client_salt),
                (keys.server_key, keys.server_salt),
            );
            let (theirs, ours) = match server_is_client {
                true => (client, server),
                false => (server, client),
            };
            Ok(Keys {
                profile,
                opener: SrtpOpener::new(profile, theirs.0, theirs.1)?,
                sealer: SrtpSealer::new(profile, ours.0, ours.1)?,
            })
        });
        match made {
            Ok(keys) => self.keys = Some(keys),
            Err(error) => self.fail(format!("no SRTP keys: {error}")),
        }
    }

    fn take_media(&mut self, at_ns: u64, datagram: &[u8]) {
        let (Some(header), Some((answer, _))) = (ClearHeader::read(datagram), &self.server) else {
            self.checks.strange += 1;
            return;
        };
        if header.payload_type != answer.payload_type {
            self.checks.strange += 1;
            return;
        }
        if self.times.first_packet == 0 {
            self.times.first_packet = at_ns;
            self.media_ssrc = header.ssrc;
        } else if header.ssrc != self.media_ssrc {
            self.checks.strange += 1;
            return;
        }
        let silence = (self.times.last_packet, at_ns);
        if silence.0 != 0
            && silence.1.saturating_sub(silence.0) > SILENCE_NS
            && self.silences.len() < SILENCES_KEPT
        {
            self.silences.push(silence);
        }
        self.times.last_packet = at_ns;
        let (order, end) = self.tally.take(header, datagram.len());
        if let Some(UnitEnd { rtp_ts, packets }) = end
            && self.records_ends
            && self.ends.len() < ENDS_KEPT
        {
            self.ends.push(End {
                rtp_ts,
                packets,
                at_ns,
            });
        }
        if self.sampled || self.is_learning() {
            self.check(at_ns, order, header, datagram);
        } else if header.seq & ROLLOVER_MASK == 0 {
            self.open(order, datagram);
        }
    }

    /// Decrypts into `clear`; false when there is nothing good in it.
    fn open(&mut self, order: Order, datagram: &[u8]) -> bool {
        if order == Order::Duplicate {
            return false;
        }
        let Some(keys) = &mut self.keys else {
            return false;
        };
        let opened = keys.opener.open(datagram, &mut self.clear).is_ok();
        self.checks.opened += u64::from(opened);
        self.checks.refused += u64::from(!opened);
        opened
    }

    fn check(&mut self, at_ns: u64, order: Order, header: ClearHeader, datagram: &[u8]) {
        if !self.open(order, datagram) {
            self.assembly.skip();
            return;
        }
        let Ok(packet) = RtpPacket::parse(&self.clear) else {
            self.checks.refused += 1;
            self.assembly.skip();
            return;
        };
        let Some(unit) = self.assembly.push(order, packet.payload(), header.marker) else {
            return;
        };
        if self.sizes.len() < SIZES_KEPT {
            self.sizes.push((header.rtp_ts, unit.vcl_bytes));
        }
        if self.times.keyframe == 0 && unit.is_whole_keyframe() {
            self.times.keyframe = at_ns;
        }
    }

    /// Starts or ends a stretch in which every packet is decrypted and checked.
    pub fn set_sampled(&mut self, sampled: bool) {
        if sampled && !self.sampled && !self.is_learning() {
            // What came since the last stretch was not decrypted.
            self.assembly.skip();
        }
        self.sampled = sampled;
    }

    fn send_report(&mut self) {
        let highest = self.tally.highest();
        let counts = self.tally.counts();
        let block = ReportBlock {
            ssrc: self.media_ssrc,
            fraction_lost: 0,
            cumulative_lost: i32::try_from(counts.lost).unwrap_or(i32::MAX),
            // The extension begins at one cycle; the field counts from none.
            highest_seq: highest.saturating_sub(1 << 16) as u32,
            jitter: 0,
            last_sr: 0,
            delay_since_last_sr: 0,
        };
        let blocks = [block];
        let blocks = if highest == 0 { &[][..] } else { &blocks[..] };
        let mut report = Vec::with_capacity(64);
        rtcp::write_receiver_report(self.number as u32 + 1, blocks, "load", &mut report);
        let mut sealed = Vec::with_capacity(96);
        if let Some(keys) = &mut self.keys
            && keys.sealer.seal_rtcp(&report, &mut sealed).is_ok()
        {
            self.send(&sealed);
        }
    }

    /// Says close_notify, so that a server without DELETE notices too.
    pub fn leave(&mut self) {
        if let Some(dtls) = &mut self.dtls
            && dtls.close().is_ok()
        {
            self.drain_dtls();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A viewer, and the socket of a server whose answer it has.
    fn answered(is_active: bool) -> (Viewer, UdpSocket, Instant) {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let identity = Arc::new(Identity::make().unwrap());
        let mut viewer = Viewer::new(7, identity, false).unwrap();
        viewer.times.posted = 1;
        let now = Instant::now();
        let answer = Answer {
            server: server.local_addr().unwrap(),
            ufrag: "abcd".to_owned(),
            pwd: "aPasswordOfTwentyTwoChars".to_owned(),
            payload_type: sdp::PAYLOAD_TYPE,
            is_active,
            fingerprint: [0; 32],
        };
        viewer.begin(now, answer);
        viewer.times.answered = 2;
        (viewer, server, now)
    }

    fn next(server: &UdpSocket) -> Vec<u8> {
        let mut datagram = [0; 2_048];
        let size = server.recv(&mut datagram).unwrap();
        datagram[..size].to_vec()
    }

    #[test]
    fn a_check_goes_out_and_its_answer_begins_the_handshake() {
        let (mut viewer, server, now) = answered(false);
        let key = IntegrityKey::new("aPasswordOfTwentyTwoChars");
        let datagram = next(&server);
        let check = BindingRequest::parse(&datagram).unwrap();
        assert!(check.verify(&key).is_ok() && check.use_candidate());
        assert_eq!(
            (check.local_ufrag(), check.remote_ufrag()),
            ("abcd", "load0007")
        );
        assert_eq!(viewer.stuck_at(), Some("the server answered no ICE check"));
        let from = server.local_addr().unwrap();
        let wrong = IntegrityKey::new("another password, quite");
        let forged = stun::binding_success(check.transaction_id(), from, &wrong);
        viewer.handle_datagram(now, 3, &forged);
        assert_eq!(viewer.times.ice, 0);
        let answer = stun::binding_success(check.transaction_id(), from, &key);
        viewer.handle_datagram(now, 4, &answer);
        assert_eq!(viewer.times.ice, 4);
        assert_eq!(viewer.stuck_at(), Some("the DTLS handshake did not end"));
        assert_eq!(Demux::of(&next(&server)), Demux::Dtls);
    }

    #[test]
    fn a_full_agents_check_is_answered_and_a_stranger_s_is_not() {
        let (mut viewer, server, now) = answered(true);
        next(&server);
        let params = CheckParams {
            username: "load0007:abcd",
            priority: 1,
            role: IceRole::Controlled(9),
            use_candidate: false,
        };
        let id = *b"transaction1";
        let strange = IntegrityKey::new("another password, quite");
        viewer.handle_datagram(now, 3, &stun::binding_request(&id, &params, &strange));
        let ours = IntegrityKey::new(ICE_PWD);
        viewer.handle_datagram(now, 3, &stun::binding_request(&id, &params, &ours));
        let answer = BindingResponse::parse(&next(&server), &ours);
        assert!(matches!(
            answer,
            Ok(BindingResponse::Success { transaction_id, .. }) if transaction_id == id
        ));
        server.set_nonblocking(true).unwrap();
        assert!(
            server.recv(&mut [0; 64]).is_err(),
            "one answer, and no handshake of ours"
        );
    }

    #[test]
    fn silences_are_kept_with_both_their_ends() {
        let (mut viewer, _server, now) = answered(false);
        let ms = 1_000_000;
        for (seq, at_ms) in [(1, 1_000), (2, 1_900), (3, 3_000), (4, 3_010)] {
            let header = wire::rtp::RtpHeader {
                marker: true,
                payload_type: sdp::PAYLOAD_TYPE,
                seq,
                rtp_ts: 9,
                ssrc: 1,
            };
            viewer.handle_datagram(now, at_ms * ms, &header.to_bytes());
        }
        assert_eq!(viewer.silences, [(1_900 * ms, 3_000 * ms)]);
        assert_eq!(viewer.tally.counts().units, 4);
    }
}

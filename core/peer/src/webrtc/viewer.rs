//! The machine of one viewer's transport: datagrams and the time in; datagrams, events and the next
//! timeout out.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use wire::rtcp::{self, RtcpItem};
use wire::srtp::{KeyBlock, SrtpError, SrtpOpener, SrtpProfile, SrtpSealer};
use wire::stun::{self, BindingRequest, Demux, IceRole, IntegrityKey, StunError};

use super::addresses::{AddressBook, Way};
use super::dtls::{DtlsFailure, DtlsOutput, DtlsServer};
use super::identity::{DtlsIdentity, Fingerprint};

/// A viewer that is not heard for this long is gone: browsers check about every 2.5 s.
pub const CONSENT_TIMEOUT: Duration = Duration::from_secs(15);
/// From the first validated address to DTLS keys; a ClientHello follows the first answer at once.
const DTLS_TIMEOUT: Duration = Duration::from_secs(15);
/// A ClientHello of two datagrams and its repetition may overtake the first check.
const MAX_EARLY_DATAGRAMS: usize = 4;
const MAX_EARLY_BYTES: usize = 1_500;
/// The engine drains after every call. One that does not loses the oldest: DTLS repeats itself, and
/// so do checks.
const MAX_TRANSMITS: usize = 64;
/// As many reports as may wait; only RTCP is ever left out.
const MAX_EVENTS: usize = 64;

/// What is given about one viewer.
#[derive(Debug)]
pub struct PeerConfig {
    pub local_ufrag: String,
    pub local_pwd: String,
    /// Of the offer; any one of them must be the certificate's.
    pub remote_fingerprints: Vec<Fingerprint>,
    pub identity: Arc<DtlsIdentity>,
}

/// Why a viewer's transport ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseCause {
    /// [`WebrtcPeer::close`] was called.
    Local,
    /// The browser said close_notify.
    ByPeer,
    /// No connectivity check ever came: UDP is blocked on the way, or the page is gone.
    IceTimeout,
    /// Checks came, a finished DTLS handshake did not.
    DtlsTimeout,
    DtlsFailed,
    /// The client's certificate is not the one the offer named.
    FingerprintMismatch,
    /// Connected once, and not heard for [`CONSENT_TIMEOUT`].
    ConsentLost,
}

impl CloseCause {
    /// Stable name for events, logs and audit rows.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Local => "closed",
            Self::ByPeer => "closed_by_peer",
            Self::IceTimeout => "ice_timeout",
            Self::DtlsTimeout => "dtls_timeout",
            Self::DtlsFailed => "dtls_failed",
            Self::FingerprintMismatch => "fingerprint_mismatch",
            Self::ConsentLost => "consent_lost",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerEvent {
    /// Datagrams from here may be routed to this viewer.
    AddrValidated(SocketAddr),
    /// ...and from here no longer.
    AddrForgotten(SocketAddr),
    /// The first check was answered; media would go to this address.
    IceConnected(SocketAddr),
    /// The certificate is the offer's and keys are there: media may flow.
    DtlsConnected { profile: SrtpProfile },
    /// Media goes to this address from now on.
    RemoteAddrChanged(SocketAddr),
    /// Authenticated feedback and reports.
    Rtcp(Vec<RtcpItem>),
    /// The last event.
    Closed(CloseCause),
}

/// Why a datagram was dropped. To be counted; none of them harms the viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatagramError {
    #[error("viewer is closed")]
    Closed,
    #[error("sender has no validated address")]
    UnknownAddress,
    #[error("sender has no validated address yet; kept for when it has")]
    Early,
    #[error("datagram is of no kind a viewer sends")]
    UnexpectedKind,
    #[error("STUN check is for another viewer")]
    OtherUfrag,
    #[error(transparent)]
    Stun(#[from] StunError),
    #[error(transparent)]
    Srtcp(#[from] SrtpError),
    #[error("DTLS ended the viewer")]
    Dtls,
}

/// How a datagram came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The address its sender goes by here.
    pub from: SocketAddr,
    /// Where the sender is, which it is told (RFC 8489 section 14.2). Another one by TCP only.
    pub mapped: SocketAddr,
    /// Which of our addresses it came to, where the socket has several: what answers it leaves from
    /// there (RFC 8445 section 7.3.1.3), or a firewall on the way would not know it.
    pub local: Option<IpAddr>,
}

impl From<SocketAddr> for Origin {
    fn from(from: SocketAddr) -> Self {
        Self {
            from,
            mapped: from,
            local: None,
        }
    }
}

struct Keys {
    sealer: SrtpSealer,
    opener: SrtpOpener,
}

enum Dtls {
    /// The state is large, and many an offer never gets here.
    Idle,
    Running(Box<DtlsServer>),
    Closed,
}

/// One viewer: ICE-lite agent, DTLS server, SRTP keys. See the module's order that must hold.
pub struct WebrtcPeer {
    // given
    local_ufrag: String,
    integrity: IntegrityKey,
    remote_fingerprints: Vec<Fingerprint>,
    identity: Arc<DtlsIdentity>,
    // owned
    addresses: AddressBook,
    dtls: Dtls,
    early: VecDeque<(SocketAddr, Vec<u8>)>,
    transmits: VecDeque<(Way, Vec<u8>)>,
    events: VecDeque<PeerEvent>,
    plain: Vec<u8>,
    // derived
    last_check: Instant,
    ice_connected_at: Option<Instant>,
    certificate_matches: bool,
    keys: Option<Box<Keys>>,
    closed: Option<CloseCause>,
}

impl WebrtcPeer {
    #[must_use]
    pub fn new(config: PeerConfig, now: Instant) -> Self {
        Self {
            integrity: IntegrityKey::new(&config.local_pwd),
            local_ufrag: config.local_ufrag,
            remote_fingerprints: config.remote_fingerprints,
            identity: config.identity,
            addresses: AddressBook::default(),
            dtls: Dtls::Idle,
            early: VecDeque::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            plain: Vec::new(),
            last_check: now,
            ice_connected_at: None,
            certificate_matches: false,
            keys: None,
            closed: None,
        }
    }

    /// Takes one whole datagram. Drain [`Self::poll_transmit`] and [`Self::poll_event`] after it.
    ///
    /// # Errors
    /// [`DatagramError`]: why it was dropped.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), DatagramError> {
        self.handle_from(now, from.into(), datagram)
    }

    /// As [`Self::handle_datagram`], for one that came by TCP or to a socket of several addresses.
    ///
    /// # Errors
    /// [`DatagramError`]: why it was dropped.
    pub fn handle_from(
        &mut self,
        now: Instant,
        origin: Origin,
        datagram: &[u8],
    ) -> Result<(), DatagramError> {
        let from = origin.from;
        if self.closed.is_some() {
            return Err(DatagramError::Closed);
        }
        match Demux::of(datagram) {
            Demux::Stun => self.handle_stun(now, origin, datagram),
            Demux::Dtls if self.addresses.contains(from) => self.handle_dtls(now, datagram),
            Demux::Dtls => Err(self.keep_early(from, datagram)),
            Demux::Rtcp if self.addresses.contains(from) => self.handle_rtcp(datagram),
            Demux::Rtcp | Demux::Rtp if !self.addresses.contains(from) => {
                Err(DatagramError::UnknownAddress)
            }
            Demux::Rtcp | Demux::Rtp | Demux::Other => Err(DatagramError::UnexpectedKind),
        }
    }

    /// The next datagram to send, and which way.
    pub fn poll_transmit(&mut self) -> Option<(Way, Vec<u8>)> {
        self.transmits.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<PeerEvent> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is wanted at the latest. None once closed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.closed.is_some() {
            return None;
        }
        let dtls = match &self.dtls {
            Dtls::Running(server) => server.next_timeout(),
            Dtls::Idle | Dtls::Closed => None,
        };
        let deadlines = [dtls, self.dtls_deadline(), self.addresses.next_expiry()];
        let consent = self.last_check + CONSENT_TIMEOUT;
        Some(deadlines.into_iter().flatten().fold(consent, Instant::min))
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.closed.is_some() {
            return;
        }
        if now >= self.last_check + CONSENT_TIMEOUT {
            let cause = match self.ice_connected_at {
                Some(_) => CloseCause::ConsentLost,
                None => CloseCause::IceTimeout,
            };
            return self.end(cause);
        }
        if self.dtls_deadline().is_some_and(|deadline| now >= deadline) {
            return self.end(CloseCause::DtlsTimeout);
        }
        while let Some(change) = self.addresses.expire_one(now) {
            self.note_forgotten(change.forgotten);
            if change.moved {
                self.note_moved();
            }
        }
        if let Dtls::Running(server) = &mut self.dtls {
            let mut outputs = Vec::new();
            let handled = server.handle_timeout(now, &mut outputs);
            // Its end is already an event.
            let _ended = self.take_dtls_outputs(outputs, handled);
        }
    }

    /// This address is gone for good, before its time: its connection has ended.
    pub fn forget(&mut self, addr: SocketAddr) {
        let Some(change) = self.addresses.forget(addr) else {
            return;
        };
        self.note_forgotten(change.forgotten);
        if change.moved {
            self.note_moved();
        }
    }

    /// Where media goes: the nominated address, before that the first validated one.
    #[must_use]
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.addresses.selected()
    }

    /// [`Self::remote_addr`], and which of our addresses media leaves from.
    #[must_use]
    pub fn way(&self) -> Option<Way> {
        self.addresses.selected_way()
    }

    /// Every address whose datagrams are this viewer's.
    pub fn known_addrs(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.addresses.all()
    }

    /// Whether media may be sealed and sent.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.keys.is_some() && self.addresses.selected().is_some()
    }

    /// Why it ended, once it has.
    #[must_use]
    pub fn closed(&self) -> Option<CloseCause> {
        self.closed
    }

    #[must_use]
    pub fn local_ufrag(&self) -> &str {
        &self.local_ufrag
    }

    /// Seals media. None before [`PeerEvent::DtlsConnected`] and after the end.
    pub fn sealer_mut(&mut self) -> Option<&mut SrtpSealer> {
        self.keys.as_deref_mut().map(|keys| &mut keys.sealer)
    }

    /// Appends a protected RTCP compound to `out`; the caller sends it to [`Self::remote_addr`].
    /// False where there are no keys yet or any more, and nothing was appended.
    pub fn seal_rtcp(&mut self, packet: &[u8], out: &mut Vec<u8>) -> bool {
        self.sealer_mut()
            .is_some_and(|sealer| sealer.seal_rtcp(packet, out).is_ok())
    }

    /// Ends it from our side: queues close_notify where a connection stands. A BYE is to be sealed
    /// before this.
    pub fn close(&mut self, now: Instant) {
        if self.closed.is_some() {
            return;
        }
        if let Dtls::Running(mut server) = std::mem::replace(&mut self.dtls, Dtls::Closed) {
            let mut outputs = Vec::new();
            // The clock goes first; that it may fail does not matter any more.
            let _late = server.handle_timeout(now, &mut outputs);
            server.close(&mut outputs);
            for output in outputs {
                if let DtlsOutput::Packet(packet) = output {
                    self.transmit_to_selected(packet);
                }
            }
        }
        self.end(CloseCause::Local);
    }

    fn handle_stun(
        &mut self,
        now: Instant,
        origin: Origin,
        datagram: &[u8],
    ) -> Result<(), DatagramError> {
        let from = origin.from;
        let back = Way {
            remote: from,
            local: origin.local,
        };
        let request = BindingRequest::parse(datagram)?;
        if request.local_ufrag() != self.local_ufrag {
            return Err(DatagramError::OtherUfrag);
        }
        request.verify(&self.integrity)?;
        if let Some(IceRole::Controlled(_)) = request.role() {
            // Lite is always the controlled side (RFC 8445 section 7.3.1.1).
            self.transmit(
                back,
                stun::role_conflict(request.transaction_id(), &self.integrity),
            );
            return Ok(());
        }
        let answer =
            stun::binding_success(request.transaction_id(), origin.mapped, &self.integrity);
        self.transmit(back, answer);
        self.last_check = now;
        let change = self.addresses.checked(now, back, request.use_candidate());
        self.note_forgotten(change.forgotten);
        if change.validated {
            self.events.push_back(PeerEvent::AddrValidated(from));
        }
        if self.ice_connected_at.is_none() {
            self.ice_connected_at = Some(now);
            self.events.push_back(PeerEvent::IceConnected(from));
        } else if change.moved {
            self.note_moved();
        }
        if change.validated {
            self.replay_early(now, from);
        }
        Ok(())
    }

    fn handle_dtls(&mut self, now: Instant, datagram: &[u8]) -> Result<(), DatagramError> {
        if let Dtls::Idle = self.dtls {
            match DtlsServer::new(&self.identity, now) {
                Ok(server) => self.dtls = Dtls::Running(Box::new(server)),
                Err(failure) => return self.end_dtls(failure),
            }
        }
        let Dtls::Running(server) = &mut self.dtls else {
            return Err(DatagramError::Closed);
        };
        let mut outputs = Vec::new();
        let handled = server.handle_datagram(now, datagram, &mut outputs);
        self.take_dtls_outputs(outputs, handled)
    }

    fn handle_rtcp(&mut self, datagram: &[u8]) -> Result<(), DatagramError> {
        let keys = self
            .keys
            .as_deref_mut()
            .ok_or(DatagramError::UnexpectedKind)?;
        keys.opener.open_rtcp(datagram, &mut self.plain)?;
        // What can be read of a compound counts, as far as it goes.
        let items: Vec<RtcpItem> = rtcp::items(&self.plain).map_while(Result::ok).collect();
        if !items.is_empty() && self.events.len() < MAX_EVENTS {
            self.events.push_back(PeerEvent::Rtcp(items));
        }
        Ok(())
    }

    /// The certificate comes out first, so nothing after it is looked at unless it is the offer's.
    fn take_dtls_outputs(
        &mut self,
        outputs: Vec<DtlsOutput>,
        handled: Result<(), DtlsFailure>,
    ) -> Result<(), DatagramError> {
        let mut connected = false;
        for output in outputs {
            match output {
                DtlsOutput::Packet(packet) => self.transmit_to_selected(packet),
                DtlsOutput::PeerCertificate(der) => {
                    if !self.remote_fingerprints.iter().any(|one| one.matches(&der)) {
                        self.end(CloseCause::FingerprintMismatch);
                        return Err(DatagramError::Dtls);
                    }
                    self.certificate_matches = true;
                }
                DtlsOutput::Connected => connected = true,
                DtlsOutput::Keys { profile, block } => {
                    let keys = match Keys::new(profile, &block) {
                        Ok(keys) if self.certificate_matches => keys,
                        _ => return self.end_dtls(DtlsFailure::Failed),
                    };
                    self.keys = Some(Box::new(keys));
                    self.events.push_back(PeerEvent::DtlsConnected { profile });
                }
                DtlsOutput::ClosedByPeer => {
                    self.end(CloseCause::ByPeer);
                    return Ok(());
                }
            }
        }
        match handled {
            // A client that offers no SRTP profile of ours can never be sent anything.
            Ok(()) if connected && self.keys.is_none() => self.end_dtls(DtlsFailure::Failed),
            Ok(()) => Ok(()),
            Err(failure) => self.end_dtls(failure),
        }
    }

    fn end_dtls(&mut self, failure: DtlsFailure) -> Result<(), DatagramError> {
        self.end(match failure {
            DtlsFailure::Timeout => CloseCause::DtlsTimeout,
            DtlsFailure::Failed => CloseCause::DtlsFailed,
        });
        Err(DatagramError::Dtls)
    }

    fn end(&mut self, cause: CloseCause) {
        self.closed = Some(cause);
        self.dtls = Dtls::Closed;
        self.keys = None;
        self.early.clear();
        self.events.push_back(PeerEvent::Closed(cause));
    }

    fn dtls_deadline(&self) -> Option<Instant> {
        match self.keys {
            Some(_) => None,
            None => self.ice_connected_at.map(|at| at + DTLS_TIMEOUT),
        }
    }

    fn keep_early(&mut self, from: SocketAddr, datagram: &[u8]) -> DatagramError {
        // Once anyone is connected, another address has no business with DTLS before its check.
        if self.keys.is_some() || datagram.len() > MAX_EARLY_BYTES {
            return DatagramError::UnknownAddress;
        }
        if self.early.len() == MAX_EARLY_DATAGRAMS {
            self.early.pop_front();
        }
        self.early.push_back((from, datagram.to_vec()));
        DatagramError::Early
    }

    fn replay_early(&mut self, now: Instant, from: SocketAddr) {
        let (ready, waiting) = std::mem::take(&mut self.early)
            .into_iter()
            .partition::<VecDeque<_>, _>(|(sender, _)| *sender == from);
        self.early = waiting;
        for (_, datagram) in ready {
            if self.closed.is_none() {
                // Its end is already an event.
                let _ended = self.handle_dtls(now, &datagram);
            }
        }
    }

    fn note_forgotten(&mut self, forgotten: Option<SocketAddr>) {
        self.events.extend(forgotten.map(PeerEvent::AddrForgotten));
    }

    fn note_moved(&mut self) {
        let selected = self.addresses.selected();
        self.events
            .extend(selected.map(PeerEvent::RemoteAddrChanged));
    }

    fn transmit_to_selected(&mut self, packet: Vec<u8>) {
        if let Some(way) = self.addresses.selected_way() {
            self.transmit(way, packet);
        }
    }

    fn transmit(&mut self, way: Way, packet: Vec<u8>) {
        if self.transmits.len() == MAX_TRANSMITS {
            self.transmits.pop_front();
        }
        self.transmits.push_back((way, packet));
    }
}

impl Keys {
    fn new(profile: SrtpProfile, block: &[u8]) -> Result<Self, SrtpError> {
        let block = KeyBlock::split(profile, block)?;
        Ok(Self {
            sealer: SrtpSealer::new(profile, block.server_key, block.server_salt)?,
            opener: SrtpOpener::new(profile, block.client_key, block.client_salt)?,
        })
    }
}

impl std::fmt::Debug for WebrtcPeer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("WebrtcPeer")
            .field("local_ufrag", &self.local_ufrag)
            .field("remote_addr", &self.remote_addr())
            .field("ready", &self.is_ready())
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

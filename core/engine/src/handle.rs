//! The engine as the control plane sees it. Nothing here waits for a shard but `shutdown`.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use fanout::RtxConfig;
use peer::rtsp_client::{ClientConfig, Secret};
use peer::webrtc::{
    AnswerParams, DtlsIdentity, IceCredentials, NegotiateError, PeerConfig, negotiate,
};

use crate::command::{COMMAND_QUEUE_CAPACITY, Command, OpenSource, OpenViewer, Select};
use crate::dial::Resolver;
use crate::event::{EventBody, EventQueue, notify};
use crate::shard::Shard;
use crate::stats::{Figures, SourceState, unix_ms};

/// Asked of the kernel for the one UDP socket: a keyframe for 20 viewers is 4 MB.
const UDP_BUFFER_BYTES: usize = 8 << 20;

#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// One UDP port for all viewers; port 0 takes any.
    pub udp_bind: SocketAddr,
    /// The addresses viewers reach it at; port 0 is that of the socket.
    pub advertise: Vec<SocketAddr>,
    /// The TCP port for viewers without UDP: 0 is the number of the UDP port, `None` is none.
    pub tcp_port: Option<u16>,
    pub max_viewers: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the offer can't be read: {0}")]
    MalformedOffer(String),
    #[error("the offer has no H.264 with packetization-mode=1; use a browser that decodes H.264")]
    NoCommonCodec,
    #[error("no room: {0}")]
    OverCapacity(&'static str),
    #[error("the engine was shut down")]
    Closed,
    #[error("not an RTSP address: {0}")]
    BadUrl(String),
    #[error("the engine can't start: {0}")]
    Start(String),
}

pub struct SourceRequest {
    pub stream_id: String,
    /// `rtsp://host[:port]/path`, without userinfo.
    pub url: String,
    pub username: Option<String>,
    pub password: Option<String>,
}

#[derive(Debug)]
pub struct ViewerRequest {
    pub viewer_id: String,
    pub stream_id: String,
    pub channel_id: String,
    pub subject_id: String,
    pub offer_sdp: String,
    pub until: SystemTime,
}

/// The way to one shard: a bounded queue, and the eventfd that wakes it.
#[derive(Clone)]
struct Mailbox {
    commands: SyncSender<Command>,
    wake: Arc<OwnedFd>,
    figures: Arc<Figures>,
}

impl Mailbox {
    fn send(&self, command: Command) -> Result<(), EngineError> {
        match self.commands.try_send(command) {
            Ok(()) => {
                notify(self.wake.as_fd());
                Ok(())
            }
            Err(TrySendError::Full(_)) => {
                self.figures.totals.commands_refused.add_shared(1);
                Err(EngineError::OverCapacity("too many commands wait"))
            }
            Err(TrySendError::Disconnected(_)) => Err(EngineError::Closed),
        }
    }
}

/// The packet plane of one process.
pub struct Engine {
    // given
    config: EngineConfig,
    // owned
    mailbox: Mailbox,
    events: Arc<EventQueue>,
    figures: Arc<Figures>,
    identity: Arc<DtlsIdentity>,
    resolver: Resolver,
    dials: Arc<Mutex<Dials>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    closed: AtomicBool,
    // derived
    candidates: Vec<SocketAddr>,
    tcp_candidates: Vec<SocketAddr>,
    udp_port: u16,
}

impl Engine {
    /// Binds the UDP port and starts the shard.
    ///
    /// # Errors
    /// [`EngineError::Start`] with the reason: a taken port, a foreign address, no descriptors.
    pub fn start(config: EngineConfig) -> Result<Self, EngineError> {
        let start = |what: &str, error: &dyn std::fmt::Display| {
            EngineError::Start(format!("{what}: {error}"))
        };
        raise_open_files();
        let (socket, listener) = bind(&config)?;
        socket
            .set_nonblocking(true)
            .map_err(|e| start("UDP socket", &e))?;
        let options = socket2::SockRef::from(&socket);
        // The kernel grants what net.core.{w,r}mem_max allows; `streamhub doctor` says the rest.
        let _ = options.set_send_buffer_size(UDP_BUFFER_BYTES);
        let _ = options.set_recv_buffer_size(UDP_BUFFER_BYTES);
        let udp_port = socket
            .local_addr()
            .map_err(|e| start("UDP socket", &e))?
            .port();
        let tcp_port = listener
            .as_ref()
            .map(|listener| listener.local_addr().map(|at| at.port()))
            .transpose()
            .map_err(|e| start("TCP socket", &e))?;
        let identity = Arc::new(DtlsIdentity::generate().map_err(|e| start("DTLS", &e))?);
        let events = Arc::new(EventQueue::new().map_err(|e| start("eventfd", &e))?);
        let figures = Arc::new(Figures::default());
        let (commands, incoming) = sync_channel(COMMAND_QUEUE_CAPACITY);
        let shard = Shard::new(socket, listener, incoming, events.clone(), figures.clone())
            .map_err(|e| start("shard", &e))?;
        let mailbox = Mailbox {
            commands,
            wake: shard.wake(),
            figures: figures.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("sh-shard-0".into())
            .spawn(move || shard.run())
            .map_err(|e| start("shard thread", &e))?;
        let reached_at = |port: u16| -> Vec<SocketAddr> {
            let known = |at: &SocketAddr| match at.port() {
                0 => SocketAddr::new(at.ip(), port),
                _ => *at,
            };
            config.advertise.iter().map(known).collect()
        };
        Ok(Self {
            candidates: reached_at(udp_port),
            tcp_candidates: tcp_port.map_or_else(Vec::new, reached_at),
            mailbox,
            events,
            figures,
            identity,
            resolver: Resolver::start().map_err(|e| start("resolver thread", &e))?,
            dials: Arc::default(),
            thread: Mutex::new(Some(thread)),
            closed: AtomicBool::new(false),
            udp_port,
            config,
        })
    }

    pub fn udp_port(&self) -> u16 {
        self.udp_port
    }

    pub fn events(&self) -> &EventQueue {
        &self.events
    }

    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Dials a camera; replaces an earlier source of the stream, whose viewers stay.
    ///
    /// # Errors
    /// [`EngineError::BadUrl`], [`EngineError::OverCapacity`], [`EngineError::Closed`].
    pub fn open_source(&self, request: SourceRequest) -> Result<(), EngineError> {
        let mut client = ClientConfig::new(&request.url)
            .map_err(|error| EngineError::BadUrl(error.to_string()))?;
        if let Some(username) = &request.username {
            client =
                client.credentials(username, Secret::new(request.password.unwrap_or_default()));
        }
        let (host, port) = (client.url.host.clone(), client.url.port);
        let figures = self.figures.add_source(&request.stream_id);
        figures.state.set(SourceState::Opening as u64);
        let dial = lock(&self.dials).begin(&request.stream_id);
        let (dials, mailbox, events) = (
            self.dials.clone(),
            self.mailbox.clone(),
            self.events.clone(),
        );
        self.events
            .push(&request.stream_id, EventBody::Step { step: "dial" });
        self.resolver.resolve(&host, port, move |found| {
            let stream_id = request.stream_id;
            if !lock(&dials).is_newest(&stream_id, dial) {
                return;
            }
            let opened = match found {
                Ok(connect_to) => mailbox
                    .send(Command::OpenSource(Box::new(OpenSource {
                        stream_id: stream_id.clone(),
                        connect_to,
                        client,
                        figures: figures.clone(),
                    })))
                    .map_err(|error| ("engine_busy", error.to_string())),
                Err(error) => Err(("host_not_found", error.to_string())),
            };
            if let Err((cause, detail)) = opened {
                figures.state.set(SourceState::Lost as u64);
                let retryable = true;
                events.push(
                    &stream_id,
                    EventBody::SourceLost {
                        cause,
                        retryable,
                        detail,
                    },
                );
            }
        });
        Ok(())
    }

    /// Hangs up. An unknown stream is no error; no `SourceLost` follows.
    ///
    /// # Errors
    /// [`EngineError::OverCapacity`], [`EngineError::Closed`].
    pub fn close_source(&self, stream_id: String) -> Result<(), EngineError> {
        lock(&self.dials).forget(&stream_id);
        self.figures.remove_source(&stream_id);
        self.mailbox.send(Command::CloseSource { stream_id })
    }

    /// Attaches a viewer and answers its offer at once; the stream need not be open yet.
    ///
    /// # Errors
    /// [`EngineError::MalformedOffer`], [`EngineError::NoCommonCodec`],
    /// [`EngineError::OverCapacity`], [`EngineError::Closed`].
    pub fn open_viewer(&self, request: ViewerRequest) -> Result<String, EngineError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(EngineError::Closed);
        }
        if self.figures.count_viewers() >= self.config.max_viewers {
            return Err(EngineError::OverCapacity("as many viewers as are allowed"));
        }
        let ice = IceCredentials::generate("0").map_err(|e| EngineError::Start(e.to_string()))?;
        let mut random = [0u8; 24];
        aws_lc_rs::rand::fill(&mut random)
            .map_err(|_| EngineError::Start("the system's random source failed".into()))?;
        let [a, b, c, d, e, f] = [0, 4, 8, 12, 16, 20].map(|at| {
            u32::from_be_bytes([random[at], random[at + 1], random[at + 2], random[at + 3]])
        });
        let ssrc = a.max(1);
        let rtx_ssrc = if e == ssrc { !ssrc } else { e };
        // RFC 3711 section 3.3.1: below 2^15, so that the first loss can't confuse the ROC.
        let [first_seq, first_rtx_seq] = [d, f].map(|random| (random >> 16) as u16 & 0x7FFF);
        let negotiated = negotiate(
            &request.offer_sdp,
            &AnswerParams {
                local_ufrag: &ice.ufrag,
                local_pwd: &ice.pwd,
                fingerprint: self.identity.fingerprint(),
                candidates: &self.candidates,
                tcp_candidates: &self.tcp_candidates,
                video_ssrc: ssrc,
                rtx_ssrc,
                cname: &request.viewer_id,
                stream_id: "streamhub",
                track_id: "video",
                origin_id: u64::from(b) << 16 | u64::from(c & 0xFFFF),
                profile_idc: None,
                extensions: &[],
            },
        )
        .map_err(|error| match error {
            NegotiateError::Malformed(reason) => EngineError::MalformedOffer(reason),
            NegotiateError::NoCommonCodec => EngineError::NoCommonCodec,
        })?;
        let row = self
            .figures
            .add_viewer(&request.viewer_id, &request.stream_id);
        row.figures.until_unix_ms.set(unix_ms(request.until));
        let opened = self.mailbox.send(Command::OpenViewer(Box::new(OpenViewer {
            viewer_id: request.viewer_id.clone(),
            stream_id: request.stream_id,
            channel_id: request.channel_id,
            subject_id: request.subject_id,
            until: monotonic(request.until),
            local_ufrag: ice.ufrag.clone(),
            peer: PeerConfig {
                local_ufrag: ice.ufrag,
                local_pwd: ice.pwd,
                remote_fingerprints: negotiated.fingerprints,
                identity: self.identity.clone(),
            },
            ssrc,
            payload_type: negotiated.h264_payload_type,
            first_seq,
            first_rtp_ts: c,
            rtx: negotiated.rtx_payload_type.map(|payload_type| RtxConfig {
                ssrc: rtx_ssrc,
                payload_type,
                first_seq: first_rtx_seq,
            }),
            row,
        })));
        if let Err(error) = opened {
            self.figures.remove_viewer(&request.viewer_id);
            return Err(error);
        }
        Ok(negotiated.answer)
    }

    /// Sets a new end for each named viewer; unknown ids are ignored.
    ///
    /// # Errors
    /// [`EngineError::OverCapacity`], [`EngineError::Closed`].
    pub fn renew_viewers(&self, leases: Vec<(String, SystemTime)>) -> Result<(), EngineError> {
        let leases = leases
            .into_iter()
            .map(|(id, until)| (id, monotonic(until)))
            .collect();
        self.mailbox.send(Command::RenewViewers(leases))
    }

    /// Ends the selected viewers: BYE, close_notify, `ViewerClosed(cause)` for each.
    ///
    /// # Errors
    /// [`EngineError::OverCapacity`], [`EngineError::Closed`].
    pub fn close_viewers(&self, select: Select, cause: &str) -> Result<(), EngineError> {
        let cause = cause.to_owned();
        self.mailbox.send(Command::CloseViewers { select, cause })
    }

    /// Asks for the newest keyframe: `KeyframeTaken` at once when one is cached, else with the
    /// next one. The caller keeps the deadline.
    ///
    /// # Errors
    /// [`EngineError::OverCapacity`], [`EngineError::Closed`].
    pub fn take_keyframe(&self, request_id: String, stream_id: String) -> Result<(), EngineError> {
        self.mailbox.send(Command::TakeKeyframe {
            request_id,
            stream_id,
        })
    }

    /// Says goodbye to all, and joins the shard. Blocks up to about `deadline`.
    pub fn shutdown(&self, deadline: Duration) {
        self.closed.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + deadline;
        let Some(thread) = lock(&self.thread).take() else {
            return;
        };
        // A full queue drains within a wake; the shard's end disconnects it.
        while let Err(EngineError::OverCapacity(_)) =
            self.mailbox.send(Command::Shutdown { deadline })
        {
            if Instant::now() >= deadline {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = thread.join();
    }
}

/// Which dial of a stream is the newest: a slow look-up must not reopen what was closed since.
#[derive(Debug, Default)]
struct Dials {
    newest: HashMap<String, u64>,
    /// Over all streams, so that a stream closed and opened again never meets an old number.
    begun: u64,
}

impl Dials {
    fn begin(&mut self, stream_id: &str) -> u64 {
        self.begun += 1;
        self.newest.insert(stream_id.to_owned(), self.begun);
        self.begun
    }

    fn is_newest(&self, stream_id: &str, dial: u64) -> bool {
        self.newest.get(stream_id) == Some(&dial)
    }

    fn forget(&mut self, stream_id: &str) {
        self.newest.remove(stream_id);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shutdown(Duration::from_millis(200));
    }
}

/// The one UDP socket, and beside it the TCP port.
fn bind(config: &EngineConfig) -> Result<(UdpSocket, Option<TcpListener>), EngineError> {
    let taken = |what: &str, at: SocketAddr, error: &std::io::Error| {
        EngineError::Start(format!("{what} {at}: {error}"))
    };
    // The number of a free UDP port may be taken for TCP: then another is asked for.
    let tries = if config.udp_bind.port() == 0 { 16 } else { 1 };
    let mut tried = 0;
    loop {
        tried += 1;
        let socket = UdpSocket::bind(config.udp_bind)
            .map_err(|error| taken("UDP", config.udp_bind, &error))?;
        let Some(tcp_port) = config.tcp_port else {
            return Ok((socket, None));
        };
        let mut at = config.udp_bind;
        at.set_port(match tcp_port {
            0 => socket
                .local_addr()
                .map_err(|error| taken("UDP", config.udp_bind, &error))?
                .port(),
            port => port,
        });
        match TcpListener::bind(at) {
            Ok(listener) => {
                listener
                    .set_nonblocking(true)
                    .map_err(|error| taken("TCP", at, &error))?;
                return Ok((socket, Some(listener)));
            }
            Err(_) if tried < tries => {}
            Err(error) => return Err(taken("TCP", at, &error)),
        }
    }
}

/// A watched stream is a socket, so 3,000 cameras pass the usual soft limit of 1,024.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Refused: the limit stays, and `streamhub doctor` says how to raise it.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// The point on the monotonic clock that is `at` by the time of day, as it is now.
fn monotonic(at: SystemTime) -> Instant {
    let now = Instant::now();
    match at.duration_since(SystemTime::now()) {
        Ok(ahead) => now + ahead,
        Err(_) => now,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_up_from_before_a_close_is_not_the_newest_dial_after_it() {
        let mut dials = Dials::default();
        let slow = dials.begin("a");
        assert!(dials.is_newest("a", slow));
        dials.forget("a");
        assert!(!dials.is_newest("a", slow));
        let again = dials.begin("a");
        assert!(!dials.is_newest("a", slow) && dials.is_newest("a", again));
        let other = dials.begin("b");
        assert!(dials.is_newest("a", again) && dials.is_newest("b", other));
    }
}

//! The engine as the control plane sees it. Nothing here waits for a shard but `shutdown`.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use fanout::{AudioConfig, RtxConfig};
use peer::rtsp_client::{ClientConfig, Secret};
use peer::tls::TlsIdentity;
use peer::webrtc::{
    AnswerParams, DtlsIdentity, IceCredentials, NegotiateError, PeerConfig, negotiate,
};

use crate::command::{AcceptRtsp, Command, OpenSource, OpenViewer, Select};
use crate::contract::{EngineConfig, EngineError, RtspRequest, SourceRequest, ViewerRequest};
use crate::dial::{Dials, Resolver};
use crate::event::{EventBody, EventQueue};
use crate::guard::{Seam, guarded};
use crate::mailbox::Mailbox;
use crate::mesh::{MAX_SHARDS, Mesh, shard_for, ufrag_prefix};
use crate::start::{bind, bind_rtsp, raise_open_files, shards};
use crate::stats::{Figures, SourceState, ViewerTransport, unix_ms};
use crate::viewer::RTSP_PAYLOAD_TYPES;

/// Asked of the kernel for the one UDP socket: a keyframe for 20 viewers is 4 MB.
const UDP_BUFFER_BYTES: usize = 8 << 20;

/// The packet plane of one process.
pub struct Engine {
    // given
    config: EngineConfig,
    // owned
    mesh: Mesh,
    events: Arc<EventQueue>,
    figures: Arc<Figures>,
    identity: Arc<DtlsIdentity>,
    resolver: Resolver,
    dials: Arc<Mutex<Dials>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    closed: AtomicBool,
    // derived
    candidates: Vec<SocketAddr>,
    tcp_candidates: Vec<SocketAddr>,
    udp_port: u16,
    rtsp_port: Option<u16>,
    rtsps_port: Option<u16>,
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
        if !(1..=MAX_SHARDS).contains(&config.shards) {
            let allowed = format!("1 to {MAX_SHARDS} are possible");
            return Err(start("shards", &allowed));
        }
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
        let figures = Arc::new(Figures::new(config.shards));
        let rtsp = bind_rtsp(&config)?;
        let port_of = |listener: Option<&TcpListener>| {
            let port = listener.map(|listener| listener.local_addr().map(|at| at.port()));
            port.transpose().map_err(|e| start("RTSP", &e))
        };
        let rtsp_port = port_of(rtsp.as_ref().and_then(|ports| ports.plain.as_ref()))?;
        let tls = rtsp.as_ref().and_then(|ports| ports.tls.as_ref());
        let rtsps_port = port_of(tls.map(|port| &port.listener))?;
        let (mesh, shards) = shards(&config, &socket, listener, rtsp, &events, &figures)
            .map_err(|e| start("shard", &e))?;
        let threads = shards
            .into_iter()
            .enumerate()
            .map(|(index, shard)| {
                std::thread::Builder::new()
                    .name(format!("sh-shard-{index}"))
                    .spawn(move || shard.run_guarded())
            })
            .collect::<std::io::Result<Vec<_>>>()
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
            mesh,
            events,
            figures,
            identity,
            resolver: Resolver::start().map_err(|e| start("resolver thread", &e))?,
            dials: Arc::default(),
            threads: Mutex::new(threads),
            closed: AtomicBool::new(false),
            udp_port,
            rtsp_port,
            rtsps_port,
            config,
        })
    }

    pub fn udp_port(&self) -> u16 {
        self.udp_port
    }

    /// Where RTSP clients are taken in, if they are.
    pub fn rtsp_port(&self) -> Option<u16> {
        self.rtsp_port
    }

    /// Where RTSP clients are taken in by TLS, if they are.
    pub fn rtsps_port(&self) -> Option<u16> {
        self.rtsps_port
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
        let mailbox = self.home_of(&request.stream_id).clone();
        let (dials, events, all_figures) = (
            self.dials.clone(),
            self.events.clone(),
            self.figures.clone(),
        );
        self.events
            .push(&request.stream_id, EventBody::Step { step: "dial" });
        self.resolver.resolve(&host, port, move |found| {
            let stream_id = request.stream_id;
            // Held until it is sent: whatever closes the stream meanwhile says so behind it.
            let dials = lock(&dials);
            if !dials.is_newest(&stream_id, dial) {
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
            drop(dials);
            if let Err((cause, detail)) = opened {
                all_figures.lose_source(&stream_id, cause);
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
        self.home_of(&stream_id).send(Command::CloseSource {
            stream_id: stream_id.clone(),
        })
    }

    /// Attaches a viewer and answers its offer at once; the stream need not be open yet.
    ///
    /// # Errors
    /// [`EngineError::MalformedOffer`], [`EngineError::NoCommonCodec`],
    /// [`EngineError::OverCapacity`], [`EngineError::Closed`].
    pub fn open_viewer(&self, request: ViewerRequest) -> Result<String, EngineError> {
        let shard = self.place_for_viewer(&request.stream_id)?;
        let known = self.figures.codec(&request.stream_id);
        let mailboxes = self.mesh.mailboxes();
        let ice = IceCredentials::generate(ufrag_prefix(shard))
            .map_err(|e| EngineError::Start(e.to_string()))?;
        let mut random = [0u8; 36];
        aws_lc_rs::rand::fill(&mut random)
            .map_err(|_| EngineError::Start("the system's random source failed".into()))?;
        let [a, b, c, d, e, f, g, h, i] = [0, 4, 8, 12, 16, 20, 24, 28, 32].map(|at| {
            u32::from_be_bytes([random[at], random[at + 1], random[at + 2], random[at + 3]])
        });
        let ssrc = a.max(1);
        let rtx_ssrc = if e == ssrc { !ssrc } else { e };
        // RFC 3711 section 3.3.1: below 2^15, so that the first loss can't confuse the ROC.
        let audio_ssrc = if [ssrc, rtx_ssrc].contains(&g) {
            ssrc ^ rtx_ssrc
        } else {
            g
        };
        let [first_seq, first_rtx_seq, first_audio_seq] =
            [d, f, h].map(|random| (random >> 16) as u16 & 0x7FFF);
        let params = AnswerParams {
            local_ufrag: &ice.ufrag,
            local_pwd: &ice.pwd,
            fingerprint: self.identity.fingerprint(),
            candidates: &self.candidates,
            tcp_candidates: &self.tcp_candidates,
            video_ssrc: ssrc,
            rtx_ssrc,
            audio_ssrc,
            cname: &request.viewer_id,
            stream_id: "streamhub",
            track_id: "video",
            origin_id: u64::from(b) << 16 | u64::from(c & 0xFFFF),
            profile_idc: None,
            extensions: &[],
            remb: self.config.remb,
        };
        // The caller's thread is the control plane's: an offer must not end that either.
        let negotiated = guarded(Seam::Offer, || negotiate(&request.offer_sdp, &params));
        let negotiated = negotiated
            .unwrap_or_else(|| {
                let detail = "an offer made its reader panic; no view was opened".to_owned();
                self.events
                    .push(&request.viewer_id, EventBody::WorkerFault { detail });
                Err(NegotiateError::Malformed("it made the reader fail".into()))
            })
            .map_err(|error| match error {
                NegotiateError::Malformed(reason) => EngineError::MalformedOffer(reason),
                NegotiateError::NoCommonCodec => EngineError::NoCommonCodec(known),
            })?;
        if let Some(codec) = known.filter(|codec| negotiated.payload_types.get(*codec).is_none()) {
            return Err(EngineError::NoCommonCodec(Some(codec)));
        }
        let has_rtx = (negotiated.payload_types.iter()).any(|(_, numbers)| numbers.rtx.is_some());
        let row = self.figures.add_viewer(
            &request.viewer_id,
            &request.stream_id,
            negotiated.payload_types,
        );
        row.figures.until_unix_ms.set(unix_ms(request.until));
        row.figures.shard.set(shard as u64);
        mailboxes[shard].add_viewer();
        let opened = mailboxes[shard].send(Command::OpenViewer(Box::new(OpenViewer {
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
            payload_types: negotiated.payload_types,
            first_seq,
            first_rtp_ts: c,
            rtx: has_rtx.then_some(RtxConfig {
                ssrc: rtx_ssrc,
                first_seq: first_rtx_seq,
            }),
            audio: negotiated.audio.map(|formats| AudioConfig {
                ssrc: audio_ssrc,
                a_law: formats.pcma,
                mu_law: formats.pcmu,
                first_seq: first_audio_seq,
                first_rtp_ts: i,
            }),
            row,
        })));
        if let Err(error) = opened {
            mailboxes[shard].remove_viewer();
            self.figures.remove_viewer(&request.viewer_id);
            return Err(error);
        }
        Ok(negotiated.answer)
    }

    /// Lets a client of the RTSP door watch, as a viewer. Its DESCRIBE is answered when the stream has
    /// a keyframe. One that has gone meanwhile is said to be closed, as any viewer.
    ///
    /// # Errors
    /// [`EngineError::OverCapacity`], [`EngineError::Closed`]: then it still waits, to be refused.
    pub fn accept_rtsp(&self, request: RtspRequest) -> Result<(), EngineError> {
        let shard = self.place_for_viewer(&request.stream_id)?;
        let mailboxes = self.mesh.mailboxes();
        let viewer_id = request.viewer_id;
        let row = (self.figures).add_viewer(&viewer_id, &request.stream_id, RTSP_PAYLOAD_TYPES);
        row.figures.until_unix_ms.set(unix_ms(request.until));
        row.figures.shard.set(shard as u64);
        row.figures.transport.set(ViewerTransport::Rtsp as u64);
        mailboxes[shard].add_viewer();
        // The first shard took the connection in.
        let sent = mailboxes[0].send(Command::AcceptRtsp(Box::new(AcceptRtsp {
            connection_id: request.connection_id,
            shard,
            viewer_id: viewer_id.clone(),
            stream_id: request.stream_id,
            channel_id: request.channel_id,
            subject_id: request.subject_id,
            until: monotonic(request.until),
            row,
        })));
        if sent.is_err() {
            mailboxes[shard].remove_viewer();
            self.figures.remove_viewer(&viewer_id);
        }
        sent
    }

    /// Answers a client of the RTSP door with this status, and `Retry-After` unless it is 0.
    ///
    /// # Errors
    /// [`EngineError::OverCapacity`], [`EngineError::Closed`].
    pub fn refuse_rtsp(
        &self,
        connection_id: String,
        status: u16,
        retry_after_s: u32,
    ) -> Result<(), EngineError> {
        self.mesh.mailboxes()[0].send(Command::RefuseRtsp {
            connection_id,
            status,
            retry_after_s,
        })
    }

    /// Shows this certificate to who comes by TLS from here on; connections that are there go on.
    ///
    /// # Errors
    /// [`EngineError::OverCapacity`], [`EngineError::Closed`].
    pub fn set_rtsp_identity(&self, identity: TlsIdentity) -> Result<(), EngineError> {
        self.mesh.mailboxes()[0].send(Command::SetRtspIdentity(identity))
    }

    /// The shard that a new viewer of this stream goes to.
    fn place_for_viewer(&self, stream_id: &str) -> Result<usize, EngineError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(EngineError::Closed);
        }
        if self.figures.count_viewers() >= self.config.max_viewers {
            return Err(EngineError::OverCapacity("as many viewers as are allowed"));
        }
        let loads: Vec<usize> = self.mesh.mailboxes().iter().map(Mailbox::load).collect();
        Ok(shard_for(self.mesh.home_of(stream_id), &loads))
    }

    /// Sets a new end for each named viewer; unknown ids are ignored.
    ///
    /// # Errors
    /// [`EngineError::OverCapacity`], [`EngineError::Closed`].
    pub fn renew_viewers(&self, leases: Vec<(String, SystemTime)>) -> Result<(), EngineError> {
        let leases: Vec<_> = leases
            .into_iter()
            .map(|(id, until)| (id, monotonic(until)))
            .collect();
        self.tell_all(|| Command::RenewViewers(leases.clone()))
    }

    /// Turns a viewer's sound on or off: the camera's G.711, as it comes. Unknown ids, and viewers
    /// whose offer takes no G.711, are ignored.
    ///
    /// # Errors
    /// [`EngineError::OverCapacity`], [`EngineError::Closed`].
    pub fn set_viewer_audio(&self, viewer_id: String, on: bool) -> Result<(), EngineError> {
        let mailbox = self.shard_of(&viewer_id);
        mailbox.map_or(Ok(()), |shard| {
            shard.send(Command::SetViewerAudio { viewer_id, on })
        })
    }

    /// Sends the viewer on to another stream of its camera, at a keyframe, within the same RTP
    /// stream; it stays where it is until then. Unknown ids are ignored.
    ///
    /// # Errors
    /// [`EngineError::NoCommonCodec`] where it is known; else `SwitchRefused` says so later.
    /// [`EngineError::OverCapacity`], [`EngineError::Closed`].
    pub fn switch_viewer(&self, viewer_id: String, stream_id: String) -> Result<(), EngineError> {
        if let (Some(row), Some(codec)) = (
            self.figures.viewer(&viewer_id),
            self.figures.codec(&stream_id),
        ) && row.payload_types.get(codec).is_none()
        {
            return Err(EngineError::NoCommonCodec(Some(codec)));
        }
        let mailbox = self.shard_of(&viewer_id);
        mailbox.map_or(Ok(()), |shard| {
            shard.send(Command::SwitchViewer {
                viewer_id,
                stream_id,
            })
        })
    }

    /// Ends the selected viewers: BYE, close_notify, `ViewerClosed(cause)` for each.
    ///
    /// # Errors
    /// [`EngineError::OverCapacity`], [`EngineError::Closed`].
    pub fn close_viewers(&self, select: Select, cause: &str) -> Result<(), EngineError> {
        if let Select::Ids(ids) = &select {
            // Those on their way from one shard to another would be missed in both.
            for (_, row) in self.figures.viewers(Some(ids)) {
                row.close();
            }
        }
        self.tell_all(|| Command::CloseViewers {
            select: select.clone(),
            cause: cause.to_owned(),
        })
    }

    /// Asks for the newest keyframe: `KeyframeTaken` at once when one is cached, else with the
    /// next one. The caller keeps the deadline.
    ///
    /// # Errors
    /// [`EngineError::OverCapacity`], [`EngineError::Closed`].
    pub fn take_keyframe(&self, request_id: String, stream_id: String) -> Result<(), EngineError> {
        self.home_of(&stream_id).send(Command::TakeKeyframe {
            request_id,
            stream_id: stream_id.clone(),
        })
    }

    /// The way to the shard that pulls a stream.
    fn home_of(&self, stream_id: &str) -> &Mailbox {
        &self.mesh.mailboxes()[self.mesh.home_of(stream_id)]
    }

    /// The way to the shard that has a viewer; `None` where there is no such viewer.
    fn shard_of(&self, viewer_id: &str) -> Option<&Mailbox> {
        let shard = self.figures.viewer(viewer_id)?.figures.shard.get();
        self.mesh.mailboxes().get(usize::try_from(shard).ok()?)
    }

    /// For viewers, wherever they are: a shard passes over those that it has not. All are told, also
    /// when one is too busy, which is said then. One that has ended by a fault has no viewers any more.
    fn tell_all(&self, command: impl Fn() -> Command) -> Result<(), EngineError> {
        let going = (self.mesh.mailboxes().iter()).filter(|shard| !shard.has_ended());
        going
            .map(|shard| shard.send(command()))
            .fold(Ok(()), Result::and)
    }

    /// Says goodbye to all, and joins the shards. Blocks up to about `deadline`.
    pub fn shutdown(&self, deadline: Duration) {
        self.closed.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + deadline;
        let threads = std::mem::take(&mut *lock(&self.threads));
        for mailbox in self.mesh.mailboxes() {
            // A full queue drains within a wake; the shard's end disconnects it.
            while let Err(EngineError::OverCapacity(_)) =
                mailbox.send(Command::Shutdown { deadline })
            {
                if Instant::now() >= deadline {
                    return;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shutdown(Duration::from_millis(200));
    }
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

//! The server side of one RTSP 1.0 connection (RFC 2326): one video stream per connection, over
//! interleaved TCP or unicast UDP, and its sound over TCP, digest MD5 (FFmpeg's clients know no other), keep-alive and timeout.
//!
//! Belongs here: the dialogue. Does not: which streams exist (the caller's [`Mounts`]), media and
//! its pacing, sockets, clocks. Called by the camera simulator (`core/farm`) and by
//! [`crate::rtsp_door`], which says who may watch.
//!
//! Bytes in by [`RtspServer::receive`]; answers out by [`RtspServer::poll_transmit`]; what the
//! driver must do by [`RtspServer::poll_event`], in order. Every answer that precedes an event is
//! already in the transmit queue when the event appears.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wire::digest::{Algorithm, Authorization, DigestChallenge};
use wire::rtsp::{Item, Message, Reader, Request, Response, RtspIdHeader, RtspUrl, Transport};

/// What the picture's track is called below its stream's URL.
pub const TRACK_CONTROL: &str = "trackID=0";
/// What the sound's track is called, where the SDP has one.
pub const AUDIO_CONTROL: &str = "trackID=1";

const PUBLIC_METHODS: &str =
    "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER";

/// A client may send on while a request of its waits ([`Mount::Later`]): a few requests, no more.
pub const MAX_WAITING_BYTES: usize = 16 * 1024;

/// Who may ask. `Debug` does not show the password.
#[derive(Clone)]
pub struct Credentials {
    pub username: String,
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .field("password", &"***")
            .finish()
    }
}

/// What all connections of one server have in common.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The `Server` header.
    pub server_name: String,
    pub realm: String,
    /// `None`: nobody is asked for a password.
    pub credentials: Option<Credentials>,
    /// Announced with the RTSP session id; a client that is silent for longer is closed.
    pub rtsp_session_timeout: Duration,
    /// RTP and RTCP port that media by UDP comes from; `None` refuses UDP.
    pub server_port: Option<(u16, u16)>,
}

/// The random values of one connection, drawn by the driver.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionSeeds {
    pub nonce: u128,
    pub rtsp_session_id: u64,
    pub ssrc: u32,
    pub first_seq: u16,
    pub first_rtp_ts: u32,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// A stream, with its SDP.
    Stream { sdp: String },
    /// The same, by UDP only: SETUP for interleaved TCP is answered 461.
    UdpStream { sdp: String },
    /// Any refusal with a status code of its own: 404, 453, 503.
    Refused { status: u16 },
    /// The same, for now: with `Retry-After`.
    Busy { status: u16, retry_after_s: u32 },
    /// 401 whatever the client offers.
    Unauthorized,
    /// 401, with a challenge for Basic: what is wanted is no password of a user, but a ticket.
    TicketWanted,
    /// The request is of no stream: OPTIONS and the like are answered all the same.
    Any,
    /// It is not known yet: the request waits, and all behind it, for [`RtspServer::resume`].
    Later,
    /// The request is never answered.
    Mute,
    /// The connection is to be reset: [`ServerEvent::Reset`].
    Reset,
}

/// The streams of a server, asked anew at every request: a stream may change between two.
pub trait Mounts {
    /// `path` begins with `/`, without the track's name and without a slash at its end.
    fn look_up(&mut self, path: &str, request: &Request) -> Mount;
}

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// Send the stream at `path`.
    Play {
        path: String,
        to: MediaTarget,
        /// Where the sound goes in this connection, if it was asked for.
        audio_channel: Option<u8>,
    },
    /// Send no more media, keep the connection.
    Stop,
    /// The same, and the client does not mean to go on.
    TornDown,
    /// Close after all answers were sent.
    Close(CloseCause),
    /// Close at once with a TCP reset.
    Reset,
}

/// Where a client wants the media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaTarget {
    /// In this connection: RTP on this channel, RTCP on the next.
    Interleaved { rtp_channel: u8 },
    /// To these ports of the client's address.
    Udp { rtp_port: u16, rtcp_port: u16 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCause {
    /// No request and no RTCP for the announced timeout.
    TimedOut,
    /// What came was not RTSP.
    NotRtsp,
    /// More came behind a request that waits than [`MAX_WAITING_BYTES`].
    TooMuch,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Ready { path: String, to: MediaTarget },
    Playing { path: String, to: MediaTarget },
}

/// One connection's machine; see the module.
#[derive(Debug)]
pub struct RtspServer {
    // given
    config: Arc<ServerConfig>,
    seeds: ConnectionSeeds,
    // owned
    reader: Reader,
    phase: Phase,
    heard: Instant,
    played_before: bool,
    audio_channel: Option<u8>,
    closed: bool,
    /// A request that waits, and what came behind it.
    waiting: Option<Request>,
    behind: Vec<u8>,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<ServerEvent>,
    // derived
    nonce: String,
    rtsp_session_id: String,
}

impl RtspServer {
    #[must_use]
    pub fn new(config: Arc<ServerConfig>, seeds: ConnectionSeeds, now: Instant) -> Self {
        Self {
            nonce: format!("{:032x}", seeds.nonce),
            rtsp_session_id: format!("{:016X}", seeds.rtsp_session_id),
            config,
            seeds,
            reader: Reader::new(),
            phase: Phase::Idle,
            heard: now,
            played_before: false,
            audio_channel: None,
            closed: false,
            waiting: None,
            behind: Vec::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Take bytes from the client. Bytes after a close are ignored.
    pub fn receive(&mut self, now: Instant, bytes: &[u8], mounts: &mut dyn Mounts) {
        let mut taken_bytes = 0;
        let mut reader = mem::take(&mut self.reader);
        while !self.closed && self.waiting.is_none() {
            let mut input = &bytes[taken_bytes..];
            let Some(item) = reader.next(&mut input) else {
                break;
            };
            taken_bytes = bytes.len() - input.len();
            match item {
                Item::Message(Message::Request(request)) => {
                    self.heard = now;
                    self.answer(request, mounts);
                }
                // RTCP receiver reports count as a sign of life; answers are to nothing of ours.
                Item::Interleaved { .. } | Item::Message(Message::Response(_)) => self.heard = now,
                Item::Desync(_) => {
                    self.transmit(Response::new(400));
                    self.close(CloseCause::NotRtsp);
                }
            }
        }
        self.reader = reader;
        if self.waiting.is_some() && !self.closed {
            self.behind.extend_from_slice(&bytes[taken_bytes..]);
            if self.behind.len() > MAX_WAITING_BYTES {
                self.close(CloseCause::TooMuch);
            }
        }
    }

    /// Asks [`Mounts`] again for the request that waits, and goes on with what came behind it.
    pub fn resume(&mut self, now: Instant, mounts: &mut dyn Mounts) {
        let Some(request) = self.waiting.take().filter(|_| !self.closed) else {
            return;
        };
        self.heard = now;
        self.answer(request, mounts);
        if self.waiting.is_none() {
            let behind = mem::take(&mut self.behind);
            self.receive(now, &behind, mounts);
        }
    }

    /// Does a request wait?
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called; moves with every sign of life.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        (!self.closed).then(|| self.heard + self.config.rtsp_session_timeout)
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|due| now >= due) {
            self.close(CloseCause::TimedOut);
        }
    }

    fn close(&mut self, cause: CloseCause) {
        self.closed = true;
        self.phase = Phase::Idle;
        self.waiting = None;
        self.behind = Vec::new();
        self.events.push_back(ServerEvent::Close(cause));
    }

    fn transmit(&mut self, response: Response) {
        let response = response.header("Server", &self.config.server_name);
        self.transmits.push_back(response.encode());
    }

    fn answer(&mut self, request: Request, mounts: &mut dyn Mounts) {
        let path = stream_path(&request.uri);
        let mount = path.as_deref().map(|path| mounts.look_up(path, &request));
        if mount == Some(Mount::Later) {
            self.waiting = Some(request);
            return;
        }
        let request = &request;
        let mut response = match mount {
            Some(Mount::Mute | Mount::Later) => return,
            Some(Mount::Reset) => {
                self.closed = true;
                self.events.push_back(ServerEvent::Reset);
                return;
            }
            Some(Mount::Unauthorized) => self.challenge(),
            _ if request.method != "OPTIONS" && !self.is_authorized(request) => self.challenge(),
            Some(Mount::TicketWanted) => {
                let basic = format!("Basic realm=\"{}\"", self.config.realm);
                Response::new(401).header("WWW-Authenticate", &basic)
            }
            Some(Mount::Refused { status }) => Response::new(status),
            Some(Mount::Busy {
                status,
                retry_after_s,
            }) => Response::new(status).header("Retry-After", &retry_after_s.to_string()),
            Some(Mount::Stream { sdp }) => {
                self.dispatch(request, path.as_deref(), Some(&sdp), true)
            }
            Some(Mount::UdpStream { sdp }) => {
                self.dispatch(request, path.as_deref(), Some(&sdp), false)
            }
            Some(Mount::Any) | None => self.dispatch(request, None, None, true),
        };
        if let Some(cseq) = request.headers.get("CSeq") {
            response = response.header("CSeq", cseq);
        }
        self.transmit(response);
        // Events come after the answer they belong to, so PLAY is announced here.
        if let Phase::Playing { path, to } = &self.phase
            && request.method == "PLAY"
        {
            self.events.push_back(ServerEvent::Play {
                path: path.clone(),
                to: *to,
                audio_channel: self.audio_channel,
            });
        }
    }

    fn dispatch(
        &mut self,
        request: &Request,
        path: Option<&str>,
        sdp: Option<&str>,
        by_tcp: bool,
    ) -> Response {
        if let Some(feature) = request.headers.get("Require") {
            return Response::new(551).header("Unsupported", feature);
        }
        match (request.method.as_str(), path, sdp) {
            ("OPTIONS", ..) => Response::new(200).header("Public", PUBLIC_METHODS),
            ("DESCRIBE", Some(_), Some(sdp)) => {
                let base = format!("{}/", without_query(&request.uri).trim_end_matches('/'));
                Response::new(200)
                    .header("Content-Base", &base)
                    .body("application/sdp", sdp.as_bytes().to_vec())
            }
            ("SETUP", Some(path), Some(sdp)) if request.uri.ends_with(AUDIO_CONTROL) => {
                self.set_up_audio(request, path, sdp)
            }
            ("SETUP", Some(path), Some(_)) => self.set_up(request, path, by_tcp),
            ("PLAY" | "PAUSE" | "TEARDOWN" | "GET_PARAMETER" | "SET_PARAMETER", ..) => {
                self.control(request)
            }
            ("DESCRIBE" | "SETUP", ..) => Response::new(404),
            _ => Response::new(501),
        }
    }

    fn set_up(&mut self, request: &Request, path: &str, by_tcp: bool) -> Response {
        if matches!(self.phase, Phase::Playing { .. }) {
            return Response::new(455);
        }
        let offered = request.headers.get("Transport").unwrap_or_default();
        let offered = Transport::parse_list(offered);
        let found = offered
            .iter()
            .find_map(|offer| self.media_target(offer, by_tcp));
        let Some((to, answer)) = found else {
            return Response::new(461);
        };
        let answer = Transport {
            ssrc: Some(self.seeds.ssrc),
            ..answer
        };
        self.phase = Phase::Ready {
            path: path.to_owned(),
            to,
        };
        self.with_rtsp_session(Response::new(200), true)
            .header("Transport", &answer.to_string())
    }

    /// The sound beside the picture, which was set up before.
    fn set_up_audio(&mut self, request: &Request, path: &str, sdp: &str) -> Response {
        let is_ready = matches!(&self.phase, Phase::Ready { path: ready, .. } if ready == path);
        if !is_ready || !sdp.contains(AUDIO_CONTROL) {
            return Response::new(if is_ready { 404 } else { 455 });
        }
        let offered = request.headers.get("Transport").unwrap_or_default();
        let offered = Transport::parse_list(offered);
        let channels = offered.iter().find_map(|offer| offer.interleaved);
        let Some((rtp_channel, _)) = channels else {
            return Response::new(461);
        };
        self.audio_channel = Some(rtp_channel);
        self.with_rtsp_session(Response::new(200), true)
            .header("Transport", &Transport::tcp(rtp_channel).to_string())
    }

    /// What one alternative of a client leads to, if it is served.
    fn media_target(&self, offer: &Transport, by_tcp: bool) -> Option<(MediaTarget, Transport)> {
        if offer.multicast {
            return None;
        }
        if offer.is_interleaved() {
            // The client names its channels; without a wish it gets the first pair.
            let rtp_channel = offer.interleaved.map_or(0, |(rtp, _)| rtp);
            let to = MediaTarget::Interleaved { rtp_channel };
            return by_tcp.then(|| (to, Transport::tcp(rtp_channel)));
        }
        let (rtp_port, rtcp_port) = offer.client_port?;
        let to = MediaTarget::Udp {
            rtp_port,
            rtcp_port,
        };
        let answer = Transport {
            client_port: offer.client_port,
            server_port: Some(self.config.server_port?),
            ..Transport::udp(rtp_port)
        };
        Some((to, answer))
    }

    /// Requests that need the RTSP session that SETUP made.
    fn control(&mut self, request: &Request) -> Response {
        let method = request.method.as_str();
        let named = request
            .headers
            .get("Session")
            .and_then(RtspIdHeader::parse)
            .map(|header| header.rtsp_session_id);
        if named.as_ref().is_some_and(|id| *id != self.rtsp_session_id)
            || (named.is_some() && self.phase == Phase::Idle)
        {
            return Response::new(454);
        }
        if matches!(method, "GET_PARAMETER" | "SET_PARAMETER") {
            return match named {
                Some(_) => self.with_rtsp_session(Response::new(200), false),
                None => Response::new(200),
            };
        }
        match (method, mem::replace(&mut self.phase, Phase::Idle)) {
            ("PLAY", Phase::Ready { path, to } | Phase::Playing { path, to }) => {
                self.phase = Phase::Playing { path, to };
                let mut response = self.with_rtsp_session(Response::new(200), false);
                response = response.header("Range", "npt=0.000-");
                // True only of the first PLAY: later ones go on counting.
                if !mem::replace(&mut self.played_before, true) {
                    let base = without_query(&request.uri).trim_end_matches('/');
                    let (seq, rtp_ts) = (self.seeds.first_seq, self.seeds.first_rtp_ts);
                    let info = format!("url={base}/{TRACK_CONTROL};seq={seq};rtptime={rtp_ts}");
                    response = response.header("RTP-Info", &info);
                }
                response
            }
            ("PAUSE", Phase::Ready { path, to } | Phase::Playing { path, to }) => {
                self.phase = Phase::Ready { path, to };
                self.events.push_back(ServerEvent::Stop);
                self.with_rtsp_session(Response::new(200), false)
            }
            ("TEARDOWN", Phase::Ready { .. } | Phase::Playing { .. }) => {
                self.events.push_back(ServerEvent::TornDown);
                self.with_rtsp_session(Response::new(200), false)
            }
            (_, phase) => {
                self.phase = phase;
                Response::new(455)
            }
        }
    }

    fn with_rtsp_session(&self, response: Response, with_timeout: bool) -> Response {
        let timeout_s = self.config.rtsp_session_timeout.as_secs();
        let header = RtspIdHeader {
            rtsp_session_id: self.rtsp_session_id.clone(),
            timeout_s: with_timeout.then(|| u32::try_from(timeout_s).unwrap_or(u32::MAX)),
        };
        response.header("Session", &header.to_string())
    }

    fn challenge(&self) -> Response {
        let challenge = DigestChallenge {
            realm: self.config.realm.clone(),
            nonce: self.nonce.clone(),
            algorithm: Algorithm::Md5,
            algorithm_named: true,
            ..DigestChallenge::default()
        };
        Response::new(401).header("WWW-Authenticate", &challenge.header_value())
    }

    /// The nonce is this connection's own and lives as long as it, so it needs no expiry.
    fn is_authorized(&self, request: &Request) -> bool {
        let Some(credentials) = &self.config.credentials else {
            return true;
        };
        let Some(Ok(offered)) = request
            .headers
            .get("Authorization")
            .map(Authorization::parse)
        else {
            return false;
        };
        offered.nonce() == Some(self.nonce.as_str())
            && offered.uri() == Some(request.uri.as_str())
            && offered.verify(
                &credentials.username,
                &credentials.password,
                &self.config.realm,
                &request.method,
            )
    }
}

/// A query (it may hold a ticket) is of the request alone: what is answered does not repeat it.
fn without_query(uri: &str) -> &str {
    uri.split_once('?').map_or(uri, |(before, _)| before)
}

/// The path of the stream that a request's URI names; `None` for `*` and for what is no URL.
fn stream_path(uri: &str) -> Option<String> {
    // Who comes by TLS says so, and means the same.
    let by_tls = (uri.split_once(':')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("rtsps"));
    let path = match by_tls {
        Some((_, rest)) => RtspUrl::parse(&format!("rtsp:{rest}")),
        None => RtspUrl::parse(uri),
    };
    let path = path.ok()?.path;
    let path = path.trim_end_matches('/');
    let path = path
        .strip_suffix(TRACK_CONTROL)
        .or_else(|| path.strip_suffix(AUDIO_CONTROL))
        .unwrap_or(path)
        .trim_end_matches('/');
    Some(if path.is_empty() { "/" } else { path }.to_owned())
}

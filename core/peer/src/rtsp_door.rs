//! Our side of one client that watches by RTSP: [`RtspServer`]'s dialogue behind a ticket.
//!
//! Belongs here: whose ticket is genuine and for what was asked, the wait for the control plane's
//! word and for the stream's first keyframe, the SDP. Does not: who may watch (the control plane
//! says), media, sockets, clocks. Called by `engine` alone.
//!
//! DESCRIBE, or SETUP where a client has kept its SDP, names a stream and brings a ticket, in the
//! query (`?ticket=`) or as the password of Basic. A genuine one is told of
//! ([`DoorEvent::Asked`]) and the request waits: [`RtspDoor::accept`], then [`RtspDoor::describe`],
//! or [`RtspDoor::refuse`]. A connection is of one stream, and its ticket is asked for once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wire::digest::{Authorization, base64_encode};
use wire::rtsp::Request;
use wire::sdp::{Media, Sdp};
use wire::ticket::{Ticket, TicketError, TicketKey};

use crate::rtsp_server::{
    ConnectionSeeds, MediaTarget, Mount, Mounts, RtspServer, ServerConfig, ServerEvent,
    TRACK_CONTROL,
};
use wire::codec::VideoCodec;

/// From a ticket to the answer: the control plane's word, a dial, a keyframe. Players give up
/// after 10 to 20 s.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Announced; a player sends a sign of life each half of it.
pub const RTSP_SESSION_TIMEOUT: Duration = Duration::from_secs(60);
/// Tries with no ticket or a wrong one before the connection is closed: players make two.
pub const MAX_TICKETS_REFUSED: u32 = 8;
/// Who asks again before this only asks the same.
const RETRY_AFTER_S: u32 = 5;

/// A genuine ticket for a stream. It is not yet said that its subject may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub channel_id: String,
    pub profile: String,
    pub ticket: Ticket,
}

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DoorEvent {
    /// Ask the control plane.
    Asked(Box<Asked>),
    /// A request came with no ticket (`None`), or a wrong one.
    TicketRefused(Option<TicketError>),
    /// Send the picture on this channel of the connection, and its reports on the next.
    Play {
        rtp_channel: u8,
    },
    Pause,
    /// Close when all answers are out.
    Over(Over),
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// TEARDOWN.
    TornDown,
    /// No sign of life for [`RTSP_SESSION_TIMEOUT`].
    Silent,
    /// What came was not RTSP, too much of it, or one wrong ticket after the other.
    Misbehaved,
    /// There was nothing to describe within [`ANSWER_WITHIN`].
    NoKeyframe,
}

impl Over {
    /// As a view's cause.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TornDown => "closed_by_viewer",
            Self::Silent => "no_sign_of_life",
            Self::Misbehaved => "not_rtsp",
            Self::NoKeyframe => "no_keyframe",
        }
    }
}

/// What a stream's SDP needs, in the order of decoding (RFC 6184 section 8.2, RFC 7798 section 7.1).
#[derive(Debug, Clone)]
pub struct Description {
    pub codec: VideoCodec,
    pub payload_type: u8,
    pub parameter_sets: Vec<bytes::Bytes>,
}

#[derive(Debug)]
enum State {
    /// Nobody has shown a ticket.
    Closed,
    /// The control plane has been asked for the stream at this path.
    Asked {
        path: String,
        until: Instant,
    },
    /// It may be watched; there is no keyframe yet.
    Accepted {
        path: String,
        until: Instant,
    },
    Described {
        path: String,
        sdp: String,
    },
    /// To be said once.
    Refusing {
        status: u16,
        retry_after_s: u32,
    },
}

#[derive(Debug)]
struct Gate {
    key: Arc<TicketKey>,
    state: State,
    events: std::collections::VecDeque<DoorEvent>,
    refused: u32,
    now: Instant,
    now_unix_s: u64,
}

/// One connection's machine; see the module.
#[derive(Debug)]
pub struct RtspDoor {
    server: RtspServer,
    gate: Gate,
    over: bool,
}

impl RtspDoor {
    #[must_use]
    pub fn new(key: Arc<TicketKey>, seeds: ConnectionSeeds, now: Instant) -> Self {
        let config = Arc::new(ServerConfig {
            server_name: "StreamHub".to_owned(),
            realm: "StreamHub".to_owned(),
            credentials: None,
            rtsp_session_timeout: RTSP_SESSION_TIMEOUT,
            server_port: None,
        });
        Self {
            server: RtspServer::new(config, seeds, now),
            gate: Gate {
                key,
                state: State::Closed,
                events: std::collections::VecDeque::new(),
                refused: 0,
                now,
                now_unix_s: 0,
            },
            over: false,
        }
    }

    /// Takes bytes from the client; `now_unix_s` is what tickets expire by.
    pub fn receive(&mut self, now: Instant, now_unix_s: u64, bytes: &[u8]) {
        (self.gate.now, self.gate.now_unix_s) = (now, now_unix_s);
        self.server.receive(now, bytes, &mut self.gate);
        self.settle();
    }

    /// The control plane says yes: the answer waits for the stream alone.
    pub fn accept(&mut self) {
        if let State::Asked { path, until } = &self.gate.state {
            self.gate.state = State::Accepted {
                path: path.clone(),
                until: *until,
            };
        }
    }

    /// The control plane says no, or there is no room: `status` is answered, and another ticket may
    /// be tried. `retry_after_s` of 0 is no such header.
    pub fn refuse(&mut self, now: Instant, status: u16, retry_after_s: u32) {
        if matches!(
            self.gate.state,
            State::Asked { .. } | State::Accepted { .. }
        ) {
            self.gate.state = State::Refusing {
                status,
                retry_after_s,
            };
            self.resume(now);
        }
    }

    /// A request waits for [`Self::accept`] or [`Self::refuse`].
    #[must_use]
    pub fn waits_for_word(&self) -> bool {
        matches!(self.gate.state, State::Asked { .. })
    }

    /// Accepted, and waiting for [`Self::describe`].
    #[must_use]
    pub fn wants_description(&self) -> bool {
        matches!(self.gate.state, State::Accepted { .. })
    }

    /// The stream has a keyframe: the request that waits is answered.
    pub fn describe(&mut self, now: Instant, description: &Description) {
        if let State::Accepted { path, .. } = &self.gate.state {
            self.gate.state = State::Described {
                path: path.clone(),
                sdp: sdp_of(description),
            };
            self.resume(now);
        }
    }

    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.server.poll_transmit()
    }

    pub fn poll_event(&mut self) -> Option<DoorEvent> {
        self.gate.events.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let answer = match &self.gate.state {
            State::Asked { until, .. } | State::Accepted { until, .. } => Some(*until),
            _ => None,
        };
        let silence = self.server.poll_timeout().filter(|_| !self.over);
        answer.into_iter().chain(silence).min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        let accepted = self.wants_description();
        if let State::Asked { until, .. } | State::Accepted { until, .. } = &self.gate.state
            && now >= *until
        {
            self.refuse(now, 504, RETRY_AFTER_S);
            if accepted {
                self.end(Over::NoKeyframe);
            }
        }
        self.server.handle_timeout(now);
        self.settle();
    }

    fn resume(&mut self, now: Instant) {
        self.gate.now = now;
        self.server.resume(now, &mut self.gate);
        self.settle();
    }

    fn settle(&mut self) {
        use crate::rtsp_server::CloseCause;
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::Play {
                    to: MediaTarget::Interleaved { rtp_channel },
                    ..
                } => self.gate.events.push_back(DoorEvent::Play { rtp_channel }),
                ServerEvent::Stop => self.gate.events.push_back(DoorEvent::Pause),
                ServerEvent::TornDown => self.end(Over::TornDown),
                ServerEvent::Close(CloseCause::TimedOut) => self.end(Over::Silent),
                // UDP is not offered.
                ServerEvent::Close(_) | ServerEvent::Reset | ServerEvent::Play { .. } => {
                    self.end(Over::Misbehaved);
                }
            }
        }
        if self.gate.refused >= MAX_TICKETS_REFUSED {
            self.end(Over::Misbehaved);
        }
    }

    /// Said once.
    fn end(&mut self, over: Over) {
        if !std::mem::replace(&mut self.over, true) {
            self.gate.events.push_back(DoorEvent::Over(over));
        }
    }
}

impl Mounts for Gate {
    fn look_up(&mut self, path: &str, request: &Request) -> Mount {
        // What else there is needs the RTSP session that SETUP makes.
        if !matches!(request.method.as_str(), "DESCRIBE" | "SETUP") {
            return Mount::Any;
        }
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let path = path.strip_suffix(TRACK_CONTROL).unwrap_or(path);
        let path = path.trim_end_matches('/');
        match &self.state {
            State::Described { path: ours, sdp } if ours == path => {
                return Mount::Stream { sdp: sdp.clone() };
            }
            State::Described { .. } => return Mount::Refused { status: 455 },
            State::Asked { .. } | State::Accepted { .. } => return Mount::Later,
            State::Refusing {
                status,
                retry_after_s,
            } => {
                let (status, retry_after_s) = (*status, *retry_after_s);
                self.state = State::Closed;
                if status == 401 {
                    return self.refused_ticket(None);
                }
                // A genuine ticket may not ask without end, either.
                self.refused += 1;
                return match (status, retry_after_s) {
                    (_, 0) => Mount::Refused { status },
                    _ => Mount::Busy {
                        status,
                        retry_after_s,
                    },
                };
            }
            State::Closed => {}
        }
        let opened = ticket_in(query, request).map(|text| self.key.open(&text, self.now_unix_s));
        let ticket = match opened {
            Some(Ok(ticket)) => ticket,
            Some(Err(error)) => return self.refused_ticket(Some(error)),
            None => return self.refused_ticket(None),
        };
        let named = path.trim_start_matches('/').split_once('/');
        let Some((channel_id, profile)) = named.filter(|(channel_id, profile)| {
            // Another's stream, or none at all: it is not said which.
            ticket.is_for(channel_id, profile)
        }) else {
            return Mount::Refused { status: 404 };
        };
        let (channel_id, profile) = (channel_id.to_owned(), profile.to_owned());
        self.state = State::Asked {
            path: path.to_owned(),
            until: self.now + ANSWER_WITHIN,
        };
        self.events.push_back(DoorEvent::Asked(Box::new(Asked {
            channel_id,
            profile,
            ticket,
        })));
        Mount::Later
    }
}

impl Gate {
    fn refused_ticket(&mut self, error: Option<TicketError>) -> Mount {
        self.refused += 1;
        self.events.push_back(DoorEvent::TicketRefused(error));
        Mount::TicketWanted
    }
}

/// `?ticket=`, else the password of Basic, whatever the user is called.
fn ticket_in(query: &str, request: &Request) -> Option<String> {
    // Clients that know no Content-Base glue the track's name to the query.
    let query = query.split('/').next().unwrap_or_default();
    let in_query = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("ticket="));
    if let Some(text) = in_query {
        return Some(text.to_owned());
    }
    let header = request.headers.get("Authorization")?;
    match Authorization::parse(header) {
        Ok(Authorization::Basic { password, .. }) => Some(password),
        _ => None,
    }
}

fn sdp_of(description: &Description) -> String {
    let payload_type = description.payload_type.to_string();
    let codec = description.codec;
    let media = Media::new("video", 0, "RTP/AVP", &[&payload_type])
        .line(
            'a',
            &format!("rtpmap:{payload_type} {}/90000", codec.name()),
        )
        .line(
            'a',
            &format!("fmtp:{payload_type} {}", format_of(description)),
        )
        .line('a', &format!("control:{TRACK_CONTROL}"));
    Sdp::default()
        .line('v', "0")
        .line('o', "- 1 1 IN IP4 0.0.0.0")
        .line('s', "StreamHub")
        .line('c', "IN IP4 0.0.0.0")
        .line('t', "0 0")
        .line('a', "control:*")
        .line('a', "range:npt=now-")
        .with_media(media)
        .to_string()
}

fn format_of(description: &Description) -> String {
    let sets = &description.parameter_sets;
    let listed = |wanted: &dyn Fn(&[u8]) -> bool| {
        let wanted = sets.iter().filter(|set| wanted(set));
        let encoded: Vec<String> = wanted.map(|set| base64_encode(set)).collect();
        encoded.join(",")
    };
    match description.codec {
        VideoCodec::H264 => {
            let sps = sets.iter().find(|set| h264_kind(set) == SPS);
            let level = match sps.map(|set| &set[..]) {
                Some([_, a, b, c, ..]) => format!("profile-level-id={a:02X}{b:02X}{c:02X};"),
                _ => String::new(),
            };
            let sets = listed(&|_| true);
            format!("packetization-mode=1;{level}sprop-parameter-sets={sets}")
        }
        VideoCodec::H265 => {
            let of = |kind: u8| listed(&move |set| h265_kind(set) == kind);
            let (vps, sps, pps) = (of(32), of(33), of(34));
            format!("sprop-vps={vps};sprop-sps={sps};sprop-pps={pps}")
        }
    }
}

/// ITU-T H.264 table 7-1.
const SPS: u8 = 7;

fn h264_kind(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |byte| byte & 0x1F)
}

/// ITU-T H.265 table 7-1.
fn h265_kind(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |byte| byte >> 1 & 0x3F)
}

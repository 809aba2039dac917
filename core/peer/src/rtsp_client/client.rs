//! The machine's outside: bytes and time in, bytes and events out. The dialogue itself is in
//! `dialogue.rs`.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

use wire::rtcp::{self, RtcpItem};
use wire::rtp::RTP_HEADER_BYTES;
use wire::rtsp::{DesyncCause, Item, Message, MessageError, Reader, RtspIdHeader, RtspUrl};

use super::audio::{AudioCodec, AudioTrack};
use super::auth::{Attempts, Auth};
use super::config::ClientConfig;
use super::failure::{Failure, FailureKind, Step};
use super::reception::Reception;
use super::track::Track;
use super::transcript::TranscriptEntry;
use super::udp::{Datagram, MediaTransport, UdpPath};
use super::{MAX_DESYNCS, MAX_SKIPPED_BYTES, RECEIVER_REPORT_EVERY};

/// What the camera sent, as slices of the bytes given to [`RtspClient::receive`] (or of the kept
/// tail, for the one packet that was cut in two).
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// Of the track's payload type, version 2, at least a header long; otherwise not looked at.
    Rtp {
        channel: u8,
        packet: &'a [u8],
    },
    Rtcp {
        channel: u8,
        packet: &'a [u8],
    },
    /// Sound, as RTP of version 2 and the track's payload type.
    Audio {
        codec: AudioCodec,
        packet: &'a [u8],
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// This step is done: `Connected`, `Options`, `Describe`, `Setup`, `Play`, `FirstPacket`.
    Step(Step),
    /// What is about to be pulled, known once SETUP is answered and before any RTP is handed out.
    Tracks(Vec<Track>),
    Playing {
        tracks: Vec<Track>,
    },
    /// The camera sent us elsewhere: close, dial this, call [`RtspClient::connected`].
    Redial {
        host: String,
        port: u16,
    },
    /// The camera sends by UDP only: bind two ports and say [`RtspClient::udp_bound`].
    UdpWanted,
    /// The end, said once. Send what is left and close.
    Failed(Failure),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientCounters {
    pub rtp_packets: u64,
    pub rtp_bytes: u64,
    pub audio_packets: u64,
    /// On the RTP channel, yet too short or not version 2.
    pub malformed_rtp: u64,
    pub malformed_rtcp: u64,
    pub unexpected_payload_type: u64,
    pub unassigned_channel: u64,
    /// Not from the camera, or before PLAY.
    pub foreign_datagrams: u64,
    pub stray_responses: u64,
    pub camera_requests: u64,
    pub desyncs: u64,
    pub skipped_bytes: u64,
    /// Messages not queued because the connection did not take them.
    pub unsent: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Dialling,
    Dialogue,
    Playing,
    Ended,
}

/// The request whose answer the dialogue waits for.
#[derive(Debug)]
pub(super) struct Pending {
    pub cseq: u32,
    pub deadline: Instant,
    pub attempts: Attempts,
}

/// The RTSP client machine of one pull.
#[derive(Debug)]
pub struct RtspClient {
    // given
    // What only the dialogue needs is boxed: of thousands of cameras, what each packet needs is to lie
    // close together.
    pub(super) config: Box<ClientConfig>,
    /// By TCP and by UDP, of the config: asked for after each packet.
    stall_after: (Duration, Duration),
    // owned: the dialogue
    pub(super) phase: Phase,
    /// The step that is not done yet.
    pub(super) step: Step,
    pub(super) target: Box<RtspUrl>,
    pub(super) redirects: u8,
    pub(super) auth: Box<Auth>,
    pub(super) cseq: u32,
    pub(super) pending: Option<Pending>,
    pub(super) keepalives: VecDeque<(u32, Attempts)>,
    pub(super) get_parameter: bool,
    pub(super) base: String,
    pub(super) rtsp_session_id: Option<String>,
    pub(super) timeout_s: u32,
    pub(super) track: Option<Track>,
    pub(super) audio: Option<AudioTrack>,
    /// The SETUP that waits for its answer is the sound's.
    pub(super) setting_up_audio: bool,
    pub(super) transport: MediaTransport,
    /// The other transport was tried before.
    pub(super) transport_changed: bool,
    pub(super) udp: Option<Box<UdpPath>>,
    // owned: the stream
    reader: Reader,
    /// RTP and RTCP channel, from the answer to SETUP on. By UDP they stand for the two ports.
    pub(super) channels: Option<(u8, u8)>,
    /// PLAY was handed out for sending: media before it is the echo of a dead pull.
    pub(super) media_open: bool,
    pub(super) reception: Reception,
    skipped_before: u64,
    pub(super) counters: ClientCounters,
    // derived: when to do what
    last_rtp: Option<Instant>,
    pub(super) keepalive_at: Option<Instant>,
    report_at: Option<Instant>,
    playing_since: Option<Instant>,
    // owned: what waits to be polled
    pub(super) transmits: VecDeque<Vec<u8>>,
    pub(super) datagrams: VecDeque<Datagram>,
    pub(super) events: VecDeque<ClientEvent>,
    pub(super) transcript: VecDeque<TranscriptEntry>,
}

impl RtspClient {
    /// A client that waits for its connection: nothing is sent before [`RtspClient::connected`].
    pub fn new(config: ClientConfig) -> Self {
        Self {
            phase: Phase::Dialling,
            step: Step::Dial,
            target: Box::new(config.url.clone()),
            redirects: 0,
            auth: Box::new(Auth::new(&config)),
            cseq: 0,
            pending: None,
            keepalives: VecDeque::new(),
            get_parameter: false,
            base: String::new(),
            rtsp_session_id: None,
            timeout_s: RtspIdHeader::DEFAULT_TIMEOUT_S,
            track: None,
            audio: None,
            setting_up_audio: false,
            transport: config.first_transport,
            transport_changed: false,
            udp: None,
            reader: Reader::new(),
            channels: None,
            media_open: false,
            reception: Reception::new(90_000),
            skipped_before: 0,
            counters: ClientCounters::default(),
            last_rtp: None,
            keepalive_at: None,
            report_at: None,
            playing_since: None,
            transmits: VecDeque::new(),
            datagrams: VecDeque::new(),
            events: VecDeque::new(),
            transcript: VecDeque::new(),
            stall_after: (config.stall_after, config.udp_stall_after),
            config: Box::new(config),
        }
    }

    /// Host (without brackets) and port to dial.
    pub fn dial_target(&self) -> (&str, u16) {
        (&self.target.host, self.target.port)
    }

    /// The track being pulled, from the answer to SETUP on.
    pub fn track(&self) -> Option<&Track> {
        self.track.as_ref().filter(|_| self.channels.is_some())
    }

    /// The step that is not done yet.
    pub fn step(&self) -> Step {
        self.step
    }

    /// True once it failed or was torn down; what is left to transmit should still be sent.
    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    pub fn last_rtp(&self) -> Option<Instant> {
        self.last_rtp
    }

    pub fn counters(&self) -> ClientCounters {
        self.counters
    }

    /// Bytes held between calls, for the bound of the whole process.
    pub fn buffered_bytes(&self) -> usize {
        self.reader.buffered_bytes() + self.transmits.iter().map(Vec::len).sum::<usize>()
    }

    /// The TCP connection to [`RtspClient::dial_target`] stands.
    pub fn connected(&mut self, now: Instant) {
        if self.phase == Phase::Dialling {
            self.phase = Phase::Dialogue;
            self.events.push_back(ClientEvent::Step(Step::Connected));
            self.request(now, Step::Options, Attempts::default());
        }
    }

    /// The TCP connection ended, or could not be used any more. Says nothing between
    /// [`ClientEvent::Redial`] and the next [`RtspClient::connected`].
    pub fn peer_closed(&mut self) {
        if self.is_talking() {
            let detail = "the camera closed the connection";
            self.fail(Failure::new(FailureKind::ClosedByPeer, self.step, detail));
        }
    }

    /// Bytes off the connection, cut anywhere; `sink` gets the media inside them at once.
    pub fn receive(&mut self, now: Instant, bytes: &[u8], sink: &mut dyn FnMut(Received<'_>)) {
        if !self.is_talking() {
            return;
        }
        let mut input = bytes;
        // Nearly always it is whole packets, and the reader can stay where it is.
        while let Some((channel, payload)) = self.reader.next_whole(&mut input) {
            self.on_interleaved(now, channel, payload, sink);
            if !self.is_talking() {
                return;
            }
        }
        if input.is_empty() {
            return;
        }
        let mut reader = mem::take(&mut self.reader);
        while let Some(item) = reader.next(&mut input) {
            match item {
                Item::Interleaved { channel, payload } => {
                    self.on_interleaved(now, channel, payload, sink);
                }
                Item::Message(message) => {
                    self.on_message(now, message);
                    if let Some((rtp, rtcp)) = self.channels {
                        let audio = self.audio.as_ref().and_then(|audio| audio.channels);
                        let (audio_rtp, audio_rtcp) = audio.unwrap_or((rtp, rtcp));
                        reader.set_known_channels(&[rtp, rtcp, audio_rtp, audio_rtcp]);
                    }
                }
                Item::Desync(cause) => self.on_desync(cause),
            }
            self.note_skipped(&reader);
            if !self.is_talking() {
                // The rest belongs to a connection we have left.
                return;
            }
        }
        self.note_skipped(&reader);
        self.reader = reader;
    }

    /// The next bytes to write, whole and in order.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        // From here on PLAY is on its way, so what comes may be ours.
        self.media_open = self.channels.is_some();
        self.transmits.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// The next message of the dialogue, redacted; needs `ClientConfig::transcript`.
    pub fn poll_transcript(&mut self) -> Option<TranscriptEntry> {
        self.transcript.pop_front()
    }

    /// When [`RtspClient::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.pending.as_ref().map(|pending| pending.deadline);
        let times = [waiting, self.keepalive_at, self.report_at, self.stall_at()];
        times.into_iter().flatten().min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.is_talking() {
            return;
        }
        if self.pending.as_ref().is_some_and(|p| p.deadline <= now) {
            self.on_deadline(now);
        }
        if self.stall_at().is_some_and(|at| at <= now) {
            let detail = self.stall_detail();
            return self.fail(Failure::new(FailureKind::Stalled, self.step, detail));
        }
        if self.report_at.is_some_and(|at| at <= now) {
            self.report_at = Some(now + RECEIVER_REPORT_EVERY);
            self.send_receiver_report(now);
        }
        if self.keepalive_at.is_some_and(|at| at <= now) {
            self.send_keepalive(now, Attempts::default());
        }
    }

    /// Says goodbye: transmit what is left, then close.
    pub fn teardown(&mut self) {
        if self.is_talking() {
            self.send_teardown();
            self.end();
        }
    }

    pub(super) fn is_talking(&self) -> bool {
        matches!(self.phase, Phase::Dialogue | Phase::Playing)
    }

    pub(super) fn start_playing(&mut self, now: Instant) {
        self.phase = Phase::Playing;
        self.pending = None;
        self.playing_since = Some(now);
        self.report_at = Some(now + RECEIVER_REPORT_EVERY);
        self.keepalive_at = Some(now + self.keepalive_interval());
        self.step = match self.last_rtp {
            Some(_) => Step::Streaming,
            None => Step::FirstPacket,
        };
        let tracks = self.track.iter().cloned().collect();
        self.events.push_back(ClientEvent::Step(Step::Play));
        self.events.push_back(ClientEvent::Playing { tracks });
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        if self.phase == Phase::Ended {
            return;
        }
        let gone = [FailureKind::ClosedByPeer, FailureKind::PullForgotten];
        if self.is_talking() && !gone.contains(&failure.kind) {
            // A camera with two pulls in all must not keep one for a client that has left.
            self.send_teardown();
        }
        self.end();
        self.events.push_back(ClientEvent::Failed(failure));
    }

    /// Forgets everything that belongs to the connection being left.
    pub(super) fn leave_connection(&mut self) {
        self.reader = Reader::new();
        self.skipped_before = 0;
        self.pending = None;
        self.keepalives.clear();
        self.transmits.clear();
        self.get_parameter = false;
    }

    pub(super) fn has_media(&self) -> bool {
        self.last_rtp.is_some()
    }

    pub(super) fn note_stray(&mut self) {
        self.counters.stray_responses += 1;
    }

    pub(super) fn note_camera_request(&mut self) {
        self.counters.camera_requests += 1;
    }

    pub(super) fn note_unsent(&mut self) {
        self.counters.unsent += 1;
    }

    fn end(&mut self) {
        self.phase = Phase::Ended;
        self.pending = None;
        self.keepalive_at = None;
        self.report_at = None;
        self.playing_since = None;
        self.reader = Reader::new();
    }

    fn stall_at(&self) -> Option<Instant> {
        let since = self.playing_since?;
        let since = self.last_rtp.map_or(since, |last| last.max(since));
        Some(since + self.stall_after())
    }

    fn stall_after(&self) -> Duration {
        match self.transport {
            MediaTransport::Tcp => self.stall_after.0,
            MediaTransport::Udp => self.stall_after.1,
        }
    }

    /// What came instead of pictures tells where to look.
    fn stall_detail(&self) -> String {
        let seconds = self.stall_after().as_secs();
        let by_udp = self.transport == MediaTransport::Udp;
        let counters = &self.counters;
        let instead = if self.last_rtp.is_some() {
            ""
        } else if counters.unexpected_payload_type > 0 {
            "; data comes with another payload type than the camera described"
        } else if counters.unassigned_channel > 0 {
            "; data comes on another channel than the camera assigned"
        } else if counters.foreign_datagrams > 0 {
            "; data comes from another address or port than the camera named"
        } else if by_udp {
            "; a firewall may stop UDP from the camera"
        } else {
            ""
        };
        format!("no picture data for {seconds} s{instead}")
    }

    fn on_interleaved(
        &mut self,
        now: Instant,
        channel: u8,
        packet: &[u8],
        sink: &mut dyn FnMut(Received<'_>),
    ) {
        let by_tcp = self.transport == MediaTransport::Tcp;
        match self.channels.filter(|_| by_tcp && self.media_open) {
            Some((rtp, _)) if rtp == channel => self.on_rtp(now, channel, packet, sink),
            Some((_, rtcp)) if rtcp == channel => {
                sink(Received::Rtcp { channel, packet });
                self.on_rtcp(now, packet);
            }
            Some(_) if self.on_audio(channel, packet, sink) => {}
            // Some cameras go on sending what a dead pull of before had asked for.
            _ => self.counters.unassigned_channel += 1,
        }
    }

    pub(super) fn on_rtp(
        &mut self,
        now: Instant,
        channel: u8,
        packet: &[u8],
        sink: &mut dyn FnMut(Received<'_>),
    ) {
        let [v, pt, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3, ..] = *packet else {
            self.counters.malformed_rtp += 1;
            return;
        };
        if v >> 6 != 2 {
            self.counters.malformed_rtp += 1;
            return;
        }
        let payload_type = self.track.as_ref().map(|track| track.payload_type);
        if payload_type != Some(pt & 0x7F) {
            self.counters.unexpected_payload_type += 1;
            return;
        }
        debug_assert!(packet.len() >= RTP_HEADER_BYTES);
        let ssrc = u32::from_be_bytes([c0, c1, c2, c3]);
        let rtp_ts = u32::from_be_bytes([t0, t1, t2, t3]);
        self.reception
            .on_rtp(now, ssrc, u16::from_be_bytes([s0, s1]), rtp_ts);
        self.counters.rtp_packets += 1;
        self.counters.rtp_bytes += packet.len() as u64;
        if self.last_rtp.replace(now).is_none() {
            self.events.push_back(ClientEvent::Step(Step::FirstPacket));
            if self.phase == Phase::Playing {
                self.step = Step::Streaming;
            }
        }
        sink(Received::Rtp { channel, packet });
    }

    pub(super) fn on_rtcp(&mut self, now: Instant, packet: &[u8]) {
        for item in rtcp::items(packet) {
            match item {
                Ok(RtcpItem::SenderReport { report, .. }) => {
                    self.reception
                        .on_sender_report(now, report.ssrc, report.ntp);
                }
                // A BYE of a source we do not know is the echo of a dead pull.
                Ok(RtcpItem::Bye { ssrcs }) if self.is_ours(&ssrcs) => {
                    let detail = "the camera ended the stream (RTCP BYE)";
                    self.fail(Failure::new(FailureKind::ClosedByPeer, self.step, detail));
                    return;
                }
                Ok(_) => {}
                Err(_) => self.counters.malformed_rtcp += 1,
            }
        }
    }

    fn is_ours(&self, ssrcs: &[u32]) -> bool {
        self.reception
            .ssrc()
            .is_some_and(|ours| ssrcs.contains(&ours))
    }

    fn on_message(&mut self, now: Instant, message: Message) {
        match message {
            Message::Response(response) => self.on_response(now, response),
            Message::Request(request) => self.on_request(&request),
        }
    }

    fn on_desync(&mut self, cause: DesyncCause) {
        if cause == DesyncCause::Malformed(MessageError::BodyTooLarge) {
            let detail = "the camera announces a longer answer than is taken";
            self.fail(Failure::new(FailureKind::BadResponse, self.step, detail));
        }
    }

    /// Carries the reader's counters over, and gives up a connection that lost its place too
    /// often or for too long.
    fn note_skipped(&mut self, reader: &Reader) {
        let read = reader.counters();
        let lost_again = read.desyncs > self.counters.desyncs;
        self.counters.desyncs = read.desyncs.max(self.counters.desyncs);
        self.counters.skipped_bytes = read.skipped_bytes.max(self.counters.skipped_bytes);
        if lost_again {
            self.skipped_before = read.skipped_bytes;
        }
        if read.desyncs > MAX_DESYNCS
            || read.skipped_bytes.saturating_sub(self.skipped_before) > MAX_SKIPPED_BYTES
        {
            let detail = "the camera's bytes are neither packets nor messages";
            self.fail(Failure::new(FailureKind::Desync, self.step, detail));
        }
    }
}

//! One viewer as a shard drives it: its transport, its cursor, its lease.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use fanout::{RTX_HEADER_BYTES, Retransmission, Ring, Subscriber, SubscriberConfig};
use peer::rtsp_server::ConnectionSeeds;
use peer::webrtc::{DatagramError, Origin, PeerEvent, Way, WebrtcPeer};
use wire::codec::{PayloadType, PayloadTypes, VideoCodec};
use wire::rtcp::{self, SenderReport};
use wire::rtp::RTP_HEADER_BYTES;

mod audio;
mod feedback;
mod leg;

use crate::command::{AcceptRtsp, OpenViewer};
use crate::event::{EventBody, EventQueue};
use crate::outbox::Outbox;
use crate::stats::{ViewerFigures, ViewerRow, unix_ms};
use crate::timers::Armed;
use audio::ViewerAudio;
use feedback::{Feedback, ntp};
pub(crate) use leg::Leg;
use leg::RtspLeg;

/// RFC 3550 section 6.2 allows 5 s at least; browsers map RTP to wall time from these.
const SENDER_REPORT_EVERY: Duration = Duration::from_secs(2);
/// Packets handed to one viewer in one visit; the subscriber's own pacing is at most as much.
const RUN_BUDGET_PACKETS: usize = 32;
/// Over this share lost, by its receiver reports, what is asked for again goes twice: browsers
/// wait 100 ms before they ask once more, which shows as a freeze.
const LOSES_MANY_PERMILLE: u64 = 10;
/// A lagging viewer is told of at most this often.
const LAG_TOLD_EVERY: Duration = Duration::from_secs(5);

/// The SDP of the RTSP door names one codec, under this number.
pub(crate) const RTSP_PAYLOAD_TYPE: u8 = 96;
/// Before the camera has told its codec.
pub(crate) const RTSP_PAYLOAD_TYPES: PayloadTypes = {
    let number = PayloadType {
        media: RTSP_PAYLOAD_TYPE,
        rtx: None,
    };
    PayloadTypes::only(VideoCodec::H264, number).with(VideoCodec::H265, number)
};

/// What a shard must do after a viewer handled something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Goes,
    Ended(String),
}

/// Routes that a viewer's validated addresses open and close in the shard.
#[derive(Debug)]
pub(crate) enum RouteChange {
    Add(SocketAddr),
    Remove(SocketAddr),
}

/// What was last said of a viewer's lag.
#[derive(Debug, Clone, Copy, Default)]
struct LagTold {
    lags: u64,
    dropped: u64,
    at: Option<Instant>,
}

pub(crate) struct Viewer {
    // given
    pub id: String,
    pub channel_id: String,
    pub subject_id: String,
    pub local_ufrag: String,
    pub stream: usize,
    /// Where it goes as soon as there is a keyframe to begin at.
    pub next_stream: Option<usize>,
    ssrc: u32,
    payload_types: PayloadTypes,
    row: Arc<ViewerRow>,
    // owned
    pub leg: Leg,
    subscriber: Subscriber,
    audio: Option<ViewerAudio>,
    pub until: Instant,
    pub armed: Armed,
    pub pace_armed: Armed,
    // derived
    connected: bool,
    sent_first: bool,
    next_report: Option<Instant>,
    lag_told: LagTold,
    feedback: Feedback,
}

impl Viewer {
    pub fn new(command: OpenViewer, stream: usize, now: Instant) -> Self {
        Self {
            subscriber: Subscriber::new(SubscriberConfig {
                ssrc: command.ssrc,
                payload_types: command.payload_types,
                first_seq: command.first_seq,
                first_rtp_ts: command.first_rtp_ts,
                rtx: command.rtx,
            }),
            leg: Leg::Webrtc(WebrtcPeer::new(command.peer, now)),
            audio: command.audio.map(ViewerAudio::new),
            id: command.viewer_id,
            channel_id: command.channel_id,
            subject_id: command.subject_id,
            local_ufrag: command.local_ufrag,
            stream,
            next_stream: None,
            ssrc: command.ssrc,
            payload_types: command.payload_types,
            row: command.row,
            until: command.until,
            armed: None,
            pace_armed: None,
            connected: false,
            sent_first: false,
            next_report: None,
            lag_told: LagTold::default(),
            feedback: Feedback::default(),
        }
    }

    /// One that watches by RTSP, on the connection that goes by `address`, which seals it or not.
    pub fn by_rtsp(
        open: AcceptRtsp,
        seeds: ConnectionSeeds,
        address: SocketAddr,
        by_tls: bool,
        stream: usize,
    ) -> Self {
        Self {
            subscriber: Subscriber::new(SubscriberConfig {
                ssrc: seeds.ssrc,
                payload_types: RTSP_PAYLOAD_TYPES,
                first_seq: seeds.first_seq,
                first_rtp_ts: seeds.first_rtp_ts,
                rtx: None,
            }),
            leg: Leg::Rtsp(RtspLeg::new(address, by_tls)),
            audio: None,
            id: open.viewer_id,
            channel_id: open.channel_id,
            subject_id: open.subject_id,
            local_ufrag: String::new(),
            stream,
            next_stream: None,
            ssrc: seeds.ssrc,
            payload_types: RTSP_PAYLOAD_TYPES,
            row: open.row,
            until: open.until,
            armed: None,
            pace_armed: None,
            connected: false,
            sent_first: false,
            next_report: None,
            lag_told: LagTold::default(),
            feedback: Feedback::default(),
        }
    }

    /// It came by RTSP, and the stream's SDP is still owed.
    pub fn waits_for_description(&self) -> bool {
        matches!(self.leg, Leg::Rtsp(_)) && self.payload_types == RTSP_PAYLOAD_TYPES
    }

    /// What its SDP said: from here on it takes this codec alone.
    pub fn described(&mut self, codec: VideoCodec, events: &EventQueue) {
        let number = PayloadType {
            media: RTSP_PAYLOAD_TYPE,
            rtx: None,
        };
        self.payload_types = PayloadTypes::only(codec, number);
        self.tell_step(events, "described");
    }

    /// Media goes on this channel of its connection from here on; on none, it pauses.
    pub fn play_on(&mut self, rtp_channel: Option<u8>, events: &EventQueue) {
        let Leg::Rtsp(leg) = &mut self.leg else {
            return;
        };
        leg.rtp_channel = rtp_channel;
        self.connected = rtp_channel.is_some();
        self.figures().connected.set(self.connected.into());
        if self.connected {
            self.tell_step(events, "playing");
        }
    }

    pub fn figures(&self) -> &ViewerFigures {
        &self.row.figures
    }

    /// Where its figures are kept, for whoever outlives it.
    pub fn row(&self) -> Arc<ViewerRow> {
        self.row.clone()
    }

    /// Whether its answer promised this codec.
    pub fn takes(&self, codec: VideoCodec) -> bool {
        self.payload_types.get(codec).is_some()
    }

    pub fn renew(&mut self, until: Instant, now: Instant) {
        self.until = until;
        let wall = SystemTime::now() + until.saturating_duration_since(now);
        self.figures().until_unix_ms.set(unix_ms(wall));
    }

    /// Takes one datagram that was routed here.
    pub fn receive(
        &mut self,
        now: Instant,
        origin: Origin,
        datagram: &[u8],
    ) -> Result<(), DatagramError> {
        self.leg.receive(now, origin, datagram)
    }

    /// Moves what the transport wants sent into the outbox and tells its events.
    pub fn settle(
        &mut self,
        now: Instant,
        outbox: &mut Outbox,
        events: &EventQueue,
        routes: &mut Vec<RouteChange>,
    ) -> Outcome {
        while let Some((way, datagram)) = self.leg.poll_transmit() {
            outbox.push(way, &datagram);
        }
        let mut outcome = Outcome::Goes;
        while let Some(event) = self.leg.poll_event() {
            match event {
                PeerEvent::AddrValidated(address) => routes.push(RouteChange::Add(address)),
                PeerEvent::AddrForgotten(address) => routes.push(RouteChange::Remove(address)),
                PeerEvent::IceConnected(_) => self.tell_step(events, "ice"),
                PeerEvent::DtlsConnected { profile } => {
                    self.connected = true;
                    self.figures().connected.set(1);
                    self.tell_step(events, "dtls");
                    let srtp_cipher = profile.name();
                    events.push(&self.id, EventBody::ViewerConnected { srtp_cipher });
                    self.next_report = Some(now + SENDER_REPORT_EVERY);
                }
                PeerEvent::RemoteAddrChanged(_) => {}
                PeerEvent::Rtcp(items) => {
                    self.feedback.take(&items, self.ssrc, &self.row.figures);
                }
                PeerEvent::Closed(cause) => outcome = Outcome::Ended(cause.code().to_owned()),
            }
        }
        outcome
    }

    /// Seals what may go now. A sequence number is spent here, whatever becomes of the send.
    pub fn pump(&mut self, now: Instant, ring: &Ring, outbox: &mut Outbox, events: &EventQueue) {
        if !self.connected {
            return;
        }
        let Some(way) = self.leg.way() else {
            return;
        };
        self.answer_feedback(now, way, ring, outbox);
        let mut packets = 0u64;
        let mut bytes = 0u64;
        while outbox.has_room() {
            let Some(run) = self.subscriber.next_run(now, ring, RUN_BUDGET_PACKETS) else {
                break;
            };
            let mut header = [0u8; RTP_HEADER_BYTES];
            let mut sealed = 0;
            for packet in run.packets.clone() {
                run.write_header(packet, &mut header);
                let buffer = outbox.buffer_mut();
                let start = buffer.len();
                if !self.leg.seal(&header, run.padded_payload(packet), buffer) {
                    // Refused (an index spent before): nothing was appended, nothing leaves.
                    buffer.truncate(start);
                    continue;
                }
                bytes += (buffer.len() - start) as u64;
                outbox.close_datagram(way, start);
                sealed += 1;
            }
            packets += sealed;
            let all = run.packets.len();
            self.subscriber.commit(now, run, all);
        }
        if packets > 0 {
            let figures = self.figures();
            figures.packets.add(packets);
            figures.transport.set(self.leg.transport() as u64);
            figures.bytes.add(bytes);
            figures.last_sent_unix_ms.set(unix_ms(SystemTime::now()));
            if !self.sent_first {
                self.sent_first = true;
                self.tell_step(events, "first_sent");
                self.next_report = Some(now);
            }
        }
        self.tell_lag(now, events);
    }

    /// See [`Subscriber::switch_to`].
    pub fn switch_to(&mut self, now: Instant, ring: &Ring) -> bool {
        self.subscriber.switch_to(now, ring)
    }

    /// What it watches now, for whoever asks for its row.
    pub fn note_stream(&self, stream_id: &str) {
        self.row.watches(stream_id);
    }

    /// What the viewer asked for since the last visit: a keyframe, packets that it lacks.
    fn answer_feedback(&mut self, now: Instant, way: Way, ring: &Ring, outbox: &mut Outbox) {
        if std::mem::take(&mut self.feedback.keyframe_wanted) {
            self.subscriber.request_keyframe(now, ring);
        }
        if self.feedback.wanted_again.is_empty() {
            return;
        }
        let mut wanted = std::mem::take(&mut self.feedback.wanted_again);
        let loses_many = self.feedback.lost_permille >= LOSES_MANY_PERMILLE;
        let mut bytes = 0;
        while outbox.has_room() {
            let Some(seq) = wanted.pop_front() else {
                break;
            };
            let Some(again) = self.subscriber.retransmit(now, ring, seq) else {
                continue;
            };
            bytes += self.seal_again(&again, way, outbox);
            if loses_many && let Some(twice) = self.subscriber.retransmit_twice(&again) {
                bytes += self.seal_again(&twice, way, outbox);
            }
        }
        self.feedback.wanted_again = wanted;
        let repaired = self.subscriber.repair_counters();
        let figures = self.figures();
        figures.bytes.add(bytes);
        figures.retransmitted.set(repaired.retransmitted);
        figures.repair_gone.set(repaired.gone);
        figures.repair_over_budget.set(repaired.over_budget);
        figures.replays.set(repaired.replays);
    }

    /// Gives the bytes that were sealed.
    fn seal_again(&mut self, again: &Retransmission, way: Way, outbox: &mut Outbox) -> u64 {
        let mut payload = Vec::with_capacity(RTX_HEADER_BYTES + again.payload().len());
        payload.extend_from_slice(&again.original_seq.to_be_bytes());
        payload.extend_from_slice(again.payload());
        let buffer = outbox.buffer_mut();
        let start = buffer.len();
        if !self.leg.seal(&again.header.to_bytes(), &payload, buffer) {
            buffer.truncate(start);
            return 0;
        }
        let size_bytes = buffer.len() - start;
        outbox.close_datagram(way, start);
        size_bytes as u64
    }

    /// Lease, transport timers and reports.
    pub fn handle_timeout(&mut self, now: Instant, outbox: &mut Outbox) -> Outcome {
        if now >= self.until {
            return Outcome::Ended("lease_expired".to_owned());
        }
        self.leg.handle_timeout(now);
        if self.next_report.is_some_and(|at| now >= at) {
            self.next_report = Some(now + SENDER_REPORT_EVERY);
            self.send_report(now, outbox, false);
        }
        Outcome::Goes
    }

    /// BYE, then close_notify; both are in the outbox afterwards.
    pub fn say_goodbye(&mut self, now: Instant, outbox: &mut Outbox) {
        self.send_report(now, outbox, true);
        self.leg.close(now);
        while let Some((way, datagram)) = self.leg.poll_transmit() {
            outbox.push(way, &datagram);
        }
    }

    /// When [`Viewer::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        [Some(self.until), self.leg.poll_timeout(), self.next_report]
            .into_iter()
            .flatten()
            .min()
    }

    /// When [`Viewer::pump`] has something again without a new access unit.
    pub fn next_pace(&self, now: Instant, ring: &Ring) -> Option<Instant> {
        if !self.connected {
            return None;
        }
        self.subscriber.next_wake(now, ring)
    }

    fn send_report(&mut self, now: Instant, outbox: &mut Outbox, goodbye: bool) {
        let (Some(way), Some(time)) = (self.leg.way(), self.subscriber.sender_time(now)) else {
            return;
        };
        let mut compound = Vec::with_capacity(160);
        let wall = SystemTime::now();
        let report = SenderReport {
            ssrc: self.ssrc,
            ntp: ntp(wall),
            rtp_ts: time.rtp_ts,
            packets: time.packets,
            octets: time.octets,
        };
        rtcp::write_sender_report(&report, &self.id, &mut compound);
        if let Some(audio) = &self.audio {
            audio.write_report(now, wall, &self.id, &mut compound);
        }
        if goodbye {
            rtcp::write_bye(self.ssrc, &mut compound);
        }
        let start = outbox.buffer_mut().len();
        if self.leg.seal_rtcp(&compound, outbox.buffer_mut()) {
            outbox.close_datagram(way, start);
        }
    }

    fn tell_lag(&mut self, now: Instant, events: &EventQueue) {
        let counters = self.subscriber.counters();
        self.figures().units_dropped.set(counters.units_dropped);
        let told = self.lag_told;
        if counters.lags > told.lags && told.at.is_none_or(|at| now >= at + LAG_TOLD_EVERY) {
            self.lag_told = LagTold {
                lags: counters.lags,
                dropped: counters.units_dropped,
                at: Some(now),
            };
            let dropped = counters.units_dropped - told.dropped;
            events.push(&self.id, EventBody::ViewerLagging { dropped });
        }
    }

    fn tell_step(&self, events: &EventQueue, step: &'static str) {
        events.push(&self.id, EventBody::Step { step });
    }
}

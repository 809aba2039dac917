//! One stream in a shard: its source (if any), its cache, who watches it and who waits for a still.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use fanout::{AudioIntake, AudioPacket, G711, IntakeConfig, NalUnits, Stream};
use peer::rtsp_client::{AudioCodec, ClientEvent, Failure, MediaTransport, Received, Step};
use wire::codec::VideoCodec;

use crate::event::{EventBody, EventQueue};
use crate::guard::{Seam, guarded};
use crate::source::{Left, Source};
use crate::stats::{SourceFigures, SourceState, unix_ms};

/// Stills that wait for one stream's next keyframe; more are refused by silence, and end at their
/// caller's deadline.
const MAX_KEYFRAME_WAITERS: usize = 64;
/// A keyframe older than this is no answer for a still: the camera's GOP is longer than that only
/// where it is broken, and the next one is waited for.
const KEYFRAME_FRESH_MS: u64 = 10_000;

/// Memory that visits to all cameras share, so that it stays in the processor's caches.
pub(crate) struct ReadScratch {
    /// What is read goes here.
    pub bytes: Vec<u8>,
    /// Where the access unit in the making gathers; kept by a stream whose unit is not whole yet.
    unit: NalUnits,
}

impl ReadScratch {
    pub fn new(read_bytes: usize) -> Self {
        Self {
            bytes: vec![0; read_bytes],
            unit: NalUnits::default(),
        }
    }
}

/// What a camera sent that was no use: dropped, and counted here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    pub packets: u64,
    /// Times that the connection lost its place between packets and messages.
    pub desyncs: u64,
}

/// What the shard must do after a source handled something.
pub(crate) enum SourceOutcome {
    Goes,
    Lost(Failure),
    Redial { host: String, port: u16 },
    OpenUdp,
}

pub(crate) struct StreamSlot {
    // given
    pub id: String,
    pub figures: Arc<SourceFigures>,
    /// The shard that pulls it.
    pub home: usize,
    // owned
    pub stream: Stream,
    pub source: Option<Source>,
    pub viewers: Vec<usize>,
    /// Shards with viewers of it, where this one pulls it; and how far they have its units.
    pub followers: Vec<usize>,
    pub fed_index: u64,
    /// Those of them with viewers that hear it.
    pub hearing_followers: Vec<usize>,
    /// Another shard pulls it, and hands its units on to this one.
    pub following: bool,
    /// Its sound too.
    pub hearing: bool,
    /// Those of its viewers that hear it.
    pub listeners: Vec<usize>,
    audio: AudioIntake,
    /// Of the last visit, for the listeners.
    pub audio_packets: Vec<AudioPacket>,
    keyframe_waiters: Vec<String>,
    // derived
    /// What the latest source has announced; viewers that do not take it are closed.
    pub codec: Option<VideoCodec>,
    /// `SourceLive` was said of the present source.
    told_live: bool,
    /// B slices counted before the present source, and whether it was said that it sends some.
    b_slices_before: u64,
    told_b_slices: bool,
    /// Refused by the present source's RTSP client, as far as it is counted.
    client_refused: Refused,
    /// Not yet taken by [`StreamSlot::take_refused`].
    refused: Refused,
    /// New units are in the ring that viewers have not been visited for.
    pub dirty: bool,
    /// The last visit's budget ran out before the socket was empty.
    pub unread: bool,
}

impl StreamSlot {
    pub fn new(id: String, home: usize, figures: Arc<SourceFigures>) -> Self {
        Self {
            id,
            figures,
            home,
            stream: Stream::new(IntakeConfig::default()),
            source: None,
            viewers: Vec::new(),
            followers: Vec::new(),
            fed_index: 0,
            hearing_followers: Vec::new(),
            following: false,
            hearing: false,
            listeners: Vec::new(),
            audio: AudioIntake::default(),
            audio_packets: Vec::new(),
            keyframe_waiters: Vec::new(),
            codec: None,
            told_live: false,
            b_slices_before: 0,
            told_b_slices: false,
            client_refused: Refused::default(),
            refused: Refused::default(),
            dirty: false,
            unread: false,
        }
    }

    /// Nothing needs it any more.
    pub fn is_idle(&self) -> bool {
        self.source.is_none()
            && self.viewers.is_empty()
            && self.followers.is_empty()
            && self.keyframe_waiters.is_empty()
    }

    /// Nobody dials for them any more; their callers' deadlines end them.
    pub fn forget_waiters(&mut self) {
        self.keyframe_waiters.clear();
    }

    pub fn attach(&mut self, source: Source) {
        self.source = Some(source);
        self.told_live = false;
        self.told_b_slices = false;
        self.b_slices_before = self.stream.intake().counters().b_slice_units;
        self.client_refused = Refused::default();
    }

    /// The source is gone; viewers stay, and nobody joins at the past.
    pub fn detach(&mut self) -> Option<Source> {
        let source = self.source.take()?;
        if source.client.last_rtp().is_none() {
            // Nothing came by it: the next dial asks for TCP first again.
            self.figures.by_udp.set(0);
        }
        self.stream.source_lost();
        self.audio.interrupt();
        Some(source)
    }

    /// Reads the socket and everything that follows from it. A panic in a machine is this
    /// source's end and nobody else's.
    pub fn readable(
        &mut self,
        now: Instant,
        scratch: &mut ReadScratch,
        hung_up: bool,
        events: &EventQueue,
    ) -> SourceOutcome {
        let Some(source) = &mut self.source else {
            return SourceOutcome::Goes;
        };
        let stream = &mut self.stream;
        let figures = &self.figures;
        let mut bytes = 0;
        let mut packets = 0;
        let mut malformed = 0;
        let first_new = stream.ring().next_index();
        let by_udp = source.client.transport() == MediaTransport::Udp;
        stream.exchange_buffer(&mut scratch.unit);
        let (audio, audio_out) = (&mut self.audio, &mut self.audio_packets);
        let heard = !self.listeners.is_empty() || !self.hearing_followers.is_empty();
        let mut audio_packets = 0;
        let read = guarded(Seam::Source, || {
            source.readable(
                now,
                &mut scratch.bytes,
                hung_up,
                &mut |received| match received {
                    Received::Rtp { packet, .. } => {
                        packets += 1;
                        bytes += packet.len() as u64;
                        malformed += match by_udp {
                            true => stream.receive_unordered(now, packet),
                            false => u64::from(stream.receive(now, packet).is_err()),
                        };
                    }
                    Received::Rtcp { .. } => {}
                    Received::Audio { codec, packet } => {
                        audio_packets += 1;
                        bytes += packet.len() as u64;
                        match heard {
                            true => audio.push(now, law_of(codec), packet, audio_out),
                            false => audio.interrupt(),
                        }
                    }
                },
            )
        });
        stream.exchange_buffer(&mut scratch.unit);
        figures.bytes.add(bytes);
        figures.packets.add(packets);
        figures.audio_packets.add(audio_packets);
        let by_client = client_refused(source);
        let refused = Refused {
            packets: malformed + by_client.packets - self.client_refused.packets,
            desyncs: by_client.desyncs - self.client_refused.desyncs,
        };
        self.client_refused = by_client;
        self.refused.packets += refused.packets;
        self.refused.desyncs += refused.desyncs;
        figures.packets_malformed.add(refused.packets);
        if packets > 0 {
            figures.last_packet_unix_ms.set(unix_ms(SystemTime::now()));
        }
        let outcome = match read {
            Some(left) => {
                self.unread = left == Left::More;
                self.settle(events)
            }
            None => SourceOutcome::Lost(fault(events, &self.id)),
        };
        // After the machine's own steps, so that the trace tells them in their order.
        self.note_units(now, first_new, events);
        outcome
    }

    /// What is new in the ring since its next index was `first_new`.
    fn note_units(&mut self, now: Instant, first_new: u64, events: &EventQueue) {
        let ring = self.stream.ring();
        let units = ring.next_index() - first_new;
        let keyframe = ring.newest_keyframe_index().is_some_and(|k| k >= first_new);
        self.figures.access_units.add(units);
        self.dirty |= units > 0;
        if keyframe {
            self.figures.keyframes.add(1);
            self.tell_live(events);
            self.answer_waiters(now, events);
        }
    }

    /// When [`StreamSlot::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        let source = self.source.as_ref()?.next_timeout();
        source.into_iter().chain(self.stream.poll_timeout()).min()
    }

    /// What was refused since the last call, for the totals of the process.
    pub fn take_refused(&mut self) -> Refused {
        std::mem::take(&mut self.refused)
    }

    pub fn writable(&mut self, now: Instant, events: &EventQueue) -> SourceOutcome {
        self.drive(events, |source| source.writable(now))
    }

    pub fn handle_timeout(&mut self, now: Instant, events: &EventQueue) -> SourceOutcome {
        let first_new = self.stream.ring().next_index();
        let released = guarded(Seam::SourceSettle, || self.stream.handle_timeout(now));
        let Some(refused) = released else {
            return SourceOutcome::Lost(fault(events, &self.id));
        };
        self.refused.packets += refused;
        self.figures.packets_malformed.add(refused);
        self.note_units(now, first_new, events);
        self.drive(events, |source| source.handle_timeout(now))
    }

    fn drive(
        &mut self,
        events: &EventQueue,
        act: impl FnOnce(&mut Source) -> Result<(), Failure>,
    ) -> SourceOutcome {
        let Some(source) = &mut self.source else {
            return SourceOutcome::Goes;
        };
        match guarded(Seam::Source, || act(source)) {
            Some(Ok(())) => self.settle(events),
            Some(Err(failure)) => SourceOutcome::Lost(failure),
            None => SourceOutcome::Lost(fault(events, &self.id)),
        }
    }

    /// Sends what the machine wants sent and tells its events. What the camera describes is read
    /// here, so it may panic too.
    fn settle(&mut self, events: &EventQueue) -> SourceOutcome {
        guarded(Seam::SourceSettle, || self.take_events(events))
            .unwrap_or_else(|| SourceOutcome::Lost(fault(events, &self.id)))
    }

    fn take_events(&mut self, events: &EventQueue) -> SourceOutcome {
        let Some(source) = &mut self.source else {
            return SourceOutcome::Goes;
        };
        let flushed = source.flush();
        let mut outcome = SourceOutcome::Goes;
        while let Some(event) = source.client.poll_event() {
            match event {
                ClientEvent::Step(step) => {
                    if step == Step::FirstPacket {
                        let by_udp = source.client.transport() == MediaTransport::Udp;
                        self.figures.by_udp.set(by_udp.into());
                    }
                    events.push(&self.id, EventBody::Step { step: step.code() });
                }
                ClientEvent::Tracks(tracks) => {
                    if let Some(video) = tracks.into_iter().next() {
                        let sets = video.parameter_sets.into_iter().map(Bytes::from);
                        self.stream.source_resumed(&IntakeConfig {
                            codec: video.codec,
                            clock_rate: video.clock_rate,
                            payload_type: Some(video.payload_type),
                            parameter_sets: sets.collect(),
                        });
                        self.figures.announce(video.codec);
                        // Its viewers are visited, those who do not take it for the last time.
                        self.dirty |= self.codec != Some(video.codec);
                        self.codec = Some(video.codec);
                    }
                }
                ClientEvent::Playing { .. } => {}
                ClientEvent::UdpWanted => outcome = SourceOutcome::OpenUdp,
                ClientEvent::Redial { host, port } => {
                    outcome = SourceOutcome::Redial { host, port };
                }
                ClientEvent::Failed(failure) => return SourceOutcome::Lost(failure),
            }
        }
        match flushed {
            Ok(()) => outcome,
            Err(failure) => SourceOutcome::Lost(failure),
        }
    }

    /// Answers with the cached keyframe, or keeps the request for the next one.
    pub fn take_keyframe(&mut self, now: Instant, request_id: String, events: &EventQueue) {
        let age_ms = self.keyframe_age_ms(now);
        if self.source.is_some() && age_ms.is_some_and(|age_ms| age_ms <= KEYFRAME_FRESH_MS) {
            self.tell_keyframe(now, request_id, events);
        } else if self.keyframe_waiters.len() < MAX_KEYFRAME_WAITERS {
            self.keyframe_waiters.push(request_id);
        }
    }

    fn answer_waiters(&mut self, now: Instant, events: &EventQueue) {
        for request_id in std::mem::take(&mut self.keyframe_waiters) {
            self.tell_keyframe(now, request_id, events);
        }
    }

    fn keyframe_age_ms(&self, now: Instant) -> Option<u64> {
        let at = self.stream.ring().keyframe_recv_time()?;
        let age = now.saturating_duration_since(at).as_millis();
        Some(u64::try_from(age).unwrap_or(u64::MAX))
    }

    fn tell_keyframe(&self, now: Instant, request_id: String, events: &EventQueue) {
        let ring = self.stream.ring();
        let (Some(codec), Some(annexb), Some(age_ms)) = (
            ring.keyframe_codec(),
            ring.keyframe_annexb(),
            self.keyframe_age_ms(now),
        ) else {
            return;
        };
        events.push(
            &self.id,
            EventBody::KeyframeTaken {
                request_id,
                codec: codec.name(),
                annexb,
                age_ms,
                width: u32::try_from(self.figures.width.get()).unwrap_or(0),
                height: u32::try_from(self.figures.height.get()).unwrap_or(0),
            },
        );
    }

    fn tell_live(&mut self, events: &EventQueue) {
        let Some(video) = self.stream.intake().video() else {
            return;
        };
        self.figures.width.set(video.width.into());
        self.figures.height.set(video.height.into());
        let counters = self.stream.intake().counters();
        self.figures.packets_lost.set(counters.packets_lost);
        let by_udp = self.stream.reorder_counters();
        self.figures.packets_reordered.set(by_udp.reordered);
        self.figures.packets_late.set(by_udp.late);
        let b_slices = counters.b_slice_units;
        self.figures.units_with_b_slices.set(b_slices);
        // A keyframe has none, so at the earliest with the second one.
        if b_slices > self.b_slices_before && !self.told_b_slices {
            self.told_b_slices = true;
            events.push(&self.id, EventBody::SourceHasBSlices);
        }
        if self.told_live {
            return;
        }
        self.told_live = true;
        self.figures.state.set(SourceState::Live as u64);
        let body = EventBody::SourceLive {
            codec: video.codec.name(),
            width: video.width,
            height: video.height,
            profile: video.profile,
        };
        self.tell_step(events, "first_keyframe");
        events.push(&self.id, body);
    }

    fn tell_step(&self, events: &EventQueue, step: &'static str) {
        events.push(&self.id, EventBody::Step { step });
    }
}

fn law_of(codec: AudioCodec) -> G711 {
    match codec {
        AudioCodec::Pcma => G711::ALaw,
        AudioCodec::Pcmu => G711::MuLaw,
    }
}

fn client_refused(source: &Source) -> Refused {
    let counters = source.client.counters();
    Refused {
        packets: counters.malformed_rtp
            + counters.malformed_rtcp
            + counters.unexpected_payload_type
            + counters.unassigned_channel
            + counters.foreign_datagrams,
        desyncs: counters.desyncs,
    }
}

fn fault(events: &EventQueue, stream_id: &str) -> Failure {
    let detail = "a camera's input made its machine panic; the pull was dropped".to_owned();
    events.push(
        stream_id,
        EventBody::WorkerFault {
            detail: detail.clone(),
        },
    );
    Failure::new(
        peer::rtsp_client::FailureKind::BadResponse,
        peer::rtsp_client::Step::Streaming,
        detail,
    )
}

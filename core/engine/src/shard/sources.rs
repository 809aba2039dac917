//! The shard's cameras: dialled, read, lost, hung up.

use std::sync::Arc;
use std::time::Instant;

use peer::rtsp_client::{Failure, FailureKind, MediaTransport, Step};
use rustix::event::epoll;

use super::{Shard, TOKEN_STREAMS};
use crate::command::OpenSource;
use crate::event::EventBody;
use crate::source::Source;
use crate::stream::{SourceOutcome, StreamSlot};
use crate::timers::{Timer, fires};

impl Shard {
    pub(super) fn serve_source(&mut self, now: Instant, key: usize, flags: epoll::EventFlags) {
        let Some(slot) = self.streams.get_mut(key) else {
            return;
        };
        let Some(source) = &slot.source else {
            return;
        };
        let was_waiting = source.wants_write();
        let mut outcome = SourceOutcome::Goes;
        let failed = epoll::EventFlags::ERR | epoll::EventFlags::HUP;
        let hung_up = failed | epoll::EventFlags::RDHUP;
        if flags.intersects(epoll::EventFlags::OUT | failed) && was_waiting {
            outcome = slot.writable(now, &self.events);
        }
        let connected = slot.source.as_ref().is_some_and(|s| !s.is_connecting());
        if matches!(outcome, SourceOutcome::Goes)
            && connected
            && flags.intersects(epoll::EventFlags::IN | hung_up)
        {
            let hung_up = flags.intersects(hung_up);
            outcome = slot.readable(now, &mut self.scratch, hung_up, &self.events);
            let refused = slot.take_refused();
            let totals = &self.totals;
            totals.camera_packets_refused.add(refused.packets);
            totals.camera_desyncs.add(refused.desyncs);
        }
        if slot.dirty {
            slot.dirty = false;
            self.dirty.push(key);
        }
        let is_heard = !slot.audio_packets.is_empty();
        if std::mem::take(&mut slot.unread) {
            self.unread.push((key, flags));
        }
        if is_heard {
            self.forward_audio(now, key);
        }
        self.after_source(now, key, outcome, was_waiting);
    }

    /// Goes on with those whose budget ran out in the wake before.
    pub(super) fn serve_unread(&mut self, now: Instant) {
        for (key, flags) in std::mem::take(&mut self.unread) {
            self.serve_source(now, key, flags);
        }
    }

    pub(super) fn after_source(
        &mut self,
        now: Instant,
        key: usize,
        outcome: SourceOutcome,
        was_waiting: bool,
    ) {
        match outcome {
            SourceOutcome::Goes => {
                let Some(slot) = self.streams.get_mut(key) else {
                    return;
                };
                let Some(source) = slot.source.as_mut() else {
                    return;
                };
                if source.wants_write() != was_waiting {
                    let interest = interest(source.wants_write());
                    let token = epoll::EventData::new_u64(TOKEN_STREAMS + key as u64);
                    let _ = epoll::modify(&self.epoll, source.fd(), token, interest);
                }
                let next = slot.next_timeout();
                if let Some(source) = slot.source.as_mut() {
                    self.timers.arm(Timer::Source(key), next, &mut source.armed);
                }
            }
            SourceOutcome::Lost(failure) => self.lose_source(key, &failure),
            SourceOutcome::OpenUdp => match self.open_udp(now, key) {
                Ok(()) => self.after_source(now, key, SourceOutcome::Goes, was_waiting),
                Err(failure) => self.lose_source(key, &failure),
            },
            SourceOutcome::Redial { host, port } => {
                let Some(source) = self.streams.get_mut(key).and_then(|s| s.source.as_mut()) else {
                    return;
                };
                match source.redial(&host, port, now) {
                    Ok(()) => self.watch_source(key),
                    Err(failure) => self.lose_source(key, &failure),
                }
            }
        }
    }

    /// The camera sends by UDP: two more sockets that wake its stream.
    fn open_udp(&mut self, now: Instant, key: usize) -> Result<(), Failure> {
        let Some(source) = self.streams.get_mut(key).and_then(|s| s.source.as_mut()) else {
            return Ok(());
        };
        let token = epoll::EventData::new_u64(TOKEN_STREAMS + key as u64);
        for fd in source.open_udp(now)?.fds() {
            let told = epoll::EventFlags::IN | epoll::EventFlags::ET;
            epoll::add(&self.epoll, fd, token, told).map_err(|error| {
                let detail = format!("the UDP ports can't be watched: {error}");
                Failure::new(FailureKind::Unreachable, Step::Setup, detail)
            })?;
        }
        source.flush()
    }

    /// Registers a freshly dialled socket and its first deadline.
    pub(super) fn watch_source(&mut self, key: usize) {
        let Some(source) = self.streams.get_mut(key).and_then(|s| s.source.as_mut()) else {
            return;
        };
        let token = epoll::EventData::new_u64(TOKEN_STREAMS + key as u64);
        let added = epoll::add(
            &self.epoll,
            source.fd(),
            token,
            interest(source.wants_write()),
        );
        let next = source.next_timeout();
        self.timers.arm(Timer::Source(key), next, &mut source.armed);
        if let Err(error) = added {
            let failure = Failure::new(
                FailureKind::Unreachable,
                Step::Dial,
                format!("the socket can't be watched: {error}"),
            );
            self.lose_source(key, &failure);
        }
    }

    pub(super) fn open_source(&mut self, now: Instant, command: OpenSource) {
        let key = self.stream_key(&command.stream_id);
        self.hang_up(key);
        let mut client = command.client;
        if command.figures.by_udp.get() != 0 {
            client.first_transport = MediaTransport::Udp;
        }
        let dialled = Source::dial(command.connect_to, client, now);
        let slot = &mut self.streams[key];
        slot.figures = command.figures;
        match dialled {
            Ok(source) => {
                slot.attach(source);
                self.count_sources();
                self.watch_source(key);
            }
            Err(failure) => self.lose_source(key, &failure),
        }
    }

    pub(super) fn lose_source(&mut self, key: usize, failure: &Failure) {
        let Some(slot) = self.streams.get_mut(key) else {
            return;
        };
        if let Some(mut source) = slot.detach() {
            // What the machine still wants sent (a TEARDOWN) goes as far as it can.
            let _ = source.flush();
        }
        self.figures.lose_source(&slot.id, failure.code());
        self.tell_followers_lost(key);
        let slot = &self.streams[key];
        self.events.push(
            &slot.id,
            EventBody::SourceLost {
                cause: failure.code(),
                retryable: failure.retryable(),
                detail: failure.to_string(),
            },
        );
        self.count_sources();
        self.drop_idle(key);
    }

    pub(super) fn hang_up(&mut self, key: usize) {
        if let Some(slot) = self.streams.get_mut(key)
            && let Some(mut source) = slot.detach()
        {
            source.say_goodbye();
            self.tell_followers_lost(key);
        }
        self.count_sources();
    }

    pub(super) fn count_sources(&self) {
        let open = self.streams.iter().filter(|s| s.source.is_some()).count();
        self.totals.sources_open.set(open as u64);
    }

    pub(super) fn stream_key(&mut self, stream_id: &str) -> usize {
        if let Some(key) = self.stream_keys.get(stream_id) {
            return *key;
        }
        let home = self.mesh.home_of(stream_id);
        let slot = StreamSlot::new(stream_id.to_owned(), home, Arc::default());
        let key = self.streams.insert(slot);
        self.stream_keys.insert(stream_id.to_owned(), key);
        key
    }

    pub(super) fn drop_idle(&mut self, key: usize) {
        if self.streams.get(key).is_some_and(StreamSlot::is_idle)
            && let Some(slot) = self.streams.remove(key)
        {
            self.stream_keys.remove(&slot.id);
            if slot.following {
                self.unfollow(&slot.id, slot.home);
            }
        }
    }

    pub(super) fn source_timer(&mut self, now: Instant, at: Instant, key: usize) {
        let Some(slot) = self.streams.get_mut(key) else {
            return;
        };
        let Some(source) = slot.source.as_mut() else {
            return;
        };
        if !fires(at, &mut source.armed) {
            return;
        }
        let was_waiting = source.wants_write();
        let outcome = slot.handle_timeout(now, &self.events);
        if slot.dirty {
            slot.dirty = false;
            self.dirty.push(key);
        }
        self.after_source(now, key, outcome, was_waiting);
    }
}

/// Edge-triggered: told once for what comes, not again at each wake until it is read, which saves
/// the kernel a look at each socket that was just emptied.
fn interest(wants_write: bool) -> epoll::EventFlags {
    let reads = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
    if wants_write {
        reads | epoll::EventFlags::OUT
    } else {
        reads
    }
}

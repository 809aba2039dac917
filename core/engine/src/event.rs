//! What the engine tells: a bounded queue drained by the control plane, woken by one eventfd.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use crate::stats::ViewerRow;

/// How many events wait for the control plane before they are dropped and `EventsLost` is said.
/// 3,000 cameras failing at once give about 10 events each; past that a full resync is cheaper.
pub const EVENT_QUEUE_CAPACITY: usize = 32_768;

/// One thing that happened. `owner` is a viewer id or a stream id.
#[derive(Debug, Clone)]
pub struct Event {
    pub at: SystemTime,
    pub owner: String,
    pub body: EventBody,
}

#[derive(Debug, Clone)]
pub enum EventBody {
    /// A step of a dial or of a viewer's opening was reached.
    Step {
        step: &'static str,
    },
    SourceLive {
        codec: &'static str,
        width: u32,
        height: u32,
        profile: u8,
    },
    /// The source sends B slices, which browsers do not show in order. Said once of each source.
    SourceHasBSlices,
    SourceLost {
        cause: &'static str,
        retryable: bool,
        detail: String,
    },
    ViewerConnected {
        srtp_cipher: &'static str,
    },
    /// It stays where it is, and does not wait for that stream any more.
    SwitchRefused {
        stream_id: String,
        cause: &'static str,
    },
    /// What it shows from here on: the stream it asked for, or stayed with.
    ViewerSwitched {
        stream_id: String,
    },
    ViewerClosed {
        cause: String,
        /// Its last figures.
        row: Arc<ViewerRow>,
    },
    /// A client at the RTSP door has a genuine ticket; the owner is its connection. It waits for
    /// [`crate::Engine::accept_rtsp`] or [`crate::Engine::refuse_rtsp`], or gives up by itself.
    RtspAsked {
        asked: Box<peer::rtsp_door::Asked>,
        remote: std::net::SocketAddr,
    },
    /// A client at the RTSP door showed a ticket that is not good. At most so many a second are told
    /// ([`crate::shard`]); `Totals::rtsp_tickets_refused` counts all.
    RtspTicketRefused {
        remote: std::net::IpAddr,
        cause: &'static str,
    },
    /// Whole access units were dropped for this viewer; `dropped` counts them since the last say.
    ViewerLagging {
        dropped: u64,
    },
    KeyframeTaken {
        request_id: String,
        /// What `annexb` is.
        codec: &'static str,
        annexb: bytes::Bytes,
        age_ms: u64,
        width: u32,
        height: u32,
    },
    /// The kernel or the network card takes no runs of datagrams at once (UDP GSO): from now on each
    /// goes alone. Said once of each shard.
    GsoRefused {
        detail: String,
    },
    /// A panic was caught: the peer named by the owner died, nothing else.
    WorkerFault {
        detail: String,
    },
    /// The queue overflowed; ask for the whole state again.
    EventsLost {
        count: u64,
    },
}

struct Inner {
    queue: VecDeque<Event>,
    lost: u64,
}

/// Many shards push, one control plane drains; neither ever waits for the other's work.
pub struct EventQueue {
    inner: Mutex<Inner>,
    wake: OwnedFd,
}

impl EventQueue {
    pub fn new() -> std::io::Result<Self> {
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        Ok(Self {
            inner: Mutex::new(Inner {
                queue: VecDeque::new(),
                lost: 0,
            }),
            wake: rustix::event::eventfd(0, flags)?,
        })
    }

    /// The eventfd that becomes readable when there is something to drain.
    pub fn raw_fd(&self) -> RawFd {
        self.wake.as_raw_fd()
    }

    pub fn push(&self, owner: &str, body: EventBody) {
        let event = Event {
            at: SystemTime::now(),
            owner: owner.to_owned(),
            body,
        };
        let was_empty = {
            let mut inner = self.lock();
            let was_empty = inner.queue.is_empty() && inner.lost == 0;
            if inner.queue.len() >= EVENT_QUEUE_CAPACITY {
                inner.lost += 1;
            } else {
                inner.queue.push_back(event);
            }
            was_empty
        };
        if was_empty {
            notify(self.wake.as_fd());
        }
    }

    /// Takes up to `max` events, oldest first. A loss is told before the events that survived it.
    pub fn drain(&self, max: usize) -> Vec<Event> {
        let mut drained = [0u8; 8];
        // Read before the queue is taken, so that a push in between wakes again.
        let _ = rustix::io::read(&self.wake, &mut drained);
        let mut inner = self.lock();
        let mut out = Vec::with_capacity(max.min(inner.queue.len() + 1));
        if inner.lost > 0 {
            let count = std::mem::take(&mut inner.lost);
            out.push(Event {
                at: SystemTime::now(),
                owner: String::new(),
                body: EventBody::EventsLost { count },
            });
        }
        let take = max.saturating_sub(out.len()).min(inner.queue.len());
        out.extend(inner.queue.drain(..take));
        if !inner.queue.is_empty() {
            notify(self.wake.as_fd());
        }
        out
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Adds one to an eventfd; a full counter means the reader is already due.
pub(crate) fn notify(fd: BorrowedFd<'_>) {
    let _ = rustix::io::write(fd, &1u64.to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overflow_is_told_first_and_then_forgotten() {
        let queue = EventQueue::new().unwrap();
        for _ in 0..EVENT_QUEUE_CAPACITY + 3 {
            queue.push("v", EventBody::Step { step: "ice" });
        }
        let first = queue.drain(2);
        assert!(matches!(first[0].body, EventBody::EventsLost { count: 3 }));
        assert_eq!(first.len(), 2);
        let rest = queue.drain(usize::MAX);
        assert_eq!(rest.len(), EVENT_QUEUE_CAPACITY - 1);
        assert!(queue.drain(10).is_empty());
    }
}

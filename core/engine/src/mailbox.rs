//! The way to one shard: a bounded queue, and the eventfd that wakes it.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use crate::command::{COMMAND_QUEUE_CAPACITY, Command};
use crate::contract::EngineError;
use crate::event::notify;
use crate::stats::Totals;

#[derive(Clone)]
pub(crate) struct Mailbox {
    commands: SyncSender<Command>,
    wake: Arc<OwnedFd>,
    /// The shard's own.
    pub totals: Arc<Totals>,
    viewers: Arc<AtomicUsize>,
    /// Commands of other shards that wait.
    from_shards: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

/// Of the queue, other shards may fill so much: the control plane's commands always find room, were
/// it only to end a view.
const FROM_SHARDS_CAPACITY: usize = COMMAND_QUEUE_CAPACITY / 2;

impl Mailbox {
    pub fn new(wake: Arc<OwnedFd>, totals: Arc<Totals>) -> (Self, Receiver<Command>) {
        let (commands, incoming) = sync_channel(COMMAND_QUEUE_CAPACITY);
        let mailbox = Self {
            commands,
            wake,
            totals,
            viewers: Arc::default(),
            from_shards: Arc::default(),
            ended: Arc::default(),
        };
        (mailbox, incoming)
    }

    /// Never waits.
    ///
    /// # Errors
    /// [`EngineError::OverCapacity`] when the queue is full, [`EngineError::Closed`] when the shard
    /// has ended.
    pub fn send(&self, command: Command) -> Result<(), EngineError> {
        match self.commands.try_send(command) {
            Ok(()) => {
                notify(self.wake.as_fd());
                Ok(())
            }
            Err(TrySendError::Full(_)) => {
                self.totals.commands_refused.add_shared(1);
                Err(EngineError::OverCapacity("too many commands wait"))
            }
            Err(TrySendError::Disconnected(_)) => Err(EngineError::Closed),
        }
    }

    /// From another shard. False when it was not taken: this one is too busy, or has ended.
    pub fn hand_over(&self, command: Command) -> bool {
        if self.from_shards.fetch_add(1, Ordering::Relaxed) < FROM_SHARDS_CAPACITY
            && self.send(command).is_ok()
        {
            return true;
        }
        self.from_shards.fetch_sub(1, Ordering::Relaxed);
        false
    }

    /// A command of another shard has been taken from the queue.
    pub fn handed_over(&self) {
        self.from_shards.fetch_sub(1, Ordering::Relaxed);
    }

    /// The shard has ended by a fault: nobody is sent to it any more.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// For choosing a viewer's shard: its viewers, those included that are on their way to it; of an
    /// ended one more than any can have.
    pub fn load(&self) -> usize {
        match self.has_ended() {
            true => usize::MAX,
            false => self.viewers.load(Ordering::Relaxed),
        }
    }

    pub fn add_viewer(&self) {
        self.viewers.fetch_add(1, Ordering::Relaxed);
    }

    pub fn remove_viewer(&self) {
        self.viewers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::new_wake;

    #[test]
    fn what_other_shards_hand_over_leaves_room_for_the_control_plane() {
        let totals = Arc::new(Totals::default());
        let (mailbox, incoming) = Mailbox::new(new_wake().unwrap(), totals);
        let lost = || Command::StreamLost {
            stream_id: String::new(),
        };
        let handed_over = (0..COMMAND_QUEUE_CAPACITY).filter(|_| mailbox.hand_over(lost()));
        assert_eq!(handed_over.count(), FROM_SHARDS_CAPACITY);
        let close = || Command::CloseSource {
            stream_id: String::new(),
        };
        let rest = COMMAND_QUEUE_CAPACITY - FROM_SHARDS_CAPACITY;
        assert!(rest >= 4_000, "every view of a full engine may end at once");
        assert!((0..rest).all(|_| mailbox.send(close()).is_ok()));
        assert!(mailbox.send(close()).is_err());
        assert!(incoming.recv().is_ok());
        mailbox.handed_over();
        assert!(mailbox.hand_over(lost()), "there is room again");
    }
}

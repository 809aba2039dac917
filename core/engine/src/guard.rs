//! Whatever handles foreign bytes runs in here: a panic is the end of what it was about, and of
//! nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Where a shard hands bytes, time or a wish to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seam {
    Route,
    Receive,
    Settle,
    Pump,
    Audio,
    Switch,
    Timeout,
    Goodbye,
    Source,
    SourceSettle,
    TcpRead,
    Rtsp,
    Offer,
    LookUp,
    /// All of a shard: what no other guard has caught.
    Shard,
}

/// `None` when it panicked. What it had in hand is not used again, but for being dropped.
pub(crate) fn guarded<T>(seam: Seam, act: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(|| {
        trip(seam);
        act()
    }))
    .ok()
}

#[cfg(not(test))]
fn trip(_: Seam) {}

#[cfg(test)]
pub(crate) use tests::{trip, trip_next};

#[cfg(test)]
mod tests {
    use super::{Seam, guarded};
    use std::cell::Cell;

    thread_local! {
        static NEXT: Cell<Option<Seam>> = const { Cell::new(None) };
    }

    /// The next time that this thread comes to `seam`, it panics.
    pub(crate) fn trip_next(seam: Seam) {
        NEXT.set(Some(seam));
    }

    pub(crate) fn trip(seam: Seam) {
        if NEXT.get() == Some(seam) {
            NEXT.set(None);
            panic!("tripped at {seam:?}");
        }
    }

    #[test]
    fn a_panic_is_none_and_only_once() {
        trip_next(Seam::Pump);
        assert_eq!(guarded(Seam::Route, || 1), Some(1));
        assert_eq!(guarded(Seam::Pump, || 2), None);
        assert_eq!(guarded(Seam::Pump, || 3), Some(3));
    }
}

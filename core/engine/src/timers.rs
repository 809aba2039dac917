//! Deadlines of many machines in one heap.
//!
//! A machine has at most one armed deadline per timer; an entry that was overtaken by an earlier
//! one stays in the heap and is skipped when it comes due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A stream's source: keep-alive, request deadlines, stall.
    Source(usize),
    /// A viewer's transport: consent, DTLS, reports, its lease.
    Viewer(usize),
    /// A viewer's next run of packets. Apart from the other, so that a wake each millisecond does
    /// not leave a trail of overtaken entries seconds long.
    Pace(usize),
    /// A TCP connection that has not shown a viewer, or says goodbye.
    Tcp(usize),
}

/// What a machine keeps beside itself for each of its timers.
pub type Armed = Option<Instant>;

#[derive(Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Timer)>>,
}

impl Timers {
    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// The next entry that is due. The caller compares it with [`fires`].
    pub fn pop_due(&mut self, now: Instant) -> Option<(Instant, Timer)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Wakes `timer` at `at`, unless it will be woken earlier anyway.
    pub fn arm(&mut self, timer: Timer, at: Option<Instant>, armed: &mut Armed) {
        let Some(at) = at else { return };
        if armed.is_some_and(|before| before <= at) {
            return;
        }
        *armed = Some(at);
        self.heap.push(Reverse((at, timer)));
    }
}

/// Is the entry popped for `at` the armed one? Disarms it if so.
pub fn fires(at: Instant, armed: &mut Armed) -> bool {
    let fires = *armed == Some(at);
    if fires {
        *armed = None;
    }
    fires
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_overtaken_deadline_is_skipped_and_a_later_one_does_not_displace() {
        let mut timers = Timers::default();
        let mut armed = None;
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        timers.arm(Timer::Viewer(1), Some(at(10)), &mut armed);
        timers.arm(Timer::Viewer(1), Some(at(20)), &mut armed);
        timers.arm(Timer::Viewer(1), Some(at(5)), &mut armed);
        assert_eq!(timers.pop_due(at(4)), None);
        let (first, _) = timers.pop_due(at(30)).unwrap();
        assert!(first == at(5) && fires(first, &mut armed));
        let (second, _) = timers.pop_due(at(30)).unwrap();
        assert!(second == at(10) && !fires(second, &mut armed));
        assert_eq!(timers.pop_due(at(30)), None);
    }
}

//! At most so many packets within any millisecond, in constant space.

use std::time::{Duration, Instant};

use super::PACKETS_PER_MS;

const WINDOW: Duration = Duration::from_millis(1);

/// Counts packets in windows of one millisecond. A window's allowance is cut by what the one before
/// sent while that is less than a millisecond ago, so the bound holds for every millisecond, not only
/// for the aligned ones.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pacer {
    window: Option<Window>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    started: Instant,
    last_spent: Instant,
    count: usize,
    before: Before,
}

#[derive(Debug, Clone, Copy)]
struct Before {
    last_spent: Instant,
    count: usize,
}

impl Pacer {
    /// Packets that may go at `now`.
    pub(super) fn allowance(&self, now: Instant) -> usize {
        let Some(window) = self.window else {
            return PACKETS_PER_MS;
        };
        PACKETS_PER_MS.saturating_sub(window.counted(now))
    }

    /// The first instant, not before `now`, at which something may go.
    pub(super) fn next_allowed(&self, now: Instant) -> Instant {
        let Some(window) = self.window else {
            return now;
        };
        if self.allowance(now) > 0 {
            now
        } else if now < window.started + WINDOW && window.count < PACKETS_PER_MS {
            window.before.last_spent + WINDOW
        } else {
            window.last_spent + WINDOW
        }
    }

    pub(super) fn spend(&mut self, now: Instant, count: usize) {
        match &mut self.window {
            Some(window) if now < window.started + WINDOW => {
                window.count += count;
                window.last_spent = window.last_spent.max(now);
            }
            window => {
                let before = window.map_or(
                    Before {
                        last_spent: now,
                        count: 0,
                    },
                    |w| Before {
                        last_spent: w.last_spent,
                        count: w.count,
                    },
                );
                *window = Some(Window {
                    started: now,
                    last_spent: now,
                    count,
                    before,
                });
            }
        }
    }
}

impl Window {
    /// Packets sent less than a millisecond before `now`, never counted too low.
    fn counted(&self, now: Instant) -> usize {
        if now < self.started + WINDOW {
            let before = if now < self.before.last_spent + WINDOW {
                self.before.count
            } else {
                0
            };
            self.count + before
        } else if now < self.last_spent + WINDOW {
            self.count
        } else {
            0
        }
    }
}

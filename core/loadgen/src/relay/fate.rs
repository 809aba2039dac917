//! What becomes of each datagram: lost, or late by so much. Seeded, without a clock.

use std::time::Duration;

use serde_json::{Value, json};

use super::draws::Draws;

/// How bad a way is, for each direction alike.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Impairment {
    /// Share of datagrams lost, 0 to 1, each by itself.
    pub loss: f64,
    pub delay: Duration,
    /// Each is late by up to this in addition; over the spacing of datagrams it reorders them.
    pub jitter: Duration,
}

/// The fates of one direction's datagrams, in their order.
#[derive(Debug)]
pub struct Fate {
    impairment: Impairment,
    draws: Draws,
    passed: u64,
    lost: u64,
}

impl Fate {
    pub fn new(impairment: Impairment, seed: u64) -> Self {
        Self {
            impairment,
            draws: Draws::new(seed),
            passed: 0,
            lost: 0,
        }
    }

    /// How late the next datagram comes; `None`: never.
    pub fn next(&mut self) -> Option<Duration> {
        // Both are drawn for each, so that the losses of a seed do not depend on the jitter.
        let (loss, late) = (self.draws.next(), self.draws.next());
        if loss < self.impairment.loss {
            self.lost += 1;
            return None;
        }
        self.passed += 1;
        Some(self.impairment.delay + self.impairment.jitter.mul_f64(late))
    }

    pub fn counts(&self) -> Value {
        json!({ "passed": self.passed, "lost": self.lost })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(impairment: Impairment, seed: u64) -> Vec<Option<Duration>> {
        let mut fate = Fate::new(impairment, seed);
        (0..20_000).map(|_| fate.next()).collect()
    }

    #[test]
    fn a_seed_loses_the_same_datagrams_whatever_the_jitter() {
        let bad = Impairment {
            loss: 0.05,
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
        };
        let worse = Impairment {
            jitter: Duration::from_millis(8),
            ..bad
        };
        let (first, again, other) = (fates(bad, 7), fates(worse, 7), fates(bad, 8));
        let lost = |fates: &[Option<Duration>]| -> Vec<usize> {
            (0..fates.len()).filter(|n| fates[*n].is_none()).collect()
        };
        assert_eq!(lost(&first), lost(&again));
        assert_ne!(lost(&first), lost(&other));
        assert!((900..1_100).contains(&lost(&first).len()));
        let late = again.iter().flatten();
        assert!(
            late.clone()
                .all(|late| (10..18).contains(&late.as_millis()))
        );
        assert!(
            late.collect::<Vec<_>>()
                .windows(2)
                .any(|pair| pair[0] > pair[1])
        );
    }

    #[test]
    fn a_good_way_loses_nothing() {
        assert!(
            fates(Impairment::default(), 1)
                .iter()
                .all(|f| *f == Some(Duration::ZERO))
        );
    }
}

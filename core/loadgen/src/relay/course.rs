//! What becomes of a TCP connection's bytes: late, few at a time, held up, cut off. TCP shows no loss
//! to those above it: a lost segment is a delay, and a way that is gone is a reset. Seeded, sans-IO.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::draws::Draws;

/// Bytes of one direction under way. When they are full nothing more is read, and the sender feels it.
pub const PIPE_BYTES: usize = 64 * 1024;
/// What may pass at once under a cap: a segment, or a hundredth of a second's share.
const BURST_BYTES: f64 = 1_500.0;

/// How bad a way is, for each direction alike; zero is none of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TcpWay {
    pub delay: Duration,
    /// Each read is late by up to this in addition; the order stays.
    pub jitter: Duration,
    pub bytes_per_s: u32,
    /// Nothing passes for this long, each `stall_every` or so (half to one and a half of it).
    pub stall: Duration,
    pub stall_every: Duration,
    /// The connection is reset after about this (half to one and a half of it).
    pub cut_after: Duration,
}

/// One connection's stalls and end.
#[derive(Debug)]
pub struct Course {
    way: TcpWay,
    draws: Draws,
    stall: Option<(Instant, Instant)>,
    cut_at: Option<Instant>,
    /// Stalls that are over.
    pub stalls: u64,
}

impl Course {
    pub fn new(way: TcpWay, seed: u64, now: Instant) -> Self {
        let mut draws = Draws::new(seed);
        let cut_at = (!way.cut_after.is_zero()).then(|| now + about(way.cut_after, &mut draws));
        let mut course = Self {
            way,
            draws,
            stall: None,
            cut_at,
            stalls: 0,
        };
        course.plan_stall(now);
        course
    }

    pub fn is_cut(&self, now: Instant) -> bool {
        self.cut_at.is_some_and(|at| at <= now)
    }

    /// Does nothing pass now?
    pub fn is_stalled(&mut self, now: Instant) -> bool {
        while let Some((_, ends)) = self.stall
            && ends <= now
        {
            self.stalls += 1;
            self.plan_stall(ends);
        }
        self.stall.is_some_and(|(begins, _)| begins <= now)
    }

    pub fn next_timeout(&self, now: Instant) -> Option<Instant> {
        let stall = self
            .stall
            .map(|(begins, ends)| if begins <= now { ends } else { begins });
        [self.cut_at, stall].into_iter().flatten().min()
    }

    fn plan_stall(&mut self, after: Instant) {
        if self.way.stall.is_zero() || self.way.stall_every.is_zero() {
            return;
        }
        let begins = after + about(self.way.stall_every, &mut self.draws);
        self.stall = Some((begins, begins + self.way.stall));
    }
}

/// Half to one and a half of it.
fn about(span: Duration, draws: &mut Draws) -> Duration {
    span.mul_f64(0.5 + draws.next())
}

/// One direction's bytes under way.
#[derive(Debug)]
pub struct Pipe {
    way: TcpWay,
    draws: Draws,
    waiting: VecDeque<(Instant, Vec<u8>)>,
    waiting_bytes: usize,
    /// Of the first in line, what has left.
    left: usize,
    newest_due: Option<Instant>,
    allowance: f64,
    allowed_at: Instant,
    pub passed_bytes: u64,
}

impl Pipe {
    pub fn new(way: TcpWay, seed: u64, now: Instant) -> Self {
        Self {
            way,
            draws: Draws::new(seed),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            left: 0,
            newest_due: None,
            allowance: BURST_BYTES,
            allowed_at: now,
            passed_bytes: 0,
        }
    }

    /// Bytes that may be read for it now.
    pub fn room(&self) -> usize {
        PIPE_BYTES.saturating_sub(self.waiting_bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn take(&mut self, now: Instant, bytes: &[u8]) {
        let due = now + self.way.delay + self.way.jitter.mul_f64(self.draws.next());
        let due = self.newest_due.map_or(due, |newest| newest.max(due));
        self.newest_due = Some(due);
        self.waiting_bytes += bytes.len();
        self.waiting.push_back((due, bytes.to_vec()));
    }

    /// What may arrive now; [`Pipe::leave`] is told how much of it did.
    pub fn arriving(&mut self, now: Instant) -> &[u8] {
        let allowed = self.allowed(now);
        match self.waiting.front() {
            Some((due, bytes)) if *due <= now => {
                let rest = &bytes[self.left..];
                &rest[..rest.len().min(allowed)]
            }
            _ => &[],
        }
    }

    pub fn leave(&mut self, count: usize) {
        self.left += count;
        self.waiting_bytes -= count;
        self.passed_bytes += count as u64;
        self.allowance -= count as f64;
        if let Some((_, bytes)) = self.waiting.front()
            && bytes.len() == self.left
        {
            self.waiting.pop_front();
            self.left = 0;
        }
    }

    /// When something may arrive that may not at `now`; `None`: nothing waits for the clock.
    pub fn next_timeout(&self, now: Instant) -> Option<Instant> {
        let (due, bytes) = self.waiting.front()?;
        if *due > now {
            return Some(*due);
        }
        let wanted = BURST_BYTES.min((bytes.len() - self.left) as f64);
        (self.way.bytes_per_s > 0 && self.allowance < wanted).then(|| {
            let missing = (wanted - self.allowance) / f64::from(self.way.bytes_per_s);
            now + Duration::from_secs_f64(missing).max(Duration::from_millis(1))
        })
    }

    fn allowed(&mut self, now: Instant) -> usize {
        if self.way.bytes_per_s == 0 {
            return usize::MAX;
        }
        let rate = f64::from(self.way.bytes_per_s);
        let elapsed = now.saturating_duration_since(self.allowed_at).as_secs_f64();
        self.allowed_at = now;
        let most = BURST_BYTES.max(rate / 100.0);
        self.allowance = (self.allowance + elapsed * rate).min(most);
        self.allowance as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    type Arrived = Vec<(Duration, Vec<u8>)>;

    /// Runs a pipe on a virtual clock, offering as much as it takes; gives (time, bytes) arrived.
    fn run(way: TcpWay, span: Duration) -> Arrived {
        let began = Instant::now();
        let (mut pipe, mut course) = (Pipe::new(way, 7, began), Course::new(way, 7, began));
        let (mut sent, mut arrived) = (0u32, Vec::new());
        let mut now = began;
        while now < began + span && !course.is_cut(now) {
            while pipe.room() >= 1_000 {
                let bytes: Vec<u8> = (sent..sent + 250).flat_map(u32::to_be_bytes).collect();
                pipe.take(now, &bytes);
                sent += 250;
            }
            assert!(pipe.waiting_bytes <= PIPE_BYTES);
            while !course.is_stalled(now) {
                let bytes = pipe.arriving(now).to_vec();
                if bytes.is_empty() {
                    break;
                }
                pipe.leave(bytes.len());
                arrived.push((now - began, bytes));
            }
            now += MS;
        }
        arrived
    }

    #[test]
    fn a_cap_holds_and_bytes_keep_their_order() {
        let way = TcpWay {
            delay: 20 * MS,
            jitter: 30 * MS,
            bytes_per_s: 50_000,
            ..TcpWay::default()
        };
        let arrived = run(way, Duration::from_secs(10));
        assert!(arrived[0].0 >= 20 * MS);
        let bytes: Vec<u8> = arrived.into_iter().flat_map(|(_, bytes)| bytes).collect();
        assert!(
            (480_000..=502_000).contains(&bytes.len()),
            "{}",
            bytes.len()
        );
        let numbers = bytes
            .chunks_exact(4)
            .map(|four| u32::from_be_bytes(four.try_into().unwrap()));
        assert!(numbers.enumerate().all(|(n, number)| number as usize == n));
    }

    #[test]
    fn stalls_hold_everything_up_and_come_at_the_same_times_for_a_seed() {
        let way = TcpWay {
            bytes_per_s: 100_000,
            stall: 300 * MS,
            stall_every: 1_000 * MS,
            ..TcpWay::default()
        };
        let gaps = |arrived: &Arrived| -> Vec<(Duration, Duration)> {
            let times = arrived.windows(2).map(|pair| (pair[0].0, pair[1].0));
            times.filter(|(from, to)| *to - *from > 100 * MS).collect()
        };
        let stalls = gaps(&run(way, Duration::from_secs(20)));
        assert!((12..=20).contains(&stalls.len()), "{}", stalls.len());
        let mut lengths = stalls.iter().map(|(from, to)| (*to - *from).as_millis());
        assert!(lengths.all(|length| (290..=330).contains(&length)));
        assert_eq!(stalls, gaps(&run(way, Duration::from_secs(20))));
    }

    #[test]
    fn a_cut_comes_within_half_to_one_and_a_half_of_its_time() {
        let way = TcpWay {
            cut_after: 1_000 * MS,
            ..TcpWay::default()
        };
        let now = Instant::now();
        for seed in 0..100 {
            let course = Course::new(way, seed, now);
            assert!(!course.is_cut(now + 499 * MS) && course.is_cut(now + 1_500 * MS));
            assert!(course.next_timeout(now).is_some_and(|at| course.is_cut(at)));
        }
        assert!(!Course::new(TcpWay::default(), 1, now).is_cut(now + 9_999_999 * MS));
    }

    #[test]
    fn nothing_that_waits_for_the_clock_is_forgotten() {
        let now = Instant::now();
        let way = TcpWay {
            delay: 5 * MS,
            bytes_per_s: 1_000,
            ..TcpWay::default()
        };
        let mut pipe = Pipe::new(way, 1, now);
        assert_eq!(pipe.next_timeout(now), None);
        pipe.take(now, &[0; 4_000]);
        assert_eq!(pipe.next_timeout(now), Some(now + 5 * MS));
        let mut at = now;
        while let Some(next) = pipe.next_timeout(at) {
            assert!(next > at);
            at = next;
            let count = pipe.arriving(at).len();
            pipe.leave(count);
        }
        // The last of it is no more than what may pass at once.
        let count = pipe.arriving(at).len();
        pipe.leave(count);
        assert!(pipe.is_empty());
        assert!((2..=4).contains(&(at - now).as_secs()));
    }
}

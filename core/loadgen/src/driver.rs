//! The one thread with the viewers' sockets: wake, drain, timers, not again within a millisecond.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};

use crate::args::Watched;
use crate::sdp::Answer;
use crate::signalling::Signalling;
use crate::sys::{BATCH, Receiver, unix_ns};
use crate::viewer::{Identity, Viewer};

const TOKEN_SIGNALLING: u64 = u64::MAX;
const READY_PER_WAKE: usize = 1_024;
/// A wake for every datagram would cost more than its reading, and is charged to the sender too.
const WAKE_SPACING: Duration = Duration::from_millis(1);
/// Checks and reports need no finer clock.
const TIMERS_EVERY: Duration = Duration::from_millis(10);
/// One viewer's packets are all decrypted for this long, then the next one's.
const SAMPLE_EVERY: Duration = Duration::from_millis(250);

pub struct Driver {
    pub viewers: Vec<Viewer>,
    urls: Vec<Watched>,
    identity: Arc<Identity>,
    signalling: Signalling,
    kernel_times: bool,
    epoll: std::os::fd::OwnedFd,
    receiver: Receiver,
    ready: Vec<epoll::Event>,
    timers_due: Instant,
    sample_due: Instant,
    sampled: usize,
}

impl Driver {
    /// # Errors
    /// Sentences for the user.
    pub fn new(
        urls: Vec<Watched>,
        token: Option<&str>,
        kernel_times: bool,
    ) -> Result<Self, String> {
        let identity = Arc::new(Identity::make()?);
        let now = Instant::now();
        let build = || -> io::Result<Self> {
            let signalling = Signalling::start(token)?;
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            let data = epoll::EventData::new_u64(TOKEN_SIGNALLING);
            epoll::add(&epoll, &signalling.ready, data, epoll::EventFlags::IN)?;
            Ok(Self {
                viewers: Vec::new(),
                urls,
                identity,
                signalling,
                kernel_times,
                epoll,
                receiver: Receiver::new(),
                ready: Vec::with_capacity(READY_PER_WAKE),
                timers_due: now,
                sample_due: now,
                sampled: 0,
            })
        };
        build().map_err(|error| format!("the load can't be set up ({error})."))
    }

    /// Makes one more viewer and posts its offer.
    ///
    /// # Errors
    /// A sentence, when no socket can be made.
    pub fn join(&mut self) -> Result<(), String> {
        let index = self.viewers.len();
        let made = Viewer::new(index, self.identity.clone(), self.kernel_times);
        let mut viewer =
            made.map_err(|error| format!("viewer {index} gets no socket ({error})."))?;
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(
            &self.epoll,
            viewer.socket.as_fd(),
            data,
            epoll::EventFlags::IN,
        )
        .map_err(|error| format!("epoll refuses viewer {index} ({error})."))?;
        viewer.times.posted = unix_ns();
        let url = &self.urls[index % self.urls.len()].url;
        self.signalling.post(index, url, viewer.offer());
        self.viewers.push(viewer);
        Ok(())
    }

    /// Joins `count` viewers, `rate` a second (0: all at once), and goes on until each has its
    /// first keyframe or has failed, at most `patience`.
    ///
    /// # Errors
    /// A sentence, when no socket can be made.
    pub fn join_many(&mut self, count: usize, rate: f64, patience: Duration) -> Result<(), String> {
        let started = Instant::now();
        let spacing = if rate > 0.0 {
            Duration::from_secs_f64(1.0 / rate)
        } else {
            Duration::ZERO
        };
        for number in 0..count {
            let due = started + spacing * u32::try_from(number).unwrap_or(u32::MAX);
            self.run_until(due);
            self.join()?;
        }
        let deadline = Instant::now() + patience;
        while self.viewers.iter().any(Viewer::is_joining) && Instant::now() < deadline {
            self.turn(deadline);
        }
        Ok(())
    }

    pub fn run_for(&mut self, span: Duration) {
        self.run_until(Instant::now() + span);
    }

    fn run_until(&mut self, deadline: Instant) {
        while Instant::now() < deadline {
            self.turn(deadline);
        }
    }

    /// One wake, at most until `deadline`.
    fn turn(&mut self, deadline: Instant) {
        self.sleep(deadline.min(self.timers_due));
        let woken = Instant::now();
        let ready = std::mem::take(&mut self.ready);
        for event in &ready {
            match event.data.u64() {
                TOKEN_SIGNALLING => self.take_answers(woken),
                token => self.drain(usize::try_from(token).unwrap_or(usize::MAX), woken),
            }
        }
        self.ready = ready;
        if woken >= self.timers_due {
            self.timers_due = woken + TIMERS_EVERY;
            self.take_timers(woken);
        }
        // While someone joins, every step of its handshake is waited for.
        let spent = woken.elapsed();
        if spent < WAKE_SPACING
            && !self
                .viewers
                .iter()
                .any(|v| v.is_joining() || !v.is_connected())
        {
            std::thread::sleep(WAKE_SPACING - spent);
        }
    }

    fn sleep(&mut self, until: Instant) {
        self.ready.clear();
        let wait = until.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: wait.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        };
        // Interrupted or not: what is due is looked at all the same.
        let _ = epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut self.ready),
            Some(&timeout),
        );
    }

    fn drain(&mut self, index: usize, now: Instant) {
        let Some(viewer) = self.viewers.get_mut(index) else {
            return;
        };
        loop {
            // An ICMP answer to an earlier send shows up here; the next read is clean.
            let taken = self
                .receiver
                .receive(&viewer.socket, self.kernel_times)
                .unwrap_or(0);
            let read_ns = unix_ns();
            for i in 0..taken {
                let at_ns = self.receiver.kernel_time_ns(i).unwrap_or(read_ns);
                viewer.handle_datagram(now, at_ns, self.receiver.datagram(i));
            }
            if taken < BATCH {
                return;
            }
        }
    }

    fn take_answers(&mut self, now: Instant) {
        let mut count = [0u8; 8];
        let _ = rustix::io::read(&self.signalling.ready, &mut count);
        while let Ok(posted) = self.signalling.results.try_recv() {
            let viewer = &mut self.viewers[posted.index];
            viewer.times.posted = posted.posted_ns;
            viewer.times.answered = posted.answered_ns;
            let answer = posted.answer.and_then(|(text, location)| {
                viewer.location = location;
                Answer::parse(&text)
            });
            match answer {
                Ok(answer) => viewer.begin(now, answer),
                Err(reason) => viewer.fail(reason),
            }
        }
    }

    fn take_timers(&mut self, now: Instant) {
        for viewer in &mut self.viewers {
            if viewer.next_timeout().is_some_and(|due| due <= now) {
                viewer.handle_timeout(now);
            }
        }
        if now >= self.sample_due && !self.viewers.is_empty() {
            self.sample_due = now + SAMPLE_EVERY;
            let count = self.viewers.len();
            self.viewers[self.sampled % count].set_sampled(false);
            self.sampled = (self.sampled + 1) % count;
            self.viewers[self.sampled].set_sampled(true);
        }
    }

    /// Ends every view: DELETE where there is a URL, and close_notify.
    pub fn leave(mut self) {
        for viewer in &mut self.viewers {
            viewer.leave();
            if let Some(url) = viewer.location.take() {
                self.signalling.delete(url);
            }
        }
        self.signalling.finish();
    }
}

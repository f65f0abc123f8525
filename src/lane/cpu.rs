//! Processor time of an instance, by the clock of the thread that polls it: for each request where it serves one at a
//! time, for each second where it serves several, whose shares cannot be told apart.

use super::slice::Why;
use crate::config::{GuestLimits, Plan};
use nix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time over which an async guest's share is measured.
const PERIOD: Duration = Duration::from_secs(1);

pub struct Cpu {
    /// Nanoseconds for a request; `u64::MAX` is no limit.
    most: u64,
    /// Nanoseconds in a period; `u64::MAX` is no limit.
    share: u64,
    /// A request is being worked on. What it takes in its first poll on the loop, a slice at most, is not worth the two
    /// system calls that it costs to know: it is counted from its second poll on.
    in_request: AtomicBool,
    /// Nanoseconds of the present request, or period, in earlier polls.
    used: AtomicU64,
    /// The thread's clock when the present poll began; 0 if it is not counted.
    began: AtomicU64,
    /// When the present period began.
    period: Mutex<Instant>,
}

/// Processor time of this thread so far.
pub fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos() as u64
}

impl Cpu {
    pub fn new(plan: &Plan, limits: &GuestLimits) -> Self {
        let or_never = |limit: Option<Duration>| limit.map_or(u64::MAX, nanoseconds);
        let (most, share) = match plan.concurrency {
            1 => (or_never(limits.cpu_time), u64::MAX),
            _ => (u64::MAX, or_never(limits.cpu_share)),
        };
        Self {
            most,
            share,
            in_request: AtomicBool::new(false),
            used: AtomicU64::new(0),
            began: AtomicU64::new(0),
            period: Mutex::new(Instant::now()),
        }
    }

    fn is_limited(&self) -> bool {
        self.most != u64::MAX
    }

    fn is_shared(&self) -> bool {
        self.share != u64::MAX
    }

    pub fn begin_request(&self, on_loop: bool) {
        if self.is_limited() {
            self.in_request.store(true, Relaxed);
            self.used.store(0, Relaxed);
            // Off the loop a poll may last until the end of the request.
            self.began.store(if on_loop { 0 } else { nanoseconds(thread_time()) }, Relaxed);
        }
    }

    pub fn end_request(&self) {
        self.in_request.store(false, Relaxed);
    }

    pub fn begin(&self) {
        if self.is_shared() || self.in_request.load(Relaxed) {
            self.began.store(nanoseconds(thread_time()).max(1), Relaxed);
        }
    }

    /// The poll is over: Some if that was too much.
    pub fn end(&self) -> Option<Why> {
        if self.began.load(Relaxed) == 0 {
            return None;
        }
        let used = self.now();
        self.used.store(used, Relaxed);
        self.began.store(0, Relaxed);
        (used > self.most && self.in_request.load(Relaxed)).then(|| self.why())
    }

    /// Asked in the midst of a poll, at each tick.
    pub fn exceeded(&self) -> Option<Why> {
        (self.is_limited() && self.in_request.load(Relaxed) && self.now() > self.most).then(|| self.why())
    }

    /// What has been used by now.
    fn now(&self) -> u64 {
        let used = self.used.load(Relaxed);
        match self.began.load(Relaxed) {
            0 => used,
            began => used + nanoseconds(thread_time()).saturating_sub(began),
        }
    }

    fn why(&self) -> Why {
        let limit = Duration::from_nanos(self.most).as_secs_f64();
        let text = format!("a request took more than {limit} s of processor time (--max-cpu-time)");
        Why::Limit { phase: "cpu", text }
    }

    pub fn has_had_share(&self) -> bool {
        self.is_shared() && self.now() >= self.share
    }

    /// Until when the guest has to wait. With a new period it has a new share, less what it took too much before.
    pub fn pause(&self) -> Option<Instant> {
        if !self.is_shared() {
            return None;
        }
        let mut period = self.period.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = period.elapsed().as_secs();
        if passed > 0 {
            *period += Duration::from_secs(passed);
            self.used.store(self.used.load(Relaxed).saturating_sub(self.share.saturating_mul(passed)), Relaxed);
        }
        (self.used.load(Relaxed) >= self.share).then(|| *period + PERIOD)
    }
}

//! A worker slot and the processes in it: one at work, and for a while those that drain.

use super::rollout::Generation;
use crate::message::{FromWorker, Received, ToWorker, receive_message, send_message};
use crate::scoreboard::{Row, monotonic_ms};
use crate::status::Counters;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// A worker that ran this long before it ended was not failing at its start.
const STABLE: Duration = Duration::from_secs(10);
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MOST: Duration = Duration::from_secs(30);
/// From SIGABRT to SIGKILL.
const ABORT_GRACE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    /// Forked; its first instance starts up.
    Booting {
        deadline: Instant,
    },
    Ready,
    /// Takes no more connections and finishes what it has.
    Draining {
        deadline: Instant,
    },
    /// Found not to be alive; killed at the deadline if the abort does not end it.
    Aborted {
        deadline: Instant,
    },
    Killed,
}

pub struct Child {
    pub pid: Pid,
    pub channel: OwnedFd,
    pub row: usize,
    pub generation: Rc<Generation>,
    /// The one that it was told to serve from now on, until it says that it does.
    pub next: Option<Rc<Generation>>,
    pub state: State,
    pub started: Instant,
    /// It has served.
    pub was_ready: bool,
    /// It is to go once a successor is ready.
    pub outdated: bool,
    /// It has closed its end, and so is about to end: there is nothing more to wait for there.
    pub has_left: bool,
    /// Why we ended it, if we did.
    pub ended_for: Option<String>,
}

impl Child {
    pub fn send(&self, message: &ToWorker) {
        // A worker whose socket is full does not read: its heartbeat tells.
        let _ = send_message(self.channel.as_fd(), message);
    }

    /// Whether it serves or is about to.
    pub fn is_at_work(&self) -> bool {
        matches!(self.state, State::Booting { .. } | State::Ready)
    }

    pub fn receive(&self) -> Received<FromWorker> {
        receive_message(self.channel.as_fd())
    }

    pub fn drain(&mut self, deadline: Instant) {
        if self.is_at_work() {
            self.send(&ToWorker::Drain);
            // One that boots is not listening yet.
            if matches!(self.state, State::Booting { .. }) {
                let _ = kill(self.pid, Signal::SIGKILL);
            }
            self.state = State::Draining { deadline };
        }
    }

    pub fn kill(&mut self, why: &str) {
        let _ = kill(self.pid, Signal::SIGKILL);
        self.state = State::Killed;
        self.ended_for.get_or_insert_with(|| why.to_owned());
    }

    fn abort(&mut self, why: String) {
        let _ = kill(self.pid, Signal::SIGABRT);
        self.state = State::Aborted { deadline: Instant::now() + ABORT_GRACE };
        self.ended_for = Some(why);
    }

    /// Enforces the time limit of the state it is in. True if it was found not to be alive just now. Without a
    /// `healthcheck` heartbeats are not looked at.
    pub fn check(&mut self, row: &Row, healthcheck: Option<Duration>) -> bool {
        let now = Instant::now();
        match self.state {
            State::Booting { deadline } if now >= deadline => {
                self.abort("it was not ready in time".to_owned());
                true
            }
            State::Ready if healthcheck.is_some_and(|limit| is_silent(row, limit)) => {
                let seconds = healthcheck.unwrap_or_default().as_secs_f64();
                self.abort(format!(
                    "it gave no sign of life for {seconds} s: its loop is blocked or the process is stopped"
                ));
                true
            }
            State::Draining { deadline } if now >= deadline => {
                self.kill("it did not finish within the graceful timeout");
                false
            }
            State::Aborted { deadline } if now >= deadline => {
                self.kill("");
                false
            }
            _ => false,
        }
    }

    /// When `check` has something to do at the latest; heartbeats are looked at more often anyway.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Booting { deadline } | State::Draining { deadline } | State::Aborted { deadline } => Some(deadline),
            State::Ready | State::Killed => None,
        }
    }
}

fn is_silent(row: &Row, limit: Duration) -> bool {
    // A worker is not trusted: a time in the future is no sign of life for ever.
    let silent = monotonic_ms().abs_diff(row.heartbeat.load(Relaxed));
    u128::from(silent) > limit.as_millis()
}

#[derive(Default)]
pub struct Slot {
    /// The newest process is the last; those before it hand over to it, drain or are dying.
    pub children: Vec<Child>,
    /// When to start the next one.
    pub start_at: Option<Instant>,
    failures: u32,
    /// The slot whose worker accepts for this one, and that worker: its successor knows nothing of it.
    pub adopted_by: Option<(usize, Pid)>,
    /// Processes that were replaced after they had ended unexpectedly, and why the last one did.
    pub restarts: u64,
    pub last_death: String,
    /// What the processes that are gone have counted.
    pub past: Counters,
}

impl Slot {
    pub fn due_now() -> Self {
        Self { start_at: Some(Instant::now()), ..Self::default() }
    }

    /// The process that accepts in this slot.
    pub fn ready(&self) -> Option<&Child> {
        self.children.iter().rev().find(|child| child.state == State::Ready)
    }

    pub fn is_ready(&self) -> bool {
        self.ready().is_some()
    }

    /// The newest process that serves or is about to.
    pub fn newest(&self) -> Option<&Child> {
        self.children.iter().rev().find(|child| child.is_at_work())
    }

    /// Whether a process of this generation serves or is about to, and is to stay.
    pub fn has_worker_of(&self, generation: &Rc<Generation>) -> bool {
        let is_of = |child: &Child| Rc::ptr_eq(child.next.as_ref().unwrap_or(&child.generation), generation);
        let fits = |child: &Child| child.is_at_work() && is_of(child) && !child.outdated;
        self.children.iter().any(fits)
    }

    /// Whether it is this process that is at work here.
    pub fn is_ready_as(&self, pid: Pid) -> bool {
        self.ready().is_some_and(|child| child.pid == pid)
    }

    /// What failed before says nothing of what starts next.
    pub fn forget_failures(&mut self) {
        self.failures = 0;
        if self.start_at.is_some() {
            self.start_at = Some(Instant::now());
        }
    }

    /// Plans the next process after one has ended: at once, or ever later if they keep failing.
    pub fn plan_start(&mut self, ran: Duration, jitter: f64) -> Duration {
        self.failures = if ran >= STABLE { 0 } else { self.failures + 1 };
        let pause = match self.failures {
            0 | 1 => Duration::ZERO,
            failures => (BACKOFF_FIRST * 2u32.saturating_pow((failures - 2).min(16)))
                .min(BACKOFF_MOST)
                .mul_f64(1.0 - 0.25 * jitter),
        };
        self.start_at = Some(Instant::now() + pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_loop_is_slowed_down_to_half_a_minute() {
        let mut slot = Slot::default();
        let pauses: Vec<_> = (0..14).map(|_| slot.plan_start(Duration::ZERO, 0.0)).collect();
        assert_eq!(pauses[0], Duration::ZERO, "the first death is answered at once");
        assert_eq!(pauses[1], BACKOFF_FIRST);
        assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(pauses[13], BACKOFF_MOST);
        assert_eq!(slot.plan_start(STABLE, 0.0), Duration::ZERO, "a success resets it");
    }
}

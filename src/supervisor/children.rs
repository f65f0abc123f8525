//! What becomes of the children: they report, end, go silent, grow too large.

use super::ready;
use super::rollout::Generation;
use super::run::{GRACE, Supervisor};
use super::slot::{Child, Slot, State};
use super::status::resident;
use crate::exit::{Exit, Failure};
use crate::message::{FromWorker, Received};
use crate::scoreboard::Row;
use crate::status::Counters;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// A pause of the loop that is none of its own making.
const LATE: Duration = Duration::from_secs(1);
/// From when all workers are ready to when the start is over for good.
const SETTLED: Duration = Duration::from_millis(200);
/// How often the memory of workers is looked at.
const WEIGH: Duration = Duration::from_secs(1);

impl Supervisor {
    pub fn listen_to_children(&mut self) {
        for index in 0..self.slots.len() {
            for at in 0..self.slots[index].children.len() {
                self.listen_to(index, at);
            }
        }
    }

    fn listen_to(&mut self, index: usize, at: usize) {
        loop {
            match self.slots[index].children[at].receive() {
                Received::Message(message) => self.take_message(index, at, message),
                Received::Garbage => return self.slots[index].children[at].kill("it sent something unknown"),
                Received::Closed => return self.slots[index].children[at].has_left = true,
                Received::Nothing => return,
            }
        }
    }

    fn take_message(&mut self, index: usize, at: usize, message: FromWorker) {
        let deadline = Instant::now() + self.settings.timeout_graceful_shutdown + GRACE;
        let child = &mut self.slots[index].children[at];
        match message {
            FromWorker::Ready if matches!(child.state, State::Booting { .. }) => self.is_ready(index, at, deadline),
            FromWorker::Ready => {}
            FromWorker::Relays { generation } => {
                if let Some(next) = child.next.take_if(|next| next.number == generation) {
                    child.generation = next;
                }
            }
            FromWorker::Draining => {
                if child.state == State::Ready {
                    child.state = State::Draining { deadline };
                    child.ended_for = Some("it was told to end".to_owned());
                    if index < self.wanted && self.slots[index].newest().is_none() {
                        self.slots[index].start_at = Some(Instant::now());
                    }
                }
            }
            FromWorker::StartupFailed { message } => {
                self.not_started(index, at, Exit::Startup, "its startup failed", &message)
            }
            FromWorker::LoadFailed { message } => {
                self.not_started(index, at, Exit::Load, "it cannot be instantiated", &message)
            }
            FromWorker::FileFailed { message } => {
                self.not_started(index, at, Exit::Usage, "a file cannot be read", &message)
            }
            FromWorker::SandboxFailed { message } => {
                self.not_started(index, at, Exit::Sandbox, "it cannot be run in a sandbox", &message)
            }
        }
    }

    fn is_ready(&mut self, index: usize, at: usize, deadline: Instant) {
        let slot = &mut self.slots[index];
        for (other, child) in slot.children.iter_mut().enumerate() {
            if other == at {
                child.state = State::Ready;
                child.was_ready = true;
            } else {
                // Its predecessor, whose connections it goes on to finish.
                child.drain(deadline);
            }
        }
        let child = &slot.children[at];
        let (pid, ms) = (child.pid.as_raw(), child.started.elapsed().as_micros() as f64 / 1000.0);
        tracing::info!(
            event = "worker-ready",
            worker = index,
            pid,
            generation = child.generation.number,
            ms,
            "worker {index} is ready (process {pid}, {ms:.1} ms)"
        );
        self.release(index);
        if !self.served && self.slots[..self.wanted].iter().all(Slot::is_ready) {
            self.served = true;
            let addresses = self.sockets.addresses();
            ready::tell(&self.settings, &self.generations.current.loaded.work, &addresses);
            self.notify.ready(self.summary());
            super::upgrade::tell_ready();
            // Not now, when the first requests come.
            self.release_at = Some(Instant::now() + SETTLED);
        }
    }

    /// A worker's first instance did not start. At the first boot that ends everything, with one message.
    fn not_started(&mut self, index: usize, at: usize, exit: Exit, what: &str, message: &str) {
        let child = &mut self.slots[index].children[at];
        child.ended_for.get_or_insert_with(|| format!("{what}: {message}"));
        let name = self.settings.source.name();
        let whole = format!("{name}: {what}: {message}");
        if !self.served {
            self.end(Err(Failure::new(exit, whole)));
            self.kill_all("the start failed");
            return;
        }
        let (was_ready, generation) = (child.was_ready, child.generation.clone());
        self.ends_rollout(was_ready, &generation, exit, &whole);
    }

    pub fn reap(&mut self) {
        loop {
            let status = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                Err(Errno::EINTR) => continue,
                Err(error) => {
                    tracing::error!("cannot wait for children: {error}");
                    return;
                }
                Ok(status) => status,
            };
            let (Some(pid), WaitStatus::Exited(..) | WaitStatus::Signaled(..)) = (status.pid(), status) else {
                continue;
            };
            let found = self.slots.iter().position(|slot| slot.children.iter().any(|child| child.pid == pid));
            match found {
                Some(index) => self.bury(index, pid, status),
                // Others are not ours: we may be process 1 of a container.
                None => {
                    let _ = self.generations.reaped(pid, status)
                        || self.apps.ended(pid, status)
                        || self.admin_ended(pid)
                        || self.upgrade_ended(pid, status);
                }
            }
        }
    }

    fn bury(&mut self, index: usize, pid: Pid, status: WaitStatus) {
        let Some(at) = self.slots[index].children.iter().position(|child| child.pid == pid) else { return };
        // Its last words may have come after we last listened.
        self.listen_to(index, at);
        let child = self.slots[index].children.remove(at);
        let rows = self.rows;
        let row = &rows[child.row];
        self.slots[index].past.add(&Counters::of(row).without_gauges());
        let reason = self.reason(&child, status);
        let expected = self.ending.is_some() && (matches!(status, WaitStatus::Exited(_, 0)) || !self.served);
        let drained = matches!((child.state, status), (State::Draining { .. }, WaitStatus::Exited(_, 0)));
        report(index, &child, row, &reason, expected || drained);
        // What it had under way counts no longer among those of all workers.
        row.outbound.store(0, Relaxed);
        row.in_flight.store(0, Relaxed);
        if self.ending.is_some() || drained {
            return;
        }
        self.slots[index].last_death = reason.clone();
        if !self.served && !child.was_ready {
            let name = self.settings.source.name();
            let failure = Failure::internal(format!("{name}: worker {index} {reason} before it was ready"));
            self.end(Err(failure));
            self.kill_all("the start failed");
            return;
        }
        let name = self.settings.source.name();
        let what = format!("{name}: worker {index} {reason} before it was ready");
        // One that we have ended ourselves says nothing of its generation.
        let failed = matches!(child.state, State::Booting { .. });
        if !(failed && self.ends_rollout(false, &child.generation.clone(), Exit::Internal, &what)) {
            self.plan_successor(index, &child);
        }
    }

    /// A worker of the generation that is taking over did not get ready: then that was it.
    fn ends_rollout(&mut self, was_ready: bool, generation: &Rc<Generation>, exit: Exit, what: &str) -> bool {
        let ends = !was_ready && self.generations.is_target(generation);
        if ends {
            self.abort_rollout(&Failure::new(exit, what));
        }
        ends
    }

    fn plan_successor(&mut self, index: usize, child: &Child) {
        let slot = &mut self.slots[index];
        let has_successor = slot.has_worker_of(self.generations.wanted_in(index));
        if index >= self.wanted || slot.start_at.is_some() || has_successor {
            return;
        }
        slot.restarts += 1;
        let pause = slot.plan_start(child.started.elapsed(), jitter(child.pid));
        if !pause.is_zero() {
            let seconds = pause.as_secs_f64();
            tracing::warn!(
                event = "back-off",
                worker = index,
                seconds,
                "worker {index} keeps ending: the next one starts in {seconds:.1} s"
            );
        }
    }

    /// Why a process has ended, as far as anybody knows.
    fn reason(&mut self, child: &Child, status: WaitStatus) -> String {
        let how = match status {
            WaitStatus::Exited(_, 0) => "ended".to_owned(),
            WaitStatus::Exited(_, code) => format!("ended with exit code {code}"),
            WaitStatus::Signaled(_, signal, _) => format!("was ended by {signal}"),
            _ => String::new(),
        };
        let why = match (&child.ended_for, status) {
            (Some(why), _) => why.clone(),
            (None, WaitStatus::Signaled(_, Signal::SIGSYS, _)) => "a system call that the sandbox refuses".to_owned(),
            (None, WaitStatus::Signaled(_, Signal::SIGKILL, _)) if self.oom_kills.has_grown() => {
                "the kernel ended it because memory had run out".to_owned()
            }
            _ => String::new(),
        };
        if why.is_empty() { how } else { format!("{how}: {why}") }
    }

    pub fn check_children(&mut self) {
        let healthcheck = self.settings.timeout_worker_healthcheck;
        let now = Instant::now();
        // If we ourselves were not run for a while, nor were the workers: a machine that was stopped or starved.
        if now.duration_since(self.looked) > LATE {
            self.blind_until = now + healthcheck;
        }
        self.looked = now;
        let trust = (now >= self.blind_until).then_some(healthcheck);
        for index in 0..self.slots.len() {
            for at in 0..self.slots[index].children.len() {
                self.check_child(index, at, trust);
            }
        }
        if self.settings.worker_max_rss > 0 && now.duration_since(self.weighed) >= WEIGH {
            self.weighed = now;
            self.weigh();
        }
    }

    fn check_child(&mut self, index: usize, at: usize, trust: Option<Duration>) {
        let slot = &mut self.slots[index];
        let child = &mut slot.children[at];
        let was_draining = matches!(child.state, State::Draining { .. });
        let found = child.check(&self.rows[child.row], trust);
        let (worker, pid) = (index, child.pid.as_raw());
        if was_draining && child.state == State::Killed {
            tracing::warn!(
                event = "drain-timeout",
                worker,
                pid,
                "worker {worker} (process {pid}) is killed: it did not finish in time"
            );
        }
        if !found {
            return;
        }
        let why = child.ended_for.clone().unwrap_or_default();
        tracing::error!(event = "worker-silent", worker, pid, "worker {worker} (process {pid}) is ended: {why}");
        let (was_ready, generation) = (child.was_ready, child.generation.clone());
        let (ran, jitter) = (child.started.elapsed(), jitter(child.pid));
        let what = format!("{}: worker {index}: {why}", self.settings.source.name());
        if self.ends_rollout(was_ready, &generation, Exit::Startup, &what) {
            return;
        }
        // Its successor does not wait for it to be gone.
        let serving = self.is_serving();
        let slot = &mut self.slots[index];
        if slot.newest().is_none() && serving && index < self.wanted {
            slot.restarts += 1;
            slot.plan_start(ran, jitter);
        }
    }

    /// Replaces workers that have grown too large.
    fn weigh(&mut self) {
        let most = self.settings.worker_max_rss;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            for child in slot.children.iter_mut().filter(|child| child.state == State::Ready && !child.outdated) {
                let size = resident(child.pid).unwrap_or(0);
                if size > most {
                    let pid = child.pid.as_raw();
                    child.outdated = true;
                    tracing::info!(
                        event = "worker-recycled",
                        worker = index,
                        pid,
                        rss = size,
                        "worker {index} (process {pid}) is replaced: {size} bytes are resident, above --worker-max-rss {most}"
                    );
                }
            }
        }
    }
}

/// The record of a process's end.
fn report(worker: usize, child: &Child, row: &Row, reason: &str, expected: bool) {
    let (pid, generation) = (child.pid.as_raw(), child.generation.number);
    let (requests, in_flight, queued) =
        (row.requests.load(Relaxed), row.in_flight.load(Relaxed), row.queued.load(Relaxed));
    let seconds = child.started.elapsed().as_secs_f64();
    if expected {
        tracing::debug!(
            event = "worker-exited",
            worker,
            pid,
            generation,
            reason,
            requests,
            in_flight,
            queued,
            seconds,
            "worker {worker} (process {pid}) {reason}"
        );
    } else {
        tracing::warn!(
            event = "worker-exited",
            worker,
            pid,
            generation,
            reason,
            requests,
            in_flight,
            queued,
            seconds,
            "worker {worker} (process {pid}) {reason}, after {requests} requests, with {in_flight} in flight"
        );
    }
}

/// A number from 0 to 1 that differs between processes: what ends together must not start together.
fn jitter(pid: Pid) -> f64 {
    f64::from(pid.as_raw() as u32 % 97) / 96.0
}

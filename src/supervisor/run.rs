//! The loop: children come, report, go silent, end; signals say what is wanted.

use super::load::Loaded;
use super::signals::{Signals, unblock_in_child};
use super::slot::{Child, Slot, State};
use super::sockets::Sockets;
use super::{Roles, ready};
use crate::config::Settings;
use crate::exit::{Exit, Failure};
use crate::message::{FromWorker, Received, Start, ToWorker};
use crate::scoreboard::{self, Row};
use crate::sys;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often heartbeats are looked at, at least.
const LOOK: Duration = Duration::from_millis(250);
/// A pause of the loop that is none of its own making.
const LATE: Duration = Duration::from_secs(1);
/// What a worker gets beyond its own limits before it is ended from outside.
const GRACE: Duration = Duration::from_secs(2);
/// Processes that a slot may have at a time: one at work, others on their way out.
const ROWS_PER_SLOT: usize = 4;
/// Signals to end that come this close to the first one are the same one.
const SAME_SIGNAL: Duration = Duration::from_millis(20);
const GENERATION: u64 = 1;

pub struct Supervisor {
    settings: Arc<Settings>,
    roles: Roles,
    signals: Signals,
    sockets: Sockets,
    loaded: Loaded,
    rows: &'static [Row],
    slots: Vec<Slot>,
    /// All workers have been ready once.
    served: bool,
    /// When the loop last ran, and until when heartbeats prove nothing because it ran late itself.
    looked: Instant,
    blind_until: Instant,
    ending: Option<Ending>,
}

struct Ending {
    began: Instant,
    result: Result<(), Failure>,
}

impl Ending {
    fn is_new(&self) -> bool {
        self.began.elapsed() < SAME_SIGNAL
    }
}

impl Supervisor {
    pub fn new(
        settings: Arc<Settings>,
        roles: Roles,
        signals: Signals,
        sockets: Sockets,
        loaded: Loaded,
    ) -> Result<Self, Failure> {
        let rows = scoreboard::new(settings.workers * ROWS_PER_SLOT)?;
        let slots = (0..settings.workers).map(|_| Slot::due_now()).collect();
        Ok(Self {
            settings,
            roles,
            signals,
            sockets,
            loaded,
            rows,
            slots,
            served: false,
            looked: Instant::now(),
            blind_until: Instant::now(),
            ending: None,
        })
    }

    pub fn run(mut self) -> Result<(), Failure> {
        loop {
            self.start_due()?;
            self.wait()?;
            while let Some(signal) = self.signals.next() {
                self.take_signal(signal);
            }
            self.listen_to_children();
            self.reap();
            self.check_children();
            self.place_orphans();
            if let Some(ending) = &self.ending
                && self.slots.iter().all(|slot| slot.children.is_empty())
            {
                tracing::info!(event = "stopped", "every worker has ended");
                return match &ending.result {
                    Ok(()) => Ok(()),
                    Err(failure) => Err(Failure::new(failure.exit, failure.message.clone())),
                };
            }
        }
    }

    fn children(&self) -> impl Iterator<Item = &Child> {
        self.slots.iter().flat_map(|slot| &slot.children)
    }

    /// Sleeps until something happens or is due.
    fn wait(&self) -> Result<(), Failure> {
        let mut watched = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        watched.extend(
            self.children()
                .filter(|child| child.state != State::Killed)
                .map(|child| PollFd::new(child.channel.as_fd(), PollFlags::POLLIN)),
        );
        let starts = self.slots.iter().filter_map(|slot| slot.start_at);
        let due = self.children().filter_map(Child::deadline).chain(starts).min();
        let pause = due.map_or(LOOK, |due| due.saturating_duration_since(Instant::now()).min(LOOK));
        // Rounded up, so that what is due then is due.
        let pause = PollTimeout::try_from(pause + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO);
        match poll(&mut watched, pause) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn start_due(&mut self) -> Result<(), Failure> {
        for index in 0..self.slots.len() {
            if self.ending.is_none() && self.slots[index].start_at.is_some_and(|at| at <= Instant::now()) {
                self.slots[index].start_at = None;
                if let Err(failure) = self.start(index) {
                    // Out of processes or memory for the moment: no reason to end those that work.
                    if !self.served {
                        return Err(failure);
                    }
                    tracing::error!(
                        event = "start-failed",
                        worker = index,
                        "worker {index} cannot be started: {failure}"
                    );
                    self.slots[index].plan_start(Duration::ZERO, 0.0);
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, index: usize) -> Result<(), Failure> {
        let Some(row) = self.free_row() else {
            // Every process that was ever in this slot is still on its way out: wait for one of them.
            self.slots[index].start_at = Some(Instant::now() + LOOK);
            return Ok(());
        };
        self.rows[row].reset();
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        let supervisor = getpid();
        let start = Start {
            settings: self.settings.clone(),
            plan: self.loaded.plan.clone(),
            artefact: self.loaded.code.as_raw_fd(),
            listeners: self.sockets.slots.iter().map(|slot| slot.iter().map(AsRawFd::as_raw_fd).collect()).collect(),
            slot: index,
            generation: GENERATION,
            row: &self.rows[row],
            channel: theirs.as_raw_fd(),
            supervisor,
        };
        let run = self.roles.worker;
        let pid = sys::fork(|| {
            unblock_in_child();
            run(start)
        })?;
        let deadline =
            Instant::now() + self.settings.timeout_startup + GRACE + self.settings.timeout_worker_healthcheck;
        self.slots[index].children.push(Child {
            pid,
            channel: ours,
            row,
            state: State::Booting { deadline },
            started: Instant::now(),
            ended_for: None,
        });
        Ok(())
    }

    fn free_row(&self) -> Option<usize> {
        (0..self.rows.len()).find(|row| self.children().all(|child| child.row != *row))
    }

    fn take_signal(&mut self, signal: Signal) {
        match signal {
            Signal::SIGTERM | Signal::SIGINT if self.ending.is_none() => {
                tracing::info!(event = "stopping", "{signal}: finishing what is in flight");
                self.end(Ok(()));
            }
            // The same signal twice: timeout(1) and some shells tell the process and then its whole group.
            Signal::SIGTERM | Signal::SIGINT if self.ending.as_ref().is_some_and(Ending::is_new) => {}
            Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT => {
                tracing::info!(event = "stopping", "{signal}: ending at once");
                self.end(Ok(()));
                self.kill_all("the supervisor was told to end at once");
            }
            Signal::SIGCHLD => {}
            other => tracing::info!(event = "signal", "{other} has no meaning yet"),
        }
    }

    /// Starts the end: the first reason counts. Workers drain if they may have something to finish.
    fn end(&mut self, result: Result<(), Failure>) {
        if self.ending.is_some() {
            return;
        }
        self.ending = Some(Ending { began: Instant::now(), result });
        let deadline = Instant::now() + self.settings.timeout_graceful_shutdown + GRACE;
        for slot in &mut self.slots {
            slot.start_at = None;
            for child in &mut slot.children {
                child.drain(deadline);
            }
        }
        // What waits in the queues is with the workers, which have these sockets too.
        self.sockets.slots.iter_mut().for_each(Vec::clear);
    }

    fn kill_all(&mut self, why: &str) {
        for child in self.slots.iter_mut().flat_map(|slot| &mut slot.children) {
            child.kill(why);
        }
    }

    fn listen_to_children(&mut self) {
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
                Received::Nothing | Received::Closed => return,
            }
        }
    }

    fn take_message(&mut self, index: usize, at: usize, message: FromWorker) {
        let deadline = Instant::now() + self.settings.timeout_graceful_shutdown + GRACE;
        let child = &mut self.slots[index].children[at];
        match message {
            FromWorker::Ready if matches!(child.state, State::Booting { .. }) => {
                child.state = State::Ready;
                let (pid, ms) = (child.pid.as_raw(), child.started.elapsed().as_micros() as f64 / 1000.0);
                tracing::info!(
                    event = "worker-ready",
                    worker = index,
                    pid,
                    ms,
                    "worker {index} is ready (process {pid}, {ms:.1} ms)"
                );
                self.release(index);
                if !self.served && self.slots.iter().all(Slot::is_ready) {
                    self.served = true;
                    ready::tell(&self.settings, &self.loaded.plan, &self.sockets.addresses);
                }
            }
            FromWorker::Ready => {}
            FromWorker::Draining => {
                if child.state == State::Ready {
                    child.state = State::Draining { deadline };
                    child.ended_for = Some("it was told to end".to_owned());
                    self.slots[index].start_at = Some(Instant::now());
                }
            }
            FromWorker::StartupFailed { message } => {
                self.not_started(index, at, Exit::Startup, "its startup failed", message)
            }
            FromWorker::LoadFailed { message } => {
                self.not_started(index, at, Exit::Load, "it cannot be instantiated", message)
            }
        }
    }

    /// A worker's first instance did not start. At the first boot that ends everything, with one message.
    fn not_started(&mut self, index: usize, at: usize, exit: Exit, what: &str, message: String) {
        let child = &mut self.slots[index].children[at];
        child.ended_for.get_or_insert_with(|| format!("{what}: {message}"));
        if !self.served {
            let name = self.settings.source.name();
            self.end(Err(Failure::new(exit, format!("{name}: {what}: {message}"))));
            self.kill_all("the start failed");
        }
    }

    fn reap(&mut self) {
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
            let Some(pid) = status.pid() else { continue };
            // Others are not ours: we may be process 1 of a container.
            let found = self.slots.iter().position(|slot| slot.children.iter().any(|child| child.pid == pid));
            if let (Some(index), WaitStatus::Exited(..) | WaitStatus::Signaled(..)) = (found, status) {
                self.bury(index, pid, status);
            }
        }
    }

    fn bury(&mut self, index: usize, pid: Pid, status: WaitStatus) {
        let Some(at) = self.slots[index].children.iter().position(|child| child.pid == pid) else { return };
        // Its last words may have come after we last listened.
        self.listen_to(index, at);
        let slot = &mut self.slots[index];
        let was_current = at + 1 == slot.children.len();
        let child = slot.children.remove(at);
        let how = match status {
            WaitStatus::Exited(_, 0) => "ended".to_owned(),
            WaitStatus::Exited(_, code) => format!("ended with exit code {code}"),
            WaitStatus::Signaled(_, signal, _) => format!("was ended by {signal}"),
            _ => String::new(),
        };
        let reason =
            child.ended_for.clone().filter(|why| !why.is_empty()).map_or(how.clone(), |why| format!("{how}: {why}"));
        let expected = self.ending.is_some() && (matches!(status, WaitStatus::Exited(_, 0)) || !self.served);
        let worker = index;
        if expected || matches!((child.state, status), (State::Draining { .. }, WaitStatus::Exited(_, 0))) {
            tracing::debug!(
                event = "worker-exited",
                worker,
                pid = pid.as_raw(),
                reason,
                "worker {worker} (process {pid}) {reason}"
            );
        } else {
            tracing::warn!(
                event = "worker-exited",
                worker,
                pid = pid.as_raw(),
                reason,
                "worker {worker} (process {pid}) {reason}"
            );
        }
        if self.ending.is_some() {
            return;
        }
        if !self.served && was_current && child.state != State::Ready {
            let name = self.settings.source.name();
            let failure = Failure::internal(format!("{name}: worker {worker} {reason} before it was ready"));
            self.end(Err(failure));
            self.kill_all("the start failed");
            return;
        }
        if was_current && self.slots[index].start_at.is_none() {
            let pause = self.slots[index].plan_start(child.started.elapsed(), jitter(pid));
            if !pause.is_zero() {
                let seconds = pause.as_secs_f64();
                tracing::warn!(
                    event = "back-off",
                    worker,
                    seconds,
                    "worker {worker} keeps ending: the next one starts in {seconds:.1} s"
                );
            }
        }
    }

    fn check_children(&mut self) {
        let healthcheck = self.settings.timeout_worker_healthcheck;
        let now = Instant::now();
        // If we ourselves were not run for a while, nor were the workers: a machine that was stopped or starved.
        if now.duration_since(self.looked) > LATE {
            self.blind_until = now + healthcheck;
        }
        self.looked = now;
        let trust = now >= self.blind_until;
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            for at in 0..slot.children.len() {
                let last = at + 1 == slot.children.len();
                let child = &mut slot.children[at];
                let was_draining = matches!(child.state, State::Draining { .. });
                let found = child.check(&self.rows[child.row], trust.then_some(healthcheck));
                if was_draining && child.state == State::Killed {
                    let (worker, pid) = (index, child.pid.as_raw());
                    tracing::warn!(
                        event = "drain-timeout",
                        worker,
                        pid,
                        "worker {worker} (process {pid}) is killed: it did not finish in time"
                    );
                }
                if found {
                    let (worker, pid, why) = (index, child.pid.as_raw(), child.ended_for.clone().unwrap_or_default());
                    tracing::error!(
                        event = "worker-silent",
                        worker,
                        pid,
                        "worker {worker} (process {pid}) is ended: {why}"
                    );
                    // Its successor does not wait for it to be gone.
                    if last && self.served && self.ending.is_none() {
                        let (ran, jitter) = (child.started.elapsed(), jitter(child.pid));
                        slot.plan_start(ran, jitter);
                    }
                }
            }
        }
    }

    /// Connections that wait at a slot without a worker are accepted by a neighbour.
    fn place_orphans(&mut self) {
        if self.ending.is_some() || !self.served {
            return;
        }
        for index in 0..self.slots.len() {
            let adopted =
                self.slots[index].adopted_by.is_some_and(|(neighbour, pid)| self.slots[neighbour].is_ready_as(pid));
            if self.slots[index].is_ready() || adopted {
                continue;
            }
            let neighbour = (1..self.slots.len())
                .map(|step| (index + step) % self.slots.len())
                .find(|at| self.slots[*at].is_ready());
            self.slots[index].adopted_by = neighbour.and_then(|at| {
                let child = self.slots[at].current()?;
                child.send(&ToWorker::Adopt { slot: index });
                Some((at, child.pid))
            });
        }
    }

    /// A slot's own worker accepts again.
    fn release(&mut self, index: usize) {
        if let Some((neighbour, pid)) = self.slots[index].adopted_by.take()
            && let Some(child) = self.slots[neighbour].current().filter(|child| child.pid == pid)
        {
            child.send(&ToWorker::Release { slot: index });
        }
    }
}

/// A number from 0 to 1 that differs between processes: what ends together must not start together.
fn jitter(pid: Pid) -> f64 {
    f64::from(pid.as_raw() as u32 % 97) / 96.0
}

//! The loop: children report, end, go silent; signals and clients say what is wanted; what is due is done.

use super::admin::Admin;
use super::apps::Apps;
use super::cgroup::OomKills;
use super::control::Control;
use super::demand::Demand;
use super::load::Loaded;
use super::notify::Notify;
use super::pid_file::PidFile;
use super::rollout::Generations;
use super::signals::{Signals, unblock_in_child};
use super::slot::{Child, Slot, State};
use super::sockets::Sockets;
use super::upgrade::{self, Upgrade};
use super::watch::Watch;
use super::{Roles, logs};
use crate::config::{MAX_WORKERS, Settings, Work};
use crate::exit::Failure;
use crate::message::{Start, Task, ToWorker, send_with};
use crate::scoreboard::Board;
use crate::sys;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::getpid;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often heartbeats are looked at, at least.
const LOOK: Duration = Duration::from_millis(250);
/// What a worker gets beyond its own limits before it is ended from outside.
pub const GRACE: Duration = Duration::from_secs(2);
/// Processes that a slot may have at a time, on average: one at work, others on their way out.
const ROWS_PER_SLOT: usize = 4;
/// Signals to end that come this close to the first one are the same one.
const SAME_SIGNAL: Duration = Duration::from_millis(20);

pub struct Supervisor {
    pub settings: Arc<Settings>,
    pub roles: Roles,
    signals: Signals,
    pub sockets: Sockets,
    pub generations: Generations,
    pub rows: Board,
    /// Those beyond `wanted` are leaving or have left: their sockets stay, and a neighbour accepts.
    pub slots: Vec<Slot>,
    pub wanted: usize,
    pub control: Control,
    pub admin: Option<Admin>,
    pub upgrade: Option<Upgrade>,
    pub pid_file: PidFile,
    pub notify: Notify,
    watch: Option<Watch>,
    pub demand: Demand,
    /// Those that this server hosts; none where it is itself an app's.
    pub apps: Apps,
    pub oom_kills: OomKills,
    pub began: Instant,
    /// All workers have been ready once.
    pub served: bool,
    /// When memory that only the start has used is to be given back.
    pub release_at: Option<Instant>,
    /// When the loop last ran, and until when heartbeats prove nothing because it ran late itself.
    pub looked: Instant,
    pub blind_until: Instant,
    /// When the workers' memory was last looked at.
    pub weighed: Instant,
    pub ending: Option<Ending>,
}

/// What is there before the first worker is.
pub struct Parts {
    pub signals: Signals,
    pub sockets: Sockets,
    pub loaded: Loaded,
    pub compile_seconds: f64,
    pub control: Control,
    pub admin: Option<Admin>,
    pub pid_file: PidFile,
    pub notify: Notify,
    pub apps: Apps,
}

pub struct Ending {
    began: Instant,
    result: Result<(), Failure>,
}

impl Ending {
    fn is_new(&self) -> bool {
        self.began.elapsed() < SAME_SIGNAL
    }
}

/// Slots that start at once, and those whose sockets were inherited but that are not wanted any more.
fn slots(wanted: usize, there: usize) -> Vec<Slot> {
    let unwanted = there.saturating_sub(wanted);
    (0..wanted).map(|_| Slot::due_now()).chain((0..unwanted).map(|_| Slot::default())).collect()
}

impl Supervisor {
    pub fn new(settings: Arc<Settings>, roles: Roles, parts: Parts) -> Result<Self, Failure> {
        let now = Instant::now();
        Ok(Self {
            rows: Board::new(MAX_WORKERS * ROWS_PER_SLOT)?,
            slots: slots(settings.workers, parts.sockets.slots()),
            wanted: settings.workers,
            watch: Watch::start(&settings)?,
            generations: Generations::new(parts.loaded, parts.compile_seconds),
            settings,
            roles,
            signals: parts.signals,
            sockets: parts.sockets,
            control: parts.control,
            admin: parts.admin,
            upgrade: None,
            demand: Demand::new(),
            apps: parts.apps,
            pid_file: parts.pid_file,
            notify: parts.notify,
            oom_kills: OomKills::watch(),
            began: now,
            served: false,
            release_at: None,
            looked: now,
            blind_until: now,
            weighed: now,
            ending: None,
        })
    }

    pub fn run(mut self) -> Result<(), Failure> {
        loop {
            self.start_admin();
            self.replace_outdated();
            self.start_due()?;
            self.wait()?;
            while let Some(signal) = self.signals.next() {
                self.take_signal(signal);
            }
            self.listen_to_children();
            self.advance_rollout();
            self.advance_upgrade();
            self.reap();
            self.apps.advance(&self.settings);
            self.check_children();
            self.listen_to_control();
            if self.watch.as_mut().is_some_and(Watch::take) && self.is_serving() {
                self.reload("files have changed", None);
            }
            self.advance_rollout();
            self.place_orphans();
            self.follow_demand();
            self.release_memory();
            self.notify.alive();
            if self.is_serving() {
                self.notify.status(self.summary());
            }
            if let Some(ending) = &self.ending
                && self.slots.iter().all(|slot| slot.children.is_empty())
                // Only now, as the gateways' last requests went to them.
                && self.apps.stop()
            {
                let result = match &ending.result {
                    Ok(()) => Ok(()),
                    Err(failure) => Err(Failure::new(failure.exit, failure.message.clone())),
                };
                if let Err(failure) = &result {
                    self.notify.failed(&failure.message);
                }
                self.report(true);
                tracing::info!(event = "stopped", "every worker has ended");
                self.wait_for_admin();
                return result;
            }
        }
    }

    pub fn children(&self) -> impl Iterator<Item = &Child> {
        self.slots.iter().flat_map(|slot| &slot.children)
    }

    /// Sleeps until something happens or is due.
    fn wait(&self) -> Result<(), Failure> {
        let mut watched = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        watched.extend(
            self.children()
                .filter(|child| child.state != State::Killed && !child.has_left)
                .map(|child| PollFd::new(child.channel.as_fd(), PollFlags::POLLIN)),
        );
        watched.extend(self.control.descriptors().map(|(descriptor, has_output)| {
            let output = if has_output { PollFlags::POLLOUT } else { PollFlags::empty() };
            PollFd::new(descriptor, PollFlags::POLLIN | output)
        }));
        watched.extend(self.apps.descriptors().map(|one| PollFd::new(one, PollFlags::POLLIN)));
        let others = [
            self.generations.descriptor(),
            self.upgrade.as_ref().and_then(Upgrade::descriptor),
            self.notify.descriptor(),
            self.watch.as_ref().map(AsFd::as_fd),
        ];
        watched.extend(others.into_iter().flatten().map(|one| PollFd::new(one, PollFlags::POLLIN)));
        let starts = self.slots.iter().filter_map(|slot| slot.start_at);
        let others = [
            self.watch.as_ref().and_then(Watch::due),
            self.notify.due(),
            self.admin.as_ref().and_then(Admin::due),
            self.demand_due(),
        ];
        let due = self.children().filter_map(Child::deadline).chain(starts).chain(others.into_iter().flatten()).min();
        let pause = due.map_or(LOOK, |due| due.saturating_duration_since(Instant::now()).min(LOOK));
        // Rounded up, so that what is due then is due.
        let pause = PollTimeout::try_from(pause + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO);
        match poll(&mut watched, pause) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Most of what has run by now never runs again.
    fn release_memory(&mut self) {
        if self.release_at.is_some_and(|at| at <= Instant::now()) {
            self.release_at = None;
            sys::release_read_only();
        }
    }

    fn start_due(&mut self) -> Result<(), Failure> {
        for index in 0..self.wanted {
            if self.ending.is_none() && self.slots[index].start_at.is_some_and(|at| at <= Instant::now()) {
                self.slots[index].start_at = None;
                if self.slots[index].has_worker_of(self.generations.wanted_in(index)) {
                    continue;
                }
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
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        let supervisor = getpid();
        let generation = self.generations.wanted_in(index).clone();
        let task = match &generation.loaded.work {
            Work::App { code, plan } => Task::App { artefact: code.as_raw_fd(), plan: plan.clone() },
            Work::Gateway(config) => Task::Gateway { config: config.clone(), folder: self.apps.folder() },
        };
        let start = Start {
            settings: self.settings.clone(),
            listeners: self.sockets.slot(index)?.iter().map(AsRawFd::as_raw_fd).collect(),
            slot: index,
            generation: generation.number,
            row: self.rows.begin(row),
            board: self.rows,
            channel: theirs.as_raw_fd(),
            supervisor,
        };
        let run = self.roles.worker;
        let pid = sys::fork(|| {
            unblock_in_child();
            run(start, task)
        })?;
        let deadline =
            Instant::now() + self.settings.timeout_startup + GRACE + self.settings.timeout_worker_healthcheck;
        self.slots[index].children.push(Child {
            pid,
            channel: ours,
            row,
            generation,
            next: None,
            state: State::Booting { deadline },
            started: Instant::now(),
            was_ready: false,
            outdated: false,
            has_left: false,
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
            Signal::SIGHUP => self.reload("SIGHUP", None),
            Signal::SIGUSR1 => {
                self.reopen_logs();
                self.apps.signal(Signal::SIGUSR1);
            }
            Signal::SIGUSR2 => self.upgrade(),
            Signal::SIGTTIN => self.scale_by(1),
            Signal::SIGTTOU => self.scale_by(-1),
            _ => {}
        }
    }

    /// Starts the end: the first reason counts. Workers drain if they may have something to finish.
    pub fn end(&mut self, result: Result<(), Failure>) {
        if self.ending.is_some() {
            return;
        }
        self.ending = Some(Ending { began: Instant::now(), result });
        // Beside another that serves, this is not the service's end.
        if self.upgrade.is_none() && upgrade::predecessor().is_none() {
            self.notify.stopping();
        }
        self.end_upgrade();
        if self.generations.is_rolling() {
            self.abort_rollout(&Failure::internal("the server is ending"));
        }
        let deadline = Instant::now() + self.settings.timeout_graceful_shutdown + GRACE;
        for slot in &mut self.slots {
            slot.start_at = None;
            for child in &mut slot.children {
                child.drain(deadline);
            }
        }
        // What waits in the queues is with the workers, which have these sockets too.
        self.close_sockets();
    }

    pub fn kill_all(&mut self, why: &str) {
        self.apps.signal(Signal::SIGQUIT);
        for child in self.slots.iter_mut().flat_map(|slot| &mut slot.children) {
            child.kill(why);
        }
    }

    /// Connections that wait at a slot without a worker are accepted by a neighbour.
    fn place_orphans(&mut self) {
        if !self.is_serving() {
            return;
        }
        for index in 0..self.slots.len() {
            let adopted =
                self.slots[index].adopted_by.is_some_and(|(neighbour, pid)| self.slots[neighbour].is_ready_as(pid));
            if (index < self.wanted && self.slots[index].is_ready()) || adopted {
                continue;
            }
            let neighbour = (1..self.slots.len())
                .map(|step| (index + step) % self.slots.len())
                .find(|at| *at < self.wanted && self.slots[*at].is_ready());
            self.slots[index].adopted_by = neighbour.and_then(|at| self.adopt(index, at));
        }
    }

    fn adopt(&mut self, index: usize, neighbour: usize) -> Option<(usize, nix::unistd::Pid)> {
        let sockets = self.sockets.slot(index).ok()?;
        let child = self.slots[neighbour].ready()?;
        send_with(child.channel.as_fd(), &ToWorker::Adopt { slot: index }, &sockets).ok()?;
        Some((neighbour, child.pid))
    }

    /// A slot's own worker accepts again.
    pub fn release(&mut self, index: usize) {
        if let Some((neighbour, pid)) = self.slots[index].adopted_by.take()
            && let Some(child) = self.slots[neighbour].ready().filter(|child| child.pid == pid)
        {
            child.send(&ToWorker::Release { slot: index });
        }
    }

    /// USR1: the log files, as they are named, are opened anew, and every process is given them.
    fn reopen_logs(&mut self) {
        let Some(files) = logs::reopen(&self.settings) else { return };
        for child in self.slots.iter().flat_map(|slot| &slot.children).filter(|child| child.state != State::Killed) {
            files.send(child.channel.as_fd());
        }
        self.end_admin();
        tracing::info!(event = "logs-reopened", "SIGUSR1: the log files were opened again");
    }

    /// After a successor has taken it and is gone.
    pub fn reopen_control(&mut self) {
        if self.control.is_reachable() {
            return;
        }
        match Control::open(self.settings.control.as_deref()) {
            Ok(control) => self.control.replace_listener(control),
            Err(failure) => tracing::warn!("{failure}"),
        }
    }
}

//! One hosted app: its sockets, its servers, and what has become of them.

use super::cgroup::Groups;
use super::host::{Given, Server};
use super::room::Place;
use super::sockets::{self, Sockets};
use crate::config::Settings;
use crate::config::file::App;
use crate::exit::Failure;
use crate::status::{AppState, Counters};
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;
use std::fs::{self, Permissions};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MOST: Duration = Duration::from_secs(30);
/// A server that ran this long before it ended was not failing at its start.
const STABLE: Duration = Duration::from_secs(10);

pub struct Hosted {
    pub name: String,
    /// No other app has had it.
    pub number: u64,
    app: Arc<App>,
    /// None while the app fails: who connects is told at once.
    listening: Option<Listening>,
    path: PathBuf,
    /// Whether the sockets are watched for connections.
    is_watched: bool,
    /// It does not listen where it should by now.
    is_misplaced: bool,
    /// The control group of its servers.
    group: Option<PathBuf>,
    /// The newest last; others are on their way out, or wait for it to be ready.
    servers: Vec<Server>,
    pub removed: bool,
    failures: u32,
    /// No server is started before this time.
    failing_until: Option<Instant>,
    /// Why the last one failed; empty if it did not.
    why: String,
    starts: u64,
    /// Since when it needs a server and has none.
    asks_since: Option<Instant>,
    /// That it waits for room has been told.
    waits: bool,
    /// Workers that it may have by now, if there is a limit for all apps.
    granted: usize,
    is_limited: bool,
    /// When it last had a request.
    active: Instant,
    /// What servers that have ended have counted.
    past: Counters,
}

/// Where an app is reached.
struct Listening {
    /// By the gateways.
    gateways: UnixListener,
    /// By its clients, if it has addresses of its own.
    own: Option<Sockets>,
}

impl Listening {
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let own = self.own.as_ref().map(Sockets::descriptors).unwrap_or_default();
        std::iter::once(self.gateways.as_fd()).chain(own).collect()
    }
}

impl Hosted {
    pub fn new(name: &str, number: u64, path: PathBuf, app: Arc<App>, is_limited: bool) -> Self {
        let mut hosted = Self {
            name: name.to_owned(),
            number,
            app,
            listening: None,
            path,
            is_watched: false,
            is_misplaced: false,
            group: None,
            servers: Vec::new(),
            removed: false,
            failures: 0,
            failing_until: None,
            why: String::new(),
            starts: 0,
            asks_since: None,
            waits: false,
            granted: 0,
            is_limited,
            active: Instant::now(),
            past: Counters::default(),
        };
        hosted.listen();
        hosted
    }

    /// It is hosted again while servers of its former life finish what they have.
    pub fn revive(&mut self, app: Arc<App>) {
        (self.app, self.removed, self.failing_until) = (app, false, None);
        (self.failures, self.why) = (0, String::new());
        self.listen();
    }

    /// Who connects from here on waits for a server.
    fn listen(&mut self) {
        let settings = &self.app.settings;
        let own = if self.app.has_own_addresses { sockets::bind(settings).map(Some) } else { Ok(None) };
        let gateways = listen(&self.path, settings)
            .map_err(|error| Failure::internal(format!("{}: {error}", self.path.display())));
        match own.and_then(|own| Ok(Listening { gateways: gateways?, own })) {
            Ok(listening) => self.listening = Some(listening),
            Err(failure) => self.failed(failure.message),
        }
    }

    /// Listens at the addresses that it has now. Sockets that stay go on; if that fails all do.
    fn move_addresses(&mut self) -> Result<(), Failure> {
        // An app that fails listens anew when it is tried again.
        let Some(listening) = &mut self.listening else { return Ok(()) };
        let wanted = self.app.has_own_addresses.then_some(&self.app.settings);
        listening.own = wanted.map(|settings| sockets::rebind(&mut listening.own, settings)).transpose()?;
        self.is_watched = false;
        Ok(())
    }

    pub fn close(&mut self) {
        self.stop_listening();
        let _ = fs::remove_file(&self.path);
    }

    /// Watches the sockets as long as a connection to one is what makes a server start.
    pub fn watch(&mut self, awaited: &Epoll) {
        let is_awaited = self.serving().is_none() && !self.removed && self.asks_since.is_none();
        let Some(listening) = self.listening.as_ref().filter(|_| is_awaited != self.is_watched) else { return };
        for socket in listening.descriptors() {
            let _ = match is_awaited {
                true => awaited.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, self.number)),
                false => awaited.delete(socket),
            };
        }
        self.is_watched = is_awaited;
    }

    /// The kernel watches no socket that is closed.
    pub fn stop_listening(&mut self) {
        (self.listening, self.is_watched) = (None, false);
    }

    /// The newest server that is to stay; others finish what they have.
    fn serving(&self) -> Option<&Server> {
        self.servers.iter().rev().find(|server| !server.is_ending())
    }

    pub fn channels(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.servers.iter().map(AsFd::as_fd)
    }

    /// Takes note of what has happened to it: somebody asks for it, or a pause is over.
    pub fn advance(&mut self, is_asked: bool) {
        if self.removed || self.failing_until.is_some_and(|until| until > Instant::now()) {
            return;
        }
        if self.failing_until.take().is_some() || self.listening.is_none() {
            self.listen();
        }
        if self.listening.is_some() && self.serving().is_none() && (is_asked || self.app.workers.min > 0) {
            self.asks_since.get_or_insert_with(Instant::now);
        }
    }

    pub fn is_asking(&self) -> bool {
        self.asks_since.is_some()
    }

    /// There is no room for it.
    pub fn wait(&mut self) {
        if !std::mem::replace(&mut self.waits, true) {
            let name = &self.name;
            tracing::info!(
                event = "app-waits",
                app = name,
                "{name}: waits for room, as apps together have all they may"
            );
        }
    }

    pub fn place(&self) -> Place {
        let serving = self.serving();
        let report = serving.map(|server| server.report.clone()).unwrap_or_default();
        let workers = if serving.is_some() { self.granted } else { 0 };
        let others = self.servers.iter().filter(|server| server.is_ending());
        // One that has not said how many it has has one.
        let leaving: usize = others.map(|server| server.report.processes.max(1)).sum();
        let ready_since = serving.and_then(|server| server.ready_since);
        Place {
            workers,
            leaving: leaving + report.processes.saturating_sub(workers),
            least: self.app.workers.min,
            idle_since: ready_since.filter(|_| !report.is_busy()).map(|_| self.active),
            ready_since,
            memory: self.servers.iter().fold(0, |sum: u64, server| sum.saturating_add(server.report.memory)),
            asks_since: self.asks_since,
            wants_more: report.is_waiting && report.workers >= self.granted && self.granted < self.app.workers.max,
            is_kept: report.is_kept,
        }
    }

    /// What was granted and is not used is for others, and a server that has more than that is told again.
    pub fn settle(&mut self) {
        let Some(server) = self.servers.iter_mut().rev().find(|server| !server.is_ending()) else { return };
        if !std::mem::take(&mut server.has_reported) {
            return;
        }
        let (wanted, is_waiting) = (server.report.wanted, server.report.is_waiting);
        let least = self.app.workers.min.max(1);
        if wanted > self.granted || (!is_waiting && wanted < self.granted && self.granted > least) {
            self.grant(wanted.min(self.granted).max(least));
        }
    }

    /// From now on there is a limit for all apps, or none any more.
    pub fn set_limited(&mut self, is_limited: bool) {
        self.is_limited = is_limited;
        if let Some(server) = self.serving() {
            let has = server.report.wanted.max(self.app.workers.min).max(1);
            self.grant(if is_limited { has } else { usize::MAX });
            self.granted = has;
        }
    }

    /// Starts a server; there is room for its least number of workers.
    pub fn start(&mut self, settings: &Settings, groups: &Groups) {
        (self.asks_since, self.waits) = (None, false);
        self.granted = self.app.workers.min.max(1);
        self.start_server(settings, groups);
    }

    fn start_server(&mut self, settings: &Settings, groups: &Groups) {
        let started = self.try_start(settings, groups);
        match started {
            Ok(server) => {
                let (name, pid) = (&self.name, server.pid.as_raw());
                tracing::debug!(event = "app-starting", app = name, pid, "{name}: starting");
                self.servers.push(server);
            }
            Err(failure) => self.not_started(failure.message),
        }
    }

    fn try_start(&mut self, settings: &Settings, groups: &Groups) -> Result<Server, Failure> {
        let listening = self.listening.as_ref().ok_or_else(|| Failure::internal("it does not listen"))?;
        self.starts += 1;
        self.group = groups
            .app(&self.name, &self.app.cgroup)
            .map_err(|error| Failure::internal(format!("its control group: {error}")))?;
        let control = self.path.with_file_name(format!("{}-{}.control", self.name, self.starts));
        let mut given = Given::new(&self.app, settings, control);
        given.allowed = self.is_limited.then_some(self.granted);
        Server::start(&self.name, given, &listening.descriptors(), self.group.as_deref())
    }

    /// It may have one worker more or fewer.
    pub fn grant(&mut self, workers: usize) {
        self.granted = workers;
        self.servers.iter().filter(|server| !server.is_ending()).for_each(|server| server.allow(workers));
    }

    pub fn end(&mut self) {
        self.servers.iter_mut().for_each(Server::end);
    }

    pub fn signal(&self, signal: Signal) {
        self.servers.iter().for_each(|server| server.signal(signal));
    }

    pub fn has_ended(&self) -> bool {
        self.servers.is_empty()
    }

    pub fn listen_to_servers(&mut self) {
        for at in 0..self.servers.len() {
            let before = (self.servers[at].report.counters.requests, self.servers[at].is_ready());
            let becomes_ready = self.servers[at].listen();
            let server = &self.servers[at];
            if (server.report.counters.requests, server.is_ready()) != before || server.report.is_busy() {
                self.active = Instant::now();
            }
            if !becomes_ready {
                continue;
            }
            let ms = server.started.elapsed().as_micros() as f64 / 1000.0;
            let (name, pid) = (&self.name, server.pid.as_raw());
            tracing::info!(event = "app-ready", app = name, pid, ms, "{name} is ready (process {pid}, {ms:.1} ms)");
            (self.failures, self.why) = (0, String::new());
            // Those before it finish what they have.
            self.servers[..at].iter_mut().for_each(Server::end);
        }
    }

    /// Takes over new settings, or a new component.
    pub fn update(&mut self, app: &Arc<App>, settings: &Settings, groups: &Groups) {
        let options = (&self.app.arguments, self.app.user) != (&app.arguments, app.user);
        let component = self.app.component() != app.component();
        let has_new_file = self.serving().is_some_and(|server| server.is_outdated(app.component()));
        let moves = self.app.own_addresses() != app.own_addresses();
        if let Some(group) = self.group.as_ref().filter(|_| self.app.cgroup != app.cgroup)
            && let Err(error) = groups.limit(group, &app.cgroup)
        {
            let name = &self.name;
            tracing::error!(event = "cgroup-failed", app = name, "{name}: its new limits do not hold: {error}");
        }
        self.app = app.clone();
        if (moves || self.is_misplaced)
            && let Err(failure) = self.move_addresses()
        {
            self.is_misplaced = true;
            return self.not_started(failure.message);
        }
        self.is_misplaced = false;
        if options || component || !self.why.is_empty() {
            self.failing_until = None;
            (self.failures, self.why) = (0, String::new());
            if self.serving().is_some() {
                self.granted = self.granted.clamp(app.workers.min.max(1), app.workers.max);
                self.start_server(settings, groups);
            }
        } else if has_new_file && let Some(server) = self.servers.last_mut() {
            server.reload(app.component());
        }
    }

    pub fn has_group(&self) -> bool {
        self.group.is_some()
    }

    /// Once nobody is in it.
    pub fn leave_group(&mut self) {
        if self.servers.is_empty()
            && let Some(group) = &self.group
            && !fs::remove_dir(group).is_err_and(|error| error.kind() == std::io::ErrorKind::ResourceBusy)
        {
            self.group = None;
        }
    }

    pub fn remove(&mut self) {
        self.removed = true;
        self.close();
        self.end();
    }

    /// Whether the process that has ended was a server of its.
    pub fn ended(&mut self, pid: Pid, status: WaitStatus, stopping: bool) -> bool {
        let Some(at) = self.servers.iter().position(|server| server.pid == pid) else { return false };
        self.servers[at].listen();
        let mut server = self.servers.remove(at);
        self.past.add(&server.report.counters.clone().without_gauges());
        let name = &self.name;
        if matches!(status, WaitStatus::Exited(_, 0)) || server.is_ending() || stopping {
            tracing::debug!(event = "app-ended", app = name, pid = pid.as_raw(), "{name}: its server has ended");
            return true;
        }
        let why = server.failure().unwrap_or_else(|| format!("its server ended: {status:?}"));
        if server.started.elapsed() >= STABLE {
            self.failures = 0;
        }
        self.not_started(why);
        true
    }

    /// A server that was there before goes on, if there is one.
    fn not_started(&mut self, why: String) {
        if self.serving().is_none() {
            return self.failed(why);
        }
        let name = &self.name;
        tracing::error!(
            event = "app-failed",
            app = name,
            "{name}: the change is given up, it goes on as before: {why}"
        );
        self.why = why;
        // What it may have was told to the other one.
        if self.is_limited {
            self.grant(self.granted);
        }
    }

    /// Until the pause is over its requests are answered with 503.
    fn failed(&mut self, why: String) {
        let pause = BACKOFF_FIRST.saturating_mul(1 << self.failures.min(10)).min(BACKOFF_MOST);
        self.failures += 1;
        self.failing_until = Some(Instant::now() + pause);
        let (name, seconds) = (&self.name, pause.as_secs_f64());
        tracing::error!(
            event = "app-failed",
            app = name,
            seconds,
            "{name} fails, to be tried again in {seconds} s: {why}"
        );
        self.why = why;
        self.asks_since = None;
        self.close();
    }

    pub fn status(&self) -> crate::status::App {
        let newest = self.serving().or(self.servers.last());
        let state = match self.serving() {
            _ if self.removed => AppState::Leaving,
            Some(server) if server.is_ready() => AppState::Ready,
            _ if self.failing_until.is_some() => AppState::Failing,
            // Also while it is tried again.
            Some(_) if self.failures > 0 => AppState::Failing,
            Some(_) => AppState::Starting,
            None if self.is_asking() => AppState::Waiting,
            None => AppState::Idle,
        };
        let own = self.listening.as_ref().and_then(|listening| listening.own.as_ref());
        let report = newest.map(|server| server.report.clone()).unwrap_or_default();
        let mut counters = self.past.clone();
        self.servers.iter().for_each(|server| counters.add(&server.report.counters));
        crate::status::App {
            name: self.name.clone(),
            state,
            why: self.why.clone(),
            pid: newest.map(|server| server.pid.as_raw()),
            starts: self.starts,
            control: newest.map(|server| server.control.clone()),
            cgroup: self.group.clone(),
            addresses: own.map(Sockets::addresses).unwrap_or_default(),
            workers: report.workers,
            memory: report.memory,
            counters,
        }
    }
}

/// For the gateways, and for nobody else.
fn listen(path: &Path, settings: &Settings) -> std::io::Result<UnixListener> {
    let _ = fs::remove_file(path);
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    socket.listen(settings.backlog)?;
    fs::set_permissions(path, Permissions::from_mode(0o666))?;
    let listener = UnixListener::from(std::os::fd::OwnedFd::from(socket));
    listener.set_nonblocking(true)?;
    Ok(listener)
}

//! The apps that a server hosts (`--config`). Each has a socket of its own, and while there is something to do a server
//! of its own: this same executable, started anew, with the app's options and nothing of the others in its memory.
//! Connections that come before it listens wait in the socket's queue.

use super::host::{Given, Server};
use crate::config::file::{self, App};
use crate::config::{Settings, Work};
use crate::control::client::runtime_folder;
use crate::exit::Failure;
use crate::sandbox;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, chown};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MOST: Duration = Duration::from_secs(30);
/// A server that ran this long before it ended was not failing at its start.
const STABLE: Duration = Duration::from_secs(10);

#[derive(Default)]
pub struct Apps {
    hosted: BTreeMap<String, Hosted>,
    folder: Option<PathBuf>,
    stopping: bool,
}

struct Hosted {
    app: App,
    /// None while the app fails: who connects is told at once.
    listener: Option<UnixListener>,
    path: PathBuf,
    /// The newest last; others are on their way out, or wait for it to be ready.
    servers: Vec<Server>,
    removed: bool,
    failures: u32,
    /// No server is started before this time.
    failing_until: Option<Instant>,
    /// Why the last one failed; empty if it did not.
    why: String,
    starts: u64,
}

impl Apps {
    /// The apps of what was loaded; none if that is an app itself.
    pub fn open(loaded: &super::Loaded, settings: &Settings) -> Result<Self, Failure> {
        let mut apps = Self::default();
        let Work::Gateway(_) = &loaded.work else { return Ok(apps) };
        // Each app has a socket.
        sandbox::raise_descriptor_limit();
        let folder = runtime_folder().join(format!("{}.apps", std::process::id()));
        let failure = |error: std::io::Error| Failure::internal(format!("{}: {error}", folder.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failure)?;
        if let Some(identity) = settings.identity {
            // Gateways run as this user, and connect.
            chown(&folder, Some(identity.user), Some(identity.group))?;
        }
        apps.folder = Some(folder);
        apps.prepare(&loaded.work)?;
        Ok(apps)
    }

    /// Where the apps' sockets are.
    pub fn folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_default()
    }

    /// Listens for apps that are new. Those there are go on as they are.
    pub fn prepare(&mut self, work: &Work) -> Result<(), Failure> {
        let Work::Gateway(config) = work else { return Ok(()) };
        for (name, app) in &config.apps {
            if self.hosted.get(name).is_none_or(|hosted| hosted.removed) {
                let hosted = Hosted::new(self.folder().join(format!("{name}.sock")), app.clone());
                self.hosted.insert(name.clone(), hosted);
            }
        }
        Ok(())
    }

    /// From now on it is this that is served: an app that has changed gets a new server, which takes over once it is
    /// ready; one that is gone finishes what it has.
    pub fn apply(&mut self, work: &Work) {
        let Work::Gateway(config) = work else { return };
        for (name, hosted) in &mut self.hosted {
            match config.apps.get(name) {
                Some(app) => hosted.update(name, app, &config.server),
                None => hosted.remove(),
            }
        }
    }

    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.hosted.values().flat_map(|hosted| {
            let listener = hosted.awaited().map(AsFd::as_fd);
            listener.into_iter().chain(hosted.servers.iter().map(AsFd::as_fd))
        })
    }

    /// Does what is due: servers that are asked for start, those that were overtaken end.
    pub fn advance(&mut self, settings: &Settings, may_start: bool) {
        let asked = self.asked();
        for (name, hosted) in &mut self.hosted {
            hosted.listen_to_servers(name);
            if may_start && !self.stopping {
                hosted.advance(name, settings, asked.contains(name));
            }
        }
        self.hosted.retain(|_, hosted| !(hosted.removed && hosted.servers.is_empty()));
    }

    /// Apps without a server to which somebody has connected.
    fn asked(&self) -> Vec<String> {
        let waiting: Vec<_> = self.hosted.iter().filter_map(|(name, hosted)| Some((name, hosted.awaited()?))).collect();
        let mut polled: Vec<_> = waiting.iter().map(|(_, one)| PollFd::new(one.as_fd(), PollFlags::POLLIN)).collect();
        if polled.is_empty() || poll(&mut polled, PollTimeout::ZERO).is_err() {
            return Vec::new();
        }
        let is_asked = |one: &PollFd| one.any().unwrap_or(false);
        waiting.iter().zip(&polled).filter(|(_, one)| is_asked(one)).map(|((name, _), _)| name.to_string()).collect()
    }

    /// Whether the process that has ended was the server of an app.
    pub fn ended(&mut self, pid: Pid, status: WaitStatus) -> bool {
        let stopping = self.stopping;
        self.hosted.iter_mut().any(|(name, hosted)| hosted.ended(name, pid, status, stopping))
    }

    /// Ends all; true once they have ended.
    pub fn stop(&mut self) -> bool {
        if !self.stopping {
            self.stopping = true;
            self.signal(Signal::SIGTERM);
        }
        let ended = self.hosted.values().all(|hosted| hosted.servers.is_empty());
        if ended {
            self.hosted.values_mut().for_each(Hosted::close);
            self.folder.take().iter().for_each(|folder| drop(fs::remove_dir(folder)));
        }
        ended
    }

    /// Tells every server.
    pub fn signal(&self, signal: Signal) {
        self.hosted.values().flat_map(|hosted| &hosted.servers).for_each(|server| server.signal(signal));
    }

    pub fn status(&self) -> Vec<crate::status::App> {
        self.hosted.iter().map(|(name, hosted)| hosted.status(name)).collect()
    }
}

impl Hosted {
    fn new(path: PathBuf, app: App) -> Self {
        let mut hosted = Self {
            app,
            listener: None,
            path,
            servers: Vec::new(),
            removed: false,
            failures: 0,
            failing_until: None,
            why: String::new(),
            starts: 0,
        };
        hosted.listen();
        hosted
    }

    /// Who connects from here on waits for a server.
    fn listen(&mut self) {
        let listener = listen(&self.path, &self.app.settings);
        self.listener = listener.map_err(|error| self.why = format!("{}: {error}", self.path.display())).ok();
    }

    fn close(&mut self) {
        self.listener = None;
        let _ = fs::remove_file(&self.path);
    }

    /// The socket, if a connection to it is what makes a server start.
    fn awaited(&self) -> Option<&UnixListener> {
        self.listener.as_ref().filter(|_| self.servers.is_empty() && !self.removed)
    }

    fn advance(&mut self, name: &str, settings: &Settings, asked: bool) {
        if self.removed || self.failing_until.is_some_and(|until| until > Instant::now()) {
            return;
        }
        if self.failing_until.take().is_some() || self.listener.is_none() {
            self.listen();
        }
        if self.servers.is_empty() && (asked || self.app.workers.min > 0) {
            self.start(name, settings);
        }
    }

    fn start(&mut self, name: &str, settings: &Settings) {
        let Some(listener) = &self.listener else { return };
        self.starts += 1;
        let control = self.path.with_file_name(format!("{name}-{}.control", self.starts));
        match Server::start(name, Given::new(&self.app, settings, control), listener.as_fd()) {
            Ok(server) => {
                tracing::debug!(event = "app-starting", app = name, pid = server.pid.as_raw(), "{name}: starting");
                self.servers.push(server);
            }
            Err(failure) => self.failed(name, failure.message),
        }
    }

    fn listen_to_servers(&mut self, name: &str) {
        for at in 0..self.servers.len() {
            if !self.servers[at].becomes_ready() {
                continue;
            }
            let server = &self.servers[at];
            let ms = server.started.elapsed().as_micros() as f64 / 1000.0;
            let pid = server.pid.as_raw();
            tracing::info!(event = "app-ready", app = name, pid, ms, "{name} is ready (process {pid}, {ms:.1} ms)");
            (self.failures, self.why) = (0, String::new());
            // Those before it finish what they have.
            self.servers[..at].iter_mut().for_each(Server::end);
        }
    }

    /// Takes over new settings, or a new component.
    fn update(&mut self, name: &str, app: &App, settings: &Settings) {
        let (options, component) = (self.app.arguments != app.arguments, self.app.component() != app.component());
        let has_new_file = self.servers.last().is_some_and(|server| server.is_outdated(app.component()));
        self.app = app.clone();
        if options || component || !self.why.is_empty() {
            self.failing_until = None;
            (self.failures, self.why) = (0, String::new());
            if !self.servers.is_empty() {
                self.start(name, settings);
            }
        } else if has_new_file && let Some(server) = self.servers.last_mut() {
            server.reload(app.component());
        }
    }

    fn remove(&mut self) {
        self.removed = true;
        self.close();
        self.servers.iter_mut().for_each(Server::end);
    }

    fn ended(&mut self, name: &str, pid: Pid, status: WaitStatus, stopping: bool) -> bool {
        let Some(at) = self.servers.iter().position(|server| server.pid == pid) else { return false };
        self.servers[at].becomes_ready();
        let server = self.servers.remove(at);
        if matches!(status, WaitStatus::Exited(_, 0)) || server.is_ending() || stopping {
            tracing::debug!(event = "app-ended", app = name, pid = pid.as_raw(), "{name}: its server has ended");
            return true;
        }
        let why = server.failure().map_or_else(|| format!("its server ended: {status:?}"), str::to_owned);
        if server.started.elapsed() >= STABLE {
            self.failures = 0;
        }
        if self.servers.is_empty() {
            self.failed(name, why);
        } else {
            tracing::error!(
                event = "app-failed",
                app = name,
                "{name}: the change is given up, it goes on as before: {why}"
            );
            self.why = why;
        }
        true
    }

    /// Until the pause is over its requests are answered with 503.
    fn failed(&mut self, name: &str, why: String) {
        let pause = BACKOFF_FIRST.saturating_mul(1 << self.failures.min(10)).min(BACKOFF_MOST);
        self.failures += 1;
        self.failing_until = Some(Instant::now() + pause);
        let seconds = pause.as_secs_f64();
        tracing::error!(
            event = "app-failed",
            app = name,
            seconds,
            "{name} fails, to be tried again in {seconds} s: {why}"
        );
        self.why = why;
        self.close();
    }

    fn status(&self, name: &str) -> crate::status::App {
        use crate::status::AppState;
        let newest = self.servers.last();
        let state = match newest {
            _ if self.removed => AppState::Leaving,
            Some(server) if server.is_ready() => AppState::Ready,
            // Also while it is tried again.
            _ if self.failures > 0 => AppState::Failing,
            Some(_) => AppState::Starting,
            None => AppState::Idle,
        };
        crate::status::App {
            name: name.to_owned(),
            state,
            why: self.why.clone(),
            pid: newest.map(|server| server.pid.as_raw()),
            starts: self.starts,
            control: newest.map(|server| server.control.clone()),
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

/// As the file has it.
impl file::App {
    pub fn component(&self) -> &Path {
        match &self.settings.source {
            crate::config::Source::File(path) => path,
            _ => Path::new(""),
        }
    }
}

//! The server of one hosted app, from both sides: a process that is executed anew, so that nothing of other apps is in
//! its memory and its address space is laid out for it alone.

use super::cgroup;
use super::notify::{ALLOW, FAILED, MAX_MESSAGE, READY, REPORT};
use super::upgrade;
use crate::config::file::App;
use crate::config::{Bind, Settings};
use crate::exit::Failure;
use crate::status::Counters;
use crate::sys;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{PipeReader, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Instant, SystemTime};

/// Variables that are passed on. Options come as arguments, and those of the host are not the app's.
const ENVIRONMENT: [&str; 6] = ["HOME", "PATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"];

/// What a server is started with. Not on its command line, which anybody on the machine may read.
#[derive(Serialize, Deserialize)]
pub struct Given {
    pub component: PathBuf,
    /// Where its control socket is to be.
    pub control: PathBuf,
    pub arguments: Vec<String>,
    /// Listening sockets.
    pub listeners: Vec<RawFd>,
    /// Workers that it may have, if the host says how many; it says so again when that changes.
    pub allowed: Option<usize>,
    /// Whether what arrives over a Unix socket comes from a gateway, and is believed.
    pub trusts_unix: bool,
    /// Told when it is ready, and why it is not.
    pub notify: RawFd,
    pub host: i32,
}

impl Given {
    pub fn new(app: &App, settings: &Settings, control: PathBuf) -> Self {
        // Where it listens is done already.
        let is_bind = |argument: &&String| argument.starts_with("--bind=") || argument.starts_with("--uds-mode=");
        let mut arguments: Vec<_> = app.arguments.iter().filter(|one| !is_bind(one)).cloned().collect();
        arguments.extend(app.user.iter().flat_map(|user| [format!("--user={user}"), format!("--group={user}")]));
        let files = [("--log-file", &settings.log_file), ("--access-log-file", &settings.access_log_file)];
        for (flag, file) in files {
            arguments.extend(file.iter().map(|file| format!("{flag}={}", file.display())));
        }
        arguments.push(format!("--log-level={}", name_of(settings.log_level)));
        arguments.push(format!("--log-format={}", name_of(settings.log_format)));
        Self {
            component: app.component().to_owned(),
            control,
            arguments,
            listeners: Vec::new(),
            allowed: None,
            trusts_unix: !app.own_addresses().iter().any(|bind| matches!(bind, Bind::Unix(_))),
            notify: -1,
            host: nix::unistd::getpid().as_raw(),
        }
    }

    /// What this process was started with.
    pub fn take(descriptor: RawFd) -> Result<Self, Failure> {
        let mut text = String::new();
        File::from(sys::inherited(descriptor)).read_to_string(&mut text)?;
        serde_json::from_str(&text).map_err(|error| Failure::internal(error.to_string()))
    }
}

/// As the command line calls it.
fn name_of(value: impl clap::ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// What a server tells its host of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// It has been ready.
    pub is_ready: bool,
    /// Workers that are ready, and that are wanted.
    pub workers: usize,
    pub wanted: usize,
    /// Processes, those on their way in and out included.
    pub processes: usize,
    /// Requests have waited for a worker for a while.
    pub is_waiting: bool,
    /// It does not serve what a new start would serve, after a rollback or a reload that failed.
    pub is_kept: bool,
    /// Bytes that are its processes' own.
    pub memory: u64,
    pub counters: Counters,
}

impl Report {
    pub fn is_busy(&self) -> bool {
        self.counters.in_flight > 0 || self.counters.queued > 0
    }

    /// Whether the other differs in what must not wait.
    pub fn differs_urgently(&self, other: &Self) -> bool {
        let urgent =
            |report: &Self| (report.workers, report.wanted, report.processes, report.is_waiting, report.is_kept);
        urgent(self) != urgent(other)
    }
}

/// A server as its host sees it.
pub struct Server {
    pub pid: Pid,
    pub started: Instant,
    pub control: PathBuf,
    channel: UnixDatagram,
    pub ready_since: Option<Instant>,
    ending: bool,
    failure: Option<String>,
    /// Why it was not executed, once it has ended.
    not_executed: Option<PipeReader>,
    /// The newest.
    pub report: Report,
    /// That has come since this was last looked at.
    pub has_reported: bool,
    /// When its component was written.
    modified: Option<SystemTime>,
}

impl Server {
    /// In this control group, if there is one.
    pub fn start(
        name: &str,
        mut given: Given,
        listeners: &[BorrowedFd],
        group: Option<&Path>,
    ) -> Result<Self, Failure> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Datagram, None, flags)?;
        given.listeners = listeners.iter().map(AsRawFd::as_raw_fd).collect();
        given.notify = theirs.as_raw_fd();
        let modified = modified(&given.component);
        let text = serde_json::to_vec(&given).map_err(|error| Failure::internal(error.to_string()))?;
        let mut file = File::from(memfd_create(c"given", MFdFlags::MFD_CLOEXEC)?);
        file.write_all(&text)?;
        file.rewind()?;
        let passed = [listeners, &[theirs.as_fd(), file.as_fd()]].concat();
        let mut command = Command::new(upgrade::executable()?);
        command.args(["app", name, &file.as_raw_fd().to_string()]).env_clear();
        command.envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        keep_over_exec(&passed, true);
        // Signals stay blocked, as it blocks them itself: it is then started without a copy of our page tables.
        let started = match group {
            Some(group) => cgroup::spawn(&mut command, group).map(|(pid, told)| (pid, Some(told))),
            None => command.spawn().map(|child| (Pid::from_raw(child.id() as i32), None)),
        };
        keep_over_exec(&passed, false);
        let (pid, not_executed) =
            started.map_err(|error| Failure::internal(format!("its server cannot be started: {error}")))?;
        Ok(Self {
            pid,
            started: Instant::now(),
            control: given.control,
            channel: ours.into(),
            ready_since: None,
            ending: false,
            failure: None,
            not_executed,
            report: Report::default(),
            has_reported: false,
            modified,
        })
    }

    /// Takes what it has said; true when that is that it is ready, for the first time.
    pub fn listen(&mut self) -> bool {
        let was_ready = self.is_ready();
        let mut is_ready = was_ready;
        let mut buffer = [0; MAX_MESSAGE];
        while let Ok(length @ 1..) = self.channel.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]);
            if let Some(report) = text.strip_prefix(REPORT) {
                (self.report, self.has_reported) = (serde_json::from_str(report).unwrap_or_default(), true);
                // The other word for it may have been lost.
                is_ready |= self.report.is_ready;
                continue;
            }
            is_ready |= text.starts_with(READY);
            self.failure = text.strip_prefix(FAILED).map(str::to_owned).or(self.failure.take());
        }
        if is_ready && !was_ready {
            self.ready_since = Some(Instant::now());
        }
        is_ready && !was_ready
    }

    /// It may have so many workers from now on.
    pub fn allow(&self, workers: usize) {
        let _ = self.channel.send(format!("{ALLOW}{workers}").as_bytes());
    }

    pub fn is_ready(&self) -> bool {
        self.ready_since.is_some()
    }

    pub fn is_ending(&self) -> bool {
        self.ending
    }

    /// Why it has ended, if that is known.
    pub fn failure(&mut self) -> Option<String> {
        let mut error = [0; 4];
        let told = self.not_executed.take().is_some_and(|mut pipe| pipe.read_exact(&mut error).is_ok());
        let error = std::io::Error::from_raw_os_error(i32::from_ne_bytes(error));
        let why = told.then(|| format!("its server cannot be started: {error}"));
        self.failure.take().or(why)
    }

    /// Whether its component has been written since it began.
    pub fn is_outdated(&self, component: &Path) -> bool {
        modified(component) != self.modified
    }

    pub fn reload(&mut self, component: &Path) {
        self.modified = modified(component);
        self.signal(Signal::SIGHUP);
    }

    pub fn end(&mut self) {
        if !self.ending {
            self.ending = true;
            self.signal(Signal::SIGTERM);
        }
    }

    pub fn signal(&self, signal: Signal) {
        let _ = kill(self.pid, signal);
    }
}

impl AsFd for Server {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// Whether a process that we start inherits these. Nothing else is started meanwhile: there is one thread.
pub fn keep_over_exec(descriptors: &[BorrowedFd<'_>], keep: bool) {
    let flag = if keep { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
    for descriptor in descriptors {
        let _ = fcntl(descriptor, FcntlArg::F_SETFD(flag));
    }
}

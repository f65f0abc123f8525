//! What systemd is told (sd_notify(3)), where it started us. By hand: the crates for it do not know abstract sockets.

use super::host::Report;
use crate::config::AppHost;
use crate::sys;
use std::env;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// What a host is told, besides sd_notify's words.
pub const READY: &str = "READY=1";
pub const FAILED: &str = "FAILED=";
/// Before a `Report` in JSON.
pub const REPORT: &str = "REPORT=";
/// What a host answers: workers that the app may have.
pub const ALLOW: &str = "ALLOW=";
/// Longest message to a host.
pub const MAX_MESSAGE: usize = 32 * 1024;
/// What is not urgent is reported at most so often.
const REPORT_EVERY: Duration = Duration::from_secs(1);

pub struct Notify {
    /// Where to send, if there is somebody.
    manager: Option<Manager>,
    /// How often a sign of life is due, and when the last one was given.
    watchdog: Option<Duration>,
    alive: Instant,
    /// Told since it last changed.
    status: String,
    /// Reported last, and when.
    reported: (Report, Instant),
    /// Workers that the host allows.
    allowed: usize,
}

enum Manager {
    Systemd(UnixDatagram, SocketAddr),
    /// A wasmserve with many apps, of which this is one.
    Host(UnixDatagram),
}

impl Notify {
    pub fn new(host: Option<AppHost>) -> Self {
        let now = Instant::now();
        let (status, reported) = (String::new(), (Report::default(), now));
        if let Some(host) = host {
            let manager = Some(Manager::Host(sys::inherited(host.notify).into()));
            let allowed = host.allowed.unwrap_or(usize::MAX);
            return Self { manager, watchdog: None, alive: now, status, reported, allowed };
        }
        let address = env::var_os("NOTIFY_SOCKET").and_then(|name| address(&name));
        let manager = address.and_then(|address| {
            let socket = UnixDatagram::unbound().ok()?;
            // A manager that does not read must not stop the loop.
            socket.set_nonblocking(true).ok()?;
            Some(Manager::Systemd(socket, address))
        });
        Self { manager, watchdog: watchdog(), alive: now, status, reported, allowed: usize::MAX }
    }

    /// Whether it has gone out. Nobody there is no error.
    fn tell(&self, message: &str) -> bool {
        match &self.manager {
            Some(Manager::Systemd(socket, address)) => socket.send_to_addr(message.as_bytes(), address).is_ok(),
            Some(Manager::Host(socket)) => socket.send(message.as_bytes()).is_ok(),
            None => false,
        }
    }

    /// Also that this is the process to watch from now on, which an upgrade changes.
    pub fn ready(&mut self, status: String) {
        self.tell(&format!("READY=1\nMAINPID={}\nSTATUS={status}", std::process::id()));
        self.status = status;
    }

    pub fn reloading(&self) {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_micros()));
    }

    /// Why there is no server. systemd has no word for that, and sees it in the log.
    pub fn failed(&self, why: &str) {
        if matches!(self.manager, Some(Manager::Host(_))) {
            self.tell(&format!("{FAILED}{why}"));
        }
    }

    /// Whether there is a host that wants reports.
    pub fn has_host(&self) -> bool {
        matches!(self.manager, Some(Manager::Host(_)))
    }

    /// Tells the host how things are, if that is new. At once where it is urgent, or the last time.
    pub fn report(&mut self, report: Report, is_last: bool) {
        let (last, at) = &self.reported;
        let is_due = is_last || report.differs_urgently(last) || at.elapsed() >= REPORT_EVERY;
        if report == *last || !is_due {
            return;
        }
        let text = serde_json::to_string(&report);
        if text.is_ok_and(|text| self.tell(&format!("{REPORT}{text}"))) {
            self.reported = (report, Instant::now());
        }
    }

    /// Workers that there may be, as the host has said last.
    pub fn allowed(&mut self) -> usize {
        let mut buffer = [0; 64];
        if let Some(Manager::Host(host)) = &self.manager {
            while let Ok(length @ 1..) = host.recv(&mut buffer) {
                let text = str::from_utf8(&buffer[..length]).ok().and_then(|text| text.strip_prefix(ALLOW));
                self.allowed = text.and_then(|number| number.parse().ok()).unwrap_or(self.allowed);
            }
        }
        self.allowed
    }

    /// What the host answers on.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.manager {
            Some(Manager::Host(host)) => Some(host.as_fd()),
            _ => None,
        }
    }

    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// A line for `systemctl status`.
    pub fn status(&mut self, status: String) {
        if status != self.status && !self.has_host() {
            self.tell(&format!("STATUS={status}"));
            self.status = status;
        }
    }

    /// A sign of life, if one is due.
    pub fn alive(&mut self) {
        if self.watchdog.is_some_and(|every| self.alive.elapsed() >= every) {
            self.tell("WATCHDOG=1");
            self.alive = Instant::now();
        }
    }

    /// When the next sign of life is due.
    pub fn due(&self) -> Option<Instant> {
        self.watchdog.map(|every| self.alive + every)
    }
}

/// A path, or behind `@` a name in the abstract namespace.
fn address(name: &OsStr) -> Option<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        [b'/', ..] => SocketAddr::from_pathname(name).ok(),
        _ => None,
    }
}

/// Half of the time after which we would be taken for dead, unless another process is meant (sd_watchdog_enabled(3)).
fn watchdog() -> Option<Duration> {
    let limit = env::var("WATCHDOG_USEC").ok()?.parse().ok().filter(|limit| *limit > 0)?;
    let is_for_us = env::var("WATCHDOG_PID").map_or(true, |pid| pid == std::process::id().to_string());
    is_for_us.then(|| Duration::from_micros(limit) / 2)
}

//! What systemd is told (sd_notify(3)), where it started us. By hand: the crates for it do not know abstract sockets.

use crate::sys;
use std::env;
use std::ffi::OsStr;
use std::os::fd::RawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// What a host is told, besides sd_notify's words.
pub const READY: &str = "READY=1";
pub const FAILED: &str = "FAILED=";

pub struct Notify {
    /// Where to send, if there is somebody.
    manager: Option<Manager>,
    /// How often a sign of life is due, and when the last one was given.
    watchdog: Option<Duration>,
    alive: Instant,
    /// Told since it last changed.
    status: String,
}

enum Manager {
    Systemd(UnixDatagram, SocketAddr),
    /// A wasmserve with many apps, of which this is one.
    Host(UnixDatagram),
}

impl Notify {
    pub fn new(host: Option<RawFd>) -> Self {
        if let Some(host) = host {
            let manager = Some(Manager::Host(sys::inherited(host).into()));
            return Self { manager, watchdog: None, alive: Instant::now(), status: String::new() };
        }
        let address = env::var_os("NOTIFY_SOCKET").and_then(|name| address(&name));
        let manager = address.and_then(|address| {
            let socket = UnixDatagram::unbound().ok()?;
            // A manager that does not read must not stop the loop.
            socket.set_nonblocking(true).ok()?;
            Some(Manager::Systemd(socket, address))
        });
        Self { manager, watchdog: watchdog(), alive: Instant::now(), status: String::new() }
    }

    fn tell(&self, message: &str) {
        // Nobody there is no error.
        let _ = match &self.manager {
            Some(Manager::Systemd(socket, address)) => socket.send_to_addr(message.as_bytes(), address),
            Some(Manager::Host(socket)) => socket.send(message.as_bytes()),
            None => return,
        };
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

    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// A line for `systemctl status`.
    pub fn status(&mut self, status: String) {
        if status != self.status {
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

//! USR2: the executable that is now on disk takes over. It is started beside us with our listening sockets; once it
//! serves, whoever asked for it ends us (TERM), or ends it and we go on.

use super::host::keep_over_exec;
use super::run::Supervisor;
use crate::exit::Failure;
use crate::sys;
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, getppid, pipe2};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The environment variable in which a successor finds what it inherits.
const VARIABLE: &str = "WASMSERVE_UPGRADE";

/// What a successor is given; descriptors by number.
#[derive(Serialize, Deserialize)]
struct Inheritance {
    from: i32,
    sockets: String,
    admin: Option<RawFd>,
    /// Written to once the successor serves.
    ready: RawFd,
}

static INHERITED: OnceLock<Option<Inheritance>> = OnceLock::new();
/// The executable's path, found before anything replaces it, and the folder that we were started in.
static START: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();

fn inherited() -> Option<&'static Inheritance> {
    let read = || std::env::var(VARIABLE).ok().and_then(|text| serde_json::from_str(&text).ok());
    // The variable alone proves nothing: whoever set it has to be our parent.
    INHERITED.get_or_init(|| read().filter(|from: &Inheritance| getppid().as_raw() == from.from)).as_ref()
}

/// Whether this process takes over from another.
pub fn is_upgrade() -> bool {
    inherited().is_some()
}

/// The process we take over from, while it is there.
pub fn predecessor() -> Option<Pid> {
    inherited().map(|from| Pid::from_raw(from.from)).filter(|pid| getppid() == *pid)
}

/// The listening sockets that were passed on.
pub fn sockets() -> Option<&'static str> {
    inherited().map(|from| from.sockets.as_str())
}

pub fn admin_listener() -> Option<RawFd> {
    inherited().and_then(|from| from.admin)
}

/// Tells our predecessor that we serve.
pub fn tell_ready() {
    if let Some(from) = inherited() {
        let mut pipe = File::from(sys::inherited(from.ready));
        let _ = pipe.write_all(b"1");
    }
}

/// To be called before anything is changed: a successor is to start as we did.
pub fn remember_start() {
    if let (Ok(executable), Ok(folder)) = (std::env::current_exe(), std::env::current_dir()) {
        let _ = START.set((executable, folder));
    }
}

/// What runs here, or what is at its place by now.
pub fn executable() -> Result<&'static PathBuf, Failure> {
    START.get().map(|(executable, _)| executable).ok_or_else(|| Failure::internal("the executable's path is not known"))
}

/// A successor under way, or serving beside us.
pub struct Upgrade {
    pub pid: Pid,
    ready: Option<File>,
}

impl Upgrade {
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.ready.as_ref().map(AsFd::as_fd)
    }
}

impl Supervisor {
    pub fn upgrade(&mut self) {
        if !self.is_serving() {
            tracing::warn!(event = "upgrade-failed", "SIGUSR2: the server is starting or ending: nothing is upgraded");
        } else if let Some(upgrade) = &self.upgrade {
            let pid = upgrade.pid;
            tracing::warn!(event = "upgrade-failed", "SIGUSR2: an upgrade is under way already (process {pid})");
        } else if let Some(pid) = predecessor() {
            tracing::warn!(
                event = "upgrade-failed",
                "SIGUSR2: this is an upgrade that is not over: end process {pid} first"
            );
        } else {
            match self.start_successor() {
                Ok(upgrade) => {
                    let pid = upgrade.pid.as_raw();
                    tracing::info!(event = "upgrade-started", pid, "SIGUSR2: process {pid} is to take over");
                    self.upgrade = Some(upgrade);
                }
                Err(failure) => tracing::error!(event = "upgrade-failed", "SIGUSR2: {failure}"),
            }
        }
    }

    fn start_successor(&mut self) -> Result<Upgrade, Failure> {
        let (executable, folder) =
            START.get().ok_or_else(|| Failure::internal("the executable's path is not known"))?;
        let (ready, tell) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let admin = self.admin.as_ref().map(|admin| admin.listener.as_raw_fd());
        let inheritance = Inheritance {
            from: nix::unistd::getpid().as_raw(),
            sockets: self.sockets.describe(),
            admin,
            ready: tell.as_raw_fd(),
        };
        let text = serde_json::to_string(&inheritance).map_err(|error| Failure::internal(error.to_string()))?;
        let mut passed = self.sockets.descriptors();
        passed.extend(self.admin.as_ref().map(|admin| admin.listener.as_fd()));
        passed.push(tell.as_fd());
        keep_over_exec(&passed, true);
        let mut command = Command::new(executable);
        command.args(std::env::args_os().skip(1)).current_dir(folder).env(VARIABLE, text);
        // systemd's limit for signs of life is the successor's too.
        command.env_remove("WATCHDOG_PID");
        // Before it can write its own.
        self.pid_file.step_aside();
        let started = sys::unblock_signals_in(&mut command).spawn();
        keep_over_exec(&passed, false);
        if started.is_err() {
            self.pid_file.step_back();
        }
        let child = started
            .map_err(|error| Failure::internal(format!("{} cannot be started: {error}", executable.display())))?;
        Ok(Upgrade { pid: Pid::from_raw(child.id() as i32), ready: Some(File::from(ready)) })
    }

    /// Whether the successor serves by now.
    pub fn advance_upgrade(&mut self) {
        let Some(upgrade) = &mut self.upgrade else { return };
        let mut byte = [0; 1];
        match upgrade.ready.as_mut().map(|ready| ready.read(&mut byte)) {
            Some(Ok(1)) => {
                let pid = upgrade.pid.as_raw();
                upgrade.ready = None;
                tracing::info!(
                    event = "upgrade-ready",
                    pid,
                    "process {pid} serves beside this one: end this one (TERM) to finish the upgrade, or that one to call it off"
                );
            }
            // It has ended, or has closed the pipe: its end tells.
            Some(Ok(_)) => upgrade.ready = None,
            _ => {}
        }
    }

    /// Whether the process that has ended was to take over: then we go on alone.
    pub fn upgrade_ended(&mut self, pid: Pid, status: WaitStatus) -> bool {
        if self.upgrade.as_ref().is_none_or(|upgrade| upgrade.pid != pid) {
            return false;
        }
        self.upgrade = None;
        self.pid_file.step_back();
        self.reopen_control();
        // This is the process to watch again.
        self.notify.ready(self.summary());
        tracing::warn!(
            event = "upgrade-failed",
            pid = pid.as_raw(),
            "process {pid} has ended ({status:?}): this one goes on serving"
        );
        true
    }

    /// Stops listening. Where another process listens on the same sockets, their files stay.
    pub fn close_sockets(&mut self) {
        self.sockets.set_shared(self.upgrade.is_some() || predecessor().is_some());
        self.sockets.close();
    }

    /// A successor that does not serve yet goes with us.
    pub fn end_upgrade(&mut self) {
        if let Some(upgrade) = self.upgrade.as_ref().filter(|upgrade| upgrade.ready.is_some()) {
            let _ = kill(upgrade.pid, Signal::SIGTERM);
        }
    }
}

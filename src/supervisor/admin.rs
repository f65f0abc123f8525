//! The admin process: started with the server, started again when it ends.

use super::run::Supervisor;
use super::signals::unblock_in_child;
use super::upgrade;
use crate::exit::{Exit, Failure};
use crate::message::AdminStart;
use crate::sys;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, getpid};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Pause before one that has ended is started again.
const PAUSE: Duration = Duration::from_millis(500);

pub struct Admin {
    pub listener: OwnedFd,
    child: Option<Pid>,
    start_at: Instant,
}

impl Admin {
    pub fn open(address: Option<SocketAddr>) -> Result<Option<Self>, Failure> {
        let Some(address) = address else { return Ok(None) };
        let listener = match upgrade::admin_listener() {
            Some(inherited) => TcpListener::from(sys::inherited(inherited)),
            None => TcpListener::bind(address).map_err(|error| {
                Failure::new(
                    Exit::Usage,
                    format!("--admin: cannot listen on {address}: {error}; choose another address"),
                )
            })?,
        };
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        tracing::info!(event = "admin-ready", url, "health, metrics and status are at {url}");
        Ok(Some(Self { listener: listener.into(), child: None, start_at: Instant::now() }))
    }

    pub fn due(&self) -> Option<Instant> {
        self.child.is_none().then_some(self.start_at)
    }
}

impl Supervisor {
    pub fn start_admin(&mut self) {
        let Some(admin) = self.admin.as_mut().filter(|admin| admin.due().is_some_and(|due| due <= Instant::now()))
        else {
            return;
        };
        admin.start_at = Instant::now() + PAUSE;
        let supervisor = getpid();
        let started = UnixStream::pair().map_err(Failure::from).and_then(|(ours, theirs)| {
            let start = AdminStart {
                listener: admin.listener.as_raw_fd(),
                channel: theirs.as_raw_fd(),
                identity: self.settings.identity,
                sandbox: self.settings.sandbox,
                supervisor,
            };
            let run = self.roles.admin;
            let pid = sys::fork(|| {
                unblock_in_child();
                run(start)
            })?;
            self.control.adopt(ours)?;
            Ok(pid)
        });
        match started {
            Ok(pid) => admin.child = Some(pid),
            Err(failure) => tracing::error!("the admin process cannot be started: {failure}"),
        }
    }

    pub fn admin_ended(&mut self, pid: Pid) -> bool {
        let Some(admin) = self.admin.as_mut().filter(|admin| admin.child == Some(pid)) else { return false };
        admin.child = None;
        if self.ending.is_none() {
            tracing::warn!(
                event = "admin-exited",
                pid = pid.as_raw(),
                "the admin process has ended: it is started again"
            );
        }
        true
    }

    /// At the very end, as it answers until then. Its listener is free once it is gone.
    pub fn wait_for_admin(&mut self) {
        self.end_admin();
        if let Some(pid) = self.admin.as_mut().and_then(|admin| admin.child.take()) {
            let _ = waitpid(pid, None);
        }
    }

    /// Unless the server ends it starts again, with the log files that are open then.
    pub fn end_admin(&mut self) {
        if let Some(pid) = self.admin.as_ref().and_then(|admin| admin.child) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

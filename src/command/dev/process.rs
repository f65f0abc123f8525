//! A process that `dev` has started, with its children in a group of their own: a terminal's Ctrl-C reaches `dev` alone,
//! which ends each of them in its way.

use crate::sys;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};

pub struct Process {
    child: Child,
}

impl Process {
    pub fn start(command: &mut Command) -> io::Result<Self> {
        Ok(Self { child: sys::unblock_signals_in(command).process_group(0).spawn()? })
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Nothing while it runs.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// It may be gone already.
    pub fn signal(&self, signal: Signal) {
        let _ = kill(self.pid(), signal);
    }

    pub fn signal_group(&self, signal: Signal) {
        let _ = killpg(self.pid(), signal);
    }
}

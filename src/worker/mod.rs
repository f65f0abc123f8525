//! A worker process, by its life: boot, serve, drain.

mod boot;
mod drain;
mod serve;

use crate::config::{Plan, Settings};
use crate::exit::Exit;
use crate::scoreboard::Row;
use std::os::fd::RawFd;
use std::sync::Arc;

/// What the supervisor gives a worker that it forks. Descriptors are the worker's own copies by number.
pub struct Start {
    pub settings: Arc<Settings>,
    pub plan: Plan,
    /// The compiled component.
    pub artefact: RawFd,
    /// Listening sockets of every slot, this worker's own and its neighbours'.
    pub listeners: Vec<Vec<RawFd>>,
    pub slot: usize,
    pub generation: u64,
    pub row: &'static Row,
    /// Messages to and from the supervisor.
    pub channel: RawFd,
    pub supervisor: nix::unistd::Pid,
}

/// Runs a worker in a freshly forked process.
pub fn run(start: Start) -> ! {
    let exit = match boot::boot(start) {
        Ok(()) => Exit::Success,
        Err(failure) => {
            tracing::error!("{failure}");
            failure.exit
        }
    };
    // Not by return: threads of the pool may still be in guests that have been given up.
    std::process::exit(exit as i32)
}

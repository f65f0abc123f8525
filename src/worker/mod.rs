//! A worker process, by its life: boot, serve, drain.

pub mod boot;
mod drain;
mod listener;
pub mod serve;

use crate::config::Plan;
use crate::exit::{Exit, Failure};
use crate::message::Start;
use std::os::fd::RawFd;

/// Runs a worker in a freshly forked process.
pub fn run(start: Start, artefact: RawFd, plan: Plan) -> ! {
    end(boot::boot(start, artefact, plan))
}

/// Ends the process.
pub fn end(result: Result<(), Failure>) -> ! {
    let exit = match result {
        Ok(()) => Exit::Success,
        Err(failure) => {
            tracing::error!("{failure}");
            failure.exit
        }
    };
    // Not by return: threads of the pool may still be in guests that have been given up.
    std::process::exit(exit as i32)
}

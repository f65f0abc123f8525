//! A worker process, by its life: boot, serve, drain.

mod boot;
mod drain;
mod listener;
mod serve;

use crate::exit::Exit;
use crate::message::Start;

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

//! The executable: parse, run, exit code.

use clap::Parser;
use std::process::ExitCode;
use wasmserve::{cli::Cli, command, exit::Exit, log};

/// A worker allocates for each request; glibc's allocator took a tenth of its time (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match command::run(Cli::parse()) {
        Ok(()) => Exit::Success.into(),
        Err(failure) => {
            log::tell_failure(&failure);
            failure.exit.into()
        }
    }
}

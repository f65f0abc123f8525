//! The executable: parse, run, exit code.

use clap::Parser;
use std::process::ExitCode;
use wasmserve::{cli::Cli, command, exit::Exit, log};

fn main() -> ExitCode {
    match command::run(Cli::parse()) {
        Ok(()) => Exit::Success.into(),
        Err(failure) => {
            log::tell_failure(&failure);
            failure.exit.into()
        }
    }
}

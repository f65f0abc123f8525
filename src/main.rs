//! The executable: parse, run, exit code.

use std::process::ExitCode;
use wasmserve::{cli::Cli, command, exit::Exit, log};

fn main() -> ExitCode {
    match command::run(Cli::read()) {
        Ok(()) => Exit::Success.into(),
        Err(failure) => {
            log::tell_failure(&failure);
            failure.exit.into()
        }
    }
}

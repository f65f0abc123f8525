//! The executable: parse, run, exit code.

use std::process::ExitCode;
use wasmserve::{cli::Cli, command, exit::Exit, log};

fn main() -> ExitCode {
    let done = match Cli::hosted() {
        Some(given) => command::hosted(given),
        None => command::run(Cli::read()),
    };
    match done {
        Ok(()) => Exit::Success.into(),
        Err(failure) => {
            log::tell_failure(&failure);
            failure.exit.into()
        }
    }
}

//! The executable: parse, run, exit code.

use clap::Parser;
use std::process::ExitCode;
use wasmserve::{cli::Cli, command, exit::Exit};

fn main() -> ExitCode {
    match command::run(Cli::parse()) {
        Ok(()) => Exit::Success.into(),
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("wasmserve: {failure}");
            }
            failure.exit.into()
        }
    }
}

//! What the command line can do.

mod check;
pub mod inspect;
mod roles;
mod serve;

use crate::cli::{Cli, Command};
use crate::config::Source;
use crate::exit::Failure;

/// Does what was asked.
pub fn run(cli: Cli) -> Result<(), Failure> {
    match (cli.command, cli.component) {
        (Some(Command::Demo(args)), _) => serve::demo(&args),
        (Some(Command::Inspect { component, json }), _) => inspect::run(&component, json),
        (Some(Command::Check { component, serve }), _) => check::check(Source::File(component), &serve),
        (None, Some(component)) => serve::serve(Source::File(component), &cli.serve),
        (None, None) => Err(Failure::usage("name a component to serve, or run wasmserve --help")),
    }
}

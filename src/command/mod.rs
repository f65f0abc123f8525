//! What the command line can do.

mod check;
mod componentize;
mod control;
mod dev;
mod files;
mod generate;
pub mod inspect;
mod new;
mod roles;
mod serve;
mod status;
mod wit;

use crate::cli::{Cli, Command};
use crate::config::Source;
use crate::control::protocol::Command as Order;
use crate::exit::Failure;

pub use serve::hosted;

/// Does what was asked.
pub fn run(cli: Cli) -> Result<(), Failure> {
    match (cli.command, cli.component) {
        (Some(Command::Demo(args)), _) => serve::demo(&args),
        (Some(Command::Inspect { component, json }), _) => inspect::run(&component, json),
        (Some(Command::Check { config: Some(config), .. }), _) => check::check_config(&config),
        (Some(Command::Check { component: Some(component), serve, .. }), _) => {
            check::check(Source::File(component), &serve)
        }
        (Some(Command::New(args)), _) => new::run(&args),
        (Some(Command::Dev(args)), _) => dev::run(&args),
        (Some(Command::DevServe(args)), _) => dev::serve(&args),
        (Some(Command::Wit { folder }), _) => wit::run(&folder),
        (Some(Command::Componentize(args)), _) => componentize::run(&args),
        (Some(Command::Status { server, json, watch }), _) => status::run(&server, json, watch),
        (Some(Command::Reload { server }), _) => control::tell(&server, Order::Reload),
        (Some(Command::Rollback { server }), _) => control::tell(&server, Order::Rollback),
        (Some(Command::Scale { workers, server }), _) => control::tell(&server, Order::Scale { workers }),
        (Some(Command::Recycle { worker, server }), _) => control::tell(&server, Order::Recycle { worker }),
        (Some(Command::Stop { server }), _) => control::tell(&server, Order::Stop),
        (Some(Command::App { given, .. }), _) => serve::hosted(given),
        (Some(Command::Generate { folder }), _) => generate::generate(&folder),
        (None, Some(component)) => serve::serve(Source::File(component), &cli.serve),
        (None, None) if cli.config.is_some() => serve::host(&cli.config.unwrap_or_default()),
        (Some(Command::Check { .. }), _) | (None, None) => {
            Err(Failure::usage("name a component to serve, or run wasmserve --help"))
        }
    }
}

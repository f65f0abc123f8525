//! `wasmserve reload`, `rollback`, `scale`, `recycle`, `stop`: one thing is told to a running server.

use crate::cli::ServerArgs;
use crate::control::client::{self, Client};
use crate::control::protocol::{Command, Outcome};
use crate::exit::{Exit, Failure};
use crate::status::Status;
use std::io::Write;

/// A connection to a running server, or to that of one of its apps.
pub fn connect(server: &ServerArgs) -> Result<Client, Failure> {
    let mut client = client::connect(server.control.as_deref())?;
    let Some(name) = &server.app else { return Ok(client) };
    let status = status(&mut client)?;
    let Some(app) = status.apps.iter().find(|app| app.name == *name) else {
        let names: Vec<_> = status.apps.iter().map(|app| app.name.as_str()).collect();
        let hosted =
            if names.is_empty() { "it hosts no apps".to_owned() } else { format!("it has {}", names.join(", ")) };
        return Err(Failure::usage(format!("--app {name}: there is no such app: {hosted}")));
    };
    match &app.control {
        Some(path) => client::connect(Some(path)),
        None => Err(Failure::usage(format!(
            "--app {name}: it has no process now ({}): the next request starts it",
            app.state
        ))),
    }
}

pub fn status(client: &mut Client) -> Result<Status, Failure> {
    match client.ask(Command::Status)? {
        Outcome::Status { status } => Ok(*status),
        Outcome::Failed { message, exit_code } => Err(Failure::new(exit(exit_code), message)),
        Outcome::Done { .. } => Err(Failure::internal("the server answered something else than it was asked")),
    }
}

pub fn tell(server: &ServerArgs, command: Command) -> Result<(), Failure> {
    match connect(server)?.ask(command)? {
        Outcome::Done { message } => {
            // Done is done, whether or not anybody reads it. A guest may have had a say in it, terminals obey.
            let message = message.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}");
            let _ = writeln!(std::io::stdout(), "{message}");
            Ok(())
        }
        Outcome::Failed { message, exit_code } => Err(Failure::new(exit(exit_code), message)),
        Outcome::Status { .. } => Err(Failure::internal("the server answered something else than it was asked")),
    }
}

/// What the server says that we end with.
fn exit(code: u8) -> Exit {
    let known = [Exit::Usage, Exit::Startup, Exit::Load].into_iter().find(|exit| *exit as u8 == code);
    known.unwrap_or(Exit::Internal)
}

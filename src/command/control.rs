//! `wasmserve reload`, `rollback`, `scale`, `recycle`, `stop`: one thing is told to a running server.

use crate::cli::ServerArgs;
use crate::control::client;
use crate::control::protocol::{Command, Outcome};
use crate::exit::{Exit, Failure};
use std::io::Write;

pub fn tell(server: &ServerArgs, command: Command) -> Result<(), Failure> {
    match client::connect(server.control.as_deref())?.ask(command)? {
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
pub fn exit(code: u8) -> Exit {
    let known = [Exit::Usage, Exit::Startup, Exit::Load].into_iter().find(|exit| *exit as u8 == code);
    known.unwrap_or(Exit::Internal)
}

//! `wasmserve status`: what a running server does, for people or for programs, once or every second.

mod apps;
mod table;
mod units;

use super::control;
use crate::cli::ServerArgs;
use crate::control::client::Client;
use crate::exit::Failure;
use crate::status::Status;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

/// Pause between two looks, in milliseconds.
const EVERY: u16 = 1000;
/// Goes to a terminal's top left corner and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[J";

pub fn run(server: &ServerArgs, json: bool, watch: bool) -> Result<(), Failure> {
    let mut client = control::connect(server)?;
    if watch {
        return self::watch(&mut client, json);
    }
    let status = control::status(&mut client)?;
    let shown = if json { line(&status)? } else { text(&status, None) };
    // Whoever reads may have seen enough, as head(1) has.
    let _ = io::stdout().write_all(shown.as_bytes());
    Ok(())
}

/// Shows it until it is interrupted, the reader has gone, or the server has.
fn watch(client: &mut Client, json: bool) -> Result<(), Failure> {
    let interrupt: SigSet = [Signal::SIGINT].into_iter().collect();
    interrupt.thread_block()?;
    let interrupt = SignalFd::new(&interrupt)?;
    let mut last: Option<Status> = None;
    loop {
        let status = control::status(client)?;
        let shown = match json {
            true => line(&status)?,
            false if io::stdout().is_terminal() => format!("{CLEAR}{}", text(&status, last.as_ref())),
            false => format!("{}\n", text(&status, last.as_ref())),
        };
        let mut out = io::stdout().lock();
        if out.write_all(shown.as_bytes()).and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
        last = Some(status);
        // Any other signal cuts the pause short, which does no harm.
        let waited = poll(&mut [PollFd::new(interrupt.as_fd(), PollFlags::POLLIN)], PollTimeout::from(EVERY));
        if waited.is_ok_and(|ready| ready > 0) {
            return Ok(());
        }
    }
}

fn text(status: &Status, last: Option<&Status>) -> String {
    table::table(status, last) + &apps::table(status)
}

fn line(status: &Status) -> Result<String, Failure> {
    Ok(serde_json::to_string(status).map_err(io::Error::from)? + "\n")
}

//! What the processes that we fork may do: as whom they run, which files and ports they reach, which system calls
//! they make, and with whom they end. One layer upon the other, in the order in which they can be applied.

mod calls;
mod credentials;
mod landlock;
mod rlimits;
mod seccomp;
#[cfg(test)]
mod tests;

pub use credentials::die_with;
pub use rlimits::{raise_descriptor_limit, set_for_compiler};

use crate::cli::Sandbox;
use crate::config::{Dir, Identity};
use crate::exit::{Exit, Failure};
use ::landlock::RulesetStatus;
use nix::unistd::Pid;
use std::fmt::Display;

/// What a process is for decides what it can do without.
#[derive(Clone, Copy, Debug)]
pub enum Role<'a> {
    Worker {
        dirs: &'a [Dir],
        connects: bool,
    },
    Compiler,
    Admin,
    /// Connects to Unix sockets, and serves files from these folders.
    Gateway {
        dirs: &'a [Dir],
    },
}

/// What this machine lacks of the sandbox: for the one process that can tell it once for all.
pub fn missing() -> Vec<&'static str> {
    [landlock::missing(), seccomp::missing()].into_iter().flatten().collect()
}

/// What there is of it, in words.
pub fn describe(sandbox: Sandbox) -> String {
    match (sandbox, missing()) {
        (Sandbox::Off, _) => "off".to_owned(),
        (_, missing) if missing.is_empty() => "complete".to_owned(),
        (_, missing) => format!("incomplete: {}", missing.join("; ")),
    }
}

/// At the start of a server: in `strict` there is none without all of the sandbox.
pub fn check(sandbox: Sandbox) -> Result<(), Failure> {
    let missing = if sandbox == Sandbox::Off { Vec::new() } else { missing() };
    if missing.is_empty() {
        return Ok(());
    }
    let what = missing.join("; ");
    if sandbox == Sandbox::Strict {
        return Err(Failure::new(
            Exit::Sandbox,
            format!("--sandbox=strict: {what}; use a newer kernel, or --sandbox=best-effort to do without"),
        ));
    }
    tracing::warn!(event = "sandbox-incomplete", "the sandbox is not complete: {what}");
    Ok(())
}

/// First, before anything is read that is not ours: gives up what a child may do beyond the user it is to run as.
pub fn give_up_rights(sandbox: Sandbox, identity: Option<Identity>, supervisor: Pid) -> Result<(), Failure> {
    if sandbox != Sandbox::Off {
        credentials::drop_bounding_capabilities();
    }
    credentials::become_user(identity)?;
    if sandbox != Sandbox::Off {
        settle(sandbox, "capabilities", credentials::drop_capabilities())?;
        settle(sandbox, "no new privileges", credentials::close_ways_back())?;
    }
    // The kernel forgets the wish to die with the parent when credentials change.
    die_with(supervisor)
}

/// Second, before there is another thread: closes the file system and the network.
pub fn close_files(sandbox: Sandbox, role: &Role) -> Result<(), Failure> {
    match sandbox {
        Sandbox::Off => Ok(()),
        Sandbox::BestEffort | Sandbox::Strict => {
            let restricted = landlock::restrict(role).map_err(|error| error.to_string());
            let all = restricted.and_then(|status| match status {
                RulesetStatus::FullyEnforced => Ok(()),
                _ => Err("not all of it holds on this kernel".to_owned()),
            });
            settle(sandbox, "Landlock", all)
        }
    }
}

/// Last, once all code is mapped and before there is another thread: leaves the system calls that are needed.
pub fn close_calls(sandbox: Sandbox, role: &Role) -> Result<(), Failure> {
    match sandbox {
        Sandbox::Off => Ok(()),
        Sandbox::BestEffort | Sandbox::Strict => settle(sandbox, "seccomp", seccomp::install(role)),
    }
}

/// A layer that cannot be applied is a failure if it has to be there. Otherwise the supervisor has told of it.
fn settle(sandbox: Sandbox, layer: &str, applied: Result<(), impl Display>) -> Result<(), Failure> {
    match applied {
        Err(error) if sandbox == Sandbox::Strict => {
            Err(Failure::new(Exit::Sandbox, format!("--sandbox=strict: a layer cannot be applied: {layer}: {error}")))
        }
        Err(error) => {
            tracing::debug!(event = "sandbox-incomplete", "a layer cannot be applied: {layer}: {error}");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

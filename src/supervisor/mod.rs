//! The supervisor: one thread, one poll loop over signals, timers and its children. It owns the listening
//! sockets and decides which process works; it runs no guest code and never starts a thread, so that fork()
//! is always safe.

mod cache;
mod load;
mod ready;
mod run;
mod signals;
mod slot;
mod sockets;

pub use load::{Loaded, load};

use crate::config::{Plan, Settings};
use crate::exit::Failure;
use crate::message::Start;
use std::fs::File;
use std::sync::Arc;

/// What the other processes run: handed in, so that this room knows nothing of theirs.
#[derive(Clone, Copy)]
pub struct Roles {
    /// What an artefact of these component bytes is valid for: its name in the cache.
    pub key: fn(&[u8]) -> Result<String, String>,
    /// The compiler process: bytes in, machine code into the file, a report (JSON) out.
    pub compile: fn(Vec<u8>, &mut File) -> Result<String, String>,
    /// How a component with this report is served.
    pub plan: fn(&Settings, &str) -> Result<Plan, Failure>,
    pub worker: fn(Start) -> !,
}

/// Loads the component, starts the workers and looks after them until it is told to end.
pub fn supervise(settings: Settings, roles: Roles) -> Result<(), Failure> {
    let settings = Arc::new(settings);
    let signals = signals::Signals::new()?;
    let sockets = sockets::bind(&settings.binds, settings.workers)?;
    let loaded = load(&settings, roles, Some(&signals))?;
    run::Supervisor::new(settings, roles, signals, sockets, loaded)?.run()
}

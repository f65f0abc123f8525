//! The supervisor: one thread, one poll loop over signals, timers and its children. It owns the listening
//! sockets and decides which process works; it runs no guest code and never starts a thread, so that fork()
//! is always safe.

mod admin;
mod apps;
mod cache;
mod cgroup;
mod children;
mod control;
mod demand;
mod host;
mod hosted;
mod load;
mod logs;
mod notify;
mod pid_file;
mod ready;
mod rollout;
mod room;
mod run;
mod scale;
mod signals;
mod slot;
mod sockets;
mod status;
mod upgrade;
mod watch;

pub use host::Given;
pub use load::{Loaded, load};
pub use upgrade::remember_start;

use crate::config::{Plan, Settings, Work};
use crate::exit::Failure;
use crate::message::{AdminStart, Start, Task};
use crate::sandbox;
use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

/// What the other processes run: handed in, so that this room knows nothing of theirs.
#[derive(Clone, Copy)]
pub struct Roles {
    /// What an artefact of these component bytes is valid for: its name in the cache.
    pub key: fn(&[u8]) -> Result<String, String>,
    /// The compiler process: bytes in, machine code into the file, a report (JSON) out.
    pub compile: fn(Vec<u8>, &mut File) -> Result<String, String>,
    /// How a component with this report is served.
    pub plan: fn(&Settings, &str) -> Result<Plan, Failure>,
    pub worker: fn(Start, Task) -> !,
    pub admin: fn(AdminStart) -> !,
}

/// Loads the component unless there is something to do already, starts the workers and looks after them until it is told
/// to end.
pub fn supervise(settings: Settings, work: Option<Work>, roles: Roles) -> Result<(), Failure> {
    let settings = Arc::new(settings);
    sandbox::check(settings.sandbox)?;
    let signals = signals::Signals::new()?;
    let sockets = match upgrade::sockets() {
        Some(inherited) => sockets::Sockets::inherit(inherited, &settings)?,
        None => sockets::bind(&settings)?,
    };
    let pid_file = pid_file::PidFile::write(settings.pid_file.as_deref())?;
    let notify = notify::Notify::new(settings.host);
    let began = Instant::now();
    let loaded = match work {
        Some(work) => Loaded { work, was_compiled: false },
        None => load(&settings, roles, Some(&signals)).inspect_err(|failure| notify.failed(&failure.message))?,
    };
    let compile_seconds = if loaded.was_compiled { began.elapsed().as_secs_f64() } else { 0.0 };
    // From here on there is somebody who answers.
    let control = control::Control::open(settings.control.as_deref())?;
    let admin = admin::Admin::open(settings.admin)?;
    let apps = apps::Apps::open(&loaded, &settings)?;
    let parts = run::Parts { signals, sockets, loaded, compile_seconds, control, admin, pid_file, notify, apps };
    run::Supervisor::new(settings, roles, parts)?.run()
}

//! Resource limits of a process (setrlimit(2)).
//!
//! Not among them: the number of threads, since RLIMIT_NPROC counts those of all processes of a user, ours and others,
//! and is none for root; bound it with a control group. File sizes, since guests may write to their folders.

use crate::config::CompileLimits;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What neither a guest nor the server needs: core files, locked memory, message queues, real-time priorities.
const NOTHING: [Resource; 4] =
    [Resource::RLIMIT_CORE, Resource::RLIMIT_MEMLOCK, Resource::RLIMIT_MSGQUEUE, Resource::RLIMIT_RTPRIO];

pub fn set() -> nix::Result<()> {
    NOTHING.into_iter().try_for_each(|resource| setrlimit(resource, 0, 0))
}

/// The compiler's. All of its memory counts, whether it is used or only reserved: whoever wants much hits the limit
/// before the machine has to find the pages.
pub fn set_for_compiler(limits: &CompileLimits) -> nix::Result<()> {
    let seconds = limits.cpu_time.as_secs_f64().ceil() as u64;
    // SIGXCPU at the first, which tells what happened; SIGKILL at the second, should it be ignored.
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_CPU, seconds, seconds + 1)?;
    setrlimit(Resource::RLIMIT_AS, limits.memory, limits.memory)?;
    // Memory files, which are not in the address space.
    setrlimit(Resource::RLIMIT_FSIZE, limits.memory, limits.memory)
}

/// As many descriptors as this process may have: the soft limit is for programs that use select(2). If it cannot be
/// raised there are fewer connections.
pub fn raise_descriptor_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!("the limit of descriptors stays at {soft}: {error}");
    }
}

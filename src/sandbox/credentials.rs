//! As whom a process runs, what that allows it, and with whom it ends.

use super::rlimits;
use crate::config::Identity;
use crate::exit::Failure;
use caps::CapSet;
use caps::errors::CapsError;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid, setgroups, setresgid, setresuid};

/// A child must not outlive its supervisor, however that ends.
pub fn die_with(supervisor: Pid) -> Result<(), Failure> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != supervisor {
        return Err(Failure::internal("the supervisor is gone"));
    }
    Ok(())
}

/// Becomes the user that was asked for, for good.
pub fn become_user(identity: Option<Identity>) -> Result<(), Failure> {
    let Some(Identity { user, group }) = identity else { return Ok(()) };
    let refused = |error| Failure::internal(format!("cannot become user {user} and group {group}: {error}"));
    setgroups(&[group]).map_err(refused)?;
    setresgid(group, group, group).map_err(refused)?;
    setresuid(user, user, user).map_err(refused)
}

/// What a program that is executed could have at most: while we may still change that, which an ordinary user never
/// may. There it makes no difference: nothing that is executed gets more than we have.
pub fn drop_bounding_capabilities() {
    let _ = caps::clear(None, CapSet::Bounding);
}

/// Gives up what user root can do and others cannot, and what could bring it back.
pub fn drop_capabilities() -> Result<(), CapsError> {
    caps::clear(None, CapSet::Ambient)?;
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        // A service manager that leaves none may forbid to ask for none.
        if !caps::read(None, set)?.is_empty() {
            caps::clear(None, set)?;
        }
    }
    Ok(())
}

/// No rights by execution, no memory for others to read, no core files with what clients have sent.
pub fn close_ways_back() -> nix::Result<()> {
    prctl::set_no_new_privs()?;
    prctl::set_dumpable(false)?;
    rlimits::set()
}

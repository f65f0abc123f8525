//! What the processes that we fork may do: as whom they run, and with whom they end.

use crate::config::Identity;
use crate::exit::Failure;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid, setgroups, setresgid, setresuid};

/// A child must not outlive its supervisor, however that ends.
pub fn die_with(supervisor: Pid) -> Result<(), Failure> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != supervisor {
        return Err(Failure::internal("the supervisor is gone"));
    }
    Ok(())
}

/// Gives up what a child may do beyond the user it is to run as, for good.
pub fn drop_privileges(identity: Option<Identity>, supervisor: Pid) -> Result<(), Failure> {
    let Some(Identity { user, group }) = identity else { return Ok(()) };
    let refused = |error| Failure::internal(format!("cannot become user {user} and group {group}: {error}"));
    setgroups(&[group]).map_err(refused)?;
    setresgid(group, group, group).map_err(refused)?;
    setresuid(user, user, user).map_err(refused)?;
    // The kernel forgets the wish to die with the parent when credentials change.
    die_with(supervisor)
}

//! Landlock: no file system but the folders that were given, no new TCP listeners, no connections unless guests may
//! have them, no signals and abstract sockets to others. What is open already goes on working.

use super::Role;
use crate::config::Dir;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};

/// What this is written for: Linux 6.12. Later kernels add nothing that we need.
const NEWEST: ABI = ABI::V6;

/// What a guest may do in a folder; it can neither execute nor make devices, sockets or pipes.
const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    WriteFile | Truncate | RemoveFile | RemoveDir | MakeReg | MakeDir | MakeSym | Refer
});

/// Restricts the calling thread and those that it will start. Whether all of it holds depends on the kernel.
pub fn restrict(role: &Role) -> Result<RulesetStatus, RulesetError> {
    let (dirs, ports) = match role {
        Role::Worker { dirs, connects: true } => (*dirs, BitFlags::from(AccessNet::BindTcp)),
        Role::Worker { dirs, connects: false } => (*dirs, AccessNet::from_all(NEWEST)),
        Role::Gateway { dirs } => (*dirs, AccessNet::from_all(NEWEST)),
        Role::Compiler | Role::Admin => (&[][..], AccessNet::from_all(NEWEST)),
    };
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(ports)?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    Ok(ruleset.add_rules(dirs.iter().filter_map(rule))?.restrict_self()?.ruleset)
}

/// None for a folder that is gone: who opens it will tell.
fn rule(dir: &Dir) -> Option<Result<PathBeneath<PathFd>, RulesetError>> {
    let access = if dir.read_only { READ } else { READ | WRITE };
    Some(Ok(PathBeneath::new(PathFd::new(&dir.host).ok()?, access)))
}

/// What of it this kernel does not have.
pub fn missing() -> Option<&'static str> {
    let hard = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let files = hard().handle_access(AccessFs::from_all(ABI::V1)).and_then(Ruleset::create);
    if files.is_err() {
        return Some("Landlock, which keeps processes out of the file system, is not enabled in this kernel");
    }
    let all = hard()
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create);
    all.is_err().then_some("Landlock is not complete: ports, signals and abstract sockets need Linux 6.12")
}

//! seccomp: the system calls that a process goes on making. Any other ends it, except a few that libraries try and do
//! without, which fail.

use super::{Role, calls};
use nix::errno::Errno;
use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// What this kernel, or whatever we run in, does not let us have.
pub fn missing() -> Option<&'static str> {
    (!crate::sys::can_filter_system_calls()).then_some("seccomp, which limits system calls, cannot be used here")
}

/// Filters the system calls of the calling thread and of those that it will start, for good.
pub fn install(role: &Role) -> Result<(), seccompiler::Error> {
    let allowed = allowed(role)?;
    let tried = calls::TRIED.iter().filter(|number| !allowed.contains_key(*number));
    let refused = tried.map(|number| (*number, Vec::new())).collect();
    // Of what several filters say the severest counts, so that the last one must not end what the others refuse.
    let mut listed = allowed;
    listed.extend(Rules::clone(&refused));
    listed.insert(libc::SYS_clone3, Vec::new());
    // The C library then uses clone(2), whose arguments can be seen; to any other error it does not listen.
    let clone3 = Rules::from([(libc::SYS_clone3, Vec::new())]);
    for program in [
        program(clone3, SeccompAction::Allow, SeccompAction::Errno(Errno::ENOSYS as u32))?,
        program(refused, SeccompAction::Allow, SeccompAction::Errno(Errno::EACCES as u32))?,
        program(listed, SeccompAction::KillProcess, SeccompAction::Allow)?,
    ] {
        if !program.is_empty() {
            seccompiler::apply_filter(&program)?;
        }
    }
    Ok(())
}

fn program(rules: Rules, others: SeccompAction, these: SeccompAction) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(rules, others, these, ARCHITECTURE)?.try_into()
}

/// Calls by number, with what their arguments must be; no rules are no conditions.
fn allowed(role: &Role) -> Result<Rules, BackendError> {
    let lists = match role {
        Role::Compiler => vec![calls::ALL],
        Role::Admin => vec![calls::ALL, calls::LOOP],
        Role::Gateway { dirs } => {
            let mut lists = vec![calls::ALL, calls::LOOP, &[libc::SYS_connect, libc::SYS_pread64]];
            lists.extend((!dirs.is_empty()).then_some(calls::FILES));
            lists
        }
        Role::Worker { dirs, connects } => {
            let mut lists = vec![calls::ALL, calls::LOOP, calls::INSTANCES];
            lists.extend((!dirs.is_empty()).then_some(calls::FILES));
            lists.extend(connects.then_some(calls::CONNECTIONS));
            lists
        }
    };
    let mut rules: Rules = lists.concat().into_iter().map(|number| (number, Vec::new())).collect();
    rules.extend(for_all()?);
    if matches!(role, Role::Admin | Role::Gateway { .. } | Role::Worker { .. }) {
        rules.extend(for_a_loop()?);
        rules.insert(libc::SYS_setsockopt, options(matches!(role, Role::Worker { connects: true, .. }))?);
    }
    if matches!(role, Role::Compiler | Role::Gateway { .. } | Role::Worker { .. }) {
        rules.insert(libc::SYS_clone, vec![rule([masked(0, NEW_THREAD.0, NEW_THREAD.1)?])?]);
    }
    if matches!(role, Role::Gateway { .. }) {
        rules.insert(libc::SYS_socket, vec![rule([is(0, libc::AF_UNIX as u64)?, stream(1)?])?]);
    }
    if let Role::Worker { connects, .. } = role {
        // Our own share of the processor, and nobody else's.
        rules.insert(libc::SYS_sched_setattr, vec![rule([is(0, 0)?])?]);
        if *connects {
            rules.insert(libc::SYS_socket, socket()?);
        }
    }
    Ok(rules)
}

/// A thread of this process, in its namespaces: which bits of clone(2)'s flags count, and those that are set.
const NEW_THREAD: (u64, u64) = (libc::CLONE_THREAD as u64 | NAMESPACES, libc::CLONE_THREAD as u64);
const NAMESPACES: u64 = (libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS) as u64
    | CLONE_NEWTIME;
/// Missing in the library (linux/sched.h).
const CLONE_NEWTIME: u64 = 0x80;

fn for_all() -> Result<Rules, BackendError> {
    let not_executable = || rule([masked(2, libc::PROT_EXEC as u64, 0)?]);
    let to_itself = || rule([is(0, std::process::id().into())?]);
    Ok(Rules::from([
        (libc::SYS_mmap, vec![not_executable()?]),
        (libc::SYS_mprotect, vec![not_executable()?]),
        // A crash that ends us.
        (libc::SYS_kill, vec![to_itself()?]),
        (libc::SYS_tgkill, vec![to_itself()?]),
        // Names of threads and mappings.
        (libc::SYS_prctl, one_of(0, &[libc::PR_SET_NAME as u64, libc::PR_SET_VMA as u64])?),
        // To read limits: a thread asks how large its stack may become.
        (libc::SYS_prlimit64, vec![rule([null(2)?])?]),
        (libc::SYS_fcntl, one_of(1, &FCNTL)?),
    ]))
}

const FCNTL: [u64; 9] = [
    libc::F_DUPFD as u64,
    libc::F_DUPFD_CLOEXEC as u64,
    libc::F_GETFD as u64,
    libc::F_SETFD as u64,
    libc::F_GETFL as u64,
    libc::F_SETFL as u64,
    libc::F_ADD_SEALS as u64,
    libc::F_GET_SEALS as u64,
    libc::F_SETPIPE_SZ as u64,
];

fn for_a_loop() -> Result<Rules, BackendError> {
    Ok(Rules::from([
        // Nothing that a terminal or a device would do: least of all to type into it.
        (libc::SYS_ioctl, one_of(1, &[libc::FIONBIO, libc::FIONREAD])?),
        // tokio's own wake-up for signals. A datagram socket could be connected to others.
        (libc::SYS_socketpair, vec![rule([is(0, libc::AF_UNIX as u64)?, stream(1)?])?]),
    ]))
}

/// Options of sockets, without those that hand filters to the kernel.
fn options(connects: bool) -> Result<Vec<SeccompRule>, BackendError> {
    const PLAIN: [i32; 5] = [libc::SO_KEEPALIVE, libc::SO_LINGER, libc::SO_RCVBUF, libc::SO_REUSEADDR, libc::SO_SNDBUF];
    let mut rules = Vec::new();
    for option in PLAIN {
        rules.push(rule([is(1, libc::SOL_SOCKET as u64)?, is(2, option as u64)?])?);
    }
    let levels = [libc::IPPROTO_TCP, libc::IPPROTO_IP, libc::IPPROTO_IPV6];
    for level in &levels[..if connects { 3 } else { 1 }] {
        rules.push(rule([is(1, *level as u64)?])?);
    }
    Ok(rules)
}

/// TCP and UDP.
fn socket() -> Result<Vec<SeccompRule>, BackendError> {
    let mut rules = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        rules.push(rule([is(0, family as u64)?, stream(1)?])?);
        rules.push(rule([is(0, family as u64)?, kind(1, libc::SOCK_DGRAM)?])?);
    }
    Ok(rules)
}

fn rule<const N: usize>(conditions: [SeccompCondition; N]) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions.into())
}

/// An argument is one of these.
fn one_of(argument: u8, values: &[u64]) -> Result<Vec<SeccompRule>, BackendError> {
    values.iter().map(|value| rule([is(argument, *value)?])).collect()
}

fn is(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn null(argument: u8) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)
}

fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(mask), value)
}

fn stream(argument: u8) -> Result<SeccompCondition, BackendError> {
    kind(argument, libc::SOCK_STREAM)
}

/// A kind of socket, whatever flags come with it.
fn kind(argument: u8, kind: i32) -> Result<SeccompCondition, BackendError> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(!flags as u32 as u64), kind as u64)
}

//! Processes: fork, descriptors, signals, priorities.

use nix::errno::Errno;
use nix::sys::signal::SigSet;
use nix::unistd::{ForkResult, Pid};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Duration;

/// Forks a child that runs `child`, which ends with the process and never returns.
///
/// Only for a process with a single thread: in another one, locks (the allocator's, for one) could be held
/// by threads that the child does not have.
pub fn fork(child: impl FnOnce()) -> nix::Result<Pid> {
    expect_one_thread();
    // SAFETY: this process has one thread, so that the child is a complete copy of it.
    match unsafe { nix::unistd::fork()? } {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => end_in(child),
    }
}

/// The same, with the child in a control group from its beginning: a folder of cgroup v2. For a child that executes
/// something at once, as the C library does not know of it.
pub fn fork_into(group: BorrowedFd<'_>, child: impl FnOnce()) -> nix::Result<Pid> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    expect_one_thread();
    // SAFETY: a structure of numbers, for which 0 is nothing; with no more flags than this clone3 does what fork does,
    // and as this process has one thread, the child is a complete copy of it.
    let pid = unsafe {
        let mut arguments: libc::clone_args = std::mem::zeroed();
        arguments.flags = CLONE_INTO_CGROUP;
        arguments.exit_signal = libc::SIGCHLD as u64;
        arguments.cgroup = group.as_raw_fd() as u64;
        libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>())
    };
    match Errno::result(pid)? {
        0 => end_in(child),
        pid => Ok(Pid::from_raw(pid as i32)),
    }
}

fn expect_one_thread() {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    assert_eq!(threads, 1, "fork() is only sound in a process with a single thread");
}

fn end_in(child: impl FnOnce()) -> ! {
    // A panic must not unwind into what the parent was doing.
    let _ = catch_unwind(AssertUnwindSafe(child));
    // Only a child that breaks its promise gets here.
    std::process::abort()
}

/// Closes every descriptor from 3 on but those in `keep`. For a child right after fork, whose copies of its
/// parent's owners are never dropped (it ends by exit).
pub fn close_all_except(keep: &[RawFd]) {
    let mut keep: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).filter(|fd| *fd > 2).collect();
    keep.sort_unstable();
    keep.dedup();
    let mut first = 3;
    for fd in keep.into_iter().chain([u32::MAX]) {
        if first < fd {
            // SAFETY: closes descriptors that nothing in this process uses from here on (see above).
            unsafe { libc::syscall(libc::SYS_close_range, first, fd - 1, 0) };
        }
        first = fd.saturating_add(1);
    }
}

/// What the command executes begins with no signal blocked, whatever is blocked here.
pub fn unblock_signals_in(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec it only makes a system call.
    unsafe { command.pre_exec(|| Ok(SigSet::empty().thread_set_mask()?)) }
}

/// Takes ownership of a descriptor that a process got by number: a forked child of its parent, an executed one of
/// whoever started it, or with a message.
pub fn inherited(fd: RawFd) -> OwnedFd {
    // SAFETY: called once per descriptor, and nothing else owns it: one that a child was told to keep
    // (`close_all_except`), whose parent's owner is a copy in memory that this process never drops; an open one that
    // we were told to use; one that the kernel has just made for a message.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// How the kernel shares the processor out to a thread among others of this user.
pub struct Share {
    /// Added to the nice value that the process was started with; more is less.
    pub nice: i32,
    /// How long it runs in one go where others wait; a thread with a short slice that wakes up goes first. 0 is the
    /// kernel's own choice, and kernels before 6.12 know nothing else.
    pub slice: Duration,
}

/// Sets the calling thread's share, in which threads that it makes begin. Where that is refused it stays as it is.
pub fn share_processor(share: &Share) {
    // SAFETY: plain system calls on the calling thread (0), which read a structure of the size that it says.
    unsafe {
        let nice = libc::getpriority(libc::PRIO_PROCESS, libc::getpid() as u32) + share.nice;
        let attributes = libc::sched_attr {
            size: size_of::<libc::sched_attr>() as u32,
            sched_policy: libc::SCHED_OTHER as u32,
            sched_flags: 0,
            sched_nice: nice.min(19),
            sched_priority: 0,
            sched_runtime: share.slice.as_nanos() as u64,
            sched_deadline: 0,
            sched_period: 0,
        };
        libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0);
    }
}

//! Processes: fork, descriptors, signals, priorities.

use nix::unistd::{ForkResult, Pid};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Forks a child that runs `child`, which ends with the process and never returns.
///
/// Only for a process with a single thread: in another one, locks (the allocator's, for one) could be held
/// by threads that the child does not have.
pub fn fork(child: impl FnOnce()) -> nix::Result<Pid> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    assert_eq!(threads, 1, "fork() is only sound in a process with a single thread");
    // SAFETY: this process has one thread, so that the child is a complete copy of it.
    match unsafe { nix::unistd::fork()? } {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            child();
            // Only a child that breaks its promise gets here.
            std::process::abort()
        }
    }
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

/// Takes ownership of a descriptor that a forked child inherited by number.
pub fn inherited(fd: RawFd) -> OwnedFd {
    // SAFETY: called once per descriptor that this child was told to keep (`close_all_except`); its parent's
    // owner is a copy in memory that this process never drops.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Makes the calling thread yield the processor to others of this user: guests that compute must not delay
/// the loop that accepts, reads and writes.
pub fn lower_thread_priority(nice: i32) {
    // SAFETY: a plain system call; on Linux, PRIO_PROCESS with 0 means the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
}

//! Descriptors that come to stand for something else.

use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Lets `descriptor` stand for what `other` stands for, in one step: whoever uses it at the same time uses the one
/// or the other. It is closed at exec, as all of ours are.
pub fn redirect(descriptor: BorrowedFd, other: BorrowedFd) -> nix::Result<()> {
    // SAFETY: both are open, and the one that is replaced stays open and its owner's.
    let result = unsafe { libc::dup3(other.as_raw_fd(), descriptor.as_raw_fd(), libc::O_CLOEXEC) };
    Errno::result(result).map(drop)
}

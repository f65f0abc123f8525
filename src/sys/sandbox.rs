//! What the sandbox asks the kernel.

/// Whether seccomp(2) can end a process for a system call.
pub fn can_filter_system_calls() -> bool {
    let action = libc::SECCOMP_RET_KILL_PROCESS;
    // SAFETY: a plain system call that reads one number.
    unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) == 0 }
}

/// Makes any system call, to see whether it is allowed.
#[cfg(test)]
pub fn try_call(number: i64, arguments: [u64; 6]) -> std::io::Result<i64> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: tests make calls here that touch no memory of ours, since their pointers are null.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == -1 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
}

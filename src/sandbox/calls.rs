//! The system calls that each kind of process needs, without a look at their arguments: the kernel remembers that they
//! are allowed and does not run the filter for them. Found by running all tests under the filter.

use nix::libc::{
    SYS_accept4, SYS_bind, SYS_brk, SYS_clock_getres, SYS_clock_gettime, SYS_clock_nanosleep, SYS_close, SYS_connect,
    SYS_copy_file_range, SYS_dup, SYS_dup3, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_pwait2,
    SYS_eventfd2, SYS_exit, SYS_exit_group, SYS_faccessat, SYS_faccessat2, SYS_fadvise64, SYS_fallocate, SYS_fdatasync,
    SYS_fstat, SYS_fstatfs, SYS_fsync, SYS_ftruncate, SYS_futex, SYS_getcwd, SYS_getdents64, SYS_getegid, SYS_geteuid,
    SYS_getgid, SYS_getpeername, SYS_getpid, SYS_getppid, SYS_getpriority, SYS_getrandom, SYS_getrusage,
    SYS_getsockname, SYS_getsockopt, SYS_gettid, SYS_gettimeofday, SYS_getuid, SYS_linkat, SYS_listen, SYS_lseek,
    SYS_madvise, SYS_membarrier, SYS_memfd_create, SYS_mkdirat, SYS_mremap, SYS_munmap, SYS_nanosleep, SYS_newfstatat,
    SYS_openat, SYS_openat2, SYS_ppoll, SYS_pread64, SYS_preadv, SYS_preadv2, SYS_process_madvise, SYS_pwrite64,
    SYS_pwritev, SYS_pwritev2, SYS_read, SYS_readlinkat, SYS_readv, SYS_recvfrom, SYS_recvmmsg, SYS_recvmsg,
    SYS_renameat2, SYS_restart_syscall, SYS_rseq, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn,
    SYS_sched_getaffinity, SYS_sched_yield, SYS_sendmmsg, SYS_sendmsg, SYS_sendto, SYS_set_robust_list, SYS_shutdown,
    SYS_sigaltstack, SYS_statx, SYS_symlinkat, SYS_timer_create, SYS_timer_settime, SYS_unlinkat, SYS_utimensat,
    SYS_write, SYS_writev,
};
#[cfg(target_arch = "x86_64")]
use nix::libc::{SYS_access, SYS_epoll_wait, SYS_open, SYS_poll, SYS_readlink, SYS_stat};

/// Memory, time, threads that are there, what is open already. What only tells of files is among them: what is open is
/// asked about with the same calls.
pub const ALL: &[i64] = &[
    SYS_brk,
    SYS_clock_getres,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_close,
    SYS_exit,
    SYS_exit_group,
    SYS_fstat,
    SYS_futex,
    SYS_getegid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getpid,
    SYS_getppid,
    SYS_getrandom,
    SYS_getrusage,
    SYS_gettid,
    SYS_gettimeofday,
    SYS_getuid,
    SYS_lseek,
    SYS_madvise,
    SYS_membarrier,
    SYS_mremap,
    SYS_munmap,
    SYS_nanosleep,
    SYS_newfstatat,
    SYS_ppoll,
    SYS_process_madvise,
    SYS_read,
    SYS_readv,
    SYS_restart_syscall,
    SYS_rseq,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sched_getaffinity,
    SYS_sched_yield,
    SYS_set_robust_list,
    SYS_sigaltstack,
    SYS_statx,
    SYS_write,
    SYS_writev,
    #[cfg(target_arch = "x86_64")]
    SYS_poll,
];

/// An event loop, and the sockets that it was given or accepts.
pub const LOOP: &[i64] = &[
    SYS_accept4,
    SYS_dup,
    SYS_dup3,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_epoll_pwait2,
    SYS_eventfd2,
    SYS_getpeername,
    SYS_getsockname,
    SYS_getsockopt,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_sendmsg,
    SYS_sendto,
    SYS_shutdown,
    #[cfg(target_arch = "x86_64")]
    SYS_epoll_wait,
];

/// Memory files, from which instances get their first contents, and the timer that interrupts them.
pub const INSTANCES: &[i64] =
    &[SYS_ftruncate, SYS_getpriority, SYS_memfd_create, SYS_pread64, SYS_pwrite64, SYS_timer_create, SYS_timer_settime];

/// Files in folders. Which folders those are is Landlock's affair.
pub const FILES: &[i64] = &[
    SYS_copy_file_range,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_fadvise64,
    SYS_fallocate,
    SYS_fdatasync,
    SYS_fstatfs,
    SYS_fsync,
    SYS_getdents64,
    SYS_linkat,
    SYS_mkdirat,
    SYS_openat,
    SYS_openat2,
    SYS_preadv,
    SYS_preadv2,
    SYS_pwritev,
    SYS_pwritev2,
    SYS_readlinkat,
    RENAMEAT,
    SYS_renameat2,
    SYS_symlinkat,
    SYS_unlinkat,
    SYS_utimensat,
];

/// Connections of a guest's. Of which kind is a matter of socket(2).
pub const CONNECTIONS: &[i64] = &[SYS_bind, SYS_connect, SYS_recvmmsg, SYS_sendmmsg];

/// Refused with an error where they are not allowed: libraries try them and do without. listen(2) is a guest's to try,
/// with a socket that it may connect.
pub const TRIED: &[i64] = &[
    SYS_faccessat,
    SYS_faccessat2,
    SYS_getcwd,
    SYS_listen,
    SYS_openat,
    SYS_openat2,
    SYS_readlinkat,
    #[cfg(target_arch = "x86_64")]
    SYS_access,
    #[cfg(target_arch = "x86_64")]
    SYS_open,
    #[cfg(target_arch = "x86_64")]
    SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    SYS_stat,
];

#[cfg(target_arch = "x86_64")]
const RENAMEAT: i64 = nix::libc::SYS_renameat;
/// Missing in the library (asm-generic/unistd.h).
#[cfg(target_arch = "aarch64")]
const RENAMEAT: i64 = 38;

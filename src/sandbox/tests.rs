//! Each rule is tried with something that it allows and something that it refuses. What is tried, is tried in a process
//! of its own: the executable of the tests is started again, for `probe` only.

use super::*;
use crate::sys::try_call;
use nix::errno::Errno;
use nix::libc::*;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use std::fs::{self, File, OpenOptions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

/// Names the probe; further words are its own.
const VARIABLE: &str = "WASMSERVE_TEST_PROBE";
/// Exit code of a probe that got what it tried; another one is the error number.
const ALLOWED: i32 = 200;

const NO_DESCRIPTOR: u64 = u64::MAX;

#[derive(Debug, PartialEq)]
enum Outcome {
    Allowed,
    Refused(Errno),
    Killed,
}

fn try_out(probe: &str) -> Outcome {
    let test = [module_path!().split_once("::").unwrap().1, "::probe"].concat();
    let executable = std::env::current_exe().unwrap();
    let output = Command::new(executable).args(["--exact", &test, "--nocapture"]).env(VARIABLE, probe).output();
    let output = output.unwrap();
    match (output.status.code(), output.status.signal()) {
        (Some(ALLOWED), _) => Outcome::Allowed,
        (None, Some(SIGSYS)) => Outcome::Killed,
        (Some(code), _) if (1..ALLOWED).contains(&code) && code != 101 => Outcome::Refused(Errno::from_raw(code)),
        other => panic!("{probe}: {other:?}\n{}", String::from_utf8_lossy(&output.stderr)),
    }
}

#[test]
fn probe() {
    let Ok(probe) = std::env::var(VARIABLE) else { return };
    let words: Vec<&str> = probe.split(' ').collect();
    let result = match words[..] {
        ["call", role, number, ref arguments @ ..] => {
            let number = number.parse().unwrap();
            let mut values = [0; 6];
            values.iter_mut().zip(arguments).for_each(|(value, text)| {
                *value = if *text == "self" { std::process::id().into() } else { text.parse().unwrap() }
            });
            install(role);
            try_call(number, values).map(drop)
        }
        ["thread", role] => {
            install(role);
            std::thread::spawn(|| ()).join().unwrap();
            Ok(())
        }
        ["rights"] => {
            give_up_rights(Sandbox::Strict, None, nix::unistd::getppid()).unwrap();
            let dumpable = prctl::get_dumpable().unwrap();
            assert!(!dumpable && prctl::get_no_new_privs().unwrap());
            assert!(caps::read(None, caps::CapSet::Permitted).unwrap().is_empty());
            assert_eq!(prctl::get_pdeathsig(), Ok(Some(Signal::SIGKILL)));
            Ok(())
        }
        ["file", folder, ref access @ .., path] => {
            let dirs = [Dir { host: folder.into(), guest: "/".into(), read_only: access.contains(&"ro") }];
            close_files(Sandbox::Strict, &Role::Worker { dirs: &dirs, connects: false }).unwrap();
            if access.contains(&"write") {
                OpenOptions::new().write(true).create(true).truncate(true).open(path).map(drop)
            } else {
                File::open(path).map(drop)
            }
        }
        ["listen", connects] => {
            close_files(Sandbox::Strict, &worker(connects == "connects")).unwrap();
            TcpListener::bind("127.0.0.1:0").map(drop)
        }
        ["connect", connects, address] => {
            close_files(Sandbox::Strict, &worker(connects == "connects")).unwrap();
            TcpStream::connect(address).map(drop)
        }
        ["signal"] => {
            close_files(Sandbox::Strict, &worker(false)).unwrap();
            kill(nix::unistd::getppid(), None).map_err(Into::into)
        }
        _ => panic!("{probe}"),
    };
    let code = result.map_or_else(|error| error.raw_os_error().unwrap_or(101), |()| ALLOWED);
    std::process::exit(code)
}

fn worker(connects: bool) -> Role<'static> {
    Role::Worker { dirs: &[], connects }
}

fn install(role: &str) {
    let dirs = [Dir { host: "/".into(), guest: "/".into(), read_only: true }];
    let role = match role {
        "worker" => worker(false),
        "files" => Role::Worker { dirs: &dirs, connects: false },
        "connects" => worker(true),
        "compiler" => Role::Compiler,
        "admin" => Role::Admin,
        _ => panic!("{role}"),
    };
    seccomp::install(&role).unwrap();
}

fn call(role: &str, number: i64, arguments: &[u64]) -> Outcome {
    let arguments: Vec<String> = arguments.iter().map(u64::to_string).collect();
    try_out(format!("call {role} {number} {}", arguments.join(" ")).trim_end())
}

/// Whether a call gets through the filter, whatever the kernel makes of its arguments.
#[track_caller]
fn assert_allowed(role: &str, number: i64, arguments: &[u64]) {
    let outcome = call(role, number, arguments);
    let told = [Outcome::Refused(Errno::EACCES), Outcome::Refused(Errno::ENOSYS), Outcome::Killed];
    assert!(!told.contains(&outcome), "{role}: {number} {arguments:?}: {outcome:?}");
}

#[track_caller]
fn assert_killed(role: &str, number: i64, arguments: &[u64]) {
    assert_eq!(call(role, number, arguments), Outcome::Killed, "{role}: {number} {arguments:?}");
}

const ROLES: [&str; 5] = ["worker", "files", "connects", "compiler", "admin"];

#[test]
fn nobody_executes_traces_mounts_or_leaves_its_namespaces() {
    let calls = [
        SYS_execve,
        SYS_execveat,
        SYS_ptrace,
        SYS_process_vm_readv,
        SYS_process_vm_writev,
        SYS_mount,
        SYS_umount2,
        SYS_fsopen,
        SYS_chroot,
        SYS_pivot_root,
        SYS_unshare,
        SYS_setns,
        SYS_io_uring_setup,
        SYS_io_uring_enter,
        SYS_bpf,
        SYS_keyctl,
        SYS_add_key,
        SYS_request_key,
        SYS_perf_event_open,
        SYS_userfaultfd,
        SYS_init_module,
        SYS_kexec_load,
        SYS_personality,
        SYS_setuid,
        SYS_setgroups,
        SYS_capset,
        SYS_mknodat,
        SYS_shmat,
        SYS_pkey_mprotect,
        SYS_pidfd_open,
        SYS_pidfd_send_signal,
        SYS_tkill,
        SYS_setpriority,
        SYS_name_to_handle_at,
        SYS_open_by_handle_at,
        SYS_seccomp,
    ];
    for number in calls {
        ROLES.iter().for_each(|role| assert_killed(role, number, &[]));
    }
}

#[test]
fn a_new_thread_is_allowed_where_threads_are_needed_and_a_new_process_nowhere() {
    for role in ["worker", "compiler"] {
        assert_eq!(try_out(&format!("thread {role}")), Outcome::Allowed, "{role}");
        assert_killed(role, SYS_clone, &[SIGCHLD as u64]);
        assert_killed(role, SYS_clone, &[(CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWNET) as u64]);
        #[cfg(target_arch = "x86_64")]
        assert_killed(role, SYS_fork, &[]);
        #[cfg(target_arch = "x86_64")]
        assert_killed(role, SYS_vfork, &[]);
        assert_eq!(call(role, SYS_clone3, &[]), Outcome::Refused(Errno::ENOSYS), "{role}");
    }
    assert_killed("admin", SYS_clone, &[(CLONE_THREAD | CLONE_SIGHAND | CLONE_VM) as u64]);
}

#[test]
fn no_memory_becomes_executable() {
    let (private, exec) = ((MAP_PRIVATE | MAP_ANONYMOUS) as u64, (PROT_READ | PROT_EXEC) as u64);
    for role in ROLES {
        assert_allowed(role, SYS_mmap, &[0, 4096, (PROT_READ | PROT_WRITE) as u64, private, NO_DESCRIPTOR]);
        assert_killed(role, SYS_mmap, &[0, 4096, exec, private, NO_DESCRIPTOR]);
        assert_allowed(role, SYS_mprotect, &[0, 0, PROT_READ as u64]);
        assert_killed(role, SYS_mprotect, &[0, 4096, exec]);
    }
}

#[test]
fn signals_go_to_itself_only() {
    let own = "self";
    for (number, to_itself, to_others) in [
        (SYS_kill, format!("{own} 0"), "1 0"),
        (SYS_kill, format!("{own} 0"), "-1 0"),
        (SYS_tgkill, format!("{own} 1 0"), "1 1 0"),
    ] {
        let to_others = to_others.replace("-1", &u64::MAX.to_string());
        assert_ne!(try_out(&format!("call worker {number} {to_itself}")), Outcome::Killed);
        assert_eq!(try_out(&format!("call worker {number} {to_others}")), Outcome::Killed, "{number} {to_others}");
    }
}

#[test]
fn sockets_are_made_only_for_guests_that_may_connect() {
    let (stream, datagram) = ((SOCK_STREAM | SOCK_CLOEXEC) as u64, (SOCK_DGRAM | SOCK_NONBLOCK) as u64);
    for family in [AF_INET as u64, AF_INET6 as u64] {
        for kind in [stream, datagram] {
            assert_allowed("connects", SYS_socket, &[family, kind]);
        }
        assert_killed("connects", SYS_socket, &[family, SOCK_RAW as u64]);
    }
    for family in [AF_UNIX, AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG] {
        assert_killed("connects", SYS_socket, &[family as u64, stream]);
    }
    for role in ["worker", "files", "compiler", "admin"] {
        assert_killed(role, SYS_socket, &[AF_INET as u64, stream]);
        assert_killed(role, SYS_connect, &[NO_DESCRIPTOR]);
        assert_killed(role, SYS_bind, &[NO_DESCRIPTOR]);
    }
    assert_allowed("connects", SYS_connect, &[NO_DESCRIPTOR]);
    assert_eq!(call("connects", SYS_listen, &[NO_DESCRIPTOR]), DENIED);
    assert_allowed("worker", SYS_socketpair, &[AF_UNIX as u64, stream]);
    assert_killed("worker", SYS_socketpair, &[AF_UNIX as u64, datagram]);
    assert_killed("worker", SYS_socketpair, &[AF_INET as u64, stream]);
    assert_allowed("worker", SYS_accept4, &[NO_DESCRIPTOR]);
    assert_killed("compiler", SYS_accept4, &[NO_DESCRIPTOR]);
}

#[test]
fn of_calls_with_many_uses_only_those_that_are_needed_are_allowed() {
    let allowed: [(i64, &[u64]); 9] = [
        (SYS_fcntl, &[NO_DESCRIPTOR, F_GETFL as u64]),
        (SYS_ioctl, &[NO_DESCRIPTOR, FIONBIO]),
        (SYS_prctl, &[PR_SET_NAME as u64]),
        (SYS_prlimit64, &[0, RLIMIT_STACK as u64, 0, 0]),
        (SYS_setsockopt, &[NO_DESCRIPTOR, SOL_SOCKET as u64, SO_KEEPALIVE as u64]),
        (SYS_setsockopt, &[NO_DESCRIPTOR, IPPROTO_TCP as u64, TCP_NODELAY as u64]),
        (SYS_sched_setattr, &[0]),
        (SYS_memfd_create, &[]),
        (SYS_process_madvise, &[NO_DESCRIPTOR]),
    ];
    let refused: [(i64, &[u64]); 10] = [
        (SYS_fcntl, &[NO_DESCRIPTOR, F_SETOWN as u64]),
        (SYS_fcntl, &[NO_DESCRIPTOR, F_NOTIFY as u64]),
        (SYS_ioctl, &[NO_DESCRIPTOR, TIOCSTI]),
        (SYS_prctl, &[PR_SET_DUMPABLE as u64, 1]),
        (SYS_prctl, &[PR_SET_PTRACER as u64]),
        (SYS_prlimit64, &[0, RLIMIT_CORE as u64, 8]),
        (SYS_setsockopt, &[NO_DESCRIPTOR, SOL_SOCKET as u64, SO_ATTACH_FILTER as u64]),
        (SYS_setsockopt, &[NO_DESCRIPTOR, SOL_SOCKET as u64, SO_ATTACH_REUSEPORT_CBPF as u64]),
        (SYS_setsockopt, &[NO_DESCRIPTOR, IPPROTO_IP as u64, IP_TTL as u64]),
        (SYS_sched_setattr, &[1]),
    ];
    for (number, arguments) in allowed {
        assert_allowed("worker", number, arguments);
    }
    for (number, arguments) in refused {
        assert_killed("worker", number, arguments);
    }
}

#[test]
fn files_are_opened_only_where_folders_were_given() {
    for number in [SYS_openat, SYS_openat2, SYS_readlinkat] {
        assert_allowed("files", number, &[NO_DESCRIPTOR]);
        for role in ["worker", "connects", "compiler", "admin"] {
            assert_eq!(call(role, number, &[NO_DESCRIPTOR]), Outcome::Refused(Errno::EACCES), "{role}: {number}");
        }
    }
    assert_allowed("files", SYS_unlinkat, &[NO_DESCRIPTOR]);
    assert_killed("worker", SYS_unlinkat, &[NO_DESCRIPTOR]);
    assert_killed("files", SYS_fchmodat, &[NO_DESCRIPTOR]);
}

#[test]
fn rights_are_given_up() {
    assert_eq!(try_out("rights"), Outcome::Allowed);
}

const DENIED: Outcome = Outcome::Refused(Errno::EACCES);

#[test]
fn landlock_leaves_the_folders_that_were_given() {
    let (given, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&given, &other] {
        fs::write(folder.path().join("file"), "content").unwrap();
    }
    symlink(other.path().join("file"), given.path().join("link")).unwrap();
    let try_file = |access: &str, folder: &Path, name: &str| {
        let given = given.path().display();
        try_out(&format!("file {given} {access} {}", folder.join(name).display()))
    };
    assert_eq!(try_file("read", given.path(), "file"), Outcome::Allowed);
    assert_eq!(try_file("read write", given.path(), "new"), Outcome::Allowed);
    assert_eq!(try_file("ro", given.path(), "file"), Outcome::Allowed);
    assert_eq!(try_file("ro write", given.path(), "file"), DENIED);
    assert_eq!(try_file("read", given.path(), "link"), DENIED);
    assert_eq!(try_file("read", other.path(), "file"), DENIED);
    assert_eq!(try_file("read write", other.path(), "new"), DENIED);
    assert_eq!(try_file("read", given.path(), "../etc/passwd"), Outcome::Refused(Errno::ENOENT));
    assert_eq!(try_file("read", Path::new("/etc"), "passwd"), DENIED);
    assert_eq!(try_file("read", Path::new("/proc/self"), "environ"), DENIED);
}

#[test]
fn landlock_leaves_connections_to_guests_that_may_connect_and_listeners_to_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(try_out(&format!("connect connects {address}")), Outcome::Allowed);
    assert_eq!(try_out(&format!("connect nowhere {address}")), DENIED);
    assert_eq!(try_out("listen connects"), DENIED);
    assert_eq!(try_out("listen nowhere"), DENIED);
}

#[test]
fn landlock_keeps_signals_inside() {
    assert_eq!(try_out("signal"), Outcome::Refused(Errno::EPERM));
}

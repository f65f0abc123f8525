//! The jail around the processes of a server: what a worker has given up, what is refused where the jail cannot be
//! had, the limits of the compiler, secrets that only workers read. Which system calls and files each kind of process
//! can use is tried in src/sandbox/tests.rs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::thread;
use std::time::Duration;

use nix::libc::{SYS_landlock_create_ruleset, SYS_seccomp};
use nix::sys::signal::Signal::SIGSYS;
use nix::unistd::geteuid;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use tempfile::TempDir;

use crate::support::{
    Finished, Process, Server, TESTBEDS, Wasmserve, code_to_compile, eventually, prebuilt, sync_app, with,
    write_component,
};

const CAPABILITIES: [&str; 5] = ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"];

fn line(process: Process, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap();
    status.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}")).to_owned()
}

#[track_caller]
fn assert_is_jailed(process: Process) {
    assert_eq!(
        (line(process, "NoNewPrivs:"), line(process, "Seccomp:")),
        ("NoNewPrivs:\t1".into(), "Seccomp:\t2".into())
    );
    // An ordinary user cannot lower the bounding set, from which it gets nothing either.
    for set in CAPABILITIES.iter().filter(|set| **set != "CapBnd:" || geteuid().is_root()) {
        assert_eq!(line(process, set), format!("{set}\t0000000000000000"));
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.pid)).unwrap();
    for limit in ["Max core file size", "Max locked memory", "Max msgqueue size", "Max realtime priority"] {
        let line = limits.lines().find(|line| line.starts_with(limit)).unwrap();
        assert_eq!(line[limit.len()..].split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"], "{limit}");
    }
}

#[test]
fn a_worker_and_the_admin_process_have_no_rights_left() {
    for sandbox in ["best-effort", "strict"] {
        for guest in TESTBEDS {
            let server = Server::start(guest, &["--workers", "2", "--admin", "0", "--sandbox", sandbox]);
            server.admin("/healthz");
            let children = server.supervisor().children();
            assert_eq!(children.len(), 3);
            children.into_iter().for_each(assert_is_jailed);
            assert_eq!(server.get("/hello").status, 200, "{guest} {sandbox}");
            assert_eq!(server.status()["sandbox"], "complete");
            assert_eq!(server.count(|r| r.is_event("sandbox-incomplete")), 0);
        }
    }
}

#[test]
fn it_can_be_switched_off() {
    let server = Server::start("hello-sync", &["--sandbox", "off"]);
    let (supervisor, worker) = (server.supervisor(), server.worker(0));
    for name in ["NoNewPrivs:", "Seccomp:"].into_iter().chain(CAPABILITIES) {
        assert_eq!(line(worker, name), line(supervisor, name));
    }
    assert_eq!(server.status()["sandbox"], "off");
}

#[test]
fn a_worker_has_the_descriptors_that_it_needs_and_no_others() {
    if !geteuid().is_root() {
        return; // Others may not look.
    }
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let [cache, given] = folders.each_ref().map(|folder| folder.path().to_str().unwrap());
    let (pid, dir) = (format!("{cache}/pid"), format!("{given}::/data"));
    let options = ["--admin", "0", "--reload", "--pid-file", &pid, "--dir", &dir, "--cache-dir", cache];
    let server = Wasmserve::serving("testbed-sync", &options).start();
    assert_eq!(server.get("/list?path=/data").status, 200);
    let entries = fs::read_dir(format!("/proc/{}/fd", server.worker(0).pid)).unwrap();
    let standard = ["0", "1", "2"];
    for entry in entries.flatten().filter(|entry| !standard.contains(&entry.file_name().to_str().unwrap())) {
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        let target = target.to_str().unwrap();
        let is_kind = ["socket:", "pipe:", "anon_inode:[eventpoll]", "anon_inode:[eventfd]"];
        let is_code = target.starts_with(cache) && target.ends_with(".cwasm");
        assert!(is_kind.iter().any(|kind| target.starts_with(kind)) || is_code || target == given, "{target}");
    }
}

#[test]
fn a_death_for_a_refused_call_is_told_as_such() {
    let server = Server::start("hello-sync", &[]);
    let worker = server.worker(0);
    worker.signal(SIGSYS);
    let record = server.wait_for("its end", |r| r.is_event("worker-exited"));
    let reason = record.text("reason");
    assert!(reason.contains("SIGSYS") && reason.contains("a system call that the sandbox refuses"), "{reason}");
    server.replacement(0, worker);
}

/// Does something in a place where the kernel does not know a system call.
fn without<T: Send>(call: i64, work: impl FnOnce() -> T + Send) -> T {
    let (allow, errno) = (SeccompAction::Allow, SeccompAction::Errno(nix::errno::Errno::ENOSYS as u32));
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(BTreeMap::from([(call, Vec::new())]), allow, errno, architecture).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    thread::scope(|scope| {
        let in_there = scope.spawn(move || {
            apply_filter(&program).unwrap();
            work()
        });
        in_there.join().unwrap()
    })
}

#[test]
fn strict_does_not_start_without_a_layer_and_says_so_once() {
    for (call, name) in [(SYS_landlock_create_ruleset, "Landlock"), (SYS_seccomp, "seccomp")] {
        for command in [&["--workers", "4", "--port", "0"][..], &["check"]] {
            let command = match command {
                ["check"] => Wasmserve::new(&["check", &crate::support::guest("hello-sync"), "--sandbox", "strict"]),
                options => Wasmserve::serving("hello-sync", &["--sandbox", "strict"]).args(options),
            };
            let finished = without(call, || command.args(&["--log-format", "text"]).run());
            assert_eq!(finished.code, Some(5), "{finished:?}");
            assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
            assert!(finished.stderr.contains(name) && finished.stderr.contains("--sandbox"), "{finished:?}");
        }
    }
}

#[test]
fn best_effort_goes_on_without_a_layer_and_says_so_once() {
    for (call, name) in [(SYS_landlock_create_ruleset, "Landlock"), (SYS_seccomp, "seccomp")] {
        let server = without(call, || Server::start("testbed-sync", &["--workers", "2", "--sandbox", "best-effort"]));
        assert_eq!(server.get("/hello").status, 200, "{name}");
        let told = server.all(|r| r.is_event("sandbox-incomplete"));
        assert_eq!((told.len(), told[0].level().as_str()), (1, "warn"), "{name}");
        assert!(told[0].message().contains(name), "{}", told[0].line);
        let status = server.status()["sandbox"].as_str().unwrap().to_owned();
        assert!(status.contains("incomplete") && status.contains(name), "{status}");
        assert_eq!(server.get("/read?path=/etc/passwd").status, 500, "{name}");
    }
}

/// A component that takes long to compile and much memory.
fn bomb(instructions: usize) -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let path = write_component(folder.path(), "bomb.wat", with(&sync_app(), &code_to_compile(instructions)));
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

fn compile(component: &str, options: &[&str]) -> Finished {
    let cache = TempDir::new().unwrap();
    let options =
        [&["check", component, "--log-format", "text", "--cache-dir", cache.path().to_str().unwrap()], options];
    Wasmserve::new(&options.concat()).run()
}

#[track_caller]
fn assert_refused(finished: &Finished, option: &str) {
    assert_eq!(finished.code, Some(4), "{finished:?}");
    let message = finished.stderr.lines().last().unwrap();
    assert!(message.contains("bomb.wat") && message.contains(option), "{finished:?}");
    assert!(!finished.stderr.contains("panicked"), "{finished:?}");
}

#[test]
fn a_component_that_takes_too_long_to_compile_is_refused() {
    let (_folder, bomb) = bomb(3_000_000);
    let finished = compile(&bomb, &["--max-compile-time", "1"]);
    // On a machine that has no processor left it is the time on the clock that runs out first.
    assert_refused(&finished, "--max-compile-time");
}

#[test]
fn a_component_that_takes_too_much_memory_to_compile_is_refused() {
    let (_folder, bomb) = bomb(1_000_000);
    let finished = compile(&bomb, &["--max-compile-memory", "128MiB"]);
    assert_refused(&finished, "--max-compile-memory");
    assert!(finished.stderr.contains("128 MiB"), "{finished:?}");
}

#[test]
fn a_compiler_that_only_waits_is_ended_too() {
    let (_folder, bomb) = bomb(400_000);
    let cache = TempDir::new().unwrap();
    let options = ["--max-compile-time", "1", "--cache-dir", cache.path().to_str().unwrap()];
    let mut server = Wasmserve::serving(&bomb, &options).launch();
    let compiler = server.hold_compiler();
    assert_eq!(server.wait_exit().code(), Some(4));
    let record = server.wait_for("why", |r| r.is_event("failed"));
    assert!(record.message().contains("--max-compile-time"), "{}", record.line);
    assert!(!compiler.runs());
}

#[test]
fn the_compiler_is_jailed_before_it_reads_the_component() {
    let (_folder, bomb) = bomb(3_000_000);
    let cache = TempDir::new().unwrap();
    let server = Wasmserve::serving(&bomb, &["--cache-dir", cache.path().to_str().unwrap()]).launch();
    let compiler = eventually("a compiler process", || server.supervisor().children().first().copied());
    eventually("its jail", || (line(compiler, "Seccomp:") == "Seccomp:\t2").then_some(()));
    assert_is_jailed(compiler);
    let limits = fs::read_to_string(format!("/proc/{}/limits", compiler.pid)).unwrap();
    for limit in ["Max cpu time              60 ", "Max address space         2147483648 "] {
        assert!(limits.contains(limit), "{limits}");
    }
}

#[test]
fn a_bomb_in_a_reload_leaves_the_server_as_it_was() {
    let app = crate::support::AppFile::of("hello-sync");
    let cache = TempDir::new().unwrap();
    let options = ["--max-compile-time", "2", "--cache-dir", cache.path().to_str().unwrap()];
    let server = Wasmserve::serving(&app.path, &options).start();
    let worker = server.worker(0);
    app.become_file(with(&sync_app(), &code_to_compile(3_000_000)));
    server.control(&["reload"]);
    let record = server.wait_for("its failure", |r| r.is_event("reload-failed"));
    assert!(record.message().contains("--max-compile-time"), "{}", record.line);
    assert_eq!(server.get("/").text(), "Hello, world!");
    assert_eq!(server.worker(0), worker);
    app.become_file(prebuilt("hello-sync"));
    server.reload();
}

const SECRET: &str = "correct-horse-battery-staple-8c1f";

fn secret_file(content: &str) -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let path = write_component(folder.path(), "secret", content);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let option = format!("TOKEN={}", path.display());
    (folder, option)
}

#[test]
fn a_secret_comes_from_a_file_without_its_last_newline() {
    for guest in TESTBEDS {
        for (content, value) in [(format!("{SECRET}\n"), SECRET), ("a\n\n".into(), "a\n"), (String::new(), "")] {
            let (_folder, option) = secret_file(&content);
            let server = Server::start(guest, &["--env-from-file", &option]);
            assert_eq!(server.get_json("/env")["TOKEN"], value, "{guest}");
        }
    }
}

#[test]
fn a_worker_reads_its_secrets_before_it_changes_its_user() {
    if !geteuid().is_root() {
        return; // Only root may become another user.
    }
    let (_folder, option) = secret_file(SECRET);
    let server = Server::start("testbed-sync", &["--user", "65534", "--env-from-file", &option]);
    assert_eq!(server.get_json("/env")["TOKEN"], SECRET);
    assert!(line(server.worker(0), "Uid:").starts_with("Uid:\t65534"));
}

#[test]
fn the_supervisor_never_sees_a_secret() {
    let (_folder, option) = secret_file(SECRET);
    let known = "not-a-secret-5f2a";
    let options = ["--workers", "2", "--env-from-file", &option, "--env", &format!("KNOWN={known}")];
    let server = Server::start("testbed-sync", &options);
    assert_eq!(server.get_json("/env")["TOKEN"], SECRET);
    server.reload();
    let supervisor = server.supervisor();
    assert!(remembers(supervisor, known), "the search finds what is there");
    assert!(!remembers(supervisor, SECRET));
    for name in ["environ", "cmdline"] {
        let bytes = fs::read(format!("/proc/{}/{name}", supervisor.pid)).unwrap();
        assert!(!contains(&bytes, SECRET), "{name}");
    }
    let worker = server.worker(0);
    assert!(!geteuid().is_root() || remembers(worker, SECRET), "the worker has it");
}

/// Whether a text is in a process's memory.
fn remembers(process: Process, text: &str) -> bool {
    let memory = File::open(format!("/proc/{}/mem", process.pid)).unwrap();
    let maps = process.maps();
    let ranges = maps.lines().filter(|line| line.contains(" rw")).filter_map(|line| {
        let (first, end) = line.split_whitespace().next()?.split_once('-')?;
        Some((u64::from_str_radix(first, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
    });
    // What is only reserved, by the gigabyte, holds nothing.
    ranges.filter(|(first, end)| end - first < 256 << 20).any(|(first, end)| {
        let mut bytes = vec![0; (end - first) as usize];
        memory.read_exact_at(&mut bytes, first).is_ok() && contains(&bytes, text)
    })
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_secret_that_cannot_be_read_fails_the_start_with_one_message() {
    let folder = TempDir::new().unwrap();
    let not_text = write_component(folder.path(), "secret", [0xff, 0xfe]);
    for path in [folder.path(), &not_text] {
        let option = format!("TOKEN={}", path.display());
        let options = ["--workers", "4", "--port", "0", "--log-format", "text", "--env-from-file", &option];
        let finished = Wasmserve::serving("hello-sync", &options).run();
        assert_eq!(finished.code, Some(2), "{finished:?}");
        let told = finished.stderr.lines().filter(|line| line.contains("--env-from-file")).count();
        assert_eq!(told, 1, "{finished:?}");
        assert!(finished.stderr.contains(&option), "{finished:?}");
        assert!(finished.took < Duration::from_secs(10));
    }
}

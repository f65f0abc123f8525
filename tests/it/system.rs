//! How the server fits into a system: service managers, pid files, users, folders, log files, containers.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::sys::signal::Signal::{SIGHUP, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2};
use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::support::{
    NotifySocket, Process, Record, Server, TESTBEDS, Wasmserve, eventually, prebuilt, unshare_options, write_component,
};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn systemd_is_told_readiness_reloads_the_end_and_a_line_for_people() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let manager = NotifySocket::bind(&path);
    let command = Wasmserve::serving("hello-sync", &["--workers", "2"]).env("NOTIFY_SOCKET", &path);
    let mut server = command.start();
    manager.wait_for("READY=1");
    assert!(manager.wait_for("STATUS=").contains('2'), "it tells the workers: {:?}", manager.lines());

    server.reload();
    let reloading = manager.wait_for("RELOADING=1");
    let since = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    let since: u64 = since.expect("in the same message").parse().unwrap();
    assert!(since > 0);
    eventually("readiness after the reload", || (manager.count("READY=1") == 2).then_some(()));
    let lines = manager.lines();
    let at = |line: &str| lines.iter().rposition(|other| other == line).unwrap();
    assert!(at("RELOADING=1") < at("READY=1"), "{lines:?}");
    assert_eq!(manager.count("WATCHDOG=1"), 0, "nobody asked for signs of life");

    server.stop();
    manager.wait_for("STOPPING=1");
    assert_eq!(manager.count("STOPPING=1"), 1);
}

#[test]
fn systemd_is_not_told_readiness_before_every_worker_is_ready() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let manager = NotifySocket::bind(&path);
    let options = ["--workers", "2", "--env", "TESTBED_STARTUP=sleep:1000"];
    let server = Wasmserve::serving("testbed-sync", &options).env("NOTIFY_SOCKET", &path).launch();
    let supervisor = server.supervisor();
    eventually("the workers start", || (supervisor.children().len() == 2).then_some(()));
    let told = manager.count("READY=1");
    if server.count(|r| r.is_event("worker-ready")) < 2 {
        assert_eq!(told, 0);
    }
    manager.wait_for("READY=1");
    server.wait_for_count(2, "both workers", |r| r.is_event("worker-ready"));
}

#[test]
fn a_failed_reload_is_over_for_systemd_too() {
    let app = crate::support::AppFile::of("hello-sync");
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let manager = NotifySocket::bind(&path);
    let server = Wasmserve::serving(&app.path, &[]).env("NOTIFY_SOCKET", &path).start();
    manager.wait_for("READY=1");
    app.become_file("nothing");
    server.signal(SIGHUP);
    server.wait_for("its failure", |r| r.is_event("reload-failed"));
    manager.wait_for("RELOADING=1");
    eventually("readiness after the reload", || (manager.count("READY=1") == 2).then_some(()));
}

#[test]
fn an_abstract_notify_socket_will_do_and_none_that_is_missing_does_harm() {
    let name = format!("wasmserve-test-{}", std::process::id());
    let manager = NotifySocket::bind_abstract(&name);
    let server = Wasmserve::serving("hello-sync", &[]).env("NOTIFY_SOCKET", format!("@{name}")).start();
    manager.wait_for("READY=1");
    drop(server);
    for socket in ["/no/such/socket", "", "relative", "@nobody-listens-here"] {
        let server = Wasmserve::serving("hello-sync", &[]).env("NOTIFY_SOCKET", socket).start();
        assert_eq!(server.get("/").status, 200, "{socket}");
    }
}

#[test]
fn the_watchdog_gets_signs_of_life_of_this_process_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let manager = NotifySocket::bind(&path);
    let command = || Wasmserve::serving("hello-sync", &[]).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000");
    let server = command().through_shell("export WATCHDOG_PID=$$").start();
    eventually("signs of life", || (manager.count("WATCHDOG=1") >= 4).then_some(()));
    drop(server);

    let manager = NotifySocket::bind(&folder.path().join("other"));
    let server = command().env("NOTIFY_SOCKET", folder.path().join("other")).env("WATCHDOG_PID", "1").start();
    crate::support::for_a_while(std::time::Duration::from_millis(500), || {});
    assert_eq!(manager.count("WATCHDOG=1"), 0, "the watchdog is another process's");
    drop(server);
}

#[test]
fn signs_of_life_and_the_main_process_go_over_to_a_new_executable() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let manager = NotifySocket::bind(&path);
    let command = Wasmserve::serving("hello-sync", &[]).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000");
    let mut server = command.through_shell("export WATCHDOG_PID=$$").start();
    server.signal(SIGUSR2);
    let started = server.wait_for("an upgrade", |r| r.is_event("upgrade-started"));
    let new = Process { pid: started.number("pid") as i32 };
    server.wait_for("it serves", |r| r.is_event("upgrade-ready"));
    manager.wait_for(&format!("MAINPID={}", new.pid));
    server.signal(SIGTERM);
    server.wait_exit();
    let before = manager.count("WATCHDOG=1");
    let goes_on = std::panic::catch_unwind(|| {
        eventually("signs of life", || (manager.count("WATCHDOG=1") >= before + 3).then_some(()));
    });
    new.signal(SIGTERM);
    assert!(goes_on.is_ok(), "no signs of life of the new one");
}

#[test]
fn the_pid_file_is_there_from_the_start_to_the_end() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.pid");
    let options = ["--pid-file", text(&path), "--env", "TESTBED_STARTUP=sleep:700"];
    let mut server = Wasmserve::serving("testbed-sync", &options).launch();
    let supervisor = server.supervisor();
    eventually("the worker starts", || (!supervisor.children().is_empty()).then_some(()));
    assert_eq!(fs::read_to_string(&path).unwrap().trim(), supervisor.pid.to_string());
    server.wait_for("readiness", |r| r.is_event("ready"));
    server.stop();
    assert!(!path.exists());
}

#[test]
fn a_start_that_fails_leaves_no_pid_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.pid");
    let options = ["--port", "0", "--pid-file", text(&path), "--env", "TESTBED_STARTUP=fail:no"];
    assert_eq!(Wasmserve::serving("testbed-sync", &options).run().code, Some(3));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_pid_file_of_a_running_server_is_refused_and_one_left_behind_is_not() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.pid");
    let options = ["--pid-file", text(&path)];
    let mut first = Server::start("hello-sync", &options);
    let pid = first.supervisor().pid.to_string();
    let second = Wasmserve::serving("hello-sync", &["--port", "0"]).args(&options).run();
    assert_eq!(second.code, Some(2), "{second:?}");
    assert!(second.stderr.contains(text(&path)) && second.stderr.contains(&pid), "{second:?}");
    assert_eq!(fs::read_to_string(&path).unwrap().trim(), pid);
    assert_eq!(first.get("/").status, 200);

    first.signal(SIGKILL);
    first.wait_exit();
    assert!(path.exists(), "nobody was there to remove it");
    let third = Server::start("hello-sync", &options);
    assert_eq!(fs::read_to_string(&path).unwrap().trim(), third.supervisor().pid.to_string());
}

#[test]
fn a_pid_file_that_cannot_be_written_is_a_failed_start() {
    let options = ["--port", "0", "--pid-file", "/no/such/folder/app.pid"];
    let finished = Wasmserve::serving("hello-sync", &options).run();
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.stderr.contains("/no/such/folder/app.pid"), "{finished:?}");
}

#[test]
fn the_folder_is_changed_before_anything_else() {
    let folder = TempDir::new().unwrap();
    write_component(folder.path(), "app.wasm", prebuilt("hello-sync"));
    let command = Wasmserve::new(&["app.wasm", "--chdir", text(folder.path()), "--pid-file", "app.pid"]);
    let server = command.current_dir("/").inspectable().start();
    assert_eq!(server.get("/").text(), "Hello, world!");
    assert!(folder.path().join("app.pid").exists());
    for process in [server.supervisor(), server.worker(0)] {
        let cwd = fs::read_link(format!("/proc/{}/cwd", process.pid)).unwrap();
        assert_eq!(cwd, folder.path().canonicalize().unwrap());
    }
    let finished = Wasmserve::serving("hello-sync", &["--port", "0", "--chdir", "/no/such/folder"]).run();
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.stderr.contains("/no/such/folder"), "{finished:?}");
}

#[test]
fn the_umask_is_for_files_of_server_and_guests() {
    for (guest, umask, expected) in [(TESTBEDS[0], "077", 0o600), (TESTBEDS[1], "027", 0o640)] {
        let folder = TempDir::new().unwrap();
        let dir = format!("{}::/data", folder.path().display());
        let log = folder.path().join("access.log");
        let options = ["--umask", umask, "--dir", &dir, "--access-log-file", text(&log)];
        let server = Server::start(guest, &options);
        assert_eq!(server.send("POST", "/write?path=/data/file", &[], b"content").status, 200);
        for path in [folder.path().join("file"), log] {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, expected, "{}", path.display());
        }
    }
    let finished = Wasmserve::serving("hello-sync", &["--umask", "9"]).run();
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("--umask"), "{finished:?}");
}

/// Real, effective, saved and file system ids.
fn ids(process: Process, line: &str) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap();
    let line = status.lines().find_map(|other| other.strip_prefix(line)).unwrap();
    line.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

#[test]
fn workers_run_as_the_user_and_group_that_were_asked_for() {
    let options = ["--workers", "2", "--user", "65534", "--group", "65533", "--admin", "0"];
    if !geteuid().is_root() {
        let finished = Wasmserve::serving("testbed-sync", &options).run();
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(finished.stderr.contains("root") && finished.stderr.contains("--user"), "{finished:?}");
        return;
    }
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    let dir = format!("{}::/data", folder.path().display());
    let secret = TempDir::new().unwrap();
    let log = secret.path().join("log");
    let options: Vec<_> = options.iter().copied().chain(["--dir", &dir, "--access-log-file", text(&log)]).collect();
    let server = Server::start("testbed-sync", &options);
    for worker in server.workers() {
        assert_eq!(ids(worker, "Uid:"), [65534; 4]);
        assert_eq!(ids(worker, "Gid:"), [65533; 4]);
        assert!(!ids(worker, "Groups:").contains(&0), "no group of root's is left");
        let status = fs::read_to_string(format!("/proc/{}/status", worker.pid)).unwrap();
        assert!(status.contains("CapEff:\t0000000000000000"), "no power of root's is left: {status}");
    }
    assert_eq!(ids(server.supervisor(), "Uid:"), [0; 4], "it stays able to start workers");
    assert_eq!(server.send("POST", "/write?path=/data/file", &[], b"content").status, 200);
    let written = fs::metadata(folder.path().join("file")).unwrap();
    assert_eq!((written.uid(), written.gid()), (65534, 65533));

    // Workers cannot open the log themselves, and have it all the same, after it was rotated too.
    fs::set_permissions(secret.path(), Permissions::from_mode(0o700)).unwrap();
    fs::rename(&log, secret.path().join("log.1")).unwrap();
    server.signal(SIGUSR1);
    server.wait_for("it is told", |r| r.is_event("logs-reopened"));
    eventually("a line in the new one", || {
        server.get("/hello");
        fs::read_to_string(&log).is_ok_and(|text| text.contains("/hello")).then_some(())
    });

    // Replacements and reloads are no way to become root again.
    let old = server.worker(0);
    old.signal(SIGKILL);
    assert_eq!(ids(server.replacement(0, old), "Uid:"), [65534; 4]);
    server.reload();
    assert_eq!(ids(server.worker(1), "Uid:"), [65534; 4]);
}

#[test]
fn a_user_alone_brings_its_own_group() {
    if !geteuid().is_root() {
        return; // Told apart in the test before.
    }
    let server = Server::start("hello-sync", &["--user", "nobody"]);
    let worker = server.worker(0);
    assert_eq!(ids(worker, "Uid:"), [65534; 4]);
    assert_ne!(ids(worker, "Gid:")[0], 0);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn users_and_groups_that_are_not_there_are_mistakes() {
    for (option, name) in [("--user", "surely-nobody"), ("--group", "surely-no-group")] {
        let finished = Wasmserve::serving("hello-sync", &[option, name]).run();
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(finished.stderr.contains(name) || !geteuid().is_root(), "{finished:?}");
    }
}

fn records(path: &Path) -> Vec<Record> {
    fs::read_to_string(path).unwrap_or_default().lines().map(|line| Record::parse(line.to_owned())).collect()
}

#[track_caller]
fn until_logged(path: &Path, what: &str, matches: impl Fn(&Record) -> bool) -> Record {
    eventually(what, || records(path).into_iter().find(&matches))
}

/// With its log in a file, and ready.
#[track_caller]
fn start_with_log(guest: &str, log: &Path, args: &[&str]) -> Server {
    let mut server = Wasmserve::serving(guest, &["--log-file", text(log)]).args(args).launch();
    let ready = until_logged(log, "readiness", |r| r.is_event("ready"));
    server.url = ready.text("url").to_owned();
    server
}

#[test]
fn log_files_are_appended_to() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("app.log");
    fs::write(&log, "{\"message\":\"from before\"}\n").unwrap();
    start_with_log("hello-sync", &log, &[]).stop();
    assert_eq!(records(&log)[0].message(), "from before");
}

#[test]
fn usr1_without_log_files_changes_nothing() {
    let server = Server::start("hello-sync", &["--workers", "2"]);
    let workers = server.workers();
    server.signal(SIGUSR1);
    server.wait_for("it is taken", |r| r.is_event("logs-reopened"));
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.workers(), workers);
}

#[test]
fn a_log_file_that_cannot_be_opened_again_leaves_the_old_one_in_use() {
    let folder = TempDir::new().unwrap();
    let inner = folder.path().join("logs");
    fs::create_dir(&inner).unwrap();
    let log = inner.join("app.log");
    let server = start_with_log("hello-sync", &log, &["--workers", "2"]);
    let moved = folder.path().join("moved");
    fs::rename(&inner, &moved).unwrap();
    server.signal(SIGUSR1);
    let is_failure = |r: &Record| r.line.contains("app.log") && ["warn", "error"].contains(&r.level().as_str());
    until_logged(&moved.join("app.log"), "its failure", is_failure);
    let lines = records(&moved.join("app.log")).len();
    assert_eq!(server.get("/").status, 200);
    eventually("a line more", || (records(&moved.join("app.log")).len() > lines).then_some(()));
}

#[test]
fn children_that_are_not_its_own_are_reaped_and_ignored() {
    // The shell leaves them behind when it becomes the server.
    let server = Wasmserve::serving("hello-sync", &["--workers", "2"])
        .through_shell("sleep 3600 & sleep 3600 & true & :")
        .start();
    let strangers = || -> Vec<_> {
        let children = server.supervisor().children();
        children.into_iter().filter(|child| child.name() == "sleep").collect()
    };
    assert_eq!(strangers().len(), 2);
    for stranger in strangers() {
        stranger.signal(SIGKILL);
    }
    eventually("they are reaped", || (server.supervisor().children().len() == 2).then_some(()));
    assert_eq!(server.count(|r| r.is_event("worker-exited")), 0);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn as_process_1_it_serves_reaps_orphans_and_ends_on_term() {
    let Some(unshare) = unshare_options(&["--pid", "--fork", "--mount-proc", "--kill-child"]) else {
        return; // Not allowed here; the test before has the same without the number.
    };
    let command = Wasmserve::serving("hello-sync", &["--workers", "2"]);
    // What a shell in a subshell starts and leaves is an orphan at once.
    let shell = command.through_shell("(sleep 3600 &)");
    let mut server = shell.through("unshare", &unshare).start();
    let process_1 = eventually("the server", || server.supervisor().children().first().copied());
    let namespaces = fs::read_to_string(format!("/proc/{}/status", process_1.pid)).unwrap();
    let numbers = namespaces.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    assert!(numbers.ends_with("\t1"), "{numbers}");

    let orphan = process_1.children().into_iter().find(|child| child.name() == "sleep").expect("an orphan");
    orphan.signal(SIGKILL);
    eventually("it is reaped", || (process_1.children().len() == 2).then_some(()));
    assert_eq!(server.get("/").text(), "Hello, world!");
    let worker = process_1.children()[0];
    worker.signal(SIGKILL);
    server.wait_for_count(3, "its replacement", |r| r.is_event("worker-ready"));

    process_1.signal(SIGHUP);
    server.wait_for("a reload", |r| r.is_event("reload-finished"));
    process_1.signal(SIGTERM);
    assert_eq!(server.wait_exit().code(), Some(0));
    assert_eq!(server.count(|r| r.is_event("stopped")), 1);
}

#[test]
fn the_demo_can_be_supervised_as_well() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("demo.pid");
    let mut server = Wasmserve::new(&["demo", "--workers", "2", "--admin", "0", "--pid-file", text(&path)]).start();
    assert!(path.exists());
    server.reload();
    assert_eq!(server.admin("/readyz").status, 200);
    server.stop();
}

#[test]
fn packagers_get_man_pages_and_completions() {
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("share");
    let finished = Wasmserve::new(&["generate", text(&target)]).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let mut files = Vec::new();
    let mut folders = vec![target];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            match entry.path().is_dir() {
                true => folders.push(entry.path()),
                false => files.push(entry.path()),
            }
        }
    }
    let content = |end: &str| {
        let path = files.iter().find(|path| text(path).ends_with(end)).unwrap_or_else(|| panic!("{end}: {files:?}"));
        fs::read_to_string(path).unwrap()
    };
    let man = content("wasmserve.1");
    for option in ["max\\-requests", "control", "reload"] {
        assert!(man.contains(option), "{option}");
    }
    for part in [".bash", ".fish", "_wasmserve"] {
        assert!(content(part).contains("max-requests"), "{part}");
    }
    assert!(files.iter().any(|path| text(path).contains("wasmserve-status")), "{files:?}");
}

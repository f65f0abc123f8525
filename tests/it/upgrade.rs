//! USR2: the executable that is now on disk serves beside the running one, on the same sockets; ending either of the
//! two finishes the upgrade or calls it off.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal::{SIGHUP, SIGKILL, SIGTERM, SIGUSR2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    AppFile, Control, Process, Server, Wasmserve, eventually, executable, get_over_unix, guest, write_component,
};

/// The process that takes over; killed when dropped.
struct Successor(Process);

impl Drop for Successor {
    fn drop(&mut self) {
        let children = self.0.children();
        for process in children.iter().chain([&self.0]) {
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        }
    }
}

impl Successor {
    fn ended(&self) {
        eventually("its end", || (!self.0.runs()).then_some(()));
    }
}

/// USR2, and the new one serves.
#[track_caller]
fn upgrade(server: &Server, from: Process) -> Successor {
    let mark = server.len();
    from.signal(SIGUSR2);
    let successor = started(server, mark);
    server.wait_from(mark, "the new one serves", |r| r.is_event("upgrade-ready"));
    successor
}

#[track_caller]
fn started(server: &Server, mark: usize) -> Successor {
    let record = server.wait_from(mark, "an upgrade", |r| r.is_event("upgrade-started"));
    Successor(Process { pid: record.number("pid") as i32 })
}

/// The executable under a name that tests may give to another one.
fn own_executable(folder: &Path) -> PathBuf {
    let path = folder.join("wasmserve");
    restore(&path);
    path
}

fn restore(path: &Path) {
    let new = path.with_extension("new");
    if fs::hard_link(executable(), &new).is_err() {
        fs::copy(executable(), &new).unwrap();
    }
    fs::rename(new, path).unwrap();
}

fn replace_with_script(path: &Path, script: &str) {
    let new = path.with_extension("new");
    fs::write(&new, script).unwrap();
    fs::set_permissions(&new, Permissions::from_mode(0o755)).unwrap();
    fs::rename(new, path).unwrap();
}

/// A folder on the disk of the executable.
fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn ask_status(path: &Path) -> Value {
    Control::open(path).ask(&json!({"version": 1, "command": "status"}))["status"].clone()
}

fn requests(status: &Value) -> u64 {
    let slots = status["slots"].as_array().unwrap();
    slots.iter().map(|slot| slot["counters"]["requests"].as_u64().unwrap()).sum()
}

#[test]
fn old_and_new_serve_side_by_side_on_the_same_sockets() {
    let server = Server::start("hello-async", &["--workers", "2", "--no-access-log"]);
    let old_control = server.control_path();
    let new = upgrade(&server, server.supervisor());
    assert_ne!(new.0, server.supervisor());
    let new_control = server.control_path_of(new.0);
    eventually("both serve", || {
        assert_eq!(server.get("/").status, 200);
        let (old, new) = (ask_status(&old_control), ask_status(&new_control));
        (requests(&old) > 0 && requests(&new) > 0).then_some(())
    });
    assert_eq!(ask_status(&new_control)["pid"], new.0.pid);
    assert_eq!(ask_status(&new_control)["addresses"], ask_status(&old_control)["addresses"]);
}

#[test]
fn ending_the_old_one_finishes_the_upgrade_and_nothing_is_lost() {
    let mut server = Server::start("hello-async", &["--workers", "2", "--no-access-log"]);
    let address = server.address();
    let load = server.load(8);
    let new = upgrade(&server, server.supervisor());
    load.wait_for_more(100);
    server.signal(SIGTERM);
    assert_eq!(server.wait_exit().code(), Some(0));
    load.wait_for_more(100);
    // And again: the new one is as good as the old one was.
    let newest = upgrade(&server, new.0);
    new.0.signal(SIGTERM);
    new.ended();
    load.wait_for_more(100);
    load.end().assert_none_lost();
    newest.0.signal(SIGTERM);
    newest.ended();
    TcpListener::bind(address).expect("the port is free");
}

#[test]
fn ending_the_new_one_calls_the_upgrade_off_and_nothing_is_lost() {
    let server = Server::start("hello-async", &["--workers", "2", "--no-access-log"]);
    let workers = server.workers();
    let load = server.load(8);
    for _ in 0..2 {
        let mark = server.len();
        let new = upgrade(&server, server.supervisor());
        load.wait_for_more(50);
        new.0.signal(SIGTERM);
        new.ended();
        server.wait_from(mark, "its end is noticed", |r| r.is_event("upgrade-failed"));
        load.wait_for_more(50);
        server.do_control(&["status"]);
    }
    load.end().assert_none_lost();
    assert!(workers.iter().all(|worker| worker.runs()));
}

#[test]
fn a_new_one_that_is_killed_loses_nothing_of_the_old_ones() {
    let server = Server::start("hello-async", &["--workers", "2", "--no-access-log"]);
    let new = upgrade(&server, server.supervisor());
    new.0.signal(SIGKILL);
    new.ended();
    // Its workers end with it.
    eventually("only the old workers are there", || (server.supervisor().children().len() == 2).then_some(()));
    for _ in 0..20 {
        assert_eq!(server.get("/").status, 200);
    }
}

#[test]
fn an_old_one_that_is_killed_does_not_take_the_new_one_along() {
    let mut server = Server::start("hello-async", &["--workers", "2", "--no-access-log"]);
    let new = upgrade(&server, server.supervisor());
    server.signal(SIGKILL);
    server.wait_exit();
    for _ in 0..20 {
        eventually("an answer", || crate::support::Connection::try_open(server.address()).ok().map(drop));
    }
    assert!(new.0.runs());
    assert_eq!(ask_status(&server.control_path_of(new.0))["pid"], new.0.pid);
}

#[test]
fn only_one_upgrade_at_a_time() {
    let server = Server::start("hello-sync", &["--workers", "2"]);
    let new = upgrade(&server, server.supervisor());
    for process in [server.supervisor(), new.0] {
        let mark = server.len();
        process.signal(SIGUSR2);
        server.wait_from(mark, "it is refused", |r| r.is_event("upgrade-failed"));
    }
    assert_eq!(server.count(|r| r.is_event("upgrade-started")), 1);
    assert!(new.0.runs() && server.supervisor().runs());
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn an_executable_that_does_not_start_leaves_the_old_one_serving() {
    let folder = folder();
    let path = own_executable(folder.path());
    let server = Wasmserve::of(&path).args(&[&guest("hello-sync"), "--workers", "2"]).start();
    let workers = server.workers();
    let refused = || {
        let mark = server.len();
        server.signal(SIGUSR2);
        server.wait_from(mark, "its failure", |r| r.is_event("upgrade-failed"));
        assert_eq!(server.get("/").text(), "Hello, world!");
        assert_eq!(server.workers(), workers);
    };
    replace_with_script(&path, "#!/bin/sh\nexit 1\n");
    refused();
    replace_with_script(&path, "no program");
    refused();
    fs::remove_file(&path).unwrap();
    refused();
    restore(&path);
    let new = upgrade(&server, server.supervisor());
    assert!(new.0.runs());
}

#[test]
fn a_component_that_does_not_load_leaves_the_old_one_serving() {
    let app = AppFile::of("hello-sync");
    let server = Wasmserve::serving(&app.path, &["--workers", "2"]).start();
    app.become_file("no component");
    server.signal(SIGUSR2);
    server.wait_for("its failure", |r| r.is_event("upgrade-failed"));
    assert_eq!(server.get("/").text(), "Hello, world!");
    app.become_guest("counter-sync");
    let new = upgrade(&server, server.supervisor());
    server.signal(SIGTERM);
    eventually("the new component serves", || server.get("/").text().starts_with("worker ").then_some(()));
    drop(new);
}

#[test]
fn a_new_one_that_never_gets_ready_ends_with_the_old_one() {
    let folder = folder();
    let path = own_executable(folder.path());
    let mut server = Wasmserve::of(&path).args(&[&guest("hello-sync")]).start();
    replace_with_script(&path, "#!/bin/sh\nexec sleep 3600\n");
    server.signal(SIGUSR2);
    let new = started(&server, 0);
    assert_eq!(server.get("/").text(), "Hello, world!");
    server.signal(SIGTERM);
    assert_eq!(server.wait_exit().code(), Some(0));
    new.ended();
}

#[test]
fn the_pid_file_is_of_the_newest() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.pid");
    let old_path = folder.path().join("app.pid.old");
    let read = |path: &Path| fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<i32>().ok());
    let mut server = Server::start("hello-sync", &["--pid-file", path.to_str().unwrap()]);
    let old = server.supervisor().pid;
    assert_eq!(read(&path), Some(old));

    // One that is called off gives it back.
    let new = upgrade(&server, server.supervisor());
    assert_eq!((read(&path), read(&old_path)), (Some(new.0.pid), Some(old)));
    new.0.signal(SIGTERM);
    eventually("it is the old one's again", || (read(&path) == Some(old)).then_some(()));
    eventually("once", || (!old_path.exists()).then_some(()));

    let new = upgrade(&server, server.supervisor());
    server.signal(SIGTERM);
    assert_eq!(server.wait_exit().code(), Some(0));
    assert_eq!((read(&path), read(&old_path)), (Some(new.0.pid), None));
    new.0.signal(SIGTERM);
    eventually("it is removed", || (!path.exists()).then_some(()));
}

#[test]
fn a_unix_socket_is_there_until_the_last_one_ends() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.sock");
    let bind = format!("unix:{}", path.display());
    let mut server = Server::start("hello-sync", &["--bind", &bind, "--workers", "2"]);
    let new = upgrade(&server, server.supervisor());
    server.signal(SIGTERM);
    assert_eq!(server.wait_exit().code(), Some(0));
    assert_eq!(get_over_unix(&path, "/").unwrap().1, "Hello, world!");
    new.0.signal(SIGTERM);
    new.ended();
    assert!(!path.exists());
}

#[test]
fn a_control_socket_with_a_name_of_its_own_is_the_newest_ones() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("control");
    let mut server = Server::start("hello-sync", &["--control", path.to_str().unwrap()]);
    let old = server.supervisor().pid;
    let new = upgrade(&server, server.supervisor());
    assert_eq!(ask_status(&path)["pid"], new.0.pid);
    new.0.signal(SIGTERM);
    new.ended();
    eventually("the old one has it again", || {
        // The file may be there before anybody listens.
        UnixStream::connect(&path).ok()?;
        (ask_status(&path)["pid"] == old).then_some(())
    });

    let new = upgrade(&server, server.supervisor());
    server.signal(SIGTERM);
    server.wait_exit();
    assert_eq!(ask_status(&path)["pid"], new.0.pid);
}

#[test]
fn the_admin_listener_is_passed_on() {
    let mut server = Server::start("hello-sync", &["--admin", "0", "--workers", "2"]);
    let address = server.admin_address();
    let new = upgrade(&server, server.supervisor());
    server.signal(SIGTERM);
    server.wait_exit();
    assert_eq!(server.admin_address(), address);
    assert_eq!(server.admin("/readyz").status, 200);
    assert_eq!(server.admin("/status").json()["pid"], new.0.pid);
}

#[test]
fn an_inherited_socket_is_passed_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let command = Wasmserve::serving("hello-async", &["--fd", "0", "--no-access-log"]);
    let mut server = command.stdin(listener).start();
    let load = server.load(4);
    let _new = upgrade(&server, server.supervisor());
    server.signal(SIGTERM);
    server.wait_exit();
    load.wait_for_more(50);
    load.end().assert_none_lost();
}

#[test]
fn relative_names_mean_the_same_for_the_new_one() {
    let folder = TempDir::new().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    write_component(&inner, "app.wasm", fs::read(guest("hello-sync")).unwrap());
    let command = Wasmserve::new(&["app.wasm", "--chdir", "inner", "--pid-file", "app.pid"]);
    let mut server = command.current_dir(folder.path()).start();
    let new = upgrade(&server, server.supervisor());
    server.signal(SIGTERM);
    server.wait_exit();
    assert_eq!(server.get("/").text(), "Hello, world!");
    assert_eq!(fs::read_to_string(inner.join("app.pid")).unwrap().trim(), new.0.pid.to_string());
}

#[test]
fn the_new_one_takes_signals_and_replaces_workers() {
    let mut server = Server::start("hello-sync", &["--workers", "2"]);
    let new = upgrade(&server, server.supervisor());
    server.signal(SIGTERM);
    server.wait_exit();
    let mark = server.len();
    new.0.signal(SIGHUP);
    server.wait_from(mark, "a reload", |r| r.is_event("reload-finished"));
    let old = server.worker(0);
    old.signal(SIGKILL);
    server.replacement(0, old);
    assert_eq!(server.get("/").status, 200);
    assert_eq!(new.0.status("Threads"), 1);
}

#[test]
fn upgrades_leave_nothing_behind() {
    let server = Server::start("hello-sync", &["--workers", "2"]);
    let supervisor = server.supervisor();
    let call_off = || {
        let new = upgrade(&server, supervisor);
        new.0.signal(SIGTERM);
        new.ended();
        eventually("its end is noticed", || (supervisor.children().len() == 2).then_some(()));
    };
    call_off();
    let files = supervisor.open_files();
    (0..3).for_each(|_| call_off());
    eventually("no more descriptors than before", || (supervisor.open_files() <= files).then_some(()));
}

//! Many apps in one server (`--config`): who gets which request, what an app is while nobody asks for it, how apps
//! change, and that none of it concerns the others.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal::{SIGHUP, SIGKILL};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Finished, Http2, Process, Record, Response, Server, Wasmserve, chunked, eventually, guest, parallel, request, timed,
};

mod addresses;
mod changes;
mod groups;
mod one;
mod room;
mod routes;

/// A server with the apps of a file.
struct Host {
    folder: TempDir,
    server: Server,
}

impl Deref for Host {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// The beginning of every file: a free port, a log for programs, the tests' own cache and sandbox.
fn server_table(more: &str) -> String {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wasmserve-cache");
    let sandbox = env::var("WASMSERVE_SANDBOX").unwrap_or_else(|_| "best-effort".to_owned());
    format!(
        "[server]\nbind = [\"127.0.0.1:0\"]\nlog-format = \"json\"\ncache-dir = \"{}\"\nsandbox = \"{sandbox}\"\n{more}\n",
        cache.display()
    )
}

/// `[app.NAME]` with a prebuilt guest, at `NAME.test`.
fn app(name: &str, component: &str, more: &str) -> String {
    format!("[app.{name}]\ncomponent = \"{}\"\nroute = \"{name}.test\"\n{more}\n", guest(component))
}

impl Host {
    fn start(apps: &str) -> Self {
        Self::with("", apps)
    }

    fn with(server: &str, apps: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("wasmserve.toml");
        fs::write(&path, server_table(server) + apps).unwrap();
        let server = Wasmserve::new(&["--config", path.to_str().unwrap()]).start();
        Self { folder, server }
    }

    fn write(&self, apps: &str) {
        self.write_with("", apps);
    }

    fn write_with(&self, server: &str, apps: &str) {
        fs::write(self.folder.path().join("wasmserve.toml"), server_table(server) + apps).unwrap();
    }

    /// Returns its record of how that ended.
    fn reload(&self) -> Record {
        let mark = self.len();
        self.signal(SIGHUP);
        // Apps that load their components anew say the same.
        let is_end = |r: &Record| r.is_event("reload-finished") || r.is_event("reload-failed");
        self.wait_from(mark, "the end of the reload", |r| r.text("app").is_empty() && is_end(r))
    }

    fn ask(&self, host: &str, target: &str) -> Response {
        let mut connection = self.connect();
        connection.write(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        connection.receive()
    }

    fn app(&self, name: &str) -> Value {
        let status = self.status();
        let apps = status["apps"].as_array().unwrap();
        apps.iter().find(|app| app["name"] == name).unwrap_or(&Value::Null).clone()
    }

    /// Until its server has told of so many answers (2xx).
    fn until_counted(&self, name: &str, requests: u64) {
        let counted = || (self.app(name)["counters"]["responses"][1] == requests).then_some(());
        eventually(&format!("{name} has counted {requests}"), counted);
    }

    fn state(&self, name: &str) -> String {
        self.app(name)["state"].as_str().unwrap_or("gone").to_owned()
    }

    /// The newest of each slot: apps' servers have workers of these numbers too.
    fn gateways(&self) -> Vec<Process> {
        let status = self.status();
        let newest = |slot: &Value| Process {
            pid: slot["processes"].as_array().unwrap().last().unwrap()["pid"].as_i64().unwrap() as i32,
        };
        status["slots"].as_array().unwrap().iter().map(newest).collect()
    }

    /// The app's server.
    fn process(&self, name: &str) -> Option<Process> {
        self.app(name)["pid"].as_i64().map(|pid| Process { pid: pid as i32 })
    }

    #[track_caller]
    fn until(&self, name: &str, state: &str) {
        eventually(&format!("{name} is {state}"), || (self.state(name) == state).then_some(()));
    }
}

#[test]
fn an_idle_app_is_a_socket_and_no_process() {
    let host = Host::start(&app("hello", "hello-sync", ""));
    assert_eq!(host.state("hello"), "idle");
    assert_eq!(host.process("hello"), None);
    assert_eq!(host.ask("hello.test", "/").text(), "Hello, world!");
    host.until("hello", "ready");
    assert!(host.process("hello").unwrap().runs());
}

#[test]
fn idle_again_it_has_no_process_again_and_the_next_request_is_served_too() {
    let host = Host::start(&app("hello", "hello-sync", "idle-timeout = 2"));
    for starts in 1..=3 {
        let mark = host.len();
        assert_eq!(host.ask("hello.test", "/").text(), "Hello, world!");
        let ready = host.wait_from(mark, "its server is ready", |r| r.is_event("app-ready"));
        let server = Process { pid: ready.number("pid") as i32 };
        assert_eq!(host.app("hello")["starts"], starts);
        host.until("hello", "idle");
        assert!(!server.runs());
    }
}

#[test]
fn an_app_with_a_least_number_of_workers_has_them_from_the_start() {
    let host = Host::start(&app("hello", "hello-sync", "workers = 2"));
    host.until("hello", "ready");
    let server = host.process("hello").unwrap();
    assert_eq!(server.children().len(), 2);
    server.signal(SIGKILL);
    eventually("another one", || {
        host.process("hello").filter(|other| *other != server && host.state("hello") == "ready")
    });
    assert_eq!(host.ask("hello.test", "/").text(), "Hello, world!");
}

#[test]
fn requests_wait_while_an_app_starts() {
    let host = Host::start(&app("slow", "testbed-sync", "env = { TESTBED_STARTUP = \"sleep:500\" }"));
    let answers = parallel(8, |_| host.ask("slow.test", "/hello").text());
    assert!(answers.iter().all(|text| text == "Hello, world!"), "{answers:?}");
    assert_eq!(host.app("slow")["starts"], 1);
}

#[test]
fn an_app_that_does_not_start_is_503_and_the_others_serve() {
    let broken = "env = { TESTBED_STARTUP = \"fail:no database\" }";
    let host = Host::start(&(app("broken", "testbed-sync", broken) + &app("hello", "hello-sync", "")));
    let refused = host.ask("broken.test", "/hello");
    assert!(matches!(refused.status, 502 | 503), "{}", refused.status);
    host.until("broken", "failing");
    assert!(host.app("broken")["why"].as_str().unwrap().contains("no database"));
    host.wait_for("the record", |r| r.is_event("app-failed") && r.message().contains("no database"));
    eventually("it is refused at once", || {
        let refused = host.ask("broken.test", "/hello");
        (refused.status == 503 && refused.header("retry-after").is_some()).then_some(())
    });
    assert_eq!(host.ask("hello.test", "/").text(), "Hello, world!");
}

#[test]
fn a_stuck_app_delays_no_other() {
    let stuck = "threads = 1\ninstances = 1";
    let host = Host::start(&(app("stuck", "testbed-sync", stuck) + &app("hello", "hello-sync", "")));
    host.ask("hello.test", "/");
    let mut held = Vec::new();
    for _ in 0..50 {
        let mut connection = host.connect();
        connection.write(b"GET /spin HTTP/1.1\r\nHost: stuck.test\r\n\r\n");
        held.push(connection);
    }
    host.until("stuck", "ready");
    let (_, time) = timed(|| {
        for _ in 0..20 {
            assert_eq!(host.ask("hello.test", "/").text(), "Hello, world!");
        }
    });
    assert!(time.as_secs() < 10, "{time:?}");
}

#[test]
fn no_process_has_the_code_of_two_apps() {
    let apps = app("one", "hello-sync", "workers = 1") + &app("two", "counter-sync", "workers = 1");
    let host = Host::start(&apps);
    for name in ["one", "two"] {
        host.until(name, "ready");
    }
    let code = |process: Process| -> BTreeSet<String> {
        let maps = process.maps();
        maps.lines()
            .filter(|line| line.contains("wasmserve-cache"))
            .map(|line| line.rsplit(' ').next().unwrap().to_owned())
            .collect()
    };
    let mut seen = BTreeSet::new();
    for name in ["one", "two"] {
        let server = host.process(name).unwrap();
        let workers = server.children();
        assert_eq!(workers.len(), 1);
        let own = code(workers[0]);
        assert_eq!(own.len(), 1, "{own:?}");
        assert!(seen.is_disjoint(&own), "{seen:?}");
        seen.extend(own);
    }
    let gateways = host.supervisor().children();
    assert!(gateways.iter().all(|gateway| code(*gateway).is_empty()));
}

#[test]
fn an_app_sees_nothing_of_another() {
    let host =
        Host::start(&(app("one", "testbed-sync", "env = { KEY = \"of one\" }") + &app("two", "testbed-sync", "")));
    assert_eq!(host.ask("one.test", "/env").json()["KEY"], "of one");
    let other = host.ask("two.test", "/env").json();
    assert!(other["KEY"].is_null());
    assert_eq!(other["WASMSERVE_APP"], "two");
    let server = host.process("two").unwrap();
    let line = fs::read(format!("/proc/{}/cmdline", server.pid)).unwrap();
    assert!(!String::from_utf8_lossy(&line).contains("of one"));
}

#[test]
fn requests_in_flight_are_finished_at_the_end() {
    let mut host = Host::start(&app("testbed", "testbed-async", ""));
    let mut connection = host.connect();
    connection.write(b"GET /stream?chunks=10&bytes=100&ms=50 HTTP/1.1\r\nHost: testbed.test\r\n\r\n");
    let head = connection.receive_head();
    assert_eq!(head.status, 200);
    let server = host.process("testbed").unwrap();
    host.server.signal(nix::sys::signal::Signal::SIGTERM);
    let mut body = connection.body(&head);
    assert_eq!(body.exactly(1000).len(), 1000);
    assert!(host.server.wait_exit().success());
    assert!(!server.runs());
}

#[test]
fn status_has_a_line_for_each_app() {
    let broken = "workers = 1\nenv = { TESTBED_STARTUP = \"fail:no database\" }";
    let apps = app("hello", "hello-sync", "") + &app("idle", "hello-sync", "") + &app("broken", "testbed-sync", broken);
    let host = Host::start(&apps);
    host.ask("hello.test", "/");
    host.until("hello", "ready");
    host.until("broken", "failing");
    let cells = |shown: &str, name: &str| -> Vec<String> {
        let line = shown.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect()
    };
    // A request is counted once its answer has left.
    let shown = eventually("its request is counted", || {
        Some(host.do_control(&["status"]).stdout).filter(|shown| cells(shown, "hello")[4] == "1")
    });
    assert_eq!(cells(&shown, "hello")[1], "ready", "{shown}");
    assert_eq!(cells(&shown, "hello")[3], "1", "{shown}");
    assert_eq!(cells(&shown, "idle")[1..4], ["idle", "-", "-"], "{shown}");
    assert_eq!(cells(&shown, "broken")[1], "failing", "also while it is tried again: {shown}");
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("no database"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
}

#[test]
fn no_process_is_left_when_it_is_killed_or_told_to_end_at_once() {
    use nix::sys::signal::Signal::SIGQUIT;
    for signal in [SIGKILL, SIGQUIT] {
        let mut host = Host::start(&app("testbed", "testbed-sync", "workers = 1"));
        host.until("testbed", "ready");
        let mut held = host.connect();
        held.write(b"GET /sleep?ms=3600000 HTTP/1.1\r\nHost: testbed.test\r\n\r\n");
        let server = host.process("testbed").unwrap();
        let all: Vec<_> = host.supervisor().children().into_iter().chain(server.children()).collect();
        host.server.signal(signal);
        host.server.wait_exit();
        eventually("all have ended", || all.iter().all(|process| !process.runs()).then_some(()));
    }
}

#[test]
fn a_gateway_that_is_killed_is_replaced() {
    let host = Host::start(&app("hello", "hello-sync", ""));
    let gateway = host.worker(0);
    gateway.signal(SIGKILL);
    host.replacement(0, gateway);
    assert_eq!(host.ask("hello.test", "/").text(), "Hello, world!");
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_place() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("wasmserve.toml");
    let text = "[server]\nbind = [\"127.0.0.1:0\"]\nadmim = 3\n\n[app.shop]\ncomponent = \"no.wasm\"\nroute = \"a.test\"\n\
        threads = 0\nworkers = 0\ndirs = [{ host = \".\", guest = \"/d\", read-only = \"yes\" }]\n[app.shop.limits]\nmemory = \"many\"\n\n[app.other]\nroute = [\"a.test\", \"b//\"]\n";
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let finished: Finished = Wasmserve::new(&["check", "--config", path]).run();
    assert_eq!(finished.code, Some(2));
    for expected in [
        "wasmserve.toml:3:1: server.admim: there is no such key: did you mean admin?",
        "wasmserve.toml:6:13: app.shop.component: ",
        "wasmserve.toml:8:11: app.shop.threads 0: must be from 1",
        "wasmserve.toml:9:11: app.shop.workers: from min",
        "read-only: must be true or false",
        "wasmserve.toml:12:10: app.shop.limits.memory many: write a number of bytes",
        "component is missing",
        "a.test is routed already",
        "b//",
    ] {
        assert!(finished.stderr.contains(expected), "no {expected:?} in\n{}", finished.stderr);
    }
    assert!(!finished.stderr.contains("--max-workers"), "told once: {}", finished.stderr);
    let start = Wasmserve::new(&["--config", path]).run();
    assert_eq!((start.code, &start.stderr), (Some(2), &finished.stderr));
}

#[test]
fn check_loads_every_component() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("wasmserve.toml");
    fs::write(folder.path().join("broken.wasm"), "no component").unwrap();
    let broken = "[app.broken]\ncomponent = \"broken.wasm\"\n";
    fs::write(&path, server_table("") + &app("hello", "hello-sync", "") + broken).unwrap();
    let finished = Wasmserve::new(&["check", "--config", path.to_str().unwrap()]).run();
    assert_eq!(finished.code, Some(4), "{}", finished.stderr);
    assert!(finished.stdout.contains("app.hello: ok") && finished.stderr.contains("app.broken: "), "{finished:?}");
}

#[test]
fn other_options_belong_into_the_file() {
    let finished = Wasmserve::new(&["--config", "wasmserve.toml", "--port", "1"]).run();
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("--config"), "{}", finished.stderr);
}

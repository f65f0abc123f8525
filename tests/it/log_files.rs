//! The log in files: the log itself, the access log, and what happens if they cannot be opened or written.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use tempfile::TempDir;

use crate::support::{Finished, Record, Server, TESTBEDS, Wasmserve, eventually};

/// Starts a server whose log is in a file, and returns when it serves.
fn start(guest: &str, path: &Path, options: &[&str]) -> Server {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let command = Wasmserve::serving(guest, &["--log-file", path.to_str().unwrap(), "--port", &port.to_string()]);
    let mut server = command.args(options).launch();
    server.url = format!("http://127.0.0.1:{port}");
    eventually("it serves", || records(path).iter().any(|r| r.is_event("ready")).then_some(()));
    server
}

fn records(path: &Path) -> Vec<Record> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| Record::parse(line.to_owned())).collect()
}

fn count(path: &Path, matches: impl Fn(&Record) -> bool) -> usize {
    records(path).iter().filter(|r| matches(r)).count()
}

fn is_access(record: &Record) -> bool {
    record.is_access()
}

#[test]
fn records_go_to_the_log_file_instead_of_stderr() {
    for guest in TESTBEDS {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("log");
        let mut server = start(guest, &path, &["--workers", "2"]);
        server.get("/hello");
        server.get("/print?text=printed");
        server.stop();
        assert_eq!(count(&path, is_access), 2, "{guest}");
        assert_eq!(count(&path, |r| r.is_guest_line("printed")), 1);
        assert!(records(&path).iter().all(Record::is_json));
        assert_eq!(server.len(), 0, "{guest}: stderr says\n{}", *server);
    }
}

#[test]
fn access_records_have_a_file_of_their_own_whatever_else_is_logged() {
    for level in ["info", "error"] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("access");
        let options = ["--access-log-file", path.to_str().unwrap(), "--log-level", level];
        let mut server = match level {
            "info" => Server::start("testbed-async", &options),
            // Without a ready record in its log: the port is known.
            _ => {
                let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
                let command = Wasmserve::serving("testbed-async", &["--port", &port.to_string()]);
                let mut server = command.args(&options).launch();
                server.url = format!("http://127.0.0.1:{port}");
                eventually("it serves", || crate::support::Connection::try_open(server.address()).ok());
                server
            }
        };
        for _ in 0..3 {
            server.get("/hello");
        }
        server.stop();
        assert_eq!(count(&path, is_access), 3, "{level}");
        assert_eq!(records(&path).len(), 3, "{level}: nothing else");
        assert_eq!(server.count(is_access), 0, "{level}");
    }
}

#[test]
fn text_in_a_file_has_no_colors() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    let command = Wasmserve::serving("hello-sync", &["--log-file", path.to_str().unwrap(), "--log-format", "text"]);
    let mut server = command.launch_on_terminal();
    eventually("it serves", || fs::read_to_string(&path).ok().filter(|text| text.contains("http://")));
    server.stop();
    assert!(!fs::read_to_string(&path).unwrap().contains('\u{1b}'));
}

#[test]
fn usr1_goes_on_in_new_files_and_loses_no_record() {
    for guest in TESTBEDS {
        let folder = TempDir::new().unwrap();
        let (log, access) = (folder.path().join("log"), folder.path().join("access"));
        let server = start(guest, &log, &["--workers", "2", "--access-log-file", access.to_str().unwrap()]);
        for _ in 0..10 {
            server.get("/hello");
        }
        eventually("they are logged", || (count(&access, is_access) == 10).then_some(()));
        for path in [&log, &access] {
            fs::rename(path, path.with_extension("old")).unwrap();
        }
        server.signal(Signal::SIGUSR1);
        // Those that come meanwhile are in one or the other.
        for _ in 0..10 {
            server.get("/hello");
        }
        eventually("the log goes on", || log.exists().then_some(()));
        eventually("both workers log there", || {
            server.get("/print?text=printed");
            let workers = records(&log).into_iter().filter(Record::is_guest).map(|r| r.number("worker"));
            (workers.collect::<std::collections::HashSet<_>>().len() == 2).then_some(())
        });
        let hello = |r: &Record| r.is_access() && r.text("path") == "/hello";
        let old = access.with_extension("old");
        eventually("all are logged", || (count(&old, hello) + count(&access, hello) == 20).then_some(()));
        assert!(count(&old, hello) >= 10, "{guest}");
    }
}

#[test]
fn a_log_file_that_cannot_be_opened_is_a_usage_error_that_names_it() {
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    for flag in ["--log-file", "--access-log-file"] {
        for path in [folder.path().join("missing/log"), folder.path().to_owned(), pipe.clone()] {
            let path = path.to_str().unwrap();
            let finished = Wasmserve::serving("hello-sync", &["--port", "0", flag, path]).run();
            assert_eq!(finished.code, Some(2), "{flag} {path}: {finished:?}");
            assert!(finished.stderr.contains(path), "{flag} {path}: {finished:?}");
        }
    }
}

#[test]
fn a_start_that_fails_is_told_on_stderr_as_well() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    let options = ["--port", "0", "--env", "COUNTER_START=x", "--log-file", path.to_str().unwrap()];
    let Finished { code, stderr, .. } = Wasmserve::serving("counter-sync", &options).run();
    assert_eq!(code, Some(3));
    assert_eq!(stderr.matches("COUNTER_START must be a whole number").count(), 1, "{stderr}");
    assert_eq!(count(&path, |r| r.message().contains("COUNTER_START must be a whole number")), 1);
}

#[test]
fn a_full_disk_is_no_reason_not_to_serve() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--access-log-file", "/dev/full"]);
        for _ in 0..20 {
            assert_eq!(server.get("/hello").text(), "Hello, world!", "{guest}");
        }
    }
}

//! The control socket and the commands that use it: who may, what they tell, and that nobody does harm by it.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal::{SIGINT, SIGKILL, SIGSTOP};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Control, Server, TESTBEDS, Wasmserve, eventually, parallel, request, timed};

fn ask(server: &Server, request: Value) -> Value {
    Control::open(&server.control_path()).ask(&request)
}

#[test]
fn the_socket_is_in_the_runtime_folder_for_its_owner_alone_and_goes_with_the_server() {
    let mut server = Server::start("hello-sync", &[]);
    let path = server.control_path();
    assert!(path.starts_with(server.runtime_folder()), "{}", path.display());
    let metadata = fs::metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let folder = fs::metadata(path.parent().unwrap()).unwrap();
    assert_eq!(folder.permissions().mode() & 0o022, 0, "nobody else writes its folder");
    server.stop();
    assert!(!path.exists());
}

#[test]
fn the_umask_does_not_change_who_may_use_it() {
    let server = Server::start("hello-sync", &["--umask", "000"]);
    assert_eq!(fs::metadata(server.control_path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_socket_can_be_put_elsewhere_or_left_out() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.control");
    let server = Server::start("hello-sync", &["--control", path.to_str().unwrap()]);
    assert_eq!(server.control_path(), path);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    server.do_control(&["status"]);

    let server = Server::start("hello-sync", &["--control", "off"]);
    assert_eq!(server.get("/").status, 200);
    assert!(!server.runtime_folder().exists());
}

#[test]
fn a_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.control");
    let with_path = ["--control", path.to_str().unwrap()];
    drop(UnixListener::bind(&path).unwrap());
    let mut killed = Server::start("hello-sync", &with_path);
    killed.signal(SIGKILL);
    killed.wait_exit();
    assert!(path.exists(), "nobody was there to remove it");

    let server = Server::start("hello-sync", &with_path);
    server.do_control(&["status"]);
    let second = Wasmserve::serving("hello-sync", &["--port", "0"]).args(&with_path).run();
    assert_eq!(second.code, Some(2), "{second:?}");
    assert!(second.stderr.contains(path.to_str().unwrap()), "{second:?}");
    server.do_control(&["status"]);
}

#[test]
fn a_file_that_is_no_socket_is_not_touched() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("precious");
    fs::write(&path, "data").unwrap();
    let finished = Wasmserve::serving("hello-sync", &["--port", "0", "--control", path.to_str().unwrap()]).run();
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "data");
}

#[test]
fn status_tells_people_what_goes_on_in_80_columns() {
    let server = Server::start("testbed-sync", &["--workers", "4"]);
    for _ in 0..20 {
        server.get("/hello");
    }
    let finished = server.do_control(&["status"]);
    let text = &finished.stdout;
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
    for part in ["testbed-sync", &server.url, "ready", &server.supervisor().pid.to_string()] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    for worker in server.workers() {
        assert!(text.contains(&worker.pid.to_string()), "{text}");
    }
    assert!(text.lines().count() >= 6, "a line for each worker: {text}");
    assert!(!text.contains('\u{1b}'), "no colours for a program: {text}");
}

#[test]
fn status_shows_a_worker_that_backs_off_and_why() {
    let server = Server::start("hello-sync", &["--workers", "2"]);
    // The sixth pause is long enough to be seen on any machine.
    eventually("a long pause", || {
        let old = server.worker(0);
        old.signal(SIGKILL);
        let status = eventually("it is noticed", || {
            let status = server.status();
            (status["slots"][0]["processes"][0]["pid"] != old.pid).then_some(status)
        });
        let pause = status["slots"][0]["starts_in_seconds"].as_f64().unwrap_or_default();
        if pause < 1.0 {
            server.replacement(0, old);
            return None;
        }
        assert_eq!(status["slots"][0]["state"], "backing_off", "{status}");
        assert!(status["slots"][0]["last_death"].as_str().unwrap().contains("SIGKILL"), "{status}");
        assert!(status["slots"][0]["restarts"].as_u64().unwrap() >= 3, "{status}");
        assert_eq!(status["slots"][1]["state"], "ready", "{status}");
        let text = server.do_control(&["status"]).stdout;
        assert!(text.contains("back"), "{text}");
        Some(())
    });
}

#[test]
fn status_tells_programs_the_same_as_json() {
    let server = Server::start("testbed-sync", &["--workers", "2"]);
    for target in ["/hello", "/hello", "/status?code=404", "/trap"] {
        server.get(target);
    }
    let status: Value = serde_json::from_str(&server.do_control(&["status", "--json"]).stdout).unwrap();
    assert_eq!(status["pid"], server.supervisor().pid);
    assert_eq!(status["state"], "ready");
    assert_eq!(status["app"], "testbed-sync");
    assert!(status["component"].as_str().unwrap().ends_with("testbed-sync.wasm"), "{status}");
    assert_eq!(status["addresses"], json!([server.url.trim_end_matches('/')]));
    assert_eq!((&status["workers"], &status["generation"]), (&json!(2), &json!(1)));
    assert!(status["previous_generation"].is_null() && status["last_reload"].is_null(), "{status}");
    assert!(status["uptime_seconds"].as_f64().unwrap() > 0.0, "{status}");

    let slots = status["slots"].as_array().unwrap();
    for (index, (slot, worker)) in slots.iter().zip(server.workers()).enumerate() {
        assert_eq!(slot["worker"], index);
        assert_eq!(slot["state"], "ready");
        assert_eq!(slot["processes"].as_array().unwrap().len(), 1);
        assert_eq!(slot["processes"][0]["pid"], worker.pid);
        assert_eq!(slot["processes"][0]["state"], "ready");
        assert!(slot["processes"][0]["rss"].as_u64().unwrap() > 1 << 20, "{slot}");
    }
    let sum = |path: &str| slots.iter().map(|slot| slot.pointer(path).unwrap().as_u64().unwrap()).sum::<u64>();
    let classes: Vec<_> = (0..5).map(|class| sum(&format!("/counters/responses/{class}"))).collect();
    assert_eq!((sum("/counters/requests"), classes), (4, vec![0, 2, 0, 1, 1]));
    assert_eq!(sum("/counters/traps"), 1);
    assert_eq!(sum("/restarts"), 0);
}

#[test]
fn status_shows_what_is_in_flight() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--instances", "1"]);
        let _held = server.occupy("/stream?chunks=2&bytes=1&ms=3600000");
        let counters = server.status()["slots"][0]["counters"].clone();
        assert_eq!((&counters["in_flight"], &counters["queued"]), (&json!(1), &json!(0)), "{guest}: {counters}");
        assert_eq!(counters["instances"], 1, "{guest}: {counters}");
        assert!(counters["memory"].as_u64().unwrap() > 0, "{guest}: {counters}");
    }
}

#[test]
fn status_watch_goes_on_until_it_is_interrupted() {
    let server = Server::start("hello-sync", &["--workers", "2"]);
    let path = server.control_path();
    let command = Wasmserve::new(&["status", "--watch", "--control", path.to_str().unwrap()]);
    let mut watch = command.launch_printing();
    let pid = server.supervisor().pid.to_string();
    watch.wait_for_count(3, "shown again", |r| r.line.contains(&pid));
    for record in watch.records() {
        assert!(record.line.chars().count() <= 80, "{}", record.line);
    }
    watch.signal(SIGINT);
    watch.wait_exit();
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn the_client_finds_the_only_server_and_asks_which_if_there_are_more() {
    let folder = TempDir::new().unwrap();
    let runtime = folder.path();
    let start = || Wasmserve::serving("hello-sync", &[]).env("XDG_RUNTIME_DIR", runtime).start();
    let status = || Wasmserve::new(&["status"]).env("XDG_RUNTIME_DIR", runtime).run();

    let nobody = status();
    assert_eq!(nobody.code, Some(2), "{nobody:?}");
    assert!(nobody.stderr.contains("no running server"), "{nobody:?}");

    let first = start();
    let found = status();
    assert_eq!(found.code, Some(0), "{found:?}");
    assert!(found.stdout.contains(&first.url));

    let second = start();
    let both = status();
    assert_eq!(both.code, Some(2), "{both:?}");
    for server in [&first, &second] {
        assert!(both.stderr.contains(server.control_path().to_str().unwrap()), "{both:?}");
        assert!(server.do_control(&["status"]).stdout.contains(&server.url));
    }

    // A socket that nobody listens at does not count.
    let mut second = second;
    second.signal(SIGKILL);
    second.wait_exit();
    assert_eq!(status().code, Some(0));
}

#[test]
fn every_command_without_a_server_ends_with_2() {
    for command in [&["status"][..], &["reload"], &["rollback"], &["scale", "2"], &["recycle"], &["stop"]] {
        let finished = Wasmserve::new(command).run();
        assert_eq!(finished.code, Some(2), "{command:?}: {finished:?}");
        let finished = Wasmserve::new(command).args(&["--control", "/no/such/socket"]).run();
        assert_eq!(finished.code, Some(2), "{command:?}: {finished:?}");
        assert!(finished.stderr.contains("/no/such/socket"), "{finished:?}");
    }
}

#[test]
fn a_server_that_is_stopped_does_not_hang_its_client() {
    let server = Server::start("hello-sync", &[]);
    let path = server.control_path();
    server.signal(SIGSTOP);
    let finished = Wasmserve::new(&["status", "--control", path.to_str().unwrap()]).run();
    assert!(!matches!(finished.code, Some(0) | None), "{finished:?}");
    assert!(finished.took < Duration::from_secs(20), "{finished:?}");
}

#[test]
fn recycle_replaces_the_processes_and_loses_no_request() {
    for guest in ["hello-sync", "hello-async"] {
        let server = Server::start(guest, &["--workers", "3", "--no-access-log"]);
        let old = server.workers();
        let load = server.load(4);
        server.do_control(&["recycle", "1"]);
        let new = server.replacement(1, old[1]);
        assert_eq!(server.workers(), [old[0], new, old[2]], "{guest}");
        server.do_control(&["recycle"]);
        for (slot, old) in [old[0], new, old[2]].into_iter().enumerate() {
            server.replacement(slot as u64, old);
            eventually("its end", || (!old.runs()).then_some(()));
        }
        load.wait_for_more(50);
        load.end().assert_none_lost();
        assert_eq!(server.count(|r| r.is_event("back-off")), 0, "{guest}");
        assert_eq!(server.status()["slots"][1]["restarts"], 0, "{guest}: it was meant");
    }
}

#[test]
fn a_worker_that_is_not_there_cannot_be_recycled() {
    let server = Server::start("hello-sync", &["--workers", "2"]);
    let old = server.workers();
    let finished = server.control(&["recycle", "7"]);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.stderr.contains('7'), "{finished:?}");
    assert_eq!(server.workers(), old);
}

#[test]
fn stop_finishes_what_is_in_flight_and_ends_with_0() {
    for guest in TESTBEDS {
        let mut server = Server::start(guest, &["--workers", "2"]);
        let mut held = server.occupy("/stream?chunks=2&bytes=1&ms=1000");
        server.do_control(&["stop"]);
        assert_eq!(held.receive().text(), "00", "{guest}");
        assert_eq!(server.wait_exit().code(), Some(0), "{guest}");
        server.wait_for_end();
        assert_eq!(server.count(|r| r.is_event("stopping")), 1, "{guest}");
        assert_eq!(server.count(|r| r.is_event("stopped")), 1, "{guest}");
    }
}

#[test]
fn a_connection_may_ask_as_often_as_it_likes() {
    let server = Server::start("hello-sync", &[]);
    let mut control = Control::open(&server.control_path());
    for _ in 0..50 {
        let answer = control.ask(&json!({"version": 1, "command": "status"}));
        assert_eq!((&answer["version"], &answer["result"]), (&json!(1), &json!("status")));
    }
    // Requests that come together are answered one after the other.
    control.write("{\"version\":1,\"command\":\"status\"}\n".repeat(5)).unwrap();
    for _ in 0..5 {
        assert_eq!(control.line().expect("an answer")["result"], "status");
    }
    let answer = control.ask(&json!({"version": 1, "command": "scale", "workers": 2}));
    assert_eq!(answer["result"], "done", "{answer}");
}

#[test]
fn what_is_no_request_gets_an_error_or_an_end_and_harms_nobody() {
    let server = Server::start("hello-sync", &["--workers", "2"]);
    let workers = server.workers();
    let lines: [&[u8]; 12] = [
        b"\n",
        b"hello\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b"{\"version\":1}\n",
        b"{\"version\":1,\"command\":\"format\"}\n",
        b"{\"version\":1,\"command\":\"scale\"}\n",
        b"{\"version\":1,\"command\":\"scale\",\"workers\":-1}\n",
        b"{\"version\":1,\"command\":\"scale\",\"workers\":18446744073709551615}\n",
        b"\xff\xfe\x00\n",
        b"GET / HTTP/1.1\r\n",
    ];
    for line in lines {
        let mut control = Control::open(&server.control_path());
        control.write(line).unwrap();
        if let Some(answer) = control.line() {
            assert_eq!(answer["result"], "failed", "{answer}");
            assert!(!answer["message"].as_str().unwrap().is_empty(), "{answer}");
        }
    }
    assert_eq!(server.workers(), workers);
    server.do_control(&["status"]);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn another_version_of_the_protocol_is_refused_with_ours_named() {
    let server = Server::start("hello-sync", &["--workers", "2"]);
    for version in [json!(0), json!(2), json!("1"), Value::Null] {
        let answer = ask(&server, json!({"version": version, "command": "stop"}));
        assert_eq!((&answer["version"], &answer["result"]), (&json!(1), &json!("failed")), "{answer}");
        assert!(answer["message"].as_str().unwrap().contains("version"), "{answer}");
    }
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_request_without_an_end_is_not_collected() {
    let server = Server::start("hello-sync", &[]);
    let before = server.supervisor().status("RssAnon");
    let mut control = Control::open(&server.control_path());
    // Until the server closes, or says what is wrong and no longer reads.
    for _ in 0..1000 {
        if control.write([b'x'; 4096]).is_err() {
            break;
        }
    }
    if let Some(answer) = control.line() {
        assert_eq!(answer["result"], "failed", "{answer}");
    }
    assert!(server.supervisor().status("RssAnon") < before + 512);
    server.do_control(&["status"]);
}

#[test]
fn half_a_request_and_clients_that_leave_hold_up_nobody() {
    let server = Server::start("hello-sync", &[]);
    let path = server.control_path();
    let mut half = Control::open(&path);
    half.write("{\"version\":1,\"comm").unwrap();
    for _ in 0..20 {
        // One that leaves without its answer.
        Control::open(&path).write("{\"version\":1,\"command\":\"status\"}\n").unwrap();
    }
    let (_, took) = timed(|| server.status());
    assert!(took < Duration::from_secs(2), "{took:?}");
    half.write("and\":\"status\"}\n").unwrap();
    assert_eq!(half.line().expect("an answer")["result"], "status");
}

#[test]
fn a_client_that_does_not_read_its_answers_holds_up_nobody() {
    let server = Server::start("hello-sync", &[]);
    let stuck = UnixStream::connect(server.control_path()).unwrap();
    stuck.set_nonblocking(true).unwrap();
    let line = b"{\"version\":1,\"command\":\"status\"}\n";
    let mut refused = 0;
    eventually("its socket is full, or closed", || {
        match std::io::Write::write(&mut &stuck, line) {
            Ok(_) => refused = 0,
            Err(_) => refused += 1,
        }
        (refused > 20).then_some(())
    });
    server.do_control(&["status"]);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn many_idle_connections_do_no_harm() {
    let mut server = Server::start("hello-sync", &["--workers", "2"]);
    let path = server.control_path();
    let idle: Vec<_> = (0..300).filter_map(|_| UnixStream::connect(&path).ok()).collect();
    assert!(idle.len() >= 64);
    assert_eq!(server.get("/").status, 200);
    let old = server.worker(0);
    old.signal(SIGKILL);
    server.replacement(0, old);
    // Room for a new one is made, or comes when they go.
    drop(idle);
    eventually("an answer", || (server.control(&["status"]).code == Some(0)).then_some(()));
    server.stop();
}

#[test]
fn clients_that_ask_at_the_same_time_are_all_answered() {
    let server = Server::start("hello-sync", &["--workers", "2"]);
    let path = server.control_path();
    parallel(8, |_| {
        for _ in 0..20 {
            let answer = Control::open(&path).ask(&json!({"version": 1, "command": "status"}));
            assert_eq!(answer["result"], "status");
        }
    });
}

#[test]
fn reloads_that_are_asked_for_at_the_same_time_are_all_answered() {
    let server = Server::start("hello-sync", &["--workers", "2"]);
    let finished = parallel(4, |_| server.control(&["reload"]));
    assert!(finished.iter().all(|finished| finished.code == Some(0)), "{finished:?}");
}

#[test]
fn a_command_whose_server_ends_meanwhile_is_told_so() {
    let server = Server::start("testbed-sync", &["--env", "TESTBED_STARTUP=sleep:700"]);
    thread::scope(|scope| {
        let reload = scope.spawn(|| server.control(&["reload"]));
        server.wait_for("the reload", |r| r.is_event("reload-started"));
        server.signal(SIGKILL);
        let finished = reload.join().unwrap();
        assert!(!matches!(finished.code, Some(0) | None), "{finished:?}");
    });
}

#[test]
fn a_request_in_flight_does_not_hold_up_the_answer_to_stop() {
    let server = Server::start("testbed-async", &[]);
    let mut held = server.connect();
    held.write(request("GET", "/stream?chunks=2&bytes=1&ms=3600000", &[], b""));
    held.receive_head();
    let finished = server.do_control(&["stop"]);
    assert!(finished.took < Duration::from_secs(5), "{finished:?}");
}

//! More and fewer workers while the server runs, by TTIN, TTOU and `wasmserve scale`.

use std::time::Duration;

use nix::sys::signal::Signal::{SIGHUP, SIGKILL, SIGTTIN, SIGTTOU};
use serde_json::Value;

use crate::support::{Server, TESTBEDS, eventually, request, timed};

/// Returns when so many slots are served, and no other process is there.
#[track_caller]
fn until_workers(server: &Server, workers: usize) {
    // The supervisor's own children count too: after a reload those of the old generation may be still ending.
    eventually("the number of workers", || {
        let status = server.status();
        let slots = status["slots"].as_array().unwrap();
        let count = |matches: fn(&Value) -> bool| slots.iter().filter(|slot| matches(slot)).count();
        let ready = count(|slot| slot["state"] == "ready");
        let inhabited = count(|slot| !slot["processes"].as_array().unwrap().is_empty());
        let children = server.supervisor().children().len();
        (status["workers"] == workers && [ready, inhabited, children] == [workers; 3]).then_some(())
    });
}

#[test]
fn ttin_adds_a_worker_in_the_next_slot() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--workers", "2", "--identify"]);
        let old = server.workers();
        server.signal(SIGTTIN);
        let new = server.worker(2);
        assert_eq!(server.workers(), old, "{guest}: the others stay");
        assert!(new.runs());
        assert_eq!(server.connect_to(2).get("/env").json()["WASMSERVE_WORKER"], "2", "{guest}");
        assert_eq!(server.wait_for("it is told", |r| r.is_event("scaled")).number("workers"), 3);
        until_workers(&server, 3);
    }
}

#[test]
fn ttou_removes_the_last_worker_after_what_it_has_in_flight() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--workers", "3", "--identify"]);
        let last = server.worker(2);
        let others = [server.worker(0), server.worker(1)];
        let mut held = server.connect_to(2);
        held.write(request("GET", "/stream?chunks=2&bytes=1&ms=800", &[], b""));
        let head = held.receive_head();
        server.signal(SIGTTOU);
        server.wait_for("it is told", |r| r.is_event("scaled") && r.number("workers") == 2);
        assert_eq!(held.body(&head).exactly(2), b"00", "{guest}");
        eventually("its end", || (!last.runs()).then_some(()));
        until_workers(&server, 2);
        assert_eq!([server.worker(0), server.worker(1)], others, "{guest}");
        server.wait_for("its shutdown", |r| r.is_guest_line("testbed: shutdown") && r.number("worker") == 2);
    }
}

#[test]
fn there_is_never_less_than_one_worker() {
    let server = Server::start("hello-sync", &["--workers", "2"]);
    let first = server.worker(0);
    for _ in 0..4 {
        let mark = server.len();
        server.signal(SIGTTOU);
        // Signals of a kind that wait for the server are one, so each waits for something that shows it was taken.
        server.get("/");
        eventually("it is taken", || (server.len() > mark).then_some(()));
    }
    until_workers(&server, 1);
    assert_eq!(server.worker(0), first);
    assert!(first.runs());
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn the_command_scale_sets_the_number() {
    let server = Server::start("hello-async", &["--workers", "2", "--identify"]);
    let old = server.workers();
    for workers in [4, 1, 3] {
        server.do_control(&["scale", &workers.to_string()]);
        until_workers(&server, workers);
        assert_eq!(server.worker(0), old[0], "the first is never touched");
        let last = workers as u64 - 1;
        assert_eq!(server.connect_to(last).get("/").place().0, last);
    }
}

#[test]
fn numbers_of_workers_that_make_no_sense_are_refused() {
    let server = Server::start("hello-sync", &["--workers", "2"]);
    for number in ["0", "1000000", "-1", "many"] {
        let finished = server.control(&["scale", "--", number]);
        assert_eq!(finished.code, Some(2), "{number}: {finished:?}");
    }
    until_workers(&server, 2);
}

#[test]
fn no_connection_is_refused_or_reset_while_workers_come_and_go() {
    let server = Server::start("hello-async", &["--workers", "3", "--no-access-log", "--identify"]);
    let load = server.load(8);
    for workers in [1, 4, 2, 5, 1, 3] {
        server.do_control(&["scale", &workers.to_string()]);
        load.wait_for_more(50);
    }
    until_workers(&server, 3);
    load.wait_for_more(50);
    load.end().assert_none_lost();
}

#[test]
fn a_removed_slots_connections_are_taken_within_100_ms() {
    let server = Server::start("hello-async", &["--workers", "4", "--no-access-log"]);
    server.do_control(&["scale", "1"]);
    // The slots' sockets are still there, or they are not: either way every connection meets a worker soon.
    let mut times: Vec<_> = (0..60).map(|_| timed(|| assert_eq!(server.get("/").status, 200)).1).collect();
    times.sort_unstable();
    // All but those that this machine itself has held up.
    assert!(times[54] < Duration::from_millis(100), "{times:?}");
}

#[test]
fn a_slot_that_comes_back_starts_anew() {
    let server = Server::start("testbed-sync", &["--workers", "2", "--no-access-log"]);
    // It keeps ending, and its next start waits.
    for _ in 0..4 {
        let old = server.worker(1);
        old.signal(SIGKILL);
        server.replacement(1, old);
    }
    let mark = server.len();
    server.do_control(&["scale", "1"]);
    until_workers(&server, 1);
    server.do_control(&["scale", "2"]);
    server.wait_from(mark, "the worker", |r| r.is_event("worker-ready") && r.number("worker") == 1);
    until_workers(&server, 2);
}

#[test]
fn a_reload_keeps_the_number_of_workers() {
    let server = Server::start("hello-sync", &["--workers", "1"]);
    server.do_control(&["scale", "3"]);
    until_workers(&server, 3);
    server.reload();
    until_workers(&server, 3);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn scaling_during_a_reload_is_carried_out() {
    let server = Server::start("testbed-sync", &["--workers", "2", "--env", "TESTBED_STARTUP=sleep:200"]);
    server.signal(SIGHUP);
    server.wait_for("a reload", |r| r.is_event("reload-started"));
    server.signal(SIGTTIN);
    server.wait_for("it is told", |r| r.is_event("scaled"));
    server.wait_for("its end", |r| r.is_event("reload-finished"));
    eventually("all are of the new generation", || {
        let status = server.status();
        let slots = status["slots"].as_array().unwrap();
        let is_new = |slot: &Value| {
            let processes = slot["processes"].as_array().unwrap();
            processes.len() == 1 && processes[0]["generation"] == 2 && processes[0]["state"] == "ready"
        };
        (slots.len() == 3 && slots.iter().all(is_new)).then_some(())
    });
}

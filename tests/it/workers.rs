//! Workers that die or hang are replaced in their slot, and the others go on.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal::{SIGKILL, SIGSTOP, SIGTERM};

use crate::support::{Connection, Server, TESTBEDS, eventually, median, request, timed};

/// A connection to the worker in this slot.
fn connect_to(server: &Server, slot: u64) -> Connection {
    eventually("a connection to the worker", || {
        let mut connection = server.connect();
        (connection.get("/hello").place().0 == slot).then_some(connection)
    })
}

#[test]
fn a_killed_worker_is_replaced_within_500_ms() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--workers", "5"]);
        let mut slots = 0..5;
        // The median: any single one may wait for a core.
        let time = median(5, || {
            let slot = slots.next().unwrap();
            let old = server.worker(slot);
            let ((), took) = timed(|| {
                old.signal(SIGKILL);
                server.replacement(slot, old);
            });
            took
        });
        assert!(time <= Duration::from_millis(500), "{guest}: {time:?}");
    }
}

#[test]
fn a_worker_that_keeps_ending_is_replaced_less_and_less_often_and_its_clients_go_elsewhere() {
    let server = Server::start("testbed-async", &["--workers", "2", "--no-access-log"]);
    for _ in 0..6 {
        let old = server.worker(0);
        old.signal(SIGKILL);
        server.wait_for("its end", |r| r.is_event("worker-exited") && r.number("pid") == old.pid as u64);
        // Half of these come in at the socket of the slot that has no worker now.
        for _ in 0..10 {
            let (response, took) = timed(|| server.get("/hello"));
            assert_eq!(response.status, 200);
            assert!(took < Duration::from_secs(1), "{took:?}");
        }
        server.replacement(0, old);
    }
    let pauses = server.all(|r| r.is_event("back-off"));
    let pauses: Vec<_> = pauses.iter().map(|r| r.field("seconds").as_f64().unwrap()).collect();
    assert!(pauses.len() >= 4 && pauses.is_sorted(), "{pauses:?}");
}

#[test]
fn the_replacement_has_the_slot_and_its_index() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--workers", "3", "--identify"]);
        let old = server.workers();
        old[1].signal(SIGKILL);
        let new = server.replacement(1, old[1]);

        let exited = server.wait_for("the death", |r| r.is_event("worker-exited"));
        assert_eq!((exited.number("worker"), exited.number("pid")), (1, old[1].pid as u64));
        assert!(exited.text("reason").contains("SIGKILL"), "{}", exited.line);

        assert_eq!(server.workers(), [old[0], new, old[2]]);
        let environment = connect_to(&server, 1).get("/env").json();
        assert_eq!(environment["WASMSERVE_WORKER"], "1", "{guest}");
        assert_eq!(connect_to(&server, 1).get("/count").text(), "1", "{guest}: a new instance");
    }
}

#[test]
fn the_others_lose_no_request_while_one_is_killed() {
    for guest in TESTBEDS {
        let options = ["--workers", "3", "--identify", "--no-access-log"];
        let server = Server::start(guest, &options);
        let (mut one, mut two) = (connect_to(&server, 0), connect_to(&server, 2));
        thread::scope(|scope| {
            let killer = scope.spawn(|| {
                for _ in 0..3 {
                    let old = server.worker(1);
                    old.signal(SIGKILL);
                    server.replacement(1, old);
                }
            });
            while !killer.is_finished() {
                assert_eq!(one.get("/hello").place().0, 0, "{guest}");
                assert_eq!(two.get("/hello").place().0, 2, "{guest}");
            }
        });
    }
}

#[test]
fn requests_in_flight_in_other_workers_are_finished() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--workers", "2", "--identify"]);
        let mut other = connect_to(&server, 0);
        other.write(request("GET", "/stream?chunks=2&bytes=1&ms=500", &[], b""));
        let head = other.receive_head();
        let old = server.worker(1);
        old.signal(SIGKILL);
        server.replacement(1, old);
        assert_eq!(other.body(&head).exactly(2), b"00", "{guest}");
    }
}

#[test]
fn new_connections_wait_while_the_only_worker_is_replaced() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--no-access-log"]);
        for _ in 0..3 {
            let old = server.worker(0);
            old.signal(SIGKILL);
            eventually("its end", || (!old.runs()).then_some(()));
            // Nobody is there, but the socket is: these queue up and are served, not refused.
            for _ in 0..5 {
                assert_eq!(server.get("/hello").text(), "Hello, world!", "{guest}");
            }
            server.replacement(0, old);
        }
    }
}

#[test]
fn a_stopped_worker_is_found_by_its_heartbeat_and_replaced() {
    for guest in TESTBEDS {
        let options = ["--workers", "2", "--timeout-worker-healthcheck", "0.5", "--identify"];
        let server = Server::start(guest, &options);
        let old = server.worker(0);
        old.signal(SIGSTOP);
        server.replacement(0, old);
        let exited = server.wait_for("its end", |r| r.is_event("worker-exited") && r.number("pid") == old.pid as u64);
        // The truth: not that it was killed, but why.
        let reason = exited.text("reason").to_lowercase();
        assert!(reason.contains("sign of life"), "{}", exited.line);
        assert!(!old.runs());
        assert_eq!(connect_to(&server, 0).get("/hello").status, 200, "{guest}");
    }
}

#[test]
fn new_connections_do_not_wait_for_a_worker_that_hangs() {
    // It takes none any more; a neighbour or its successor takes what is queued for it.
    let server =
        Server::start("testbed-async", &["--workers", "2", "--timeout-worker-healthcheck", "0.5", "--no-access-log"]);
    server.worker(0).signal(SIGSTOP);
    for _ in 0..20 {
        assert_eq!(server.get("/hello").text(), "Hello, world!");
    }
}

#[test]
fn a_worker_that_is_sent_term_drains_and_is_replaced() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--workers", "2", "--identify"]);
        let old = server.worker(1);
        let mut held = connect_to(&server, 1);
        held.write(request("GET", "/stream?chunks=2&bytes=1&ms=700", &[], b""));
        let head = held.receive_head();

        let mark = server.len();
        old.signal(SIGTERM);
        assert_eq!(held.body(&head).exactly(2), b"00", "{guest}: what is in flight is finished");
        server.replacement(1, old);
        server.wait_from(mark, "its shutdown", |r| r.is_guest_line("testbed: shutdown") && r.number("worker") == 1);
        eventually("its end", || (!old.runs()).then_some(()));
        assert_eq!(connect_to(&server, 1).get("/hello").status, 200, "{guest}");
    }
}

#[test]
fn no_request_is_lost_while_a_worker_drains() {
    let options = ["--workers", "2", "--no-access-log"];
    let server = Server::start("testbed-async", &options);
    thread::scope(|scope| {
        let killer = scope.spawn(|| {
            for _ in 0..5 {
                let old = server.worker(0);
                old.signal(SIGTERM);
                server.replacement(0, old);
                eventually("its end", || (!old.runs()).then_some(()));
            }
        });
        while !killer.is_finished() {
            assert_eq!(server.get("/hello").text(), "Hello, world!");
        }
    });
}

#[test]
fn deaths_leave_no_zombies_and_no_descriptors() {
    let server = Server::start("testbed-sync", &["--workers", "4"]);
    let supervisor = server.supervisor();
    let kill_all = || {
        for (slot, old) in server.workers().into_iter().enumerate() {
            old.signal(SIGKILL);
            server.replacement(slot as u64, old);
        }
    };
    kill_all();
    let files = supervisor.open_files();
    for _ in 0..4 {
        kill_all();
    }
    let mut children: Vec<_> = supervisor.children().into_iter().map(|child| child.pid).collect();
    let mut workers: Vec<_> = server.workers().iter().map(|worker| worker.pid).collect();
    children.sort_unstable();
    workers.sort_unstable();
    assert_eq!(children, workers);
    assert!(supervisor.open_files() <= files, "{} after {files}", supervisor.open_files());
    assert_eq!(server.get("/hello").status, 200);
}

#[test]
fn all_workers_can_die_at_once() {
    let server = Server::start("testbed-async", &["--workers", "3", "--identify"]);
    let old = server.workers();
    for worker in &old {
        worker.signal(SIGKILL);
    }
    for (slot, worker) in old.into_iter().enumerate() {
        server.replacement(slot as u64, worker);
    }
    let slots: HashSet<_> = (0..3).map(|slot| connect_to(&server, slot).get("/hello").place().0).collect();
    assert_eq!(slots.len(), 3);
}

#[test]
fn a_startup_that_fails_after_a_death_does_not_end_the_server() {
    let folder = tempfile::TempDir::new().unwrap();
    let dir = format!("{}::/data", folder.path().display());
    let server = Server::start(
        "testbed-sync",
        &["--workers", "2", "--dir", &dir, "--env", "TESTBED_STARTUP=fail-if-file:/data/broken", "--identify"],
    );
    let mut other = connect_to(&server, 1);
    std::fs::write(folder.path().join("broken"), "").unwrap();
    let old = server.worker(0);
    old.signal(SIGKILL);
    server.wait_for("the reason", |r| r.message().contains("found /data/broken"));
    assert_eq!(other.get("/hello").status, 200);
    std::fs::remove_file(folder.path().join("broken")).unwrap();
    server.replacement(0, old);
    assert_eq!(connect_to(&server, 0).get("/hello").status, 200);
}

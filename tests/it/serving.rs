//! What a running server looks like: its processes, its ready line, and where requests go.

use std::collections::{HashMap, HashSet};

use crate::support::{COUNTERS, HELLOS, Server, TESTBEDS, parallel};

#[test]
fn both_generations_say_hello() {
    for guest in HELLOS {
        let response = Server::start(guest, &[]).get("/");
        assert_eq!(response.status, 200, "{guest}");
        assert_eq!(response.text(), "Hello, world!", "{guest}");
    }
}

#[test]
fn the_ready_line_tells_what_is_served_and_how() {
    for (guest, handler, lifespan) in [("hello-sync", "sync", false), ("counter-async", "async", true)] {
        let server = Server::start(guest, &["--workers", "2", "--threads", "3"]);
        let ready = server.ready();
        assert!(ready.message().contains(&server.url), "{}", ready.line);
        assert!(ready.text("component").contains(guest), "{}", ready.line);
        assert_eq!(ready.text("handler"), handler);
        let tells = ready.field("lifespan");
        let is_told = tells.as_bool().unwrap_or(!matches!(tells.as_str(), Some("none" | "off")));
        assert_eq!(is_told, lifespan, "{}", ready.line);
        assert_eq!(ready.number("workers"), 2);
        assert_eq!(ready.number("threads"), 3);
        assert_eq!(ready.text("isolation"), "worker");
        assert_eq!(server.count(|r| r.is_event("ready")), 1);
    }
}

#[test]
fn the_ready_line_comes_when_every_worker_is_ready() {
    let server = Server::start("hello-sync", &["--workers", "4"]);
    let before: Vec<_> = server.records().into_iter().take_while(|r| !r.is_event("ready")).collect();
    let ready = before.iter().filter(|r| r.is_event("worker-ready"));
    let slots: HashSet<_> = ready.map(|r| r.number("worker")).collect();
    assert_eq!(slots, HashSet::from([0, 1, 2, 3]));
}

#[test]
fn a_start_is_quiet() {
    let server = Server::start("hello-sync", &["--workers", "4"]);
    let noise = server.all(|r| {
        let expected = ["ready", "worker-ready", "compiled"];
        !expected.iter().any(|event| r.is_event(event))
    });
    assert!(noise.is_empty(), "{noise:#?}");
}

#[test]
fn workers_are_processes_forked_by_a_supervisor_of_one_thread() {
    let server = Server::start("hello-async", &["--workers", "4"]);
    let supervisor = server.supervisor();
    assert_eq!(supervisor.status("Threads"), 1);

    let mut children: Vec<_> = supervisor.children().iter().map(|child| child.pid).collect();
    let mut workers: Vec<_> = server.workers().iter().map(|worker| worker.pid).collect();
    children.sort_unstable();
    workers.sort_unstable();
    assert_eq!(children, workers);

    parallel(8, |_| assert_eq!(server.get("/").status, 200));
    assert_eq!(supervisor.status("Threads"), 1);
}

#[test]
fn four_workers_have_four_counters() {
    for guest in COUNTERS {
        let server = Server::start(guest, &["--workers", "4", "--identify", "--instances", "1"]);
        let mut counts = HashMap::new();
        // The kernel chooses the worker by a hash of the client's port.
        for _ in 0..1000 {
            let response = server.get("/");
            let (worker, instance, _) = response.place();
            let count = counts.entry(worker).or_insert(0);
            *count += 1;
            let expected = format!("worker {worker}, instance {instance}: {count}\n");
            assert_eq!(response.text(), expected, "{guest}");
            if counts.len() == 4 && counts.values().all(|count| *count > 2) {
                break;
            }
        }
        assert_eq!(counts.keys().copied().collect::<HashSet<_>>(), HashSet::from([0, 1, 2, 3]));
    }
}

#[test]
fn new_connections_are_spread_over_the_workers() {
    let server = Server::start("hello-sync", &["--workers", "4", "--identify", "--no-access-log"]);
    let mut share = [0; 4];
    for _ in 0..400 {
        share[server.get("/").place().0 as usize] += 1;
    }
    // A quarter each but for chance: fewer than 60 of 400 is a matter of one in a million.
    assert!(share.iter().all(|count| *count >= 60), "{share:?}");
}

#[test]
fn a_connection_stays_with_its_worker() {
    let server = Server::start("testbed-async", &["--workers", "3", "--identify"]);
    for _ in 0..6 {
        let mut connection = server.connect();
        let worker = connection.get("/").place().0;
        for _ in 0..5 {
            assert_eq!(connection.get("/").place().0, worker);
        }
    }
}

#[test]
fn an_instance_serves_one_request_after_the_other() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--instances", "1"]);
        for count in 1..=20 {
            assert_eq!(server.get("/count").text(), count.to_string(), "{guest}");
        }
    }
}

#[test]
fn identify_tells_worker_instance_and_generation() {
    for guest in HELLOS {
        let server = Server::start(guest, &["--identify"]);
        assert_eq!(server.get("/").header("x-wasmserve-instance"), Some("0/1/1"), "{guest}");
        let server = Server::start(guest, &[]);
        assert_eq!(server.get("/").header("x-wasmserve-instance"), None, "{guest}");
    }
}

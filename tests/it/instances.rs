//! How many instances a worker has, when they are made, and how many requests each takes at a time.

use std::collections::HashSet;
use std::time::Duration;

use crate::support::{Server, TESTBEDS, parallel, timed};

/// So many requests at the same time, each lasting so long; the instances that served them, and
/// the time until the last was done.
fn sleepers(server: &Server, count: usize, ms: u64) -> (Vec<u64>, Duration) {
    timed(|| {
        parallel(count, |_| {
            let response = server.get(&format!("/sleep?ms={ms}"));
            assert_eq!(response.text(), "slept");
            response.instance()
        })
    })
}

fn distinct(instances: &[u64]) -> HashSet<u64> {
    instances.iter().copied().collect()
}

fn startups(server: &Server) -> usize {
    server.count(|r| r.is_guest_line("testbed: startup"))
}

#[test]
fn one_async_instance_serves_many_requests_at_once() {
    let server = Server::start("testbed-async", &["--identify"]);
    let (instances, took) = sleepers(&server, 8, 500);
    assert_eq!(instances, [1; 8]);
    assert!(took < Duration::from_millis(1500), "eight sleeps of 500 ms took {took:?}");
}

#[test]
fn an_async_instance_takes_no_more_than_its_concurrency() {
    let server = Server::start("testbed-async", &["--identify", "--concurrency", "2"]);
    let (instances, took) = sleepers(&server, 6, 200);
    assert_eq!(instances, [1; 6]);
    assert!(took >= Duration::from_millis(600), "two at a time, but all took {took:?}");
}

#[test]
fn an_async_app_has_more_instances_if_asked_for() {
    let options = ["--identify", "--concurrency", "1", "--instances", "3"];
    let server = Server::start("testbed-async", &options);
    let (instances, _) = sleepers(&server, 6, 300);
    assert_eq!(distinct(&instances), HashSet::from([1, 2, 3]));
}

#[test]
fn sync_requests_at_the_same_time_are_in_instances_of_their_own() {
    let server = Server::start("testbed-sync", &["--identify"]);
    let (instances, took) = sleepers(&server, 8, 500);
    assert_eq!(distinct(&instances).len(), 8);
    assert!(took < Duration::from_millis(1500), "eight sleeps of 500 ms took {took:?}");
}

#[test]
fn a_sync_app_has_no_more_instances_than_asked_for() {
    let server = Server::start("testbed-sync", &["--identify", "--instances", "3"]);
    let (instances, took) = sleepers(&server, 9, 200);
    assert_eq!(distinct(&instances), HashSet::from([1, 2, 3]));
    assert!(took >= Duration::from_millis(600), "three at a time, but all took {took:?}");
}

#[test]
fn a_sync_app_has_32_instances_unless_told_otherwise() {
    let server = Server::start("testbed-sync", &["--identify"]);
    let (instances, _) = sleepers(&server, 48, 1500);
    assert_eq!(distinct(&instances), (1..=32).collect());
    server.wait_for_count(32, "startups", |r| r.is_guest_line("testbed: startup"));
    assert_eq!(startups(&server), 32);
}

#[test]
fn instances_are_made_when_first_needed() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--instances", "4", "--concurrency", "1"]);
        server.wait_for("the first instance", |r| r.is_guest_line("testbed: startup"));
        for _ in 0..10 {
            server.get("/hello");
        }
        // One is enough for one request at a time; another may be made if a request comes while the
        // one before, whose answer is there, is not quite over.
        assert!(startups(&server) <= 2, "{guest}");
    }
}

#[test]
fn no_two_instances_share_memory() {
    for guest in TESTBEDS {
        let options = ["--identify", "--instances", "2", "--concurrency", "1"];
        let server = Server::start(guest, &options);
        // While one instance is taken, the other one counts.
        let mut held = server.connect();
        held.write(crate::support::request("GET", "/stream?chunks=2&bytes=1&ms=700", &[], b""));
        let head = held.receive_head();
        let counting = server.get("/count");
        assert_eq!(counting.text(), "1", "{guest}");
        held.body(&head).exactly(2);

        let mut counts = [0, 0, 0];
        counts[counting.instance() as usize] = 1;
        for _ in 0..10 {
            let response = server.get("/count");
            let count = &mut counts[response.instance() as usize];
            *count += 1;
            assert_eq!(response.text(), count.to_string(), "{guest}");
        }
    }
}

#[test]
fn where_an_instance_stands_is_in_its_environment() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--workers", "2", "--instances", "1", "--identify"]);
        for _ in 0..10 {
            let response = server.get("/env");
            let (worker, instance, generation) = response.place();
            let environment = response.json();
            assert_eq!(environment["WASMSERVE_APP"], guest);
            assert_eq!(environment["WASMSERVE_WORKER"], worker.to_string());
            assert_eq!(environment["WASMSERVE_INSTANCE"], instance.to_string());
            assert_eq!(environment["WASMSERVE_GENERATION"], generation.to_string());
            assert_eq!((instance, generation), (1, 1));
        }
    }
}

#[test]
fn a_request_lasts_until_the_guests_work_after_it_ends() {
    // The one instance is taken until then, so the next request waits.
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--instances", "1", "--concurrency", "1"]);
        assert_eq!(server.get("/after?ms=300").text(), "answered");
        assert_eq!(server.get("/hello").status, 200);
        server.wait_for("the next request", |r| r.is_access() && r.text("path") == "/hello");
        let done = server.count(|r| r.is_guest_line("after: done"));
        assert_eq!(done, 1, "{guest}: the next request ran before the work had ended");
    }
}

//! Guests that do not come to an end: when their requests and their instances do.

use std::time::Duration;

use crate::support::{HOSTILES, Server, TESTBEDS, timed};

use super::Target;

const LIMIT: Duration = Duration::from_millis(300);
const OPTIONS: [&str; 2] = ["--timeout-request", "0.3"];

#[test]
fn a_guest_that_does_not_yield_dies_at_its_deadline() {
    for guest in HOSTILES {
        for target in ["/loop", "/loop-clock", "/loop-random"] {
            let server = Target::start(guest, &OPTIONS);
            let mut slowest = Vec::new();
            // The best of several: whatever else the machine does can only add time.
            for _ in 0..5 {
                let mark = server.len();
                let (died, took) = timed(|| {
                    let response = server.get(target);
                    assert_eq!(response.status, 504, "{guest} {target}: {}", response.text());
                    server.death_from(mark, "request-limit")
                });
                assert!(died.message().contains("--timeout-request"), "{}", died.line);
                assert!(took >= LIMIT, "{guest} {target}: {took:?}");
                slowest.push(took - LIMIT);
            }
            let best = slowest.iter().min().unwrap();
            assert!(*best < Duration::from_millis(20), "{guest} {target}: late by {slowest:?}");
            server.assert_comes_to_rest();
            server.assert_stands();
        }
    }
}

#[test]
fn a_guest_that_yields_has_its_request_ended_and_is_replaced() {
    for guest in HOSTILES {
        for target in ["/silent", "/loop-poll"] {
            let server = Target::start(guest, &OPTIONS);
            let (response, took) = timed(|| server.get(target));
            assert_eq!(response.status, 504, "{guest} {target}: {}", response.text());
            assert!(took >= LIMIT && took < LIMIT * 10, "{guest} {target}: {took:?}");
            server.assert_comes_to_rest();
            server.assert_stands();
            assert_ne!(server.get("/hello").instance(), response.instance(), "{guest} {target}: a fresh one serves");
        }
    }
}

#[test]
fn memory_stays_flat_while_requests_pass_their_deadlines() {
    for guest in HOSTILES {
        let server = Target::start(guest, &["--timeout-request", "0.05"]);
        for target in ["/loop", "/silent"] {
            server.assert_stays_flat(5, 20, || assert_eq!(server.get(target).status, 504, "{guest} {target}"));
        }
        server.assert_stands();
    }
}

#[test]
fn a_request_that_answers_in_time_may_go_on() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &OPTIONS);
        let response = server.get("/stream?chunks=8&bytes=10&ms=100");
        assert_eq!((response.status, response.body.len()), (200, 80), "{guest}");
        assert_eq!(server.count(|r| r.is_event("instance-died")), 0, "{guest}");
    }
}

#[test]
fn others_in_the_instance_finish_within_their_own_deadlines() {
    let server = Server::start("testbed-async", &["--timeout-request", "1", "--identify"]);
    let mut late = server.occupy("/stream?chunks=20&bytes=10&ms=100");
    assert_eq!(server.get("/sleep?ms=3600000").status, 504);
    let response = late.receive();
    assert_eq!(response.body.len(), 200, "it was finished");
    assert_ne!(server.get("/hello").instance(), response.instance());
}

#[test]
fn a_startup_or_shutdown_that_never_ends_holds_up_no_end() {
    for guest in TESTBEDS {
        for variable in ["TESTBED_SHUTDOWN=spin", "TESTBED_SHUTDOWN=sleep:3600000"] {
            let options = ["--env", variable, "--timeout-graceful-shutdown", "0.5"];
            let mut server = Server::start(guest, &options);
            server.get("/hello");
            let ((), took) = timed(|| server.stop());
            assert!(took < Duration::from_secs(5), "{guest} {variable}: {took:?}");
        }
    }
}

//! `--isolation`: instances that are kept, or a fresh one for each request.

use std::collections::HashSet;
use std::time::Duration;

use tempfile::TempDir;

use crate::inspect::componentize_js_app;
use crate::support::{COUNTERS, Server, TESTBEDS, Wasmserve, parallel, request, timed, write_component};

#[test]
fn each_request_gets_a_fresh_instance() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--isolation", "request", "--identify"]);
        assert_eq!(server.ready().text("isolation"), "request");
        let mut instances = HashSet::new();
        let mut connection = server.connect();
        for _ in 0..10 {
            let response = connection.get("/count");
            assert_eq!(response.text(), "1", "{guest}");
            assert!(instances.insert(response.instance()), "{guest}: an instance served twice");
        }
    }
}

#[test]
fn both_hooks_run_for_each_request() {
    for guest in COUNTERS {
        let server = Server::start(guest, &["--isolation", "request"]);
        let at_start = server.count(|r| r.is_guest_line("counter: startup"));
        for _ in 0..5 {
            assert_eq!(server.get("/").status, 200, "{guest}");
        }
        server.wait_for_count(5, "shutdown after each request", |r| {
            r.is_guest_line("counter: shutdown after 1 requests")
        });
        let startups = server.count(|r| r.is_guest_line("counter: startup"));
        // One instance may be made ahead of its request.
        assert!((5..=at_start + 6).contains(&startups), "{guest}: {startups} startups");
    }
}

#[test]
fn requests_run_at_the_same_time() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--isolation", "request"]);
        let (_, took) = timed(|| {
            parallel(8, |_| assert_eq!(server.get("/sleep?ms=500").text(), "slept"));
        });
        assert!(took < Duration::from_millis(2000), "{guest}: {took:?}");
    }
}

#[test]
fn a_trap_ends_one_request_only() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--isolation", "request"]);
        assert_eq!(server.get("/trap").status, 500, "{guest}");
        assert_eq!(server.get("/count").text(), "1", "{guest}");
    }
}

#[test]
fn a_client_that_leaves_ends_its_instance() {
    for guest in TESTBEDS {
        let options = ["--isolation", "request", "--instances", "1"];
        let server = Server::start(guest, &options);
        for target in ["/sleep?ms=3600000", "/stream?chunks=2&bytes=9&ms=3600000", "/spin"] {
            let mut leaving = server.connect();
            leaving.write(request("GET", target, &[], b""));
            if target.starts_with("/stream") {
                leaving.receive_head();
            } else if target == "/spin" {
                // It cannot be told to have started but by the time that it takes.
                crate::support::eventually("the guest computes", || {
                    let (cpu, _) = server.worker(0).cpu();
                    (cpu > Duration::from_millis(100)).then_some(())
                });
            }
            leaving.reset();
            // There is room for one only, so this is served when that one is gone.
            assert_eq!(server.get("/hello").text(), "Hello, world!", "{guest} {target}");
        }
    }
}

#[test]
fn auto_keeps_instances() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        assert_eq!(server.ready().text("isolation"), "worker", "{guest}");
    }
}

#[test]
fn auto_makes_fresh_ones_for_a_component_known_to_serve_only_once() {
    let folder = TempDir::new().unwrap();
    let once = write_component(folder.path(), "once.wat", componentize_js_app(false));
    let server = Wasmserve::serving(&once, &["--identify"]).start();
    assert_eq!(server.ready().text("isolation"), "request");
    server.wait_for("it says why", |r| r.message().contains("ComponentizeJS"));
    assert_ne!(server.get("/").instance(), server.get("/").instance());

    let kept = Wasmserve::serving(&once, &["--isolation", "worker", "--instances", "1", "--identify"]).start();
    assert_eq!(kept.ready().text("isolation"), "worker");
    assert_eq!(kept.get("/").instance(), kept.get("/").instance());

    let often = write_component(folder.path(), "often.wat", componentize_js_app(true));
    assert_eq!(Wasmserve::serving(often, &[]).start().ready().text("isolation"), "worker");
}

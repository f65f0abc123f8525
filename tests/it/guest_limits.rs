//! What an instance may take: memory, and what it may have logged.

use crate::support::{Server, TESTBEDS, Wasmserve};

#[test]
fn an_instance_that_wants_too_much_memory_ends() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--max-memory", "16MiB", "--instances", "1"]);
        let worker = server.worker(0);
        assert_eq!(server.get("/grow?mb=8").status, 200);
        assert_eq!(server.get("/grow?mb=8").status, 500);
        let record = server.wait_for("the death report", |r| r.is_event("instance-died"));
        assert_eq!(record.text("kind"), "memory-limit", "{}", record.line);
        assert!(record.message().contains("--max-memory"), "{}", record.line);
        assert_eq!(server.get("/grow?mb=8").status, 200, "a fresh instance has its own");
        assert_eq!(server.worker(0), worker);
        let slot = &server.status()["slots"][0];
        assert_eq!(slot["counters"]["traps_by_kind"]["memory-limit"], 1);
    }
}

#[test]
fn a_component_that_begins_with_too_much_memory_is_refused() {
    let finished = Wasmserve::serving("testbed-sync", &["--max-memory", "64KiB"]).run();
    assert_eq!(finished.code, Some(4), "{}", finished.stderr);
    assert!(finished.stderr.contains("--max-memory"), "{}", finished.stderr);
}

#[test]
fn guests_have_only_so_much_logged() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--limit-guest-log", "10kB"]);
        assert_eq!(server.get("/print?count=10000&text=flood").status, 200);
        let record = server.wait_for("the record", |r| r.is_event("guest-output-dropped"));
        assert!(record.number("dropped") > 0 && record.message().contains("--limit-guest-log"), "{}", record.line);
        // Of 10,000 records of a hundred bytes each, in how many seconds that may take.
        assert!(server.count(|r| r.is_guest_line("flood")) < 5000);
        let counters = &server.status()["slots"][0]["counters"];
        assert!(counters["dropped_guest_output"].as_u64().unwrap() > 100_000, "{counters}");
    }
}

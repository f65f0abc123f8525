//! One record tells how an instance died: which, why, after how many requests, and what was in flight.

use std::time::Duration;

use crate::support::{Connection, Record, Server, TESTBEDS, request};

fn death(server: &Server) -> Record {
    server.wait_for("the death report", |r| r.is_event("instance-died"))
}

#[test]
fn a_death_report_names_the_trap() {
    for guest in TESTBEDS {
        for (target, trap) in [
            ("/trap", "unreachable"),
            ("/panic", "unreachable"),
            ("/recurse", "stack-overflow"),
            ("/oob", "out-of-bounds"),
        ] {
            let server = Server::start(guest, &["--instances", "1"]);
            server.get("/hello");
            server.get("/hello");
            assert_eq!(server.get(target).status, 500);
            let record = death(&server);
            assert_eq!((record.text("kind"), record.text("trap")), ("trap", trap), "{guest}: {}", record.line);
            assert_eq!(record.text("app"), guest);
            assert_eq!((record.number("worker"), record.number("instance")), (0, 1));
            assert_eq!((record.number("served"), record.number("in_flight")), (3, 1), "{guest}: {}", record.line);
            assert_eq!(record.level(), "error");
        }
    }
}

#[test]
fn a_death_report_tells_how_many_requests_were_in_flight() {
    let server = Server::start("testbed-async", &[]);
    let held: Vec<Connection> = (0..3)
        .map(|_| {
            let mut connection = server.connect();
            connection.write(request("GET", "/stream?chunks=2&bytes=10&ms=3600000", &[], b""));
            let head = connection.receive_head();
            connection.body(&head).exactly(10);
            connection
        })
        .collect();
    server.get("/hello");
    server.get("/trap");
    let record = death(&server);
    assert_eq!((record.number("served"), record.number("in_flight")), (5, 4), "{}", record.line);
    drop(held);
}

#[test]
fn a_death_report_has_the_backtrace_if_no_request_was_told() {
    for guest in TESTBEDS {
        let mut server = Server::start(guest, &["--instances", "1", "--env", "TESTBED_SHUTDOWN=trap"]);
        server.get("/hello");
        server.stop();
        let record = death(&server);
        assert!(record.message().contains("backtrace"), "{guest}: {}", record.line);
        assert_eq!((record.number("served"), record.number("in_flight")), (1, 0), "{guest}");
    }
}

#[test]
fn a_death_report_names_the_limit() {
    for guest in TESTBEDS {
        let options = ["--max-requests", "1", "--instances", "1", "--timeout-graceful-shutdown", "0.3"];
        for step in ["sleep:3600000", "spin"] {
            let step = format!("TESTBED_SHUTDOWN={step}");
            let server = Server::start(guest, &[&options[..], &["--env", &step]].concat());
            server.get("/hello");
            let record = death(&server);
            assert_eq!(record.text("kind"), "shutdown-limit", "{guest}: {}", record.line);
            assert!(record.field("trap").is_null(), "{guest}: {}", record.line);
            assert!(record.message().contains("--timeout-graceful-shutdown"), "{guest}: {}", record.line);
        }
    }
}

#[test]
fn an_instance_that_is_replaced_in_order_is_no_death() {
    for guest in TESTBEDS {
        let mut server = Server::start(guest, &["--max-requests", "1", "--max-lifetime", "0.2"]);
        server.get("/hello");
        crate::support::for_a_while(Duration::from_millis(500), || {});
        server.stop();
        assert_eq!(server.count(|r| r.is_event("instance-died")), 0, "{guest}");
    }
}

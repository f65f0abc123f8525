//! Time limits on what a guest does with a request: until its response begins, while its body is on its way, after it,
//! and on the processor.

use std::time::{Duration, Instant};

use crate::support::{Connection, Record, Server, TESTBEDS, eventually, request};

const FOREVER: &str = "ms=3600000";

fn death(server: &Server) -> Record {
    server.wait_for("the death report", |r| r.is_event("instance-died"))
}

fn asked(server: &Server, target: &str) -> Connection {
    let mut connection = server.connect();
    connection.write(request("GET", target, &[], b""));
    connection
}

/// A response of which the head has come.
fn begun(server: &Server, target: &str) -> Connection {
    let mut connection = asked(server, target);
    assert_eq!(connection.receive_head().status, 200);
    connection
}

/// Reads on to the end: whether the body was complete.
fn is_complete(mut connection: Connection) -> bool {
    let mut rest = Vec::new();
    let read = std::io::Read::read_to_end(connection.stream(), &mut rest);
    read.is_ok() && rest.ends_with(b"0\r\n\r\n")
}

#[test]
fn a_request_without_a_response_in_time_gets_504_and_its_instance_goes() {
    for guest in TESTBEDS {
        for target in ["/spin".to_owned(), format!("/sleep?{FOREVER}"), format!("/burn?{FOREVER}")] {
            let server = Server::start(guest, &["--timeout-request", "0.3", "--instances", "1"]);
            let worker = server.worker(0);
            let response = server.get(&target);
            assert_eq!(response.status, 504, "{guest} {target}");
            let record = server.wait_for("its log", |r| r.is_event("request-failed"));
            assert_eq!(response.header("x-request-id"), Some(record.text("request_id")));
            assert!(record.message().contains("--timeout-request"), "{}", record.line);
            let record = death(&server);
            assert_eq!(record.text("kind"), "request-limit", "{guest} {target}: {}", record.line);
            assert_eq!(server.get("/count").text(), "1", "a fresh instance");
            assert_eq!(server.worker(0), worker);
        }
    }
}

#[test]
fn a_request_that_no_instance_takes_in_time_gets_504() {
    // Two of them: the second waits for the first's end, and both are late at once.
    let server = Server::start("testbed-sync", &["--timeout-request", "0.5", "--instances", "1", "--threads", "1"]);
    let statuses = crate::support::parallel(4, |_| server.get("/spin").status);
    assert_eq!(statuses, [504; 4]);
    eventually("all is well again", || (server.get("/hello").status == 200).then_some(()));
}

#[test]
fn a_late_request_does_not_end_the_others_of_its_instance() {
    let server = Server::start("testbed-async", &["--timeout-request", "0.5", "--identify"]);
    let mut other = server.connect();
    other.write(request("GET", "/stream?chunks=8&bytes=10&ms=200", &[], b""));
    let head = other.receive_head();
    assert_eq!(server.get(&format!("/sleep?{FOREVER}")).status, 504);
    let recycled = server.wait_for("its retirement", |r| r.is_event("instance-recycled"));
    assert_eq!(recycled.text("why"), "deadline");
    assert_eq!(server.get("/hello").instance(), 2, "it takes no more requests");
    assert_eq!(other.body(&head).exactly(80).len(), 80);
    assert_eq!(death(&server).text("kind"), "request-limit", "with nothing left but the late request");
}

#[test]
fn a_guest_that_does_not_yield_does_not_get_time_for_its_other_requests() {
    let server = Server::start("testbed-async", &["--timeout-request", "0.5"]);
    let other = begun(&server, "/stream?chunks=1000000&bytes=10&ms=20");
    assert_eq!(server.get("/spin").status, 504);
    assert_eq!(death(&server).text("kind"), "request-limit");
    assert!(!is_complete(other));
    assert_eq!(server.get("/hello").status, 200);
}

#[test]
fn a_body_that_makes_no_progress_is_cut_off() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--timeout-response-progress", "0.3", "--instances", "1"]);
        let connection = begun(&server, &format!("/stream?chunks=2&bytes=10&{FOREVER}"));
        assert!(!is_complete(connection), "{guest}");
        let record = server.wait_for("the record", |r| r.is_event("response-cut"));
        assert_eq!(record.text("option"), "--timeout-response-progress");
        let death = death(&server);
        assert_eq!(death.text("kind"), "request-limit", "{guest}");
        assert!(death.text("message").contains("--timeout-response-progress"), "{guest}: {}", death.text("message"));
        assert_eq!(server.get("/count").text(), "1");
    }
}

#[test]
fn a_body_that_makes_progress_may_take_long() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--timeout-response-progress", "0.5", "--timeout-request", "0.5"]);
        let response = server.get("/stream?chunks=12&bytes=10&ms=100");
        assert_eq!(response.body.len(), 120, "{guest}");
        assert_eq!(server.count(|r| r.is_event("instance-died") || r.is_event("response-cut")), 0);
    }
}

#[test]
fn a_response_as_a_whole_may_have_a_limit() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--timeout-response", "0.5", "--instances", "1"]);
        assert!(!is_complete(begun(&server, "/stream?chunks=1000000&bytes=10&ms=20")), "{guest}");
        let record = server.wait_for("the record", |r| r.is_event("response-cut"));
        assert_eq!(record.text("option"), "--timeout-response");
        assert_eq!(server.get("/hello").status, 200);
    }
}

#[test]
fn a_response_may_not_be_larger_than_allowed() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--limit-response-body", "10000"]);
        assert_eq!(server.get("/big?bytes=10000").body.len(), 10_000);
        // Whether anything has been sent when that is found depends on how the guest is scheduled.
        let larger = asked(&server, "/big?bytes=10001").try_receive();
        assert!(larger.is_err() || larger.is_ok_and(|response| response.status == 500), "{guest}");
        assert!(!is_complete(begun(&server, "/stream?chunks=100&bytes=1000&ms=5")), "{guest}");
        let record = server.wait_for("the record", |r| r.is_event("response-cut"));
        assert_eq!(record.text("option"), "--limit-response-body");
        eventually("all is well again", || (server.get("/hello").status == 200).then_some(()));
    }
}

#[test]
fn what_a_guest_does_after_its_response_has_to_end_too() {
    let server = Server::start("testbed-sync", &["--timeout-request", "0.3", "--instances", "1"]);
    assert_eq!(server.get(&format!("/after?{FOREVER}")).status, 200);
    assert_eq!(death(&server).text("kind"), "request-limit");
    assert_eq!(server.get("/count").text(), "1");
}

#[test]
fn a_request_has_a_limit_of_processor_time() {
    for offload in ["slow", "always"] {
        let server =
            Server::start("testbed-sync", &["--max-cpu-time", "0.2", "--instances", "1", "--offload", offload]);
        assert_eq!(server.get("/sleep?ms=400").status, 200, "waiting costs nothing");
        for _ in 0..3 {
            assert_eq!(server.get("/burn?ms=20").status, 200, "each request has its own");
        }
        assert_eq!(server.get("/spin").status, 500);
        assert_eq!(death(&server).text("kind"), "cpu-limit", "--offload {offload}");
        assert_eq!(server.get("/count").text(), "1");
    }
}

#[test]
fn an_async_instance_has_a_share_of_the_processor() {
    let server = Server::start("testbed-async", &["--max-cpu-share", "0.2"]);
    let worker = server.worker(0);
    let spinning = server.occupy("/spin");
    let (before, began) = (worker.cpu(), Instant::now());
    let used = eventually("two seconds have passed", || {
        let (user, system) = worker.cpu();
        (began.elapsed() >= Duration::from_secs(2)).then(|| user + system - before.0 - before.1)
    });
    let allowed = began.elapsed().mul_f64(0.2) + Duration::from_millis(250);
    assert!(used < allowed, "{used:?} of processor time in {:?}", began.elapsed());
    assert!(used > Duration::from_millis(100), "it does go on: {used:?}");
    drop(spinning);
}

#[test]
fn an_instance_that_is_replaced_does_not_go_on_for_ever() {
    for guest in TESTBEDS {
        let options = ["--timeout-request", "0.4", "--max-requests", "1", "--instances", "1", "--identify"];
        let server = Server::start(guest, &options);
        assert_eq!(server.get(&format!("/after?{FOREVER}")).status, 200);
        assert_eq!(server.get("/hello").instance(), 2);
        assert_eq!(death(&server).text("kind"), "request-limit", "{guest}");
    }
}

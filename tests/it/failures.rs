//! A guest that fails: its request gets 500 with an id, its instance is replaced, nobody else notices.

use std::time::Duration;

use crate::support::{Connection, Response, Server, TESTBEDS, eventually, parallel, request};

/// What kills an instance, and what its backtrace or message says.
const DEADLY: [(&str, &str); 4] =
    [("/trap", "unreachable"), ("/panic", "unreachable"), ("/recurse", "stack"), ("/oob", "out of bounds")];

/// Asserts that this is the 500 of a failed request, and returns its id.
#[track_caller]
fn failed(response: &Response) -> String {
    assert_eq!(response.status, 500);
    let id = response.header("x-request-id").expect("x-request-id").to_owned();
    assert!(response.text().contains(&id), "{}", response.text());
    assert!(response.body.len() < 200, "a short body: {}", response.text());
    id
}

#[test]
fn a_trap_is_500_with_an_id_that_the_log_repeats_with_the_backtrace() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        for (target, reason) in DEADLY {
            let id = failed(&server.get(target));
            let record = server.wait_for("the failure", |r| r.is_event("request-failed") && r.text("request_id") == id);
            assert!(record.message().contains("backtrace"), "{guest} {target}: {}", record.line);
            assert!(record.message().contains(reason), "{guest} {target}: {}", record.line);
        }
    }
}

#[test]
fn every_failure_has_an_id_of_its_own() {
    let server = Server::start("testbed-sync", &["--workers", "2"]);
    let mut ids = parallel(10, |_| failed(&server.get("/trap")));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 10);
}

#[test]
fn the_message_of_a_panic_is_in_the_log() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        failed(&server.get("/panic"));
        server.wait_for("the panic's message", |r| {
            r.is_guest() && r.text("stream") == "stderr" && r.message().contains("testbed panic")
        });
    }
}

#[test]
fn the_instance_is_replaced_and_the_worker_is_not() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--instances", "1", "--identify"]);
        let worker = server.worker(0);
        for (round, (target, _)) in DEADLY.into_iter().enumerate() {
            let instance = round as u64 + 1;
            assert_eq!(server.get("/count").text(), "1", "{guest}");
            let response = server.get("/count");
            assert_eq!((response.text().as_str(), response.instance()), ("2", instance), "{guest}");
            failed(&server.get(target));
        }
        assert_eq!(server.get("/count").text(), "1", "{guest}");
        // Each has had its startup.
        server.wait_for_count(5, "startups", |r| r.is_guest_line("testbed: startup"));
        assert_eq!(server.worker(0), worker, "{guest}");
        assert!(worker.runs());
    }
}

#[test]
fn an_error_that_the_handler_returns_is_500_and_keeps_the_instance() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--instances", "1", "--identify"]);
        assert_eq!(server.get("/count").text(), "1", "{guest}");
        let id = failed(&server.get("/error"));
        let record = server.wait_for("the failure", |r| r.is_event("request-failed") && r.text("request_id") == id);
        assert!(record.message().contains("testbed error"), "{guest}: {}", record.line);
        // It is in order: it said itself that it cannot answer.
        let response = server.get("/count");
        assert_eq!((response.text().as_str(), response.instance()), ("2", 1), "{guest}");
    }
}

#[test]
fn a_handler_that_ends_without_an_answer_is_500() {
    let server = Server::start("testbed-sync", &[]);
    failed(&server.get("/none"));
    assert_eq!(server.get("/hello").status, 200);
}

#[test]
fn requests_in_other_instances_are_untouched() {
    for guest in TESTBEDS {
        let options = ["--instances", "4", "--concurrency", "1", "--identify"];
        let server = Server::start(guest, &options);
        let mut held: Vec<Connection> = (0..3).map(|_| server.connect()).collect();
        let heads: Vec<_> = held
            .iter_mut()
            .map(|connection| {
                let target = "/stream?chunks=2&bytes=1000&ms=1000";
                connection.write(request("GET", target, &[], b""));
                connection.receive_head()
            })
            .collect();
        for (target, _) in DEADLY {
            failed(&server.get(target));
        }
        for (connection, head) in held.iter_mut().zip(heads) {
            assert_eq!(connection.body(&head).exactly(2000).len(), 2000, "{guest}");
        }
    }
}

#[test]
fn requests_in_the_same_async_instance_fail_with_it() {
    let server = Server::start("testbed-async", &["--identify"]);
    let mut held: Vec<Connection> = (0..3).map(|_| server.connect()).collect();
    for connection in &mut held {
        connection.write(request("GET", "/stream?chunks=2&bytes=10&ms=3600000", &[], b""));
        let head = connection.receive_head();
        connection.body(&head).exactly(10);
    }
    let mut waiting = server.connect();
    waiting.write(request("GET", "/sleep?ms=3600000", &[], b""));

    failed(&server.get("/trap"));
    failed(&waiting.receive());
    for mut connection in held {
        // Its head is sent, so the body breaks off.
        assert!(connection.is_at_end());
    }
    assert_eq!(server.get("/count").instance(), 2);
}

#[test]
fn a_response_that_breaks_off_never_looks_whole() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let mut connection = server.connect();
        connection.write(request("GET", "/abort?bytes=1000&ms=100", &[], b""));
        let head = connection.receive_head();
        if head.status == 200 {
            let mut body = Vec::new();
            let end = std::io::Read::read_to_end(&mut connection.body(&head), &mut body);
            assert!(end.is_err(), "{guest}: {} bytes and a proper end", body.len());
        } else {
            assert_eq!(head.status, 500, "{guest}");
        }
        server.wait_for("the backtrace", |r| r.message().contains("backtrace"));

        let client = server.http2();
        let mut exchange = client.begin("GET", "/abort?bytes=1000&ms=100", &[]);
        exchange.finish();
        let (head, mut reply) = exchange.receive_head();
        if head.status == 200 {
            let broken = eventually("the stream ends", || match reply.frame() {
                Some(Ok(_)) => None,
                Some(Err(_)) => Some(true),
                None => Some(false),
            });
            assert!(broken, "{guest}: a proper end over HTTP/2");
        }
        // The connection lives on.
        assert_eq!(client.get("/hello").text(), "Hello, world!", "{guest}");
    }
}

#[test]
fn the_connection_serves_on_after_a_500() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let mut connection = server.connect();
        for _ in 0..3 {
            failed(&connection.get("/trap"));
            assert_eq!(connection.get("/hello").text(), "Hello, world!", "{guest}");
        }
    }
}

#[test]
fn a_hundred_failures_leave_nothing_behind() {
    for guest in TESTBEDS {
        let server = Server::start_inspectable(guest, &["--no-access-log"]);
        let worker = server.worker(0);
        for _ in 0..10 {
            server.get("/recurse");
            server.get("/trap");
        }
        let (files, memory) = (worker.open_files(), worker.status("VmRSS"));
        for _ in 0..50 {
            assert_eq!(server.get("/recurse").status, 500, "{guest}");
            assert_eq!(server.get("/trap").status, 500, "{guest}");
        }
        assert!(worker.open_files() <= files + 2, "{guest}: files");
        let grown = worker.status("VmRSS").saturating_sub(memory);
        assert!(grown < 16 << 10, "{guest}: memory grew by {grown} KiB");
        assert_eq!(server.worker(0), worker);
    }
}

#[test]
fn clients_of_other_workers_notice_nothing_of_a_storm_of_traps() {
    let options = ["--workers", "2", "--identify", "--no-access-log"];
    let server = Server::start("testbed-async", &options);
    let mut trapping = server.connect();
    let noisy = trapping.get("/hello").place().0;
    let mut quiet = eventually("a connection to the other worker", || {
        let mut connection = server.connect();
        (connection.get("/hello").place().0 != noisy).then_some(connection)
    });
    let count: u32 = quiet.get("/count").text().parse().unwrap();
    for n in 1..=20 {
        assert_eq!(trapping.get("/trap").status, 500);
        assert_eq!(quiet.get("/count").text(), (count + n).to_string());
    }
    assert!(server.worker(noisy).runs());
    assert!(server.worker(1 - noisy).cpu().0 < Duration::from_secs(20));
}

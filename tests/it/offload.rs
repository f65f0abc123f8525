//! The worker's loop is never blocked by a guest that computes, nor its threads by clients that are slow.

use std::thread;
use std::time::Duration;

use crate::support::{Connection, Server, eventually, median, parallel, request, timed};

/// What the rest of a worker may take while guests compute.
const PROMPT: Duration = Duration::from_millis(50);

/// Starts this many computations of three seconds and returns when all of them run.
fn occupy(server: &Server, guests: usize) -> Vec<Connection> {
    let before = server.worker(0).cpu().0;
    let connections = (0..guests).map(|_| {
        let mut connection = server.connect();
        connection.write(request("GET", "/burn?ms=3000", &[], b""));
        connection
    });
    let connections = connections.collect();
    eventually("the guests compute", || {
        let used = server.worker(0).cpu().0 - before;
        (used > Duration::from_millis(100)).then_some(())
    });
    connections
}

#[track_caller]
fn all_burned(connections: Vec<Connection>) {
    for mut connection in connections {
        assert_eq!(connection.receive().text(), "burned");
    }
}

/// The median of nine tries, the best of three rounds: other tests compete for the cores, which can only add time.
#[track_caller]
fn assert_prompt(what: &str, mut probe: impl FnMut()) {
    let rounds: Vec<_> = (0..3).map(|_| median(9, || timed(&mut probe).1)).collect();
    assert!(rounds.iter().any(|time| *time < PROMPT), "{what}: {rounds:?}");
}

#[test]
fn sync_guests_on_every_thread_delay_neither_connections_nor_other_instances() {
    for offload in ["slow", "always"] {
        let server = Server::start(
            "testbed-sync",
            &["--offload", offload, "--timeout-worker-healthcheck", "1.5", "--no-access-log"],
        );
        let mut kept = server.connect();
        kept.get("/hello");
        // With every thread taken, a call that must go to a thread has to wait for one.
        let guests = if offload == "slow" { 8 } else { 7 };
        let computing = occupy(&server, guests);
        assert_prompt("hello over a new connection", || {
            assert_eq!(server.get("/hello").text(), "Hello, world!");
        });
        assert_prompt("hello over a kept connection", || {
            assert_eq!(kept.get("/hello").text(), "Hello, world!");
        });
        assert_prompt("a refusal, which needs no guest", || {
            let mut connection = server.connect();
            connection.write("GET / HTTP/1.1\r\n\r\n");
            assert_eq!(connection.receive().status, 400);
        });
        all_burned(computing);
        assert_eq!(server.count(|r| r.is_event("worker-exited")), 0, "the heartbeat went on");
    }
}

#[test]
fn an_async_guest_that_computes_delays_neither_connections_nor_other_instances() {
    let server = Server::start(
        "testbed-async",
        &["--instances", "3", "--timeout-worker-healthcheck", "1.5", "--no-access-log", "--identify"],
    );
    let computing = occupy(&server, 1);
    assert_prompt("hello in another instance", || {
        assert_eq!(server.get("/hello").text(), "Hello, world!");
    });
    assert_prompt("a refusal, which needs no guest", || {
        let mut connection = server.connect();
        connection.write("GET / HTTP/1.1\r\n\r\n");
        assert_eq!(connection.receive().status, 400);
    });
    all_burned(computing);
    assert_eq!(server.count(|r| r.is_event("worker-exited")), 0, "the heartbeat went on");
}

#[test]
fn a_streaming_response_goes_on_while_other_guests_compute() {
    let server = Server::start("testbed-sync", &["--no-access-log"]);
    let computing = occupy(&server, 8);
    let mut connection = server.connect();
    connection.write(request("GET", "/stream?chunks=28&bytes=100&ms=10", &[], b""));
    let head = connection.receive_head();
    let mut body = connection.body(&head);
    assert_prompt("a chunk every 10 ms", || {
        body.exactly(100);
    });
    all_burned(computing);
}

#[test]
fn a_guest_that_never_stops_is_not_the_workers_end() {
    for guest in ["testbed-sync", "testbed-async"] {
        let options = ["--instances", "3", "--timeout-worker-healthcheck", "1"];
        let server = Server::start(guest, &options);
        let worker = server.worker(0);
        let mut spinning = server.connect();
        spinning.write(request("GET", "/spin", &[], b""));
        eventually("the guest computes", || (worker.cpu().0 > Duration::from_millis(200)).then_some(()));
        eventually("well more than the time without a heartbeat", || {
            assert_eq!(server.get("/hello").text(), "Hello, world!", "{guest}");
            (worker.cpu().0 > Duration::from_millis(2500)).then_some(())
        });
        assert_eq!(server.worker(0), worker, "{guest}");
        assert_eq!(server.count(|r| r.is_event("worker-exited")), 0, "{guest}");
    }
}

#[test]
fn no_more_threads_than_asked_for() {
    for offload in ["slow", "always"] {
        let server = Server::start("testbed-sync", &["--threads", "2", "--offload", offload]);
        let worker = server.worker(0);
        thread::scope(|scope| {
            let burning = scope.spawn(|| {
                parallel(12, |_| assert_eq!(server.get("/burn?ms=100").text(), "burned"));
            });
            while !burning.is_finished() {
                // The loop, two threads for guests, four for look-ups, one to spare.
                let threads = worker.status("Threads");
                assert!(threads <= 8, "{offload}: {threads} threads");
                server.get("/hello");
            }
        });
    }
}

#[test]
fn waiting_holds_no_thread() {
    let server = Server::start("testbed-sync", &["--threads", "1"]);
    let (_, took) = timed(|| {
        parallel(16, |_| assert_eq!(server.get("/sleep?ms=500").text(), "slept"));
    });
    assert!(took < Duration::from_millis(2000), "sixteen sleeps of 500 ms: {took:?}");
}

/// Begins uploads that go no further.
fn slow_uploads(server: &Server, count: usize, sent: usize, announced: usize) -> Vec<Connection> {
    let uploads = (0..count).map(|_| {
        let mut connection = server.connect();
        let length = announced.to_string();
        connection.write(request("POST", "/length", &[("Content-Length", &length)], b""));
        connection.write(vec![b'x'; sent]);
        connection
    });
    uploads.collect()
}

#[test]
fn forty_slow_uploads_leave_a_sync_app_answering() {
    let server = Server::start("testbed-sync", &["--threads", "8", "--no-access-log"]);
    let mut uploads = slow_uploads(&server, 40, 1000, 60_000);
    assert_prompt("hello beside slow uploads", || {
        assert_eq!(server.get("/hello").text(), "Hello, world!");
    });
    // They were not forgotten.
    for upload in &mut uploads {
        upload.write(vec![b'x'; 59_000]);
    }
    for upload in &mut uploads {
        assert_eq!(upload.receive().text(), "60000");
    }
}

#[test]
fn the_first_64_kib_of_a_body_hold_no_instance() {
    let server = Server::start("testbed-sync", &["--instances", "1", "--queue", "1"]);
    let mut uploads = slow_uploads(&server, 5, 65_000, 65_536);
    assert_eq!(server.get("/hello").text(), "Hello, world!");
    for upload in &mut uploads {
        upload.write(vec![b'x'; 536]);
        assert_eq!(upload.receive().text(), "65536");
    }
}

#[test]
fn slow_uploads_that_hold_instances_hold_no_threads() {
    let server = Server::start("testbed-sync", &["--threads", "2", "--no-access-log"]);
    let mut uploads = slow_uploads(&server, 16, 100_000, 200_000);
    assert_prompt("hello beside uploads in instances", || {
        assert_eq!(server.get("/hello").text(), "Hello, world!");
    });
    assert_eq!(server.get("/burn?ms=100").text(), "burned");
    for upload in &mut uploads {
        upload.write(vec![b'x'; 100_000]);
        assert_eq!(upload.receive().text(), "200000");
    }
}

#[test]
fn requests_of_the_computing_instance_wait_and_are_answered() {
    let server = Server::start("testbed-async", &["--identify"]);
    let computing = occupy(&server, 1);
    let answers = parallel(5, |_| server.get("/hello"));
    assert!(answers.iter().all(|answer| answer.text() == "Hello, world!" && answer.instance() == 1));
    all_burned(computing);
}

//! Clients that leave before they are answered: out of the queue if their request has not started; and
//! once it has, it runs on in its place, and its instance is kept.

use std::io::Read;
use std::time::Duration;

use crate::support::{Connection, Server, TESTBEDS, eventually, parallel, request, timed};

fn start(guest: &str) -> Server {
    let options = ["--instances", "1", "--concurrency", "1", "--queue", "1", "--identify"];
    Server::start(guest, &options)
}

/// Takes the only instance until it is told to let go: the guest waits for the rest of a body.
struct Holder(Connection);

impl Holder {
    fn hold(server: &Server) -> Self {
        let mut connection = server.connect();
        let headers = [("Content-Length", "100001"), ("Connection", "close")];
        connection.write(request("POST", "/echo", &headers, b""));
        connection.write(vec![b'x'; 100_000]);
        assert_eq!(connection.receive_head().status, 200);
        Self(connection)
    }

    fn let_go(mut self) {
        self.0.write("x");
        let mut rest = Vec::new();
        self.0.stream().read_to_end(&mut rest).unwrap();
        assert!(rest.ends_with(b"x\r\n0\r\n\r\n"), "the held request is answered to its end");
    }
}

/// Waits in the queue, which has one place, as soon as somebody else has left it.
fn wait_in_the_queue(server: &Server) -> Connection {
    eventually("a place in the queue", || {
        let mut next = server.connect();
        next.write(request("GET", "/count", &[], b""));
        // Who has no place is told so at once.
        let refused = next.answers_within(Duration::from_millis(300));
        (!refused).then_some(next)
    })
}

#[test]
fn a_client_that_leaves_while_it_waits_is_out_of_the_queue() {
    for guest in TESTBEDS {
        let server = start(guest);
        let holder = Holder::hold(&server);
        let leaving = server.fill_the_queue();
        leaving.reset();

        let mut next = wait_in_the_queue(&server);
        holder.let_go();
        // The request of the one who left never ran.
        assert_eq!(next.receive().text(), "1", "{guest}");
    }
}

#[test]
fn a_stream_that_is_reset_while_it_waits_is_out_of_the_queue() {
    for guest in TESTBEDS {
        let server = start(guest);
        let holder = Holder::hold(&server);
        let client = server.http2();
        let mut leaving = client.begin("GET", "/count", &[]);
        leaving.finish();
        // The next stream of the connection comes after it.
        assert_eq!(client.get("/hello").status, 503, "{guest}: the queue is full");
        leaving.abandon();
        let mut next = wait_in_the_queue(&server);
        holder.let_go();
        assert_eq!(next.receive().text(), "1", "{guest}");
    }
}

#[test]
fn a_client_that_leaves_after_its_request_started_leaves_the_instance_as_it_is() {
    for guest in TESTBEDS {
        // Room in the queue: the one that leaves may still be in it when the next one comes.
        let options = ["--instances", "1", "--concurrency", "1", "--identify"];
        let server = Server::start(guest, &options);
        assert_eq!(server.get("/count").text(), "1", "{guest}");
        for target in [
            "/sleep?ms=300",
            "/burn?ms=300",
            "/stream?chunks=3&bytes=10&ms=100",
            "/stream?chunks=0&bytes=10000",
            "/big?bytes=50000000",
        ] {
            let mut leaving = server.connect();
            leaving.write(request("GET", target, &[], b""));
            if target.starts_with("/stream") || target.starts_with("/big") {
                leaving.receive_head();
            }
            leaving.reset();
            // Waits for its turn, unless it comes before the other one has even been seen.
            assert_eq!(server.get("/hello").instance(), 1, "{guest} {target}");
        }
        let response = server.get("/count");
        assert_eq!((response.text().as_str(), response.instance()), ("2", 1), "{guest}");
    }
}

#[test]
fn a_request_that_started_keeps_its_place_until_it_ends() {
    for guest in TESTBEDS {
        let server = start(guest);
        let mut leaving = server.connect();
        leaving.write(request("GET", "/after?ms=1500", &[], b""));
        leaving.receive_head();
        leaving.reset();
        assert_eq!(server.get("/hello").status, 200);
        server.wait_for("the next request", |r| r.is_access() && r.text("path") == "/hello");
        let done = server.count(|r| r.is_guest_line("after: done"));
        assert_eq!(done, 1, "{guest}: the next request ran before the work had ended");
    }
}

#[test]
fn an_upload_that_breaks_off_is_an_error_for_the_guest_only() {
    for guest in TESTBEDS {
        let server = start(guest);
        assert_eq!(server.get("/count").text(), "1", "{guest}");
        // With and without more than what is read before the guest runs; announced and chunked.
        for (sent, framing) in [
            (10, ("Content-Length", "1000")),
            (100_000, ("Content-Length", "1000000")),
            (10, ("Transfer-Encoding", "chunked")),
        ] {
            let mut leaving = server.connect();
            leaving.write(request("POST", "/echo", &[framing], b""));
            if framing.1 == "chunked" {
                leaving.write(format!("{:x}\r\n", sent * 2));
            }
            leaving.write(vec![b'x'; sent]);
            leaving.finish_writing();
            drop(leaving);
            let response = server.get("/hello");
            assert_eq!((response.status, response.instance()), (200, 1), "{guest}");
        }
        let response = server.get("/count");
        assert_eq!((response.text().as_str(), response.instance()), ("2", 1), "{guest}");
    }
}

#[test]
fn an_endless_response_ends_when_its_client_has_gone() {
    for guest in TESTBEDS {
        let server = start(guest);
        let worker = server.worker(0);
        for _ in 0..5 {
            let mut leaving = server.connect();
            leaving.write(request("GET", "/stream?chunks=0&bytes=1000", &[], b""));
            let head = leaving.receive_head();
            leaving.body(&head).exactly(10_000);
            drop(leaving);
            // There is one place only, so this shows that the endless one has ended.
            assert_eq!(server.get("/hello").instance(), 1, "{guest}");
        }
        assert!(worker.runs());
    }
}

#[test]
fn clients_that_leave_at_any_moment_leave_no_place_taken() {
    let options = ["--concurrency", "4", "--no-access-log"];
    let server = Server::start("testbed-async", &options);
    parallel(4, |client| {
        for n in 0..50 {
            let mut leaving = server.connect();
            let target =
                ["/hello", "/stream?chunks=3&bytes=10&ms=1", "/sleep?ms=1", "/big?bytes=100000"][(client + n) % 4];
            leaving.write(request("GET", target, &[], b""));
            if n % 2 == 0 {
                leaving.receive_head();
            }
            leaving.reset();
        }
    });
    let (_, took) = timed(|| parallel(4, |_| assert_eq!(server.get("/sleep?ms=500").text(), "slept")));
    assert!(took < Duration::from_millis(1500), "one after the other they would take two seconds: {took:?}");
}

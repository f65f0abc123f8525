//! How much a client may send, and how many clients, connections and requests there may be.

use std::io::Read;
use std::time::Duration;

use nix::libc::{SYS_accept, SYS_accept4};

use crate::support::{
    Connection, HELLOS, MemoryWatch, Server, TESTBEDS, Wasmserve, chunked, eventually, for_a_while, parallel, request,
    syscalls_during,
};

fn target(length: usize) -> String {
    "/hello?".to_owned() + &"x".repeat(length - 7)
}

/// Refused with this status, and the connection is at its end.
#[track_caller]
fn assert_refused(mut connection: Connection, status: u16) {
    assert_eq!(connection.receive().status, status);
    assert!(connection.is_at_end());
}

#[test]
fn a_target_that_is_too_long_is_414() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--limit-request-line", "1000"]);
        assert_eq!(server.get(&target(1000)).status, 200, "{guest}");
        // Beyond all buffers too, and when it never ends.
        for length in [1001, 5_000, 100_000, 1_000_000] {
            let mut connection = server.connect();
            connection.write(request("GET", &target(length), &[], b""));
            assert_refused(connection, 414);
        }
        let mut connection = server.connect();
        connection.write(format!("GET /{}", "x".repeat(100_000)));
        assert_refused(connection, 414);
        assert_eq!(server.http2().get(&target(1001)).status, 414, "{guest}");
        assert_eq!(server.http2().get(&target(1000)).status, 200, "{guest}");
    }
}

#[test]
fn too_many_fields_are_431() {
    for guest in TESTBEDS {
        for most in [10, 100, 200] {
            let server = Server::start(guest, &["--limit-request-fields", &most.to_string()]);
            // With Host.
            let fields = |count: usize| vec![("x", "y"); count - 1];
            assert_eq!(server.send("GET", "/hello", &fields(most), b"").status, 200, "{guest} {most}");
            for count in [most + 1, most * 3] {
                let mut connection = server.connect();
                connection.write(request("GET", "/hello", &fields(count), b""));
                assert_refused(connection, 431);
            }
            assert_eq!(server.http2().exchange("GET", "/hello", &vec![("x", "y"); most + 1], b"").status, 431);
            assert_eq!(server.http2().exchange("GET", "/hello", &vec![("x", "y"); most], b"").status, 200);
        }
    }
}

#[test]
fn fields_that_are_too_large_are_431() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--limit-request-header-size", "5000"]);
        let value = |length: usize| "y".repeat(length);
        assert_eq!(server.send("GET", "/hello", &[("x", &value(4900))], b"").status, 200, "{guest}");
        for length in [5000, 100_000, 5_000_000] {
            let mut connection = server.connect();
            let sent = connection.try_write(request("GET", "/hello", &[("x", &value(length))], b""));
            // Who sends on and on may be cut off before all is sent.
            if sent.is_ok() || length < 1_000_000 {
                assert_refused(connection, 431);
            }
        }
        let mut connection = server.connect();
        connection.write(format!("GET / HTTP/1.1\r\nx: {}", value(100_000)));
        assert_refused(connection, 431);
        for length in [5000, 9000] {
            let answer = server.http2().exchange("GET", "/hello", &[("x", &value(length))], b"");
            assert_eq!(answer.status, 431, "{guest} {length}");
        }
    }
}

#[test]
fn a_body_that_says_it_is_too_large_is_413_at_once() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--limit-request-body", "100000"]);
        for length in ["100001", "18446744073709551000"] {
            let mut connection = server.connect();
            connection.write(request("POST", "/length", &[("Content-Length", length)], b""));
            assert_refused(connection, 413);
        }
        let mut connection = server.connect();
        let fields = [("Content-Length", "100001"), ("Expect", "100-continue")];
        connection.write(request("POST", "/length", &fields, b""));
        assert_refused(connection, 413);
        // Sent without a look at the answer, which is not lost for that.
        let mut connection = server.connect();
        let _ = connection.try_write(request("POST", "/length", &[], &vec![b'x'; 3_000_000]));
        assert_eq!(connection.receive().status, 413, "{guest}");

        let over_2 = server.http2();
        let exchange = over_2.begin("POST", "/length", &[("content-length", "100001")]);
        assert_eq!(exchange.receive_head().0.status, 413, "{guest}");
        let whole = vec![b'x'; 100_000];
        assert_eq!(server.send("POST", "/length", &[], &whole).text(), "100000", "{guest}");
        assert_eq!(over_2.exchange("POST", "/length", &[], &whole).text(), "100000", "{guest}");
    }
}

#[test]
fn a_body_that_grows_too_large_is_413() {
    for guest in TESTBEDS {
        for limit in [1000, 100_000] {
            let server = Server::start(guest, &["--limit-request-body", &limit.to_string()]);
            let chunks = |length: usize| {
                let piece = vec![b'x'; length / 10];
                let head = request("POST", "/length", &[("Transfer-Encoding", "chunked")], b"");
                [head, chunked(&[&piece[..]; 10], &[])].concat()
            };
            let mut connection = server.connect();
            connection.write(chunks(limit));
            assert_eq!(connection.receive().text(), limit.to_string(), "{guest}");
            for length in [limit + 10, limit * 5] {
                let mut connection = server.connect();
                connection.write(chunks(length));
                assert_refused(connection, 413);
            }
            let client = server.http2();
            let mut exchange = client.begin("POST", "/length", &[]);
            exchange.send(&vec![b'x'; limit + 1]);
            assert_eq!(exchange.receive_head().0.status, 413, "{guest}");
            assert_eq!(server.get("/hello").status, 200, "{guest}");
        }
    }
}

#[test]
fn a_guest_never_takes_the_beginning_of_a_body_for_the_whole() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--limit-request-body", "200000"]);
        let mut connection = server.connect();
        connection.write(request("POST", "/echo", &[("Transfer-Encoding", "chunked")], b""));
        connection.write(format!("{:x}\r\n{}\r\n", 150_000, "x".repeat(150_000)));
        let head = connection.receive_head();
        assert_eq!(head.status, 200, "{guest}");
        connection.write(format!("{:x}\r\n{}\r\n0\r\n\r\n", 50_001, "x".repeat(50_001)));
        let whole = connection.body(&head).read_to_end(&mut Vec::new());
        assert!(whole.is_err(), "{guest}: cut off, and looks whole");
    }
}

#[test]
fn trailers_are_bounded_like_fields() {
    for guest in TESTBEDS {
        let flags = ["--limit-request-header-size", "5000", "--limit-request-fields", "20"];
        let server = Server::start(guest, &flags);
        // hyper counts those of HTTP/1 itself, and finds too many malformed.
        let large = "y".repeat(6000);
        for (trailers, expected) in
            [(vec![("x", "y"); 20], [200, 200]), (vec![("x", "y"); 21], [400, 431]), (vec![("x", &large)], [431, 431])]
        {
            let mut connection = server.connect();
            let head = request("POST", "/length", &[("Transfer-Encoding", "chunked")], b"");
            connection.write([head, chunked(&[b"body"], &trailers)].concat());
            assert_eq!(connection.receive().status, expected[0], "{guest}");

            let client = server.http2();
            let mut exchange = client.begin("POST", "/length", &[]);
            exchange.send(b"body");
            exchange.send_trailers(&trailers);
            assert_eq!(exchange.receive_head().0.status, expected[1], "{guest}, HTTP/2");
        }
        // More than is buffered: refused in whichever way.
        let mut connection = server.connect();
        let head = request("POST", "/length", &[("Transfer-Encoding", "chunked")], b"");
        connection.write([head, chunked(&[b"body"], &[("x", &large.repeat(10))])].concat());
        assert_eq!(connection.receive().status / 100, 4, "{guest}");
        assert!(connection.is_at_end());
    }
}

#[test]
fn chunks_of_a_byte_each_cost_no_more_than_their_content() {
    let server = Server::start("testbed-sync", &[]);
    let memory = MemoryWatch::begin(server.worker(0));
    let bytes = [request("POST", "/length", &[("Transfer-Encoding", "chunked")], b""), b"1\r\nx\r\n".repeat(60_000)];
    for _ in 0..30 {
        let mut upload = server.connect();
        upload.write(bytes.concat());
        upload.write("0\r\n\r\n");
        assert_eq!(upload.receive().text(), "60000");
    }
    let rise = memory.peak_rise();
    assert!(rise < 20 << 20, "{rise} bytes");
}

#[test]
fn a_connection_ends_after_its_requests() {
    for guest in HELLOS {
        let server = Server::start(guest, &["--limit-connection-requests", "3"]);
        let mut connection = server.connect();
        for last in [false, false, true] {
            let response = connection.get("/");
            assert_eq!(response.header("connection") == Some("close"), last, "{guest}");
        }
        assert!(connection.is_at_end(), "{guest}");

        let mut pipelined = server.connect();
        pipelined.write(request("GET", "/", &[], b"").repeat(5));
        assert!((0..3).all(|_| pipelined.receive().status == 200), "{guest}");
        assert!(pipelined.try_receive().is_err(), "{guest}: a fourth answer");

        let client = server.http2();
        assert!((0..3).all(|_| client.get("/").status == 200), "{guest}");
        client.ended().expect("it ends in good order");
    }
}

#[test]
fn connections_beyond_the_limit_wait_until_one_leaves() {
    for guest in HELLOS {
        // A second listener shares the limit.
        let server = Server::start(guest, &["--limit-connections", "3", "--bind", "127.0.0.1:0"]);
        let mut open: Vec<_> = (0..3).map(|_| server.connect()).collect();
        open.iter_mut().for_each(|connection| assert_eq!(connection.get("/").status, 200));
        let mut waiting = server.connect();
        waiting.write(request("GET", "/", &[], b""));
        let calls = syscalls_during(server.worker(0), || {
            assert!(!waiting.answers_within(Duration::from_millis(500)), "{guest}: a fourth connection");
        });
        let accepts: u64 = [SYS_accept, SYS_accept4].iter().filter_map(|number| calls.get(number)).sum();
        assert_eq!(accepts, 0, "{guest}");
        assert_eq!(open[0].get("/").status, 200, "{guest}");
        drop(open.pop());
        assert_eq!(waiting.receive().status, 200, "{guest}");
    }
}

#[test]
fn connections_of_an_address_beyond_its_limit_are_closed() {
    let server = Server::start("hello-sync", &["--limit-connections-per-address", "2"]);
    let mut open: Vec<_> = (0..2).map(|_| server.connect()).collect();
    open.iter_mut().for_each(|connection| assert_eq!(connection.get("/").status, 200));
    assert!(server.connect().is_at_end());
    assert_eq!(open[0].get("/").status, 200);
    drop(open.pop());
    eventually("room for another", || {
        let mut connection = server.connect();
        connection.try_write(request("GET", "/", &[], b"")).ok()?;
        connection.try_receive().ok().filter(|response| response.status == 200)
    });
}

#[test]
fn requests_beyond_the_limit_are_503_at_once() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--limit-concurrency", "2", "--workers", "2", "--identify"]);
        // All workers together.
        let mut slow: Vec<_> = (0..2).map(|slot| server.connect_to(slot)).collect();
        slow.iter_mut()
            .for_each(|connection| connection.write(request("GET", "/stream?chunks=0&ms=10&bytes=10", &[], b"")));
        // A response that goes on counts.
        slow.iter_mut().for_each(|connection| assert_eq!(connection.receive_head().status, 200));
        let mut connection = server.connect();
        for _ in 0..2 {
            let response = connection.get("/hello");
            assert_eq!((response.status, response.header("retry-after")), (503, Some("1")), "{guest}");
        }
        assert_eq!(server.http2().get("/hello").status, 503, "{guest}");
        drop(slow);
        eventually("the others have left", || (connection.get("/hello").status == 200).then_some(()));
    }
}

#[test]
fn the_limit_of_descriptors_is_raised() {
    let server = Wasmserve::serving("hello-sync", &[]).through_shell("ulimit -S -n 100").start();
    let connections: Vec<_> = parallel(200, |_| {
        let mut connection = server.connect();
        assert_eq!(connection.get("/").status, 200);
        connection
    });
    assert!(server.worker(0).open_files() > connections.len());
}

#[test]
fn without_descriptors_connections_wait_and_the_worker_does_not_spin() {
    let server = Wasmserve::serving("hello-sync", &[]).through_shell("ulimit -n 60").start();
    let mut open: Vec<_> = (0..80)
        .map(|_| {
            let mut connection = server.connect();
            connection.write(request("GET", "/", &[], b""));
            connection
        })
        .collect();
    let accepts = |calls: std::collections::HashMap<i64, u64>| -> u64 {
        [SYS_accept, SYS_accept4].iter().filter_map(|number| calls.get(number)).sum()
    };
    let worker = server.worker(0);
    eventually("no descriptor is left", || (worker.open_files() >= 60).then_some(()));
    let tried = accepts(syscalls_during(worker, || for_a_while(Duration::from_secs(1), || {})));
    assert!((1..=40).contains(&tried), "{tried} calls of accept in a second");
    // Those that have one are served on.
    assert_eq!(open[0].receive().status, 200);
    assert_eq!(open[0].get("/").status, 200);
    let mut last = open.pop().unwrap();
    drop(open);
    assert_eq!(last.receive().status, 200);
    assert_eq!(server.get("/").status, 200);
}

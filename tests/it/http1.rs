//! HTTP/1.1 and 1.0 on the wire.

use std::io::Write;

use crate::support::{HELLOS, Server, TESTBEDS, chunked, request};

#[test]
fn a_connection_serves_request_after_request() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let mut connection = server.connect();
        for _ in 0..5 {
            assert_eq!(connection.get("/hello").text(), "Hello, world!");
            assert_eq!(connection.exchange("POST", "/echo", &[], b"body").text(), "body");
            assert_eq!(connection.get("/no-such-route").status, 404);
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let mut connection = server.connect();
        let slow = request("GET", "/sleep?ms=100", &[], b"");
        let quick = request("GET", "/hello", &[], b"");
        connection.write([slow, quick].concat());
        assert_eq!(connection.receive().text(), "slept");
        assert_eq!(connection.receive().text(), "Hello, world!");
    }
}

#[test]
fn connection_close_is_honoured() {
    let server = Server::start("hello-sync", &[]);
    let mut connection = server.connect();
    let response = connection.exchange("GET", "/", &[("Connection", "close")], b"");
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(response.text(), "Hello, world!");
    assert!(connection.is_at_end());
}

#[test]
fn http_1_0_is_answered_and_closed() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let mut connection = server.connect();
        connection.write("GET /hello HTTP/1.0\r\n\r\n");
        assert_eq!(connection.receive().text(), "Hello, world!", "{guest}");
        assert!(connection.is_at_end());

        // A client of 1.0 does not know the chunked coding: the end of the connection ends the body.
        let mut connection = server.connect();
        connection.write("GET /stream?chunks=3&bytes=1000&ms=20 HTTP/1.0\r\n\r\n");
        let response = connection.receive();
        assert_eq!(response.header("transfer-encoding"), None, "{guest}");
        assert_eq!(response.body.len(), 3000, "{guest}");
    }
}

#[test]
fn an_http_1_0_connection_is_kept_if_the_client_asks() {
    let server = Server::start("testbed-async", &[]);
    let mut connection = server.connect();
    for _ in 0..2 {
        // The guest tells the length: without one, the end of the connection is the end of an HTTP/1.0 response.
        connection.write("GET /big?bytes=10 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(connection.receive().body.len(), 10);
    }
}

#[test]
fn head_has_the_head_of_get_and_no_body() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let mut connection = server.connect();
        for target in ["/hello", "/big?bytes=100000", "/stream?chunks=2&bytes=9&ms=10", "/status?code=404"] {
            let get = connection.get(target);
            let head = connection.exchange("HEAD", target, &[], b"");
            assert_eq!(head.status, get.status, "{guest} {target}");
            if target != "/hello" {
                // How long a body that is not sent would have been is the guest's to say.
                let length = head.header("content-length");
                assert!(length.is_none() || length == get.header("content-length"), "{target}");
            }
            // The connection is in step: nothing of a body was sent.
            assert_eq!(connection.get("/hello").text(), "Hello, world!", "{guest} {target}");
        }
    }
}

#[test]
fn a_client_that_expects_100_continue_gets_it_before_it_sends() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let mut connection = server.connect();
        connection.write(request("POST", "/echo", &[("Expect", "100-continue"), ("Content-Length", "4")], b""));
        assert_eq!(connection.receive_head().status, 100, "{guest}");
        connection.write("body");
        let response = connection.receive();
        assert_eq!((response.status, response.text().as_str()), (200, "body"), "{guest}");
    }
}

#[test]
fn no_100_continue_unless_it_is_expected() {
    let server = Server::start("testbed-sync", &[]);
    let mut connection = server.connect();
    connection.write(request("POST", "/echo", &[("Content-Length", "4")], b""));
    connection.write("body");
    assert_eq!(connection.receive().status, 200);
}

#[test]
fn answers_204_and_304_have_no_body() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let mut connection = server.connect();
        for code in [204, 304] {
            let response = connection.get(&format!("/status?code={code}"));
            assert_eq!(response.status, code, "{guest}");
            assert_eq!(response.header("transfer-encoding"), None, "{guest} {code}");
            if code == 204 {
                assert_eq!(response.header("content-length"), None, "{guest}");
            }
            // A body that the guest sends in spite of the status is not sent on.
            let response = connection.get(&format!("/status?code={code}&body=surprise"));
            assert_eq!(response.status, code, "{guest}");
            assert_eq!(connection.get("/hello").text(), "Hello, world!", "{guest} {code}");
        }
    }
}

#[test]
fn options_asterisk_reaches_the_guest() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        // The testbed has no such route and says so with the path that it got.
        let response = server.send("OPTIONS", "*", &[], b"");
        assert_eq!((response.status, response.text().as_str()), (404, "no route *"), "{guest}");
    }
}

#[test]
fn connect_is_refused() {
    let server = Server::start("testbed-async", &[]);
    let response = server.send("CONNECT", "example.com:443", &[], b"");
    assert!((400..=501).contains(&response.status), "{}", response.status);
    assert_eq!(server.get("/count").text(), "1", "no guest saw it");
}

#[test]
fn a_chunked_request_reaches_the_guest_whole() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let mut connection = server.connect();
        connection.write(request("POST", "/echo", &[("Transfer-Encoding", "chunked")], b""));
        for piece in chunked(&[b"first ", b"second ", b"third"], &[]).chunks(5) {
            connection.writer().write_all(piece).unwrap();
        }
        assert_eq!(connection.receive().text(), "first second third", "{guest}");
    }
}

#[test]
fn a_malformed_request_is_refused_and_harms_nobody() {
    for guest in HELLOS {
        let server = Server::start(guest, &["--identify"]);
        for bytes in [
            "GARBAGE\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        ] {
            let mut connection = server.connect();
            connection.write(bytes);
            // Either an answer of 4xx and the end, or the end at once.
            if let Ok(response) = connection.try_receive() {
                assert!((400..500).contains(&response.status), "{bytes:?}: {}", response.status);
            }
            assert!(connection.is_at_end(), "{bytes:?}");
        }
        assert_eq!(server.get("/").instance(), 1, "{guest}");
    }
}

#[test]
fn a_request_with_length_and_chunks_ends_its_connection() {
    // Whoever stands in front may have read it the other way: what follows must not be a request.
    let server = Server::start("testbed-sync", &["--instances", "1"]);
    let mut connection = server.connect();
    let body = chunked(&[b"x"], &[]);
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
    let smuggled = request("GET", "/count", &[], b"");
    connection.write([head.as_bytes(), &body, &smuggled].concat());
    if let Ok(response) = connection.try_receive() {
        assert!(response.status == 200 || response.status == 400, "{}", response.status);
    }
    assert!(connection.try_receive().is_err(), "no second answer");
    assert_eq!(server.get("/count").text(), "1");
}

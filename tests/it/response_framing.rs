//! How a guest's response is put on the wire.

use std::time::Duration;

use crate::support::{HELLOS, Server, TESTBEDS, eventually};

#[test]
fn a_short_response_has_a_content_length() {
    for guest in HELLOS.into_iter().chain(TESTBEDS) {
        let server = Server::start(guest, &[]);
        // Most of them: a guest that loses its core in the middle looks like one that takes its time.
        let responses: Vec<_> = (0..11).map(|_| server.get("/")).collect();
        let whole = responses.iter().filter(|response| {
            response.header("content-length") == Some("13") && response.header("transfer-encoding").is_none()
        });
        assert!(whole.count() > 5, "{guest}");
    }
}

#[test]
fn a_response_that_takes_its_time_is_chunked() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let response = server.get("/stream?chunks=3&bytes=100&ms=30");
        assert_eq!(response.header("transfer-encoding"), Some("chunked"), "{guest}");
        assert_eq!(response.header("content-length"), None, "{guest}");
        assert_eq!(response.body.len(), 300, "{guest}");
    }
}

#[test]
fn a_length_that_the_guest_tells_is_kept() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        for bytes in [0, 1, 65_536, 5_000_000] {
            let response = server.get(&format!("/big?bytes={bytes}"));
            assert_eq!(response.header("content-length"), Some(bytes.to_string().as_str()), "{guest}");
            assert_eq!(response.header("transfer-encoding"), None, "{guest}");
            assert_eq!(response.body.len(), bytes, "{guest}");
        }
    }
}

#[test]
fn a_wrong_length_never_looks_like_a_whole_response() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        // The guest says 100 bytes, or one, and sends the two of `ok`.
        for length in ["100", "1"] {
            let mut connection = server.connect();
            connection.write(crate::support::request(
                "GET",
                &format!("/respond?header=content-length:{length}"),
                &[],
                b"",
            ));
            if let Ok(response) = connection.try_receive() {
                assert_ne!((response.status, response.body.len()), (200, 2), "{guest} {length}");
                assert!(response.status == 500 || length == "1", "{guest} {length}");
            }
            assert_eq!(server.get("/hello").text(), "Hello, world!", "{guest} {length}");
        }
    }
}

#[test]
fn headers_come_back_as_the_guest_set_them() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let target = "/respond?header=content-type:text/csv&header=x-a:1&header=x-b:two%20words&header=x-a:3\
                      &header=set-cookie:a=1&header=set-cookie:b=2";
        for response in [server.get(target), server.http2().get(target)] {
            let values = |name: &str| -> Vec<&str> {
                let own = response.headers.iter().filter(|(n, _)| n == name);
                own.map(|(_, value)| value.as_str()).collect()
            };
            assert_eq!(values("x-a"), ["1", "3"], "{guest}");
            assert_eq!(values("x-b"), ["two words"], "{guest}");
            assert_eq!(values("set-cookie"), ["a=1", "b=2"], "{guest}");
            assert_eq!(values("content-type"), ["text/csv"], "{guest}");
        }
    }
}

#[test]
fn any_status_comes_back() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        for code in [200, 201, 299, 301, 400, 418, 451, 500, 503, 599] {
            let response = server.get(&format!("/status?code={code}&body=text"));
            assert_eq!(response.status, code, "{guest}");
            assert_eq!(response.text(), "text", "{guest} {code}");
        }
    }
}

#[test]
fn the_body_of_an_answer_that_is_not_read_does_not_disturb_the_next_request() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let mut connection = server.connect();
        // The guest answers without reading the request's body.
        let response = connection.exchange("POST", "/discard", &[], &[b'x'; 30_000]);
        assert_eq!(response.text(), "discarded", "{guest}");
        if response.header("connection") != Some("close") {
            assert_eq!(connection.get("/hello").text(), "Hello, world!", "{guest}");
        }
    }
}

#[test]
fn work_after_the_response_does_not_delay_it() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--instances", "1"]);
        let mut connection = server.connect();
        let (response, took) = crate::support::timed(|| connection.get("/after?ms=3000"));
        assert_eq!(response.text(), "answered", "{guest}");
        assert!(took < Duration::from_millis(2000), "{guest}: {took:?}");
        assert_eq!(server.count(|r| r.is_guest_line("after: done")), 0, "{guest}");
        eventually("the work after the response ends", || server.all(|r| r.is_guest_line("after: done")).pop());
    }
}

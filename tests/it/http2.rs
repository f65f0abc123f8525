//! HTTP/2 with prior knowledge, on the port of HTTP/1.1.

use std::thread;

use crate::support::{HELLOS, Server, TESTBEDS, parallel};

#[test]
fn both_protocols_are_served_on_one_port() {
    for guest in HELLOS {
        let server = Server::start(guest, &[]);
        let over_2 = server.http2().get("/");
        let over_1 = server.get("/");
        assert_eq!((over_2.status, over_2.version.as_str()), (200, "HTTP/2.0"), "{guest}");
        assert_eq!(over_1.version, "HTTP/1.1", "{guest}");
        assert_eq!(over_2.text(), over_1.text(), "{guest}");
    }
}

#[test]
fn many_streams_share_a_connection() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let client = server.http2();
        let streams: Vec<_> = (0..50)
            .map(|n| {
                let mut stream = client.begin("POST", "/echo", &[]);
                stream.send(format!("body {n}").as_bytes());
                stream
            })
            .collect();
        for (n, mut stream) in streams.into_iter().enumerate() {
            stream.finish();
            assert_eq!(stream.receive().text(), format!("body {n}"), "{guest}");
        }
    }
}

#[test]
fn a_slow_stream_does_not_hold_up_a_quick_one() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let client = server.http2();
        let mut slow = client.begin("GET", "/sleep?ms=1000", &[]);
        slow.finish();
        let quick = thread::scope(|scope| {
            let slow = scope.spawn(move || slow.receive());
            let quick = client.get("/hello");
            assert!(!slow.is_finished(), "{guest}: the quick one waited for the slow one");
            assert_eq!(slow.join().unwrap().text(), "slept");
            quick
        });
        assert_eq!(quick.text(), "Hello, world!");
    }
}

#[test]
fn head_has_no_body() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let response = server.http2().exchange("HEAD", "/big?bytes=1000", &[], b"");
        assert_eq!((response.status, response.body.len()), (200, 0), "{guest}");
        assert_eq!(response.header("content-length"), Some("1000"), "{guest}");
    }
}

#[test]
fn a_large_body_comes_back() {
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let client = server.http2();
        let mut exchange = client.begin("POST", "/echo", &[]);
        let (sent, received) = (body.clone(), &body);
        let mut sender = exchange.take_body();
        thread::scope(|scope| {
            scope.spawn(move || {
                for piece in sent.chunks(50_000) {
                    sender.send(piece);
                }
            });
            assert!(exchange.receive().body == *received, "{guest}: another body came back");
        });
    }
}

#[test]
fn a_stream_that_is_reset_harms_no_other() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--identify"]);
        let client = server.http2();
        let mut endless = client.begin("GET", "/stream?chunks=0&bytes=1000", &[]);
        endless.finish();
        let (head, mut reply) = endless.receive_head();
        assert_eq!(head.status, 200);
        assert!(reply.frame().is_some());
        drop(reply);

        let replies = parallel(4, |_| client.get("/hello"));
        assert!(replies.iter().all(|reply| reply.text() == "Hello, world!"), "{guest}");
    }
}

#[test]
fn hop_by_hop_fields_are_no_part_of_http_2() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let response = server.http2().get("/stream?chunks=2&bytes=10&ms=10");
        assert_eq!(response.header("transfer-encoding"), None, "{guest}");
        assert_eq!(response.header("connection"), None, "{guest}");
    }
}

#[test]
fn host_and_authority_must_agree() {
    let server = Server::start("testbed-sync", &[]);
    let client = server.http2();
    assert_eq!(client.exchange("GET", "/hello", &[("host", "other.example")], b"").status, 400);
    assert_eq!(client.exchange("GET", "/hello", &[("host", "test.example")], b"").status, 200);
}

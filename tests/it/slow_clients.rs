//! Clients that take their time: each deadline ends them, and nobody else notices.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use crate::support::frames::{DATA, END_STREAM, GOAWAY, RST_STREAM, RawHttp2, get, setting};
use crate::support::{
    Connection, HELLOS, Server, TESTBEDS, chunked, eventually, for_a_while, parallel, request, timed,
};

/// A deadline that a test waits for, as flags have it; all others are many times that.
const SHORT: &str = "0.4";
const SHORT_TIME: Duration = Duration::from_millis(400);
/// By then a busy machine is done too, and none of the other deadlines is over.
const SOON: Duration = Duration::from_secs(8);

fn start(guest: &str, flag: &str) -> Server {
    let others = ["accept", "header", "body", "write", "keep-alive"].map(|name| format!("--timeout-{name}"));
    let mut args: Vec<&str> = others.iter().filter(|name| *name != flag).flat_map(|name| [name, "20"]).collect();
    args.extend([flag, SHORT]);
    Server::start(guest, &args)
}

/// The connection ends, neither before its deadline nor long after it.
#[track_caller]
fn assert_ends_in_time(what: &str, wait: impl FnOnce()) {
    let ((), time) = timed(wait);
    assert!((SHORT_TIME - Duration::from_millis(50)..SOON).contains(&time), "{what}: {time:?}");
}

#[track_caller]
fn assert_closed_in_time(what: &str, mut connection: Connection) {
    assert_ends_in_time(what, || assert!(connection.is_at_end(), "{what}: not closed"));
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let server = start("hello-sync", "--timeout-accept");
    let closed = parallel(100, |_| timed(|| server.connect().is_at_end()));
    assert!(closed.iter().all(|(closed, time)| *closed && *time < SOON), "{closed:?}");
    assert_closed_in_time("silence", server.connect());
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn the_beginning_of_a_preface_is_no_beginning() {
    let server = start("hello-sync", "--timeout-header");
    let mut connection = server.connect();
    connection.write("PRI * HTTP/2.0\r\n");
    assert_closed_in_time("half a preface", connection);
}

#[test]
fn a_head_that_does_not_end_is_answered_with_408() {
    let server = start("hello-sync", "--timeout-header");
    for beginning in ["G", "GET / HTTP/1.1\r\nHost: a\r\n", "GET / HTTP/1.1\r\nHost: a\r\nx: "] {
        let mut connection = server.connect();
        connection.write(beginning);
        assert_ends_in_time(beginning, || {
            assert_eq!(connection.receive().status, 408, "{beginning:?}");
            assert!(connection.is_at_end());
        });
    }
}

#[test]
fn a_head_that_trickles_gains_no_time() {
    let server = start("hello-sync", "--timeout-header");
    let mut connection = server.connect();
    let mut writer = connection.writer();
    let trickle = thread::spawn(move || {
        let _ = writer.write_all(b"GET / HTTP/1.1\r\nx: ");
        while writer.write_all(b"y").is_ok() {
            thread::park_timeout(Duration::from_millis(20));
        }
    });
    assert_ends_in_time("a byte at a time", || {
        let answer = connection.try_receive();
        assert!(answer.is_err() || answer.unwrap().status == 408);
        assert!(connection.is_at_end());
    });
    trickle.join().unwrap();
}

#[test]
fn later_heads_have_the_same_deadline() {
    let server = start("hello-sync", "--timeout-header");
    let mut connection = server.connect();
    connection.get("/");
    connection.write("GET / HTTP/1.1\r\n");
    assert_ends_in_time("the second head", || assert_eq!(connection.receive().status, 408));

    let mut connection = server.connect();
    connection.write([&request("GET", "/", &[], b""), &b"GET / HTTP/1.1\r\n"[..]].concat());
    assert_ends_in_time("half a head behind another", || {
        assert_eq!(connection.receive().status, 200);
        assert_eq!(connection.receive().status, 408);
    });
}

#[test]
fn a_connection_that_is_not_used_any_more_is_closed() {
    let server = start("hello-sync", "--timeout-keep-alive");
    let mut connection = server.connect();
    connection.get("/");
    assert_closed_in_time("an idle connection", connection);
}

#[test]
fn idling_is_not_measured_with_the_time_for_a_head_nor_for_the_first_byte() {
    let flags = ["--timeout-header", "0.2", "--timeout-accept", "0.2", "--timeout-keep-alive", "20"];
    let server = Server::start("hello-sync", &flags);
    let mut connection = server.connect();
    let client = server.http2();
    for _ in 0..2 {
        assert_eq!(connection.get("/").status, 200);
        assert_eq!(client.get("/").status, 200);
        for_a_while(Duration::from_millis(600), || {});
    }
    // An empty line after a request, as some clients send, begins no head.
    connection.write("\r\n");
    for_a_while(Duration::from_millis(600), || {});
    assert_eq!(connection.get("/").status, 200);
}

#[test]
fn a_busy_connection_is_not_idle() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--timeout-keep-alive", "0.3", "--timeout-header", "0.3"]);
        let mut connection = server.connect();
        assert_eq!(connection.get("/sleep?ms=1000").text(), "slept", "{guest}");
        assert_eq!(server.http2().get("/sleep?ms=1000").text(), "slept", "{guest}");
        let mut connection = server.connect();
        assert_eq!(connection.get("/stream?chunks=4&bytes=10&ms=250").body.len(), 40, "{guest}");
    }
}

#[test]
fn an_idle_connection_of_http_2_is_told_and_closed() {
    let server = start("hello-sync", "--timeout-keep-alive");
    let client = server.http2();
    client.get("/");
    // In good order, or with a reset where our last frame crossed theirs.
    assert_ends_in_time("an idle connection", || drop(client.ended()));
    let mut raw = RawHttp2::open(server.address(), b"");
    raw.write(get(1, "/"));
    assert_ends_in_time("a good-bye", || drop(raw.wait_for("GOAWAY", |frame| frame.kind == GOAWAY)));
    // One that never does anything does not even answer the good-bye.
    for rest in [&b""[..], b"\0\0\x20\x01"] {
        let mut raw = RawHttp2::open(server.address(), b"");
        raw.write(rest);
        assert_ends_in_time("a preface and no more", || raw.wait_for_end());
    }
}

#[test]
fn the_good_bye_of_http_2_is_not_waited_for_for_ever() {
    let flags = ["--timeout-keep-alive", SHORT, "--timeout-write", SHORT];
    let server = Server::start("hello-sync", &flags);
    let before = server.worker(0).open_files();
    let mut raw = RawHttp2::open(server.address(), b"");
    assert_ends_in_time("a client that does not answer", || while raw.read().is_some() {});
    eventually("its descriptor is closed", || (server.worker(0).open_files() <= before).then_some(()));
}

#[test]
fn a_body_that_does_not_come_is_answered_with_408() {
    for guest in TESTBEDS {
        let server = start(guest, "--timeout-body");
        let server = &server;
        let chunks = chunked(&[b"0123456789"], &[]);
        for (framing, part) in [
            (("Content-Length", "100"), &b"0123456789"[..]),
            (("Content-Length", "100"), b""),
            // More than is read before an instance takes the request.
            (("Content-Length", "200000"), &[b'x'; 100_000]),
            (("Transfer-Encoding", "chunked"), &chunks[..chunks.len() - 2]),
        ] {
            let mut connection = server.connect();
            connection.write([&request("POST", "/length", &[framing], b""), part].concat());
            assert_ends_in_time(guest, || assert_eq!(connection.receive().status, 408, "{guest} {framing:?}"));
            assert!(connection.is_at_end(), "{guest} {framing:?}");
        }
        let client = server.http2();
        let mut exchange = client.begin("POST", "/length", &[]);
        exchange.send(b"0123456789");
        assert_ends_in_time(guest, || assert_eq!(exchange.receive_head().0.status, 408, "{guest}"));
        assert_eq!(client.get("/hello").status, 200, "the connection goes on");
        assert_eq!(server.get("/hello").status, 200, "{guest}");
    }
}

#[test]
fn a_body_that_stops_after_the_answer_began_ends_the_connection() {
    for guest in TESTBEDS {
        let server = start(guest, "--timeout-body");
        let mut connection = server.connect();
        connection.write(request("POST", "/echo", &[("Content-Length", "200000")], b""));
        connection.write([b'x'; 100_000]);
        let head = connection.receive_head();
        assert_eq!(head.status, 200);
        let mut echoed = Vec::new();
        assert_ends_in_time(guest, || {
            let whole = connection.body(&head).read_to_end(&mut echoed);
            assert!(whole.is_err(), "{guest}: half a body that looks whole");
        });
        assert!(connection.is_at_end(), "{guest}");
    }
}

#[test]
fn a_body_that_comes_slowly_is_served() {
    for guest in TESTBEDS {
        let server = start(guest, "--timeout-body");
        let mut connection = server.connect();
        connection.write(request("POST", "/length", &[("Content-Length", "8")], b""));
        for byte in b"12345678" {
            for_a_while(SHORT_TIME / 4, || {});
            connection.write([*byte]);
        }
        assert_eq!(connection.receive().text(), "8", "{guest}");
    }
}

#[test]
fn a_guest_that_takes_its_time_with_a_body_costs_its_client_nothing() {
    for guest in TESTBEDS {
        let server = start(guest, "--timeout-body");
        let body = vec![b'x'; 400_000];
        let answer = server.send("POST", "/slow-read?ms=50", &[], &body);
        assert_eq!(answer.text(), "400000", "{guest}");
    }
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    for guest in TESTBEDS {
        let server = start(guest, "--timeout-write");
        let before = server.worker(0).open_files();
        let mut connection = server.connect();
        connection.write(request("GET", "/stream?chunks=0&bytes=65536", &[], b""));
        let head = connection.receive_head();
        assert_ends_in_time(guest, || {
            eventually("its descriptor is closed", || (server.worker(0).open_files() <= before).then_some(()));
        });
        let whole = connection.body(&head).read_to_end(&mut Vec::new());
        assert!(whole.is_err(), "{guest}: a body that looks whole");
        assert_eq!(server.get("/hello").status, 200, "{guest}");
    }
}

#[test]
fn a_client_that_reads_in_pieces_gets_everything() {
    for guest in TESTBEDS {
        let server = start(guest, "--timeout-write");
        let mut connection = server.connect();
        connection.write(request("GET", "/big?bytes=60000000", &[], b""));
        let head = connection.receive_head();
        let mut body = connection.body(&head);
        // More than a second in all.
        for _ in 0..15 {
            body.exactly(4_000_000);
            for_a_while(SHORT_TIME / 4, || {});
        }
        assert_eq!(body.read(&mut [0]).unwrap(), 0, "{guest}");
    }
}

#[test]
fn a_stream_that_gets_no_room_is_reset_and_its_connection_goes_on() {
    const INITIAL_WINDOW: u16 = 4;
    for guest in TESTBEDS {
        let server = start(guest, "--timeout-write");
        for target in ["/big?bytes=10", "/big?bytes=1000000", "/stream?chunks=0&bytes=1000"] {
            let mut raw = RawHttp2::open(server.address(), &setting(INITIAL_WINDOW, 0));
            raw.write(get(1, target));
            assert_ends_in_time(target, || {
                raw.wait_for("the end of the stream", |frame| frame.kind == RST_STREAM && frame.stream == 1);
            });
            raw.write(get(3, "/status?code=204"));
            raw.wait_for("an answer", |frame| frame.stream == 3 && frame.flags & END_STREAM > 0);
        }
    }
}

#[test]
fn a_stream_whose_guest_is_slow_is_not_stuck() {
    for guest in TESTBEDS {
        let server = start(guest, "--timeout-write");
        let mut raw = RawHttp2::open(server.address(), b"");
        raw.write(get(1, "/stream?chunks=3&bytes=10&ms=1000"));
        let mut received = 0;
        while received < 30 {
            let frame = raw.wait_for("data", |frame| frame.kind == DATA || frame.kind == RST_STREAM);
            assert_eq!(frame.kind, DATA, "{guest}: reset");
            received += frame.payload.len();
        }
    }
}

#[test]
fn good_clients_go_on_beside_many_slow_ones() {
    for guest in HELLOS {
        let server = start(guest, "--timeout-header");
        let slow: Vec<_> = (0..500)
            .map(|_| {
                let mut connection = server.connect();
                connection.write("GET / HTTP/1.1\r\nHost: a\r\n");
                connection
            })
            .collect();
        let mut good = server.connect();
        assert!((0..100).all(|_| good.get("/").status == 200), "{guest}");
        for mut connection in slow {
            assert_eq!(connection.receive().status, 408, "{guest}");
        }
    }
}

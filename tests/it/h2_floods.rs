//! Floods of HTTP/2 frames that cost their sender less than us: each ends in GOAWAY or a close, and clients that behave
//! go on meanwhile.

use std::io::Write;
use std::thread;
use std::time::Duration;

use crate::support::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, RawHttp2, SETTINGS,
    WINDOW_UPDATE, field, frame, get, head, setting,
};
use crate::support::{HELLOS, MemoryWatch, Server, TESTBEDS, timed};

/// Promised is a second; this leaves room for a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(5);
const MIB: u64 = 1 << 20;

/// Streams of a client.
fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

/// Sends these parts for ever while a client that behaves goes on, until the connection ends, which it has to.
#[track_caller]
fn assert_ends(server: &Server, what: &str, parts: impl Iterator<Item = Vec<u8>> + Send) {
    let memory = MemoryWatch::begin(server.worker(0));
    let mut good = server.connect();
    let mut raw = RawHttp2::open(server.address(), b"");
    let mut writer = raw.writer();
    let ((), time) = timed(|| {
        thread::scope(|scope| {
            scope.spawn(move || parts.into_iter().all(|part| writer.write_all(&part).is_ok()));
            scope.spawn(move || assert!((0..20).all(|_| good.get("/hello").status == 200)));
            raw.wait_for_end();
            raw.close();
        });
    });
    assert!(time < SOON, "{what}: {time:?}");
    let rise = memory.peak_rise();
    assert!(rise < 32 * MIB, "{what}: {rise} bytes");
    assert_eq!(server.http2().get("/hello").status, 200, "{what}");
}

/// Many frames in one write.
fn many<'a>(frames: impl Iterator<Item = Vec<u8>> + Send + 'a) -> impl Iterator<Item = Vec<u8>> + Send + 'a {
    let mut frames = frames.fuse();
    std::iter::from_fn(move || {
        Some(frames.by_ref().take(100).flatten().collect()).filter(|part: &Vec<u8>| !part.is_empty())
    })
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

#[test]
fn requests_that_are_reset_at_once() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--no-access-log"]);
        let pairs = streams().map(|stream| [get(stream, "/sleep?ms=1000"), reset(stream)].concat());
        assert_ends(&server, guest, many(pairs));
    }
}

#[test]
fn requests_that_are_reset_when_they_have_been_taken() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--no-access-log", "--queue", "1000"]);
        let frames = streams().map(|stream| {
            // What is behind a request goes with it in one segment, so that it is taken before it is reset.
            let ping = frame(PING, 0, 0, &[0; 8]);
            match stream {
                1 => get(stream, "/sleep?ms=100"),
                _ => [reset(stream - 2), ping, get(stream, "/sleep?ms=100")].concat(),
            }
        });
        assert_ends(&server, guest, frames);
    }
}

#[test]
fn resets_that_we_are_made_to_send() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--no-access-log"]);
        let nothing = |stream| frame(WINDOW_UPDATE, 0, stream, &[0; 4]);
        let pairs = streams().map(|stream| [get(stream, "/sleep?ms=1000"), nothing(stream)].concat());
        assert_ends(&server, "an increment of nothing", many(pairs));
        let most = |stream| frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes());
        let pairs = streams().map(|stream| [get(stream, "/sleep?ms=1000"), most(stream)].concat());
        assert_ends(&server, "a window too large", many(pairs));
        let late = |stream| frame(DATA, 0, stream, b"x");
        let pairs = streams().map(|stream| [get(stream, "/sleep?ms=1000"), late(stream)].concat());
        assert_ends(&server, "data after the end", many(pairs));
    }
}

#[test]
fn a_head_without_an_end() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let first = frame(HEADERS, END_STREAM, 1, &head("GET", "/hello"));
        for part in [field("x", "y").repeat(100), field("x", &"y".repeat(16_000)), Vec::new()] {
            let more = std::iter::repeat_with(|| frame(CONTINUATION, 0, 1, &part));
            assert_ends(&server, guest, many(std::iter::once(first.clone()).chain(more)));
        }
    }
}

#[test]
fn data_without_content() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let first = frame(HEADERS, END_HEADERS, 1, &head("POST", "/length"));
        let more = std::iter::repeat_with(|| frame(DATA, 0, 1, b""));
        assert_ends(&server, guest, many(std::iter::once(first).chain(more)));
    }
}

#[test]
fn data_of_a_byte_each_is_bounded_in_memory() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let memory = MemoryWatch::begin(server.worker(0));
        let mut raw = RawHttp2::open(server.address(), b"");
        raw.write(frame(HEADERS, END_HEADERS, 1, &head("POST", "/slow-read?ms=100")));
        // As much as the window allows; the server may say that this is enough.
        let bytes = frame(DATA, 0, 1, b"x").repeat(1000);
        for _ in 0..250 {
            if raw.try_write(&bytes).is_err() {
                break;
            }
        }
        let rise = memory.peak_rise();
        assert!(rise < 32 * MIB, "{guest}: {rise} bytes");
        assert_eq!(server.get("/hello").status, 200, "{guest}");
    }
}

#[test]
fn fields_that_unpack_to_more() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        // A field of 4,000 bytes goes into the table, and is then named thousands of times with a byte each.
        let name = [&[0x40][..], &field("x", &"y".repeat(3900))[1..]].concat();
        let bomb = |stream| {
            let block =
                [head("GET", "/hello"), if stream == 1 { name.clone() } else { Vec::new() }, vec![0xbe; 10_000]];
            frame(HEADERS, END_HEADERS | END_STREAM, stream, &block.concat())
        };
        assert_ends(&server, guest, streams().map(bomb));
    }
}

#[test]
fn frames_that_carry_nothing() {
    let kinds = [
        ("PING", frame(PING, 0, 0, b"12345678")),
        ("acknowledged PING", frame(PING, ACK, 0, b"12345678")),
        ("SETTINGS", frame(SETTINGS, 0, 0, &setting(4, 65_535))),
        ("PRIORITY", frame(2, 0, 1, &[0, 0, 0, 3, 16])),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())),
        ("an unknown type", frame(0x42, 0, 0, &[0; 1000])),
    ];
    for guest in HELLOS {
        let server = Server::start(guest, &["--no-access-log"]);
        for (what, frame) in &kinds {
            assert_ends(&server, what, many(std::iter::repeat_with(|| frame.clone())));
        }
    }
}

#[test]
fn pings_are_answered() {
    let server = Server::start("hello-sync", &[]);
    let mut raw = RawHttp2::open(server.address(), b"");
    for _ in 0..100 {
        raw.write(frame(PING, 0, 0, b"12345678"));
        let pong = raw.wait_for("a pong", |frame| frame.kind == PING || frame.kind == GOAWAY);
        assert_eq!((pong.kind, pong.flags, &*pong.payload), (PING, ACK, &b"12345678"[..]));
    }
}

#[test]
fn a_client_that_gives_up_a_few_requests_is_no_flood() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let mut raw = RawHttp2::open(server.address(), b"");
        for stream in streams().take(60) {
            raw.write(get(stream, if stream % 4 == 1 { "/sleep?ms=500" } else { "/hello" }));
            if stream % 4 == 1 {
                raw.write(frame(PING, 0, 0, b"12345678"));
                raw.wait_for("a pong", |frame| frame.kind == PING);
                raw.write(reset(stream));
            } else {
                raw.wait_for("an answer", |frame| frame.stream == stream && frame.flags & END_STREAM > 0);
            }
        }
    }
}

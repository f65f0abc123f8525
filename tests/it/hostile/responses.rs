//! Responses without an end or a measure.

use std::io::Read;
use std::time::{Duration, Instant};

use crate::support::{Connection, HOSTILES, MemoryWatch, PATIENCE, Server, TESTBEDS, for_a_while, request, timed};

use super::Target;

/// Reads a response until it breaks off, and returns the bytes of its body.
#[track_caller]
fn cut_off(server: &Server, target: &str) -> usize {
    let mut connection = server.connect();
    connection.write(request("GET", target, &[], b""));
    let head = connection.receive_head();
    assert_eq!(head.status, 200, "{target}");
    let mut body = connection.body(&head);
    let mut buffer = vec![0; 1 << 16];
    let mut received = 0;
    let began = Instant::now();
    loop {
        assert!(received < 64 << 20 && began.elapsed() < PATIENCE, "{target}: {received} bytes and no end");
        match body.read(&mut buffer) {
            Ok(0) => panic!("{target}: looks complete after {received} bytes"),
            Ok(read) => received += read,
            Err(error) => {
                assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{target}: it was not cut off");
                return received;
            }
        }
    }
}

#[track_caller]
fn assert_told(server: &Server, mark: usize, option: &str) {
    server.wait_from(mark, option, |r| !r.is_guest() && r.message().contains(option));
}

#[test]
fn a_body_is_cut_off_at_its_limit() {
    for guest in HOSTILES {
        let server = Target::start(guest, &["--limit-response-body", "1MiB"]);
        let mark = server.len();
        for target in ["/endless", "/endless?bytes=1000"] {
            let received = cut_off(&server, target);
            assert!((900_000..=1 << 20).contains(&received), "{guest} {target}: {received} bytes");
        }
        assert_told(&server, mark, "--limit-response-body");
        server.assert_comes_to_rest();
        server.assert_stays_flat(5, 15, || {
            cut_off(&server, "/endless");
        });
        server.assert_stands();
    }
}

#[test]
fn a_body_at_its_limit_is_whole() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--limit-response-body", "1MiB"]);
        assert_eq!(server.get("/big?bytes=1048576").body.len(), 1 << 20, "{guest}");
        let chunked = server.get("/stream?chunks=1024&bytes=1024");
        assert_eq!(chunked.body.len(), 1 << 20, "{guest}");
    }
}

#[test]
fn a_response_that_drips_is_cut_off_at_its_time() {
    for guest in HOSTILES {
        let server = Target::start(guest, &["--timeout-response", "0.7"]);
        let mark = server.len();
        let (received, took) = timed(|| cut_off(&server, "/endless?bytes=10&ms=20"));
        assert!(received >= 20, "{guest}: {received}");
        assert!(took >= Duration::from_millis(650) && took < Duration::from_secs(5), "{guest}: {took:?}");
        assert_told(&server, mark, "--timeout-response");
        server.assert_comes_to_rest();
        server.assert_stands();
    }
}

#[test]
fn a_response_that_goes_no_further_is_cut_off() {
    for guest in HOSTILES {
        let server = Target::start(guest, &["--timeout-response-progress", "0.5"]);
        let mark = server.len();
        let (received, took) = timed(|| cut_off(&server, "/stall?bytes=10"));
        assert_eq!(received, 10, "{guest}");
        assert!(took >= Duration::from_millis(450) && took < Duration::from_secs(5), "{guest}: {took:?}");
        assert_told(&server, mark, "--timeout-response-progress");
        server.assert_stays_flat(1, 3, || {
            cut_off(&server, "/stall");
        });
        server.assert_stands();
    }
}

#[test]
fn a_response_that_makes_progress_lasts_as_long_as_it_likes() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--timeout-response-progress", "0.6", "--timeout-request", "0.6"]);
        let response = server.get("/stream?chunks=20&bytes=10&ms=100");
        assert_eq!((response.status, response.body.len()), (200, 200), "{guest}");
    }
}

#[test]
fn a_client_that_reads_slowly_is_no_fault_of_the_guests() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--timeout-response-progress", "0.5"]);
        let mut connection = server.connect();
        // More than the buffers in between hold.
        connection.write(request("GET", "/big?bytes=40000000", &[], b""));
        let head = connection.receive_head();
        let mut body = connection.body(&head);
        body.exactly(1000);
        for_a_while(Duration::from_millis(1500), || {});
        body.exactly(40_000_000 - 1000);
        assert_eq!(server.count(|r| r.is_event("instance-died")), 0, "{guest}");
    }
}

#[test]
fn others_are_served_and_memory_stays_flat_while_responses_do_not_end() {
    for guest in HOSTILES {
        let server = Target::start(guest, &[]);
        let watch = MemoryWatch::begin(server.worker);
        // One that is read, as fast as it comes, and three that are not.
        let mut attacks: Vec<Connection> = (0..3).map(|_| server.begin("/endless")).collect();
        attacks[0].receive_head();
        let mut buffer = vec![0; 1 << 20];
        for _ in 0..50 {
            attacks[0].stream().read_exact(&mut buffer).unwrap();
        }
        server.assert_others_are_served("/endless");
        let rise = watch.peak_rise();
        assert!(rise <= 16 << 20, "{guest}: rose by {rise} bytes");
        attacks.into_iter().for_each(Connection::reset);
        server.assert_stands();
    }
}

#[test]
fn a_head_beyond_its_limit_is_not_sent() {
    for guest in HOSTILES {
        let server = Target::start(guest, &[]);
        let large = server.get("/headers?count=50&bytes=1000");
        assert_eq!((large.status, large.text().as_str()), (200, "ok"), "{guest}");
        assert!(large.head.headers.len() >= 50, "{guest}");
        // Many, and a few of them too large for any.
        for target in ["/headers?count=200&bytes=1000", "/headers?count=2&bytes=100000", "/headers?count=40000&bytes=4"]
        {
            server.assert_stays_flat(1, 3, || {
                let response = server.get(target);
                assert!(response.status >= 400, "{guest} {target}: {}", response.status);
                assert!(response.head.headers.len() < 20, "{guest} {target}");
            });
        }
        server.assert_stands();
    }
}

#[test]
fn trailers_beyond_their_limit_are_not_sent() {
    for guest in HOSTILES {
        let server = Target::start(guest, &[]);
        let trailers = |count: usize, bytes: usize| {
            let target = format!("/trailers?count={count}&bytes={bytes}");
            let mut connection = server.connect();
            connection.write(request("GET", &target, &[("TE", "trailers")], b""));
            connection.try_receive()
        };
        let few = trailers(50, 1000).unwrap();
        assert_eq!((few.status, few.trailers.len()), (200, 50), "{guest}");
        for (count, bytes) in [(200, 1000), (2, 100_000)] {
            let sent: usize = match trailers(count, bytes) {
                Ok(response) => response.trailers.iter().map(|(name, value)| name.len() + value.len()).sum(),
                Err(_) => 0,
            };
            assert!(sent <= 128 << 10, "{guest}: {sent} bytes of trailers");
            server.assert_stands();
        }
    }
}

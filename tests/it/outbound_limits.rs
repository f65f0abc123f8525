//! How much guests may ask of others: how many requests, for how long, how large.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crate::support::{
    PATIENCE, Server, TESTBEDS, Upstream, eventually, for_a_while, parallel, reply, request, silence, timed,
};

fn start(guest: &str, upstream: &Upstream, args: &[&str]) -> Server {
    let target = upstream.address.to_string();
    let granted = ["--allow-http", &target, "--allow-private-network", "127.0.0.1"];
    Server::start(guest, &[&granted, args].concat())
}

/// Takes its time, and counts how many requests wait for their answers at most.
fn slow(pause: Duration) -> (Upstream, Arc<AtomicUsize>) {
    let (waiting, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let seen = most.clone();
    let upstream = Upstream::start(move |_, stream| {
        seen.fetch_max(waiting.fetch_add(1, SeqCst) + 1, SeqCst);
        for_a_while(pause, || {});
        // Before the answer: with it the next one may be sent.
        waiting.fetch_sub(1, SeqCst);
        reply(stream, "200 OK", &[], b"greetings");
    });
    (upstream, most)
}

#[test]
fn all_workers_together_send_so_many_at_a_time() {
    for guest in TESTBEDS {
        let (upstream, most) = slow(Duration::from_millis(20));
        let server = start(guest, &upstream, &["--workers", "3", "--max-outbound", "4"]);
        let url = format!("/fetch?url={}&before=3", upstream.url());
        for text in parallel(24, |_| server.get(&url).text()) {
            assert_eq!(text, "greetings", "{guest}: who comes later waits");
        }
        assert_eq!(upstream.requests().len(), 96, "{guest}");
        let most = most.load(SeqCst);
        assert!((2..=4).contains(&most), "{guest}: {most} at once");
    }
}

#[test]
fn who_waits_too_long_for_his_turn_is_told() {
    let upstream = Upstream::start(|_, stream| silence(stream));
    let server = start("testbed-async", &upstream, &["--workers", "1", "--max-outbound", "1"]);
    let mut first = server.connect();
    first.write(request("GET", &format!("/fetch?url={}", upstream.url()), &[], b""));
    eventually("it has arrived", || (upstream.under_way() == 1).then_some(()));
    let response = server.get(&format!("/fetch?url={}&connect_ms=50", upstream.url()));
    assert!(response.text().contains("ConnectionLimitReached"), "{}", response.text());
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_worker_that_was_killed_holds_nothing() {
    let upstream = Upstream::start(|received, stream| match received.line.contains("/silent") {
        true => silence(stream),
        false => reply(stream, "200 OK", &[], b"greetings"),
    });
    let server = start("testbed-async", &upstream, &["--workers", "2", "--max-outbound", "2", "--identify"]);
    let mut held = server.connect_to(0);
    held.write(request("GET", &format!("/fetch?url={}/silent", upstream.url()), &[], b""));
    let mut second = server.connect_to(0);
    second.write(request("GET", &format!("/fetch?url={}/silent", upstream.url()), &[], b""));
    eventually("they have arrived", || (upstream.under_way() == 2).then_some(()));
    let url = format!("/fetch?url={}&connect_ms=20", upstream.url());
    let refused = server.connect_to(1).get(&url);
    assert!(refused.text().contains("ConnectionLimitReached"), "of all workers: {}", refused.text());
    let worker = server.worker(0);
    worker.signal(nix::sys::signal::Signal::SIGKILL);
    server.replacement(0, worker);
    assert_eq!(server.connect_to(1).get(&url).text(), "greetings");
}

#[test]
fn a_request_may_send_so_many_of_its_own() {
    for guest in TESTBEDS {
        let upstream = Upstream::greeting();
        let args = ["--workers", "1", "--instances", "1", "--max-outbound-per-request", "3"];
        let server = start(guest, &upstream, &args);
        // What startup might have sent counts as well.
        let response = server.get(&format!("/fetch?url={}&before=20", upstream.url()));
        let text = response.text();
        assert!(text.starts_with("6 were answered") && text.contains("ConnectionLimitReached"), "{guest}: {text}");
        assert_eq!(server.get(&format!("/fetch?url={}&before=2", upstream.url())).text(), "greetings", "{guest}");
        assert_eq!(server.get(&format!("/fetch?url={}&before=3", upstream.url())).status, 502, "{guest}");
    }
}

#[test]
fn a_response_that_does_not_begin_is_given_up() {
    for guest in TESTBEDS {
        let upstream = Upstream::start(|_, stream| silence(stream));
        let server = start(guest, &upstream, &["--timeout-outbound-first-byte", "0.1"]);
        let (response, took) = timed(|| server.get(&format!("/fetch?url={}", upstream.url())));
        assert!(response.text().contains("ConnectionReadTimeout"), "{guest}: {}", response.text());
        assert!(took >= Duration::from_millis(100), "{guest}: {took:?}");
        // The guest may wait for less, and not for more.
        let (_, took) = timed(|| server.get(&format!("/fetch?url={}&first_byte_ms=3600000", upstream.url())));
        assert!(took < PATIENCE / 2, "{guest}: {took:?}");
        let server = start(guest, &upstream, &[]);
        let response = server.get(&format!("/fetch?url={}&first_byte_ms=30", upstream.url()));
        assert!(response.text().contains("ConnectionReadTimeout"), "{guest}: {}", response.text());
        eventually("nothing is left of them", || (upstream.under_way() == 0).then_some(()));
    }
}

#[test]
fn a_long_upload_is_no_reason_to_give_up() {
    for guest in TESTBEDS {
        let upstream = Upstream::start(|received, stream| {
            reply(stream, "200 OK", &[], received.body.len().to_string().as_bytes());
        });
        let server = start(guest, &upstream, &["--timeout-outbound-first-byte", "1"]);
        let mut client = server.connect();
        // More than is read ahead before a guest of one request at a time takes it.
        let (pieces, piece) = (16, vec![b'x'; 8 << 10]);
        let head = format!(
            "POST /fetch?url={}&method=POST HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
            upstream.url(),
            pieces * piece.len()
        );
        client.write(head);
        for _ in 0..pieces {
            client.write(&piece);
            thread::park_timeout(Duration::from_millis(150));
        }
        assert_eq!(client.receive().text(), (pieces * piece.len()).to_string(), "{guest}");
    }
}

#[test]
fn a_response_that_stops_is_given_up_and_does_not_look_complete() {
    for guest in TESTBEDS {
        let upstream = Upstream::start(|_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nbeginning").unwrap();
            silence(stream);
        });
        let server = start(guest, &upstream, &["--timeout-outbound-between-bytes", "0.1"]);
        let mut client = server.connect();
        client.write(request("GET", &format!("/fetch?url={}", upstream.url()), &[], b""));
        assert!(client.try_receive().is_err(), "{guest}");
        server.wait_for("the guest is told", |r| r.line.contains("fetch: "));
        eventually("nothing is left of it", || (upstream.under_way() == 0).then_some(()));
    }
}

#[test]
fn a_guest_that_reads_slowly_is_no_reason_to_give_up() {
    let size = 8 << 20;
    for guest in TESTBEDS {
        let upstream = Upstream::start(move |_, stream| reply(stream, "200 OK", &[], &vec![b'x'; size]));
        let server = start(guest, &upstream, &["--timeout-outbound-between-bytes", "0.2"]);
        let mut client = server.connect();
        client.write(request("GET", &format!("/fetch?url={}", upstream.url()), &[], b""));
        let head = client.receive_head();
        let mut body = client.body(&head);
        body.exactly(1000);
        // The client holds the guest up, which holds up the response: nobody waits for the other side.
        for_a_while(Duration::from_millis(600), || {});
        assert_eq!(body.exactly(size - 1000).len(), size - 1000, "{guest}");
    }
}

#[test]
fn responses_have_a_size() {
    for guest in TESTBEDS {
        let upstream = Upstream::start(|received, stream| match received.line.contains("/announced") {
            true => reply(stream, "200 OK", &[], &[b'x'; 5000]),
            false => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
                while stream.write_all(b"400\r\n").is_ok() && stream.write_all(&[b'x'; 1024]).is_ok() {
                    if stream.write_all(b"\r\n").is_err() {
                        return;
                    }
                }
            }
        });
        let server = start(guest, &upstream, &["--limit-outbound-response", "4KiB"]);
        let response = server.get(&format!("/fetch?url={}/announced", upstream.url()));
        assert!(response.text().contains("HttpResponseBodySize"), "{guest}: {}", response.text());
        let mut client = server.connect();
        client.write(request("GET", &format!("/fetch?url={}/endless", upstream.url()), &[], b""));
        // 500 where nothing of it had been passed on.
        let endless = client.try_receive().map(|response| response.status);
        assert!(matches!(endless, Err(_) | Ok(500)), "{guest}: an endless one does not look complete: {endless:?}");
        eventually("its connection has ended", || (upstream.under_way() == 0).then_some(()));
    }
}

#[test]
fn heads_of_responses_have_a_size() {
    let upstream = Upstream::start(|received, stream| {
        let size = if received.line.contains("/huge") { 200_000 } else { 20_000 };
        reply(stream, "200 OK", &[("x-large", &"x".repeat(size))], b"greetings");
    });
    let server = start("testbed-sync", &upstream, &[]);
    let response = server.get(&format!("/out?url={}/large", upstream.url()));
    assert!(response.text().contains("greetings"), "{}", response.text());
    let response = server.get(&format!("/fetch?url={}/huge", upstream.url()));
    assert!(response.text().contains("HttpResponseHeaderSectionSize"), "{}", response.text());
}

#[test]
fn who_is_not_there_is_told_at_once() {
    for guest in TESTBEDS {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let args = ["--allow-http", &gone, "--allow-private-network", "127.0.0.1"];
        let server = Server::start(guest, &args);
        let response = server.get(&format!("/fetch?url=http://{gone}/"));
        assert!(response.text().contains("ConnectionRefused"), "{guest}: {}", response.text());
    }
}

#[test]
fn requests_of_guests_are_counted() {
    let upstream = Upstream::greeting();
    let server = start("testbed-sync", &upstream, &["--workers", "1", "--admin", "127.0.0.1:0"]);
    server.get(&format!("/fetch?url={}&before=2", upstream.url()));
    assert_eq!(server.metrics().sum("wasmserve_outbound_requests_total", &[]), 3.0);
    let under_way = || server.metrics().sum("wasmserve_outbound_requests_in_flight", &[]);
    eventually("none is under way", || (under_way() == 0.0).then_some(()));
}

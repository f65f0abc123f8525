//! A supervisor that is killed leaves nothing behind.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal::SIGKILL;

use crate::support::{Server, TESTBEDS, Wasmserve, eventually};

#[track_caller]
fn assert_workers_end_within_a_second(server: &mut Server) {
    let workers = server.workers();
    assert_eq!(workers.len(), 3);
    let begin = Instant::now();
    server.signal(SIGKILL);
    server.wait_exit();
    eventually("the workers end", || workers.iter().all(|w| !w.runs()).then_some(()));
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn no_worker_outlives_it_by_over_a_second() {
    for guest in TESTBEDS {
        let mut server = Server::start(guest, &["--workers", "3"]);
        assert_workers_end_within_a_second(&mut server);
    }
}

#[test]
fn neither_do_workers_with_requests_in_flight() {
    for guest in TESTBEDS {
        for target in ["/stream?chunks=2&bytes=1&ms=3600000", "/spin", "/stream?chunks=0&bytes=1000"] {
            let mut server = Server::start(guest, &["--workers", "3"]);
            let _busy = server.occupy(target);
            assert_workers_end_within_a_second(&mut server);
        }
    }
}

#[test]
fn the_port_can_be_bound_again() {
    let mut server = Server::start("hello-async", &["--workers", "3"]);
    let address = server.address().to_string();
    assert_eq!(server.get("/").status, 200);
    assert_workers_end_within_a_second(&mut server);
    let again = Wasmserve::serving("hello-async", &["--bind", &address]).start();
    assert_eq!(again.address().to_string(), address);
    assert_eq!(again.get("/").text(), "Hello, world!");
}

//! What follows demand: more workers while requests wait, an end when there are none, and a limit of the rate.

use std::time::Duration;

use crate::support::{Server, TESTBEDS, eventually, parallel, request, timed};

#[test]
fn workers_are_added_while_requests_wait() {
    let args = ["--workers", "1", "--max-workers", "3", "--instances", "1", "--concurrency", "1"];
    for guest in TESTBEDS {
        let server = Server::start(guest, &args);
        let begin = |_| {
            let mut connection = server.connect();
            connection.write(request("GET", "/sleep?ms=3600000", &[], b""));
            connection
        };
        let held: Vec<_> = (0..8).map(begin).collect();
        eventually("three workers", || (server.status()["workers"] == 3).then_some(()));
        eventually("all are ready", || {
            let status = server.status();
            let slots = status["slots"].as_array().unwrap();
            (slots.iter().filter(|slot| slot["state"] == "ready").count() == 3).then_some(())
        });
        drop(held);
    }
}

#[test]
fn a_server_without_requests_ends() {
    for guest in TESTBEDS {
        let mut server = Server::start(guest, &["--idle-timeout", "2"]);
        let (_, busy) = timed(|| assert_eq!(server.get("/sleep?ms=3000").text(), "slept"));
        assert!(busy >= Duration::from_millis(3000));
        assert!(server.wait_exit().success());
        assert_eq!(server.count(|r| r.is_event("idle")), 1);
    }
}

#[test]
fn requests_beyond_the_rate_are_429() {
    let server = Server::start("hello-async", &["--workers", "2", "--limit-requests-per-second", "5"]);
    let (statuses, time) =
        timed(|| parallel(8, |_| (0..20).map(|_| server.get("/").status).collect::<Vec<_>>()).concat());
    let admitted = statuses.iter().filter(|status| **status == 200).count();
    let most = 5.0 * (1.0 + time.as_secs_f64()) + 1.0;
    assert!(admitted >= 5 && admitted as f64 <= most, "{admitted} in {time:?}");
    let refused = eventually("one is refused", || Some(server.get("/")).filter(|response| response.status == 429));
    assert_eq!(refused.header("retry-after"), Some("1"));
    eventually("some are served again", || (server.get("/").status == 200).then_some(()));
}

#[test]
fn an_app_has_the_name_that_it_is_given() {
    let server = Server::start("testbed-sync", &["--name", "shop"]);
    assert_eq!(server.get_json("/env")["WASMSERVE_APP"], "shop");
    assert_eq!(server.status()["app"], "shop");
}

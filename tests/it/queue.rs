//! Requests that wait for an instance, and those that do not even get to wait.

use std::time::Duration;

use crate::support::{Connection, Server, TESTBEDS, parallel, request, timed};

/// Takes the only instance for about this long.
fn hold(server: &Server, ms: u64) -> Connection {
    server.occupy(&format!("/stream?chunks=2&bytes=1&ms={ms}"))
}

const ONE_AT_A_TIME: [&str; 4] = ["--instances", "1", "--concurrency", "1"];

#[test]
fn a_full_queue_is_503_with_retry_after_at_once() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[&ONE_AT_A_TIME[..], &["--queue", "1"]].concat());
        let mut holding = hold(&server, 2000);
        let head = holding.receive_head();

        // Which of the five comes first is anybody's guess.
        let answers = parallel(5, |_| timed(|| server.get("/hello")));
        let (served, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(response, _)| response.status == 200);
        assert_eq!((served.len(), refused.len()), (1, 4), "{guest}");
        for (response, took) in refused {
            assert_eq!(response.status, 503, "{guest}");
            let seconds: u64 = response.header("retry-after").unwrap().parse().unwrap();
            assert!(seconds >= 1);
            assert!(took < Duration::from_millis(500), "{guest}: {took:?}");
        }
        assert_eq!(holding.body(&head).exactly(2), b"00", "{guest}");
    }
}

#[test]
fn as_many_wait_as_the_queue_holds() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[&ONE_AT_A_TIME[..], &["--queue", "10"]].concat());
        let mut holding = hold(&server, 500);
        holding.receive_head();
        let answers = parallel(10, |_| server.get("/count").text());
        let mut counts: Vec<u32> = answers.iter().map(|count| count.parse().unwrap()).collect();
        counts.sort_unstable();
        assert_eq!(counts, (1..=10).collect::<Vec<_>>(), "{guest}");
    }
}

#[test]
fn who_came_first_is_served_first() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &ONE_AT_A_TIME);
        let mut holding = hold(&server, 500);
        holding.receive_head();
        // One connection, so that the order in which they come is known.
        let client = server.http2();
        let streams: Vec<_> = (1..=5)
            .map(|_| {
                let mut stream = client.begin("POST", "/count", &[]);
                stream.finish();
                stream
            })
            .collect();
        let counts: Vec<_> = streams.into_iter().map(|stream| stream.receive().text()).collect();
        assert_eq!(counts, ["1", "2", "3", "4", "5"], "{guest}");
    }
}

#[test]
fn a_refused_client_keeps_its_connection_and_may_try_again() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[&ONE_AT_A_TIME[..], &["--queue", "1"]].concat());
        let mut holding = hold(&server, 1000);
        let head = holding.receive_head();
        let mut waiting = server.fill_the_queue();
        let mut refused = server.connect();
        assert_eq!(refused.get("/hello").status, 503, "{guest}");
        holding.body(&head).exactly(2);
        waiting.receive();
        assert_eq!(refused.get("/hello").status, 200, "{guest}");
    }
}

#[test]
fn each_worker_has_a_queue_of_its_own() {
    let options = [&ONE_AT_A_TIME[..], &["--queue", "1", "--workers", "2", "--identify"]].concat();
    let server = Server::start("testbed-sync", &options);
    let mut connections = crate::support::eventually("a connection to each worker", || {
        let mut connections: Vec<_> = (0..6)
            .map(|_| {
                let mut connection = server.connect();
                (connection.get("/hello").place().0, connection)
            })
            .collect();
        connections.sort_by_key(|(worker, _)| *worker);
        let first = connections.iter().filter(|(worker, _)| *worker == 0).count();
        (1..=5).contains(&first).then_some(connections)
    });
    // While worker 0 is busy with one request and has another waiting, worker 1 serves.
    let (_, mut idle) = connections.pop().unwrap();
    let (_, mut busy) = connections.swap_remove(0);
    busy.write(request("GET", "/stream?chunks=2&bytes=1&ms=1000", &[], b""));
    busy.receive_head();
    for _ in 0..20 {
        assert_eq!(idle.get("/hello").status, 200);
    }
}

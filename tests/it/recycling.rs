//! Instances that have had their time are replaced by fresh ones: after so many requests, at an age, above a size.
//! Nobody waits for what the old one still does, no request is lost, and the process and its sockets stay.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{Connection, Record, Server, TESTBEDS, eventually, parallel, request, timed};

/// At most one instance is on its way out then, so that tests which count wait for it: see `wait_for_ends`.
const ONE: [&str; 5] = ["--instances", "1", "--identify", "--log-level", "debug"];

fn is_recycled(record: &Record) -> bool {
    record.is_event("instance-recycled")
}

/// Waits until so many instances have ended.
fn wait_for_ends(server: &Server, count: usize) {
    server.wait_for_count(count, "instances that ended", |r| r.is_event("instance-ended"));
}

/// So many times `/count`, one after the other: what each says, and the instance that says it.
fn counts(server: &Server, requests: usize) -> Vec<(String, u64)> {
    let one = |_| server.get("/count");
    (0..requests).map(one).map(|response| (response.text(), response.instance())).collect()
}

fn counted(list: &[(&str, u64)]) -> Vec<(String, u64)> {
    list.iter().map(|(count, instance)| (count.to_string(), *instance)).collect()
}

/// Begins a response that never ends.
fn begin_stream(server: &Server) -> Connection {
    let mut stream = server.connect();
    stream.write(request("GET", "/stream?chunks=0&bytes=10&ms=50", &[], b""));
    let head = stream.receive_head();
    stream.body(&head).exactly(10);
    stream
}

#[test]
fn a_fresh_instance_takes_over_after_so_many_requests() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[&ONE[..], &["--max-requests", "3"]].concat());
        for instance in 1..=3 {
            let expected = [("1", instance), ("2", instance), ("3", instance)];
            assert_eq!(counts(&server, 3), counted(&expected), "{guest}");
            wait_for_ends(&server, instance as usize);
        }

        let record = server.wait_for("the first one's end", |r| is_recycled(r) && r.number("instance") == 1);
        assert_eq!(record.level(), "info");
        assert_eq!(record.text("app"), guest);
        assert_eq!(record.number("worker"), 0);
        assert_eq!(record.number("served"), 3);
        assert_eq!(record.text("why"), "requests");
        server.wait_for_count(3, "recycled instances", is_recycled);
    }
}

#[test]
fn without_limits_an_instance_stays() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &ONE);
        for n in 1..=50 {
            assert_eq!(server.get("/count").text(), n.to_string(), "{guest}");
        }
        assert_eq!(server.count(is_recycled), 0, "{guest}");
    }
}

#[test]
fn recycling_loses_no_request() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--identify", "--no-access-log", "--max-requests", "5"]);
        let worker = server.worker(0);
        let answers = parallel(8, |_| {
            let one = |_| {
                let response = server.get("/hello");
                (response.status, response.instance())
            };
            (0..50).map(one).collect::<Vec<_>>()
        });
        let mut served = HashMap::new();
        for (status, instance) in answers.into_iter().flatten() {
            assert_eq!(status, 200, "{guest}");
            *served.entry(instance).or_insert(0) += 1;
        }
        assert_eq!(served.values().sum::<u64>(), 400);
        for record in server.all(is_recycled) {
            assert_eq!(record.number("served"), served[&record.number("instance")], "{guest}: {}", record.line);
            assert!(record.number("served") >= 5);
        }
        assert!(server.count(is_recycled) > 10, "{guest}");
        assert_eq!(server.worker(0), worker, "{guest}: the process is the same");
        assert!(worker.runs());
    }
}

#[test]
fn a_connection_outlives_the_instances_that_serve_it() {
    for guest in TESTBEDS {
        let server = Server::start_inspectable(guest, &[&ONE[..], &["--max-requests", "2"]].concat());
        let worker = server.worker(0);
        let files = worker.open_files();
        let mut connection = server.connect();
        for instance in 1..=10 {
            assert_eq!(connection.get("/hello").instance(), instance, "{guest}");
            assert_eq!(connection.get("/hello").instance(), instance, "{guest}");
            wait_for_ends(&server, instance as usize);
        }
        drop(connection);
        eventually("no descriptor is left of them", || (worker.open_files() <= files).then_some(()));
    }
}

#[test]
fn each_instance_has_its_startup_and_its_shutdown() {
    for guest in TESTBEDS {
        let folder = TempDir::new().unwrap();
        let dir = format!("{}::/data", folder.path().display());
        let options = ["--dir", &dir, "--env", "TESTBED_SHUTDOWN_FILE=/data/log", "--max-requests", "2"];
        let mut server = Server::start(guest, &[&ONE[..], &options].concat());
        // Those that are replaced end while the server runs.
        for ended in 1..=2 {
            counts(&server, 2);
            wait_for_ends(&server, ended);
        }
        counts(&server, 1);
        server.stop();
        let written = fs::read_to_string(folder.path().join("log")).unwrap();
        assert_eq!(written, "shutdown 0 1\nshutdown 0 2\nshutdown 0 3\n", "{guest}");
        assert_eq!(server.count(|r| r.is_guest_line("testbed: startup")), 3, "{guest}");
    }
}

#[test]
fn jitter_makes_instances_last_differently() {
    let options = ["--max-requests", "5", "--max-requests-jitter", "20", "--workers", "2", "--no-access-log"];
    let server = Server::start("testbed-async", &options);
    let mut served: Vec<_> = eventually("both workers have recycled often", || {
        parallel(4, |_| (0..20).for_each(|_| assert_eq!(server.get("/hello").status, 200)));
        let of = |worker| server.all(|r| is_recycled(r) && r.number("worker") == worker);
        let (first, second) = (of(0), of(1));
        let enough = first.len() >= 6 && second.len() >= 6;
        let served = |records: Vec<Record>| records.iter().take(6).map(|r| r.number("served")).collect::<Vec<_>>();
        enough.then(|| [served(first), served(second)])
    })
    .to_vec();
    assert_ne!(served[0], served[1], "each worker has its own");
    served.iter_mut().for_each(|served| {
        served.sort_unstable();
        served.dedup();
        assert!(served.len() >= 2 && served[0] >= 5, "{served:?}");
    });
}

#[test]
fn an_idle_instance_is_replaced_when_it_is_old() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[&ONE[..], &["--max-lifetime", "0.5"]].concat());
        let worker = server.worker(0);
        let record = server.wait_for("its end", is_recycled);
        assert_eq!(record.text("why"), "age", "{guest}");
        assert_eq!(record.number("served"), 0);
        server.wait_for_count(1, "shutdown", |r| r.is_guest_line("testbed: shutdown"));
        server.wait_for_count(2, "startups", |r| r.is_guest_line("testbed: startup"));
        // So is the next one.
        server.wait_for_count(2, "further ends", is_recycled);
        assert_eq!(server.get("/count").text(), "1", "{guest}");
        assert_eq!(server.worker(0), worker);
    }
}

#[test]
fn an_old_instance_finishes_what_it_serves() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[&ONE[..], &["--max-lifetime", "0.3"]].concat());
        let response = server.get("/sleep?ms=1000");
        assert_eq!((response.status, response.text().as_str()), (200, "slept"), "{guest}");
        server.wait_for("its end", |r| is_recycled(r) && r.number("instance") == response.instance());
    }
}

#[test]
fn an_instance_that_has_grown_is_replaced_after_its_request() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[&ONE[..], &["--max-instance-memory", "16MiB"]].concat());
        for n in 1..=5 {
            assert_eq!(server.get("/count").text(), n.to_string(), "{guest}");
        }
        assert_eq!(server.get("/grow?mb=20").text(), "20", "{guest}");
        // It does not take another request to notice.
        let record = server.wait_for("its end", is_recycled);
        assert_eq!(record.text("why"), "memory");
        assert_eq!(record.number("served"), 6);
        let response = server.get("/count");
        assert_eq!((response.text().as_str(), response.instance()), ("1", 2), "{guest}");
        assert_eq!(server.count(is_recycled), 1);
    }
}

#[test]
fn a_response_that_never_ends_keeps_its_instance_and_holds_up_nobody() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[&ONE[..], &["--max-requests", "1"]].concat());
        let mut stream = begin_stream(&server);
        let (response, took) = timed(|| server.get("/count"));
        assert_eq!((response.text().as_str(), response.instance()), ("1", 2), "{guest}");
        assert!(took < Duration::from_secs(2), "{guest}: {took:?}");
        // The old one goes on, and is not shut down under its request.
        assert!(stream.answers_within(Duration::from_secs(5)), "{guest}");
        assert_eq!(server.count(|r| r.is_guest_line("testbed: shutdown")), 0, "{guest}");

        stream.reset();
        server.wait_for("its shutdown", |r| r.is_guest_line("testbed: shutdown"));
    }
}

#[test]
fn no_more_instances_are_on_their_way_out_than_there_may_be() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[&ONE[..], &["--max-requests", "1"]].concat());
        let stream = begin_stream(&server);
        // The second one would be due after each of these, but stays until the first one is gone.
        assert_eq!(counts(&server, 4), counted(&[("1", 2), ("2", 2), ("3", 2), ("4", 2)]), "{guest}");
        assert_eq!(server.wait_for("the first one's record", is_recycled).number("instance"), 1, "{guest}");
        assert_eq!(server.count(is_recycled), 1, "{guest}");

        stream.reset();
        // Then it goes at once, without a request.
        let record = server.wait_for("its end", |r| is_recycled(r) && r.number("instance") == 2);
        assert_eq!(record.number("served"), 4, "{guest}");
        assert_eq!(server.get("/count").instance(), 3);
    }
}

#[test]
fn all_of_several_instances_are_replaced() {
    for guest in TESTBEDS {
        let options = ["--instances", "3", "--concurrency", "1", "--identify", "--max-requests", "4"];
        let server = Server::start(guest, &options);
        for _ in 0..4 {
            parallel(6, |_| assert_eq!(server.get("/sleep?ms=50").status, 200));
        }
        server.wait_for_count(4, "recycled instances", is_recycled);
        for record in server.all(is_recycled) {
            assert!(record.number("served") >= 4, "{guest}: {}", record.line);
        }
    }
}

#[test]
fn if_the_successor_does_not_start_it_is_503_until_one_does() {
    for guest in TESTBEDS {
        let folder = TempDir::new().unwrap();
        let dir = format!("{}::/data", folder.path().display());
        let options = ["--dir", &dir, "--env", "TESTBED_STARTUP=fail-if-file:/data/broken", "--max-requests", "2"];
        let server = Server::start(guest, &[&ONE[..], &options].concat());
        assert_eq!(server.get("/count").text(), "1", "{guest}");
        fs::write(folder.path().join("broken"), "").unwrap();
        assert_eq!(server.get("/count").text(), "2", "{guest}");
        server.wait_for("the reason", |r| r.message().contains("found /data/broken"));
        let refused = eventually("it is refused", || {
            let response = server.get("/count");
            (response.status == 503).then_some(response)
        });
        assert!(refused.header("retry-after").is_some());
        fs::remove_file(folder.path().join("broken")).unwrap();
        eventually("it recovers", || (server.get("/hello").status == 200).then_some(()));
    }
}

#[test]
fn a_fresh_instance_for_each_request_is_not_recycled() {
    for guest in TESTBEDS {
        let options = ["--isolation", "request", "--max-requests", "2", "--max-lifetime", "0.1"];
        let server = Server::start(guest, &[&options[..], &["--max-instance-memory", "1"]].concat());
        for _ in 0..10 {
            assert_eq!(server.get("/count").text(), "1", "{guest}");
        }
        assert_eq!(server.count(is_recycled), 0, "{guest}");
    }
}

#[test]
fn recycling_goes_on_where_every_call_is_on_a_thread() {
    let options = ["--offload", "always", "--max-requests", "3", "--no-access-log"];
    let server = Server::start("testbed-sync", &[&ONE[..], &options].concat());
    parallel(4, |_| (0..15).for_each(|_| assert_eq!(server.get("/hello").status, 200)));
    server.wait_for_count(10, "recycled instances", is_recycled);
}

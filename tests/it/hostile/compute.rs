//! Guests that take all the processor time that they can get.

use std::time::Duration;

use crate::support::{Connection, HOSTILES, Server, eventually, timed};

use super::Target;

const LOOPS: [&str; 4] = ["/loop", "/loop-clock", "/loop-random", "/loop-poll"];

#[test]
fn others_are_served_while_a_guest_computes_or_calls_the_host_for_ever() {
    for guest in HOSTILES {
        for target in LOOPS {
            let server = Target::start(guest, &["--timeout-worker-healthcheck", "1.5"]);
            let attacks: Vec<Connection> = (0..2).map(|_| server.begin(target)).collect();
            eventually("they compute", || (server.worker.cpu().0 > Duration::from_millis(300)).then_some(()));
            server.assert_others_are_served(&format!("{guest} {target}"));
            server.assert_stands();
            drop(attacks);
        }
    }
}

#[test]
fn others_are_served_while_memory_is_filled_with_single_instructions() {
    for guest in HOSTILES {
        let server = Target::start(guest, &[]);
        let mut attack = server.begin("/fill?mb=16&times=100");
        server.assert_others_are_served("/fill");
        let response = attack.receive();
        assert_eq!((response.status, response.text().as_str()), (200, "filled"), "{guest}");
        server.assert_stands();
    }
}

#[test]
fn a_sync_guests_request_gets_no_more_processor_time_than_it_may() {
    for target in ["/loop", "/loop-clock", "/loop-random"] {
        let server = Target::start("hostile-sync", &["--max-cpu-time", "0.3"]);
        let before = server.worker.cpu().0;
        let response = server.get(target);
        assert_eq!(response.status, 500, "{target}");
        let record = server.death_from(0, "cpu-limit");
        assert!(record.message().contains("--max-cpu-time"), "{}", record.line);
        let used = server.worker.cpu().0 - before;
        // Procfs counts in steps of 10 ms, and a start is in it.
        let bounds = Duration::from_millis(250)..Duration::from_millis(700);
        assert!(bounds.contains(&used), "{target}: {used:?}");
        server.assert_stands();
        server.assert_comes_to_rest();
        assert_ne!(server.get("/hello").instance(), response.instance(), "a fresh one serves");
    }
}

#[test]
fn processor_time_is_counted_for_each_request_and_not_while_it_waits() {
    let options = ["--instances", "1", "--max-cpu-time", "0.4", "--no-access-log"];
    let server = Server::start("testbed-sync", &options);
    for _ in 0..4 {
        assert_eq!(server.get("/burn?ms=150").text(), "burned");
    }
    assert_eq!(server.get("/sleep?ms=800").text(), "slept");
    assert_eq!(server.count(|r| r.is_event("instance-died")), 0);
}

#[test]
fn an_async_instance_gets_no_more_processor_time_in_a_second_than_it_may() {
    let options = ["--instances", "2", "--max-cpu-share", "0.3", "--no-access-log"];
    let server = Server::start("hostile-async", &options);
    let worker = server.worker(0);
    let attack = server.occupy("/loop");
    let before = worker.cpu().0;
    let used = || worker.cpu().0 - before;
    let (used, time) = timed(|| eventually("it has computed", || Some(used()).filter(|used| used.as_millis() >= 900)));
    // The shares of one more second than it took, and what the worker itself needs.
    assert!(used <= (time + Duration::from_secs(1)).mul_f64(0.3) + Duration::from_millis(400), "{used:?} in {time:?}");
    assert_eq!(server.get("/hello").text(), "Hello, world!");
    drop(attack);
}

#[test]
fn attacks_on_every_thread_end_and_leave_them_to_others() {
    for guest in HOSTILES {
        let server = Target::start(guest, &["--threads", "2", "--timeout-request", "0.5"]);
        let attacks: Vec<Connection> = (0..4).map(|_| server.begin("/loop")).collect();
        for mut attack in attacks {
            assert_eq!(attack.receive().status, 504, "{guest}");
        }
        server.assert_comes_to_rest();
        // This needs a thread.
        let (response, took) = timed(|| server.get("/fill?mb=8&times=20"));
        assert_eq!(response.status, 200, "{guest}");
        assert!(took < Duration::from_secs(10), "{guest}: {took:?}");
        server.assert_stands();
    }
}

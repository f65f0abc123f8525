//! One record tells how a worker process died, and why; one that has grown too large is replaced before it comes to that.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal::{SIGABRT, SIGKILL, SIGSTOP, SIGTERM};
use tempfile::TempDir;

use crate::support::{Process, Record, Server, TESTBEDS, Wasmserve, eventually, for_a_while, request, unshare_options};

fn death(server: &Server, worker: Process) -> Record {
    server.wait_for("its end", |r| r.is_event("worker-exited") && r.number("pid") == worker.pid as u64)
}

#[test]
fn a_death_report_tells_which_why_after_how_much_and_what_was_in_flight() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--workers", "2", "--identify"]);
        let mut held = server.connect_to(1);
        for _ in 0..3 {
            held.get("/hello");
        }
        held.write(request("GET", "/stream?chunks=2&bytes=1&ms=3600000", &[], b""));
        held.receive_head();
        let served = server.status()["slots"][1]["counters"]["requests"].as_u64().unwrap();
        let worker = server.worker(1);
        worker.signal(SIGKILL);
        let record = death(&server, worker);
        assert_eq!((record.number("worker"), record.number("generation")), (1, 1), "{guest}: {}", record.line);
        assert_eq!((record.number("requests"), record.number("in_flight")), (served, 1), "{guest}: {}", record.line);
        assert!(record.text("reason").contains("SIGKILL"), "{guest}: {}", record.line);
        assert!(["warn", "error"].contains(&record.level().as_str()), "{guest}: {}", record.line);
        server.replacement(1, worker);
        assert_eq!(server.count(|r| r.is_event("worker-exited")), 1, "{guest}: one record");
    }
}

#[test]
fn a_death_report_names_the_signal_or_the_missed_heartbeats() {
    let server = Server::start("hello-sync", &["--workers", "2", "--timeout-worker-healthcheck", "1"]);
    for (slot, signal, reason) in [(0, SIGABRT, "SIGABRT"), (1, SIGSTOP, "sign of life")] {
        let worker = server.worker(slot);
        worker.signal(signal);
        let record = death(&server, worker);
        assert!(record.text("reason").contains(reason), "{}", record.line);
        server.replacement(slot, worker);
        let status = server.status();
        let told = status["slots"][slot as usize]["last_death"].as_str().unwrap();
        assert!(told.contains(reason), "{told}");
    }
}

#[test]
fn an_end_that_was_meant_is_no_death() {
    let mut server = Server::start("hello-sync", &["--workers", "2"]);
    let worker = server.worker(0);
    worker.signal(SIGTERM);
    server.replacement(0, worker);
    server.reload();
    server.stop();
    let deaths = server.all(|r| r.is_event("worker-exited") && ["warn", "error"].contains(&r.level().as_str()));
    assert_eq!(deaths.len(), 0, "{}", deaths[0].line);
}

#[test]
fn a_worker_that_the_kernel_ended_for_want_of_memory_is_told_apart() {
    let Some(unshare) = unshare_options(&["--mount"]) else {
        return; // Not allowed here.
    };
    // What the kernel says of the control group is made up; the server reads it as ever.
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
    let Some(mount) = mount else {
        return; // The kernel says nothing here.
    };
    let folder = TempDir::new().unwrap();
    fs::create_dir_all(folder.path().join(own)).unwrap();
    let events = folder.path().join(own).join("memory.events");
    let write = |kills| fs::write(&events, format!("low 0\nhigh 0\nmax 9\noom 3\noom_kill {kills}\n")).unwrap();
    write(5);
    let command = Wasmserve::serving("hello-sync", &["--workers", "2"]);
    let shell = command.through_shell(&format!("mount --bind {} {mount}", folder.path().display()));
    let server = shell.through("unshare", &unshare).start();

    let worker = server.worker(0);
    worker.signal(SIGKILL);
    let record = death(&server, worker);
    assert!(!record.text("reason").contains("memory"), "{}", record.line);

    let worker = server.worker(1);
    write(6);
    worker.signal(SIGKILL);
    let record = death(&server, worker);
    assert!(record.text("reason").contains("memory"), "{}", record.line);
}

#[test]
fn a_worker_that_has_grown_too_large_is_replaced_and_nothing_is_lost() {
    for guest in TESTBEDS {
        let options = ["--workers", "2", "--worker-max-rss", "300MiB", "--max-memory", "1GiB", "--no-access-log"];
        let server = Server::start(guest, &options);
        let workers = server.workers();
        let mut held = server.connect();
        held.write(request("GET", "/stream?chunks=2&bytes=1&ms=2500", &[], b""));
        let head = held.receive_head();
        let load = server.load(2);

        assert_eq!(server.get("/grow?mb=400").status, 200, "{guest}");
        let record = server.wait_for("it is told", |r| r.is_event("worker-recycled"));
        assert!(record.number("rss") > 300 << 20, "{guest}: {}", record.line);
        let slot = record.number("worker");
        let old = Process { pid: record.number("pid") as i32 };
        assert_eq!(workers[slot as usize], old, "{guest}");
        server.replacement(slot, old);
        assert_eq!(held.body(&head).exactly(2), b"00", "{guest}");
        eventually("the old one ends", || (!old.runs()).then_some(()));
        load.end().assert_none_lost();
        assert_eq!(server.worker(1 - slot), workers[1 - slot as usize], "{guest}: the other stays");
        assert_eq!(server.count(|r| r.is_event("back-off")), 0, "{guest}");
    }
}

#[test]
fn a_limit_that_every_worker_is_above_does_not_make_the_server_spin() {
    let server = Server::start("hello-sync", &["--workers", "1", "--worker-max-rss", "1", "--no-access-log"]);
    let load = server.load(1);
    server.wait_for("it is told", |r| r.is_event("worker-recycled"));
    for_a_while(Duration::from_secs(3), || {});
    let replaced = server.count(|r| r.is_event("worker-recycled"));
    assert!(replaced <= 5, "{replaced} times in 3 s");
    load.end().assert_none_lost();
}

//! `startup` before an instance's first request, `shutdown` after its last, and what happens if they fail.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{COUNTERS, Finished, Server, TESTBEDS, Wasmserve, eventually, parallel};

fn failing(guest: &str, step: &str, options: &[&str]) -> Finished {
    let step = format!("TESTBED_STARTUP={step}");
    let command = Wasmserve::serving(guest, &["--port", "0", "--env", &step]);
    command.args(options).run()
}

#[test]
fn startup_runs_before_the_first_request_and_shutdown_after_the_last() {
    for guest in COUNTERS {
        let mut server = Server::start(guest, &["--instances", "1", "--env", "COUNTER_START=100"]);
        assert_eq!(server.get("/").text(), "worker 0, instance 1: 101\n", "{guest}");
        assert_eq!(server.get("/").text(), "worker 0, instance 1: 102\n", "{guest}");
        server.stop();
        let lines: Vec<_> = server.all(|r| r.is_guest()).iter().map(|r| r.message().to_owned()).collect();
        assert_eq!(lines, ["counter: startup", "counter: shutdown after 2 requests"], "{guest}");
    }
}

#[test]
fn tasks_that_startup_leaves_behind_do_not_hold_up_the_end() {
    let args = ["--timeout-graceful-shutdown", "3600", "--env", "TESTBED_STARTUP=background"];
    let args = [&args[..], &["--concurrency", "1", "--instances", "1"]].concat();
    for requests in [0, 3] {
        let mut server = Server::start("testbed-async", &args);
        for _ in 0..requests {
            assert_eq!(server.get("/after?ms=1").text(), "answered");
        }
        server.stop();
        assert_eq!(server.count(|r| r.is_guest_line("testbed: shutdown")), 1);
    }
}

#[test]
fn the_hooks_run_once_in_each_instance() {
    for guest in TESTBEDS {
        let folder = TempDir::new().unwrap();
        let dir = format!("{}::/data", folder.path().display());
        let mut server = Server::start(
            guest,
            &[
                "--workers",
                "2",
                "--instances",
                "3",
                "--concurrency",
                "1",
                "--identify",
                "--dir",
                &dir,
                "--env",
                "TESTBED_SHUTDOWN_FILE=/data/log",
            ],
        );
        let mut places = parallel(12, |_| server.get("/sleep?ms=200").place());
        places.extend([(0, 1, 1), (1, 1, 1)]);
        places.sort_unstable();
        places.dedup();
        server.stop();

        let expected: Vec<_> =
            places.iter().map(|(worker, instance, _)| format!("shutdown {worker} {instance}")).collect();
        let written = fs::read_to_string(folder.path().join("log")).unwrap();
        let mut written: Vec<_> = written.lines().collect();
        written.sort_unstable();
        assert_eq!(written, expected, "{guest}");
        for line in ["testbed: startup", "testbed: shutdown"] {
            assert_eq!(server.count(|r| r.is_guest_line(line)), places.len(), "{guest}: {line}");
        }
    }
}

#[test]
fn a_failed_startup_at_the_first_boot_is_a_failed_start() {
    for guest in TESTBEDS {
        for workers in ["1", "4"] {
            // The best of three: the promise is about the server, not about what else the machine does.
            let tries = (0..3).map(|_| failing(guest, "fail:no such luck", &["--workers", workers]));
            let finished = tries.min_by_key(|finished| finished.took).unwrap();
            assert_eq!(finished.code, Some(3), "{guest}: {finished:?}");
            let told = finished.stderr.matches("no such luck").count();
            assert_eq!(told, 1, "{guest}, {workers} workers: {}", finished.stderr);
            assert!(finished.took < Duration::from_secs(1), "{guest}: {:?}", finished.took);
        }
    }
}

#[test]
fn the_counters_own_message_is_printed() {
    for guest in COUNTERS {
        let command = Wasmserve::serving(guest, &["--port", "0", "--env", "COUNTER_START=x"]);
        let finished = command.run();
        assert_eq!(finished.code, Some(3), "{guest}: {finished:?}");
        assert!(finished.stderr.contains("COUNTER_START must be a whole number"), "{finished:?}");
    }
}

#[test]
fn a_startup_that_traps_is_a_failed_start() {
    for guest in TESTBEDS {
        let finished = failing(guest, "trap", &["--workers", "2"]);
        assert_eq!(finished.code, Some(3), "{guest}: {finished:?}");
        assert!(finished.stderr.contains("unreachable"), "{guest}: {}", finished.stderr);
    }
}

#[test]
fn a_startup_that_takes_too_long_is_a_failed_start() {
    for guest in TESTBEDS {
        for step in ["sleep:3600000", "spin"] {
            let options = ["--timeout-startup", "0.4", "--workers", "4"];
            let tries = (0..2).map(|_| failing(guest, step, &options));
            let finished = tries.min_by_key(|finished| finished.took).unwrap();
            assert_eq!(finished.code, Some(3), "{guest} {step}: {finished:?}");
            assert!(finished.stderr.contains("longer than 0.4 s"), "{guest} {step}: {}", finished.stderr);
            assert!(finished.took < Duration::from_millis(1400), "{guest} {step}: {:?}", finished.took);
        }
    }
}

#[test]
fn a_startup_may_take_its_time() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--env", "TESTBED_STARTUP=sleep:700"]);
        assert_eq!(server.get("/hello").status, 200, "{guest}");
    }
}

#[test]
fn a_later_instance_whose_startup_fails_is_503_until_it_recovers() {
    for guest in TESTBEDS {
        let folder = TempDir::new().unwrap();
        let dir = format!("{}::/data", folder.path().display());
        let server =
            Server::start(guest, &["--dir", &dir, "--env", "TESTBED_STARTUP=fail-if-file:/data/broken", "--identify"]);
        let worker = server.worker(0);
        fs::write(folder.path().join("broken"), "").unwrap();
        assert_eq!(server.get("/trap").status, 500, "{guest}");

        let refused = server.get("/hello");
        assert_eq!(refused.status, 503, "{guest}");
        let wait: u64 = refused.header("retry-after").expect("Retry-After").parse().unwrap();
        assert!(wait >= 1);
        server.wait_for("the reason", |r| r.message().contains("found /data/broken"));

        fs::remove_file(folder.path().join("broken")).unwrap();
        eventually("it recovers", || (server.get("/hello").status == 200).then_some(()));
        assert_eq!(server.worker(0), worker, "{guest}: the worker is the same");
    }
}

#[test]
fn while_startup_fails_it_is_not_tried_for_every_request() {
    for guest in TESTBEDS {
        let folder = TempDir::new().unwrap();
        let dir = format!("{}::/data", folder.path().display());
        let options = ["--dir", &dir, "--env", "TESTBED_STARTUP=fail-if-file:/data/broken"];
        let server = Server::start(guest, &options);
        fs::write(folder.path().join("broken"), "").unwrap();
        server.get("/trap");
        for _ in 0..200 {
            assert_eq!(server.get("/hello").status, 503, "{guest}");
        }
        let tries = server.count(|r| r.message().contains("found /data/broken"));
        assert!(tries < 20, "{guest}: {tries} tries for 200 requests");
    }
}

#[test]
fn lifespan_off_calls_neither_hook() {
    for guest in COUNTERS {
        let mut server = Server::start(guest, &["--lifespan", "off", "--env", "COUNTER_START=x"]);
        assert_eq!(server.get("/").text(), "worker 0, instance 1: 1\n", "{guest}");
        server.stop();
        assert_eq!(server.count(|r| r.is_guest()), 0, "{guest}");
    }
}

#[test]
fn lifespan_on_serves_a_component_that_has_it() {
    for guest in COUNTERS {
        assert_eq!(Server::start(guest, &["--lifespan", "on"]).get("/").status, 200, "{guest}");
    }
}

#[test]
fn after_a_trap_shutdown_is_not_called_and_the_log_says_so() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--instances", "1"]);
        assert_eq!(server.get("/trap").status, 500, "{guest}");
        assert_eq!(server.get("/hello").status, 200, "{guest}");
        server.wait_for("shutdown was not called", |r| {
            !r.is_guest() && r.message().contains("shutdown") && r.message().contains("not")
        });
        assert_eq!(server.count(|r| r.is_guest_line("testbed: shutdown")), 0, "{guest}");
    }
}

#[test]
fn a_shutdown_that_traps_does_not_spoil_the_end() {
    for guest in TESTBEDS {
        let mut server = Server::start(guest, &["--env", "TESTBED_SHUTDOWN=trap", "--workers", "2"]);
        assert_eq!(server.get("/hello").status, 200, "{guest}");
        server.stop();
        let told = server.count(|r| !r.is_guest() && r.message().contains("shutdown"));
        assert!(told >= 1, "{guest}: the log says nothing");
    }
}

#[test]
fn a_shutdown_that_never_ends_is_cut_off() {
    for guest in TESTBEDS {
        for step in ["spin", "sleep:3600000"] {
            let step = format!("TESTBED_SHUTDOWN={step}");
            let mut server = Server::start(guest, &["--env", &step, "--timeout-graceful-shutdown", "0.5"]);
            server.signal(nix::sys::signal::Signal::SIGTERM);
            server.wait_exit();
            server.wait_for_end();
            server.wait_for("what was left", |r| r.is_event("drain-timeout"));
        }
    }
}

#[test]
fn a_shutdown_may_take_its_time() {
    for guest in TESTBEDS {
        let mut server = Server::start(guest, &["--env", "TESTBED_SHUTDOWN=sleep:500"]);
        server.stop();
        assert_eq!(server.count(|r| r.is_guest_line("testbed: shutdown")), 1, "{guest}");
    }
}

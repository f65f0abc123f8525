//! HUP and `wasmserve reload` load the component again, as a new generation that takes over without losing a request;
//! one that cannot serve changes nothing. `wasmserve rollback` goes back.

use std::collections::HashSet;
use std::fs;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal::{SIGHUP, SIGKILL, SIGTERM};
use tempfile::TempDir;

use crate::support::{AppFile, Process, Server, TESTBEDS, Wasmserve, eventually, prebuilt, request, sync_app, timed};

/// Reloads of the test that nothing piles up; `soak.rs` makes a hundred.
const RELOADS: u64 = 15;

fn serving(app: &AppFile, args: &[&str]) -> Wasmserve {
    Wasmserve::serving(&app.path, &["--workers", "2", "--identify"]).args(args)
}

/// Waits until every slot is served by this generation alone.
#[track_caller]
fn until_generation(server: &Server, generation: u64) {
    eventually("the old generation is gone", || {
        let status = server.status();
        let slots = status["slots"].as_array().unwrap();
        let processes = slots.iter().flat_map(|slot| slot["processes"].as_array().unwrap());
        let done = processes.clone().count() == slots.len()
            && processes.clone().all(|process| process["generation"] == generation && process["state"] == "ready");
        done.then_some(())
    });
}

#[test]
fn hup_serves_what_is_in_the_file_now() {
    for (before, after) in [("hello-sync", "counter-async"), ("hello-async", "counter-sync")] {
        let app = AppFile::of(before);
        let server = serving(&app, &[]).start();
        let old = server.workers();
        assert_eq!(server.get("/").text(), "Hello, world!");
        assert_eq!(server.get("/").place().2, 1);

        app.become_guest(after);
        server.reload();
        until_generation(&server, 2);
        for _ in 0..10 {
            let response = server.get("/");
            assert!(response.text().starts_with("worker "), "{before} to {after}: {}", response.text());
            assert_eq!(response.place().2, 2);
        }
        assert!(old.iter().all(|worker| !worker.runs()), "{before} to {after}");
        for event in ["reload-started", "reload-finished"] {
            assert_eq!(server.wait_for(event, |r| r.is_event(event)).number("generation"), 2);
        }
    }
}

#[test]
fn the_command_reload_ends_with_0_when_the_new_generation_serves() {
    let app = AppFile::of("hello-sync");
    let server = serving(&app, &[]).start();
    app.become_guest("counter-sync");
    server.do_control(&["reload"]);
    assert_eq!(server.status()["generation"], 2);
    assert_eq!(server.status()["last_reload"]["succeeded"], true);
    until_generation(&server, 2);
    assert!(server.get("/").text().starts_with("worker "));
}

#[test]
fn an_unchanged_component_is_loaded_again_too() {
    let server = Server::start("counter-sync", &["--workers", "2", "--identify"]);
    let old = server.workers();
    server.reload();
    until_generation(&server, 2);
    assert!(old.iter().all(|worker| !worker.runs()));
    assert_eq!(server.get("/").place().2, 2);
}

#[test]
fn no_request_is_lost_while_generations_change() {
    let app = AppFile::of("hello-sync");
    let server = serving(&app, &["--no-access-log"]).start();
    let load = server.load(8);
    for guest in ["counter-async", "hello-async", "counter-sync", "hello-sync"] {
        load.wait_for_more(50);
        app.become_guest(guest);
        server.reload();
    }
    load.wait_for_more(50);
    load.end().assert_none_lost();
}

#[test]
fn a_kept_connection_is_closed_between_requests_and_never_within_one() {
    let server = Server::start("hello-async", &["--workers", "2", "--no-access-log"]);
    thread::scope(|scope| {
        let reloads = scope.spawn(|| (0..4).for_each(|_| server.reload()));
        let mut connection = server.connect();
        while !reloads.is_finished() {
            let sent = connection.try_write(request("GET", "/", &[], b""));
            // Closed while it was idle: a client sees that, and that nothing of an answer came, and asks again.
            if sent.is_err() || connection.is_at_end() {
                connection = server.connect();
                continue;
            }
            let response = connection.receive();
            assert_eq!(response.text(), "Hello, world!");
            if response.header("connection") == Some("close") {
                connection = server.connect();
            }
        }
    });
}

#[test]
fn what_is_in_flight_is_finished_by_its_generation() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--workers", "2", "--identify"]);
        let mut held = server.connect();
        held.write(request("GET", "/stream?chunks=2&bytes=1&ms=1500", &[], b""));
        let head = held.receive_head();
        server.reload();
        assert_eq!(held.body(&head).exactly(2), b"00", "{guest}");
        until_generation(&server, 2);
    }
}

#[test]
fn at_no_moment_are_fewer_workers_ready() {
    let server = Server::start("testbed-sync", &["--workers", "3", "--env", "TESTBED_STARTUP=sleep:100"]);
    let started = || server.count(|r| r.is_event("reload-finished"));
    for reload in 1..=2 {
        server.signal(SIGHUP);
        while started() < reload {
            let status = server.status();
            for slot in status["slots"].as_array().unwrap() {
                let processes = slot["processes"].as_array().unwrap();
                assert!(processes.iter().any(|process| process["state"] == "ready"), "{status}");
            }
        }
    }
}

#[test]
fn one_worker_tries_the_new_generation_before_any_other_starts() {
    let folder = TempDir::new().unwrap();
    let dir = format!("{}::/data", folder.path().display());
    let steps = "TESTBED_STARTUP=sleep:300,fail-if-file:/data/broken";
    let server = Server::start("testbed-sync", &["--workers", "4", "--dir", &dir, "--env", steps]);
    fs::write(folder.path().join("broken"), "").unwrap();
    server.signal(SIGHUP);
    let old: HashSet<_> = server.workers().into_iter().collect();
    let is_new = |child: &Process| !old.contains(child) && child.runs();
    let mut most = 0;
    eventually("the canary fails", || {
        most = most.max(server.supervisor().children().iter().filter(|child| is_new(child)).count());
        (server.count(|r| r.is_event("reload-failed")) == 1).then_some(())
    });
    assert_eq!(most, 1);
    assert!(old.iter().all(|worker| worker.runs()), "the old workers go on");
}

#[test]
fn in_each_slot_the_new_one_starts_up_before_the_old_one_shuts_down() {
    for guest in ["counter-sync", "counter-async"] {
        let server = Server::start(guest, &["--workers", "3", "--instances", "1"]);
        server.reload();
        until_generation(&server, 2);
        let said = |slot: u64| server.all(|r| r.is_guest() && r.number("worker") == slot);
        for slot in 0..3 {
            let lines: Vec<_> = said(slot).iter().map(|r| r.message().to_owned()).collect();
            let expected = ["counter: startup", "counter: startup", "counter: shutdown after 0 requests"];
            assert_eq!(lines, expected, "{guest}, worker {slot}");
        }
    }
}

/// The file becomes something that cannot serve: the old generation goes on, everybody is told why, and the next
/// reload is a new chance.
#[track_caller]
fn assert_refused(after: impl AsRef<[u8]>, options: &[&str], exit_code: i32, why: &str) {
    let app = AppFile::of("hello-sync");
    let server = serving(&app, options).start();
    let old = server.workers();
    app.become_file(after);

    let finished = server.control(&["reload"]);
    assert_eq!(finished.code, Some(exit_code), "{finished:?}");
    assert!(finished.stderr.contains(why), "{why:?} is not in: {}", finished.stderr);

    let mark = server.len();
    server.signal(SIGHUP);
    let failed = server.wait_from(mark, "the reload's failure", |r| r.is_event("reload-failed"));
    assert!(failed.message().contains(why), "{why:?} is not in: {}", failed.line);

    let status = server.status();
    assert_eq!(status["last_reload"]["succeeded"], false, "{status}");
    assert!(status["last_reload"]["message"].as_str().unwrap().contains(why), "{status}");
    assert_eq!(status["generation"], 1, "{status}");
    assert_eq!(status["state"], "ready", "{status}");

    let response = server.get("/");
    assert_eq!((response.text().as_str(), response.place().2), ("Hello, world!", 1));
    assert_eq!(server.workers(), old, "the old workers go on");
    assert!(old.iter().all(|worker| worker.runs()));

    app.become_guest("hello-async");
    server.do_control(&["reload"]);
    assert_eq!(server.get("/").text(), "Hello, world!");
    assert_eq!(server.status()["last_reload"]["succeeded"], true);
}

#[test]
fn a_file_that_is_no_component_changes_nothing() {
    assert_refused("echo I am no component", &[], 4, "not");
}

#[test]
fn a_truncated_component_changes_nothing() {
    let whole = prebuilt("counter-sync");
    assert_refused(&whole[..whole.len() / 2], &[], 4, "truncated");
}

#[test]
fn a_component_with_an_import_that_nobody_provides_changes_nothing() {
    let import = r#"(import "acme:store/table@1.4.0" (instance (export "get" (func))))"#;
    let text = sync_app().replace("(component", &format!("(component {import}"));
    assert_refused(wat::parse_str(text).unwrap(), &[], 4, "acme:store/table@1.4.0");
}

#[test]
fn a_startup_that_fails_changes_nothing() {
    let options = ["--env", "TESTBED_STARTUP=fail:no such luck"];
    assert_refused(prebuilt("testbed-sync"), &options, 3, "no such luck");
    assert_refused(prebuilt("testbed-async"), &options, 3, "no such luck");
}

#[test]
fn a_startup_that_traps_changes_nothing() {
    assert_refused(prebuilt("testbed-sync"), &["--env", "TESTBED_STARTUP=trap"], 3, "unreachable");
}

#[test]
fn a_startup_that_takes_too_long_changes_nothing() {
    for step in ["sleep:3600000", "spin"] {
        let step = format!("TESTBED_STARTUP={step}");
        let options = ["--timeout-startup", "0.4", "--env", &step];
        assert_refused(prebuilt("testbed-async"), &options, 3, "longer than 0.4 s");
    }
}

#[test]
fn a_file_that_is_gone_changes_nothing() {
    let app = AppFile::of("hello-sync");
    let server = serving(&app, &[]).start();
    app.remove();
    let finished = server.control(&["reload"]);
    assert_eq!(finished.code, Some(4), "{finished:?}");
    assert!(finished.stderr.contains("no such file"), "{finished:?}");
    server.wait_for("the reload's failure", |r| r.is_event("reload-failed") && r.message().contains("no such file"));
    // Nor does it matter when a worker has to be replaced.
    let old = server.worker(0);
    old.signal(SIGKILL);
    server.replacement(0, old);
    assert_eq!(server.connect_to(0).get("/").text(), "Hello, world!");
}

#[test]
fn a_canary_that_is_killed_changes_nothing() {
    let app = AppFile::of("hello-sync");
    let server = serving(&app, &["--env", "TESTBED_STARTUP=sleep:3600000"]).start();
    app.become_guest("testbed-sync");
    let old = server.workers();
    server.signal(SIGHUP);
    // Its children are the compiler first, if it is needed, and then the canary.
    eventually("the reload fails", || {
        let children = server.supervisor().children();
        let newest = children.into_iter().find(|child| !old.contains(child));
        newest.filter(|child| child.runs()).inspect(|child| child.signal(SIGKILL));
        (server.count(|r| r.is_event("reload-failed")) == 1).then_some(())
    });
    assert_eq!(server.get("/").text(), "Hello, world!");
    assert!(old.iter().all(|worker| worker.runs()));
}

#[test]
fn a_slow_startup_within_its_limit_never_aborts_a_reload() {
    // No other limit is for it: neither that of heartbeats nor that of a drain.
    let options = ["--timeout-worker-healthcheck", "0.5", "--timeout-graceful-shutdown", "0.5"];
    for guest in TESTBEDS {
        let app = AppFile::of("hello-sync");
        let server = serving(&app, &options).args(&["--env", "TESTBED_STARTUP=sleep:1500"]).start();
        app.become_guest(guest);
        server.reload();
        assert_eq!(server.count(|r| r.is_event("reload-failed")), 0, "{guest}");
        until_generation(&server, 2);
    }
}

#[test]
fn hups_that_come_while_a_reload_goes_on_are_one_more_reload() {
    let folder = TempDir::new().unwrap();
    let dir = format!("{}::/data", folder.path().display());
    let app = AppFile::of("testbed-sync");
    let options = ["--dir", &dir, "--env", "TESTBED_STARTUP=sleep:300"];
    let server = serving(&app, &options).start();
    server.signal(SIGHUP);
    server.wait_for("a reload", |r| r.is_event("reload-started"));
    app.become_guest("hello-sync");
    for _ in 0..10 {
        server.signal(SIGHUP);
        thread::yield_now();
    }
    // What was asked for last is what is served.
    eventually("the last one serves", || (server.get("/env").text() == "Hello, world!").then_some(()));
    server.do_control(&["reload"]);
    let reloads = server.count(|r| r.is_event("reload-started"));
    assert!((2..=4).contains(&reloads), "{reloads} reloads");
    assert_eq!(server.count(|r| r.is_event("reload-finished")), reloads);
}

#[test]
fn term_during_a_reload_ends_at_once_and_cleanly() {
    let app = AppFile::of("hello-sync");
    let mut server = serving(&app, &["--env", "TESTBED_STARTUP=sleep:3600000"]).start();
    app.become_guest("testbed-async");
    let old = server.workers();
    server.signal(SIGHUP);
    let canary = eventually("the canary", || {
        let children = server.supervisor().children();
        // The compiler, if it is needed, and then the canary.
        children.into_iter().rfind(|child| !old.contains(child) && child.runs())
    });
    let ((), took) = timed(|| server.stop());
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(!canary.runs() && old.iter().all(|worker| !worker.runs()));
}

#[test]
fn back_off_starts_anew_with_a_new_generation() {
    let server = Server::start("testbed-async", &["--workers", "2", "--no-access-log"]);
    for _ in 0..4 {
        let old = server.worker(0);
        old.signal(SIGKILL);
        server.replacement(0, old);
    }
    let pauses = server.count(|r| r.is_event("back-off"));
    assert!(pauses >= 2);
    server.reload();
    until_generation(&server, 2);
    let old = server.worker(0);
    old.signal(SIGKILL);
    server.replacement(0, old);
    assert_eq!(server.count(|r| r.is_event("back-off")), pauses, "the first death of a generation is answered at once");
}

#[test]
fn rollback_serves_the_generation_before_at_once() {
    let app = AppFile::of("hello-sync");
    let server = serving(&app, &[]).start();
    app.become_guest("counter-async");
    server.reload();
    until_generation(&server, 2);
    assert!(server.get("/").text().starts_with("worker "));
    assert_eq!(server.status()["previous_generation"], 1);

    // Its machine code was kept: the file is not needed, and nothing is compiled.
    app.remove();
    let load = server.load(4);
    server.do_control(&["rollback"]);
    eventually("the old one serves", || (server.get("/").text() == "Hello, world!").then_some(()));
    load.end().assert_none_lost();
    server.wait_for("the rollback", |r| r.is_event("rollback"));

    // It is what new workers belong to.
    let old = server.worker(1);
    old.signal(SIGKILL);
    server.replacement(1, old);
    assert_eq!(server.connect_to(1).get("/").text(), "Hello, world!");
}

#[test]
fn rollback_without_a_generation_before_says_so() {
    let server = Server::start("hello-sync", &[]);
    let finished = server.control(&["rollback"]);
    assert!(!matches!(finished.code, Some(0) | None), "{finished:?}");
    assert!(finished.stderr.contains("generation"), "{finished:?}");
    assert_eq!(server.status()["generation"], 1);
    assert_eq!(server.get("/").text(), "Hello, world!");
}

#[test]
fn a_generation_that_failed_is_not_what_rollback_goes_back_to() {
    let app = AppFile::of("hello-sync");
    let server = serving(&app, &[]).start();
    app.become_file("no component");
    assert_eq!(server.control(&["reload"]).code, Some(4));
    assert!(server.status()["previous_generation"].is_null());
    assert_ne!(server.control(&["rollback"]).code, Some(0));
    assert_eq!(server.get("/").text(), "Hello, world!");
}

#[test]
fn a_worker_that_dies_during_a_reload_is_replaced() {
    let server = Server::start("testbed-sync", &["--workers", "3", "--env", "TESTBED_STARTUP=sleep:200"]);
    for slot in 0..3 {
        let mark = server.len();
        let old = server.worker(slot);
        server.signal(SIGHUP);
        server.wait_from(mark, "a reload", |r| r.is_event("reload-started"));
        old.signal(SIGKILL);
        server.wait_from(mark, "its end", |r| r.is_event("reload-finished"));
    }
    until_generation(&server, 4);
    assert_eq!(server.get("/hello").status, 200);
}

#[test]
fn many_reloads_leave_nothing_behind_in_the_supervisor() {
    let server = Server::start("hello-sync", &["--workers", "2"]);
    let supervisor = server.supervisor();
    let reload = |generation| {
        server.reload();
        until_generation(&server, generation);
    };
    (2..=6).for_each(reload);
    let only_two = || (supervisor.children().len() == 2).then_some(());
    eventually("the workers before have ended", only_two);
    let (files, memory) = (supervisor.open_files(), supervisor.status("RssAnon"));
    (7..7 + RELOADS).for_each(reload);
    eventually("the workers before have ended", only_two);
    // The last connection to the control socket may just be going.
    eventually("no descriptor is left behind", || (supervisor.open_files() <= files).then_some(()));
    assert_eq!(supervisor.status("Threads"), 1);
    let grown = supervisor.status("RssAnon").saturating_sub(memory);
    // The allocator keeps some, now more and now less.
    assert!(grown < 512, "memory grew by {grown} KiB");
    assert_eq!(supervisor.zombies(), []);
}

#[test]
fn term_after_reloads_shuts_the_newest_generation_down() {
    let mut server = Server::start("counter-sync", &["--workers", "2", "--instances", "1"]);
    server.reload();
    server.signal(SIGTERM);
    assert_eq!(server.wait_exit().code(), Some(0));
    server.wait_for_end();
    let lines = |text: &str| server.count(|r| r.is_guest() && r.message().starts_with(text));
    assert_eq!((lines("counter: startup"), lines("counter: shutdown")), (4, 4));
}

//! The numbers that production asks for: many clients while everything changes.
//!
//! CI runs this in a short form. In full, with a release build:
//! `WASMSERVE_SOAK=full cargo nextest run --release -E 'test(soak)' -j 1`
//!
//! What else belongs to these numbers has a place of its own: a failed startup in `lifespan.rs`, a port in use in
//! `cli.rs` and `sockets.rs`.

use std::collections::BTreeMap;
use std::env;
use std::time::Duration;

use nix::sys::signal::Signal::{self, SIGHUP, SIGKILL, SIGSTOP, SIGTERM, SIGUSR2};
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::support::{
    Connection, Load, Process, Server, Tally, block_loop, eventually, for_a_while, median, parallel, timed,
};

const CLIENTS: usize = 32;

/// How much of it.
struct Scale {
    /// Requests of a run, each over a new connection.
    requests: u64,
    /// Requests until an instance is replaced, and up to so many more.
    max_requests: [&'static str; 2],
    /// Between one change and the next.
    pause: Duration,
    runs: usize,
    upgrade_runs: usize,
    reloads: u64,
}

const SHORT: Scale = Scale {
    requests: 4_000,
    max_requests: ["50", "20"],
    pause: Duration::from_millis(200),
    runs: 1,
    upgrade_runs: 1,
    reloads: 20,
};

const FULL: Scale = Scale {
    requests: 20_000,
    max_requests: ["500", "200"],
    pause: Duration::from_secs(1),
    runs: 5,
    upgrade_runs: 3,
    reloads: 100,
};

fn scale() -> Scale {
    if env::var("WASMSERVE_SOAK").is_ok_and(|value| value == "full") { FULL } else { SHORT }
}

fn start(args: &[&str]) -> Server {
    let mut options = vec!["--workers", "4", "--no-access-log", "--identify"];
    options.extend(args);
    Server::start("hello-async", &options)
}

/// Does something again and again while the clients ask.
fn meanwhile(server: &Server, scale: &Scale, mut disturb: impl FnMut()) -> Tally {
    let load = Load::of(server.address(), CLIENTS, scale.requests);
    while !load.is_over() {
        disturb();
        for_a_while(scale.pause, || {});
    }
    load.finish()
}

#[test]
fn soak_no_request_is_lost_with_a_hup_every_second() {
    let scale = scale();
    for _ in 0..scale.runs {
        let server = start(&[]);
        let tally = meanwhile(&server, &scale, || server.signal(SIGHUP));
        tally.assert_none_lost();
        assert_eq!(tally.served, scale.requests);
        server.wait_for("a reload", |r| r.is_event("reload-finished"));
        assert_eq!(server.count(|r| r.is_event("reload-failed")), 0);
    }
}

#[test]
fn soak_no_request_is_lost_while_instances_are_recycled() {
    let scale = scale();
    let [most, jitter] = scale.max_requests;
    for guest in ["hello-async", "hello-sync"] {
        for _ in 0..scale.runs {
            let options = ["--max-requests", most, "--max-requests-jitter", jitter];
            let server = Server::start(guest, &[&["--workers", "4", "--no-access-log"], &options[..]].concat());
            let workers = server.workers();
            let tally = meanwhile(&server, &scale, || {});
            tally.assert_none_lost();
            server.wait_for("a new instance", |r| r.is_event("instance-recycled"));
            assert_eq!(server.workers(), workers, "the processes stay");
        }
    }
}

#[test]
fn soak_no_request_is_lost_while_the_executable_is_replaced() {
    let scale = scale();
    for _ in 0..scale.upgrade_runs {
        let mut server = start(&[]);
        let mut serving = server.supervisor();
        let first = serving;
        let tally = meanwhile(&server, &scale, || {
            let mark = server.len();
            serving.signal(SIGUSR2);
            let started = server.wait_from(mark, "an upgrade", |r| r.is_event("upgrade-started"));
            server.wait_from(mark, "the new one serves", |r| r.is_event("upgrade-ready"));
            serving.signal(SIGTERM);
            let old = serving;
            eventually("the old one ends", || (!old.runs()).then_some(()));
            serving = Process { pid: started.number("pid") as i32 };
        });
        assert_ne!(serving, first);
        serving.signal(SIGTERM);
        eventually("the end", || (!serving.runs()).then_some(()));
        tally.assert_none_lost();
        assert_eq!(server.wait_exit().code(), Some(0));
    }
}

#[test]
fn soak_a_killed_worker_costs_only_what_was_in_it() {
    let scale = scale();
    let server = start(&[]);
    let mut kills = 0;
    let tally = meanwhile(&server, &scale, || {
        // Whoever is there: while a slot backs off, its last process is gone.
        let worker = server.worker(kills % 4);
        if kill(Pid::from_raw(worker.pid), SIGKILL).is_ok() {
            kills += 1;
        }
    });
    // While others back off, one worker may have all clients. Nobody was refused, or had to wait for ever.
    let most = kills as usize * CLIENTS;
    assert!(tally.failures.len() <= most, "{} after {kills} kills", tally.failures.len());
    for failure in &tally.failures {
        let ended = failure.contains("no whole response") || failure.contains("cannot send");
        assert!(ended && !failure.contains("timed out"), "{failure}");
    }
    assert_eq!(tally.served + tally.failures.len() as u64, scale.requests);
}

fn shares(counts: &BTreeMap<u64, u64>) -> Vec<f64> {
    let all: u64 = counts.values().sum();
    counts.values().map(|count| *count as f64 * 100.0 / all as f64).collect()
}

#[test]
fn soak_every_worker_gets_its_share_of_new_connections() {
    let server = start(&[]);
    // Chance alone makes 0.5 % of so many.
    let requests = scale().requests.max(6_000);
    let tally = Load::of(server.address(), CLIENTS, requests).finish();
    tally.assert_none_lost();
    let shares = shares(&tally.workers);
    assert_eq!(shares.len(), 4, "{shares:?}");
    assert!(shares.iter().all(|share| (22.0..=28.0).contains(share)), "{shares:?}");
}

#[test]
fn soak_no_worker_gets_nearly_half_of_64_kept_connections() {
    let server = start(&[]);
    // Where a connection goes is chance, so that one set of them proves little.
    let mut largest: Vec<_> = (0..5)
        .map(|_| {
            let mut connections: Vec<_> = (0..64).map(|_| server.connect()).collect();
            let mut counts = BTreeMap::new();
            for _ in 0..5 {
                for connection in &mut connections {
                    *counts.entry(connection.get("/").place().0).or_default() += 1;
                }
            }
            shares(&counts).into_iter().fold(0.0, f64::max)
        })
        .collect();
    largest.sort_by(f64::total_cmp);
    eprintln!("largest share of a worker, of 64 kept connections: {largest:.1?} %");
    assert!(largest[2] <= 45.0, "{largest:?}");
}

#[test]
fn soak_a_slot_without_a_worker_is_adopted_within_100_ms() {
    let server = start(&[]);
    let mut kills = 0;
    // The median: any single try may wait for a core.
    let slowest = median(7, || {
        let old = server.worker(1);
        old.signal(SIGKILL);
        server.wait_for("its end", |r| r.is_event("worker-exited") && r.number("pid") == old.pid as u64);
        // A quarter of these come in at the slot.
        let times = parallel(12, |_| timed(|| assert_eq!(server.get("/").status, 200)).1);
        kills += 1;
        server.replacement(1, old);
        times.into_iter().max().unwrap()
    });
    assert!(slowest < Duration::from_millis(100), "{slowest:?}");
    assert!(server.count(|r| r.is_event("back-off")) >= kills - 2, "it was backing off");
}

/// Does something to a worker and returns how long it took until its successor served.
fn time_to_replace(disturb: impl Fn(Process)) -> Duration {
    let options = ["--workers", "4", "--timeout-worker-healthcheck", "1"];
    let server = Server::start_inspectable("hello-async", &options);
    let old = server.worker(2);
    let ((), took) = timed(|| {
        disturb(old);
        server.replacement(2, old);
    });
    let exited = server.wait_for("its end", |r| r.is_event("worker-exited") && r.number("pid") == old.pid as u64);
    assert!(exited.text("reason").contains("sign of life"), "{}", exited.line);
    took
}

#[test]
fn soak_a_stopped_worker_is_replaced_within_its_limit_and_2_s() {
    let took = median(3, || time_to_replace(|worker| worker.signal(SIGSTOP)));
    assert!((Duration::from_millis(900)..Duration::from_secs(3)).contains(&took), "{took:?}");
}

#[test]
fn soak_a_worker_whose_loop_is_blocked_is_replaced_within_its_limit_and_2_s() {
    let took = median(3, || time_to_replace(block_loop));
    assert!((Duration::from_millis(900)..Duration::from_secs(3)).contains(&took), "{took:?}");
}

#[test]
fn soak_reloads_leave_nothing_behind_and_the_supervisor_stays_small() {
    let server = start(&["--admin", "0"]);
    let supervisor = server.supervisor();
    let reload = || {
        server.reload();
        // Four workers and the admin process.
        eventually("the old ones are gone", || (supervisor.children().len() == 5).then_some(()));
    };
    (0..5).for_each(|_| reload());
    let (files, memory) = (supervisor.open_files(), supervisor.status("RssAnon"));
    (0..scale().reloads).for_each(|_| reload());
    assert_eq!(supervisor.open_files(), files);
    assert_eq!(supervisor.status("Threads"), 1);
    assert_eq!(supervisor.zombies(), []);
    let grown = supervisor.status("RssAnon").saturating_sub(memory);
    // The allocator keeps some, now more and now less.
    assert!(grown < 512, "memory grew by {grown} KiB");

    // Of an unoptimised build most is the executable itself.
    let is_release = !cfg!(debug_assertions) || env::var_os("WASMSERVE_BIN").is_some();
    let resident = supervisor.status(if is_release { "VmRSS" } else { "RssAnon" });
    assert!(resident <= 10 << 10, "{resident} KiB");
}

#[test]
fn soak_everything_at_once_loses_nothing() {
    let server = start(&["--max-requests", "100", "--max-requests-jitter", "50"]);
    let scale = scale();
    let mut round = 0;
    let tally = meanwhile(&server, &scale, || {
        round += 1;
        match round % 4 {
            0 => server.signal(SIGHUP),
            1 => server.signal(Signal::SIGTTIN),
            2 => drop(server.do_control(&["recycle"])),
            _ => server.signal(Signal::SIGTTOU),
        }
    });
    tally.assert_none_lost();
    assert_eq!(Connection::open(server.address()).get("/").status, 200);
}

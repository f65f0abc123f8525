//! The admin listener: health, readiness, metrics and status, from a process of its own.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGSTOP};
use serde_json::{Value, json};

use crate::support::{Connection, Process, Server, TESTBEDS, Wasmserve, eventually, request, timed};

fn start(guest: &str, args: &[&str]) -> Server {
    Wasmserve::serving(guest, &["--admin", "0", "--no-access-log"]).args(args).start()
}

fn status_of(server: &Server, target: &str) -> u16 {
    server.admin(target).status
}

/// The child that is no worker.
#[track_caller]
fn admin_process(server: &Server) -> Process {
    let workers = server.workers();
    eventually("the admin process", || server.supervisor().children().into_iter().find(|c| !workers.contains(c)))
}

/// Waits until a number is told; what is told may be a moment old.
#[track_caller]
fn until(server: &Server, name: &str, labels: &[(&str, &str)], value: f64) {
    let mut last = f64::NAN;
    let mut probe = || {
        last = server.metrics().sum(name, labels);
        (last == value).then_some(())
    };
    let end = Instant::now() + Duration::from_secs(5);
    while probe().is_none() {
        assert!(Instant::now() < end, "{name} {labels:?} is {last}, not {value}");
        thread::park_timeout(Duration::from_millis(20));
    }
}

#[track_caller]
fn until_requests(server: &Server, requests: f64) {
    until(server, "wasmserve_requests_total", &[], requests);
}

#[test]
fn a_server_that_serves_is_healthy_and_ready() {
    let server = start("hello-sync", &["--workers", "2"]);
    assert_eq!(status_of(&server, "/healthz"), 200);
    assert_eq!(status_of(&server, "/readyz"), 200);
    assert_eq!(status_of(&server, "/readyz?verbose=1"), 200);
    assert_eq!(Connection::open(server.admin_address()).exchange("HEAD", "/healthz", &[], b"").status, 200);
}

#[test]
fn nothing_listens_unless_asked_for() {
    let server = Server::start("hello-sync", &["--workers", "2"]);
    assert_eq!(server.count(|r| r.is_event("admin-ready")), 0);
    assert_eq!(server.supervisor().children().len(), 2);
}

#[test]
fn a_port_alone_is_on_the_loopback_and_an_address_is_taken_as_it_is() {
    assert_eq!(start("hello-sync", &[]).admin_address().ip().to_string(), "127.0.0.1");
    let server = Wasmserve::serving("hello-sync", &["--admin", "127.0.0.2:0"]).start();
    assert_eq!(server.admin_address().ip().to_string(), "127.0.0.2");
    assert_eq!(status_of(&server, "/healthz"), 200);
}

#[test]
fn an_address_in_use_or_without_sense_is_a_mistake() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let finished = Wasmserve::serving("hello-sync", &["--port", "0", "--admin", &address]).run();
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.stderr.contains(&address), "{finished:?}");
    let finished = Wasmserve::serving("hello-sync", &["--port", "0", "--admin", "nowhere"]).run();
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.stderr.contains("--admin"), "{finished:?}");
}

#[test]
fn a_server_that_starts_is_healthy_and_not_yet_ready() {
    let options = ["--admin", "0", "--env", "TESTBED_STARTUP=sleep:1500", "--workers", "2"];
    let server = Wasmserve::serving("testbed-sync", &options).launch();
    server.admin_address();
    let (health, readiness) = (status_of(&server, "/healthz"), status_of(&server, "/readyz"));
    // Both were asked before any worker was ready.
    if server.count(|r| r.is_event("worker-ready")) == 0 {
        assert_eq!((health, readiness), (200, 503));
    }
    eventually("it is ready", || (status_of(&server, "/readyz") == 200).then_some(()));
    server.wait_for("a worker", |r| r.is_event("worker-ready"));
}

#[test]
fn one_ready_worker_is_enough() {
    let server = start("hello-sync", &["--workers", "2", "--timeout-worker-healthcheck", "3600"]);
    server.worker(0).signal(SIGSTOP);
    assert_eq!(status_of(&server, "/readyz"), 200);
}

#[test]
fn a_server_whose_workers_all_crash_is_healthy_and_not_ready() {
    let server = start("hello-sync", &["--workers", "2"]);
    eventually("not ready", || {
        for child in server.workers() {
            if child.runs() {
                child.signal(SIGKILL);
            }
        }
        (status_of(&server, "/readyz") == 503).then_some(())
    });
    assert_eq!(status_of(&server, "/healthz"), 200);
    eventually("ready again", || (status_of(&server, "/readyz") == 200).then_some(()));
}

#[test]
fn a_server_whose_workers_are_all_stuck_tells_so_and_still_answers() {
    let server = start("hello-sync", &["--workers", "2", "--timeout-worker-healthcheck", "1"]);
    server.get("/");
    let workers = server.workers();
    for worker in &workers {
        worker.signal(SIGSTOP);
    }
    eventually("not ready", || (status_of(&server, "/readyz") == 503).then_some(()));
    eventually("ready again", || (status_of(&server, "/readyz") == 200).then_some(()));
}

#[test]
fn it_answers_while_every_worker_is_stopped() {
    let server = start("hello-sync", &["--workers", "2", "--timeout-worker-healthcheck", "3600"]);
    let workers = server.workers();
    server.get("/");
    workers.iter().for_each(|worker| worker.signal(SIGSTOP));
    for target in ["/healthz", "/metrics", "/status"] {
        let (status, took) = timed(|| status_of(&server, target));
        assert_eq!(status, 200, "{target}");
        assert!(took < Duration::from_secs(2), "{target}: {took:?}");
    }
    until_requests(&server, 1.0);
    workers.iter().for_each(|worker| worker.signal(SIGCONT));
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn metrics_count_what_was_sent_by_status_class() {
    for guest in TESTBEDS {
        let server = start(guest, &["--workers", "2"]);
        for (target, times) in
            [("/hello", 7), ("/status?code=302", 2), ("/status?code=404", 3), ("/status?code=503", 1)]
        {
            for _ in 0..times {
                server.get(target);
            }
        }
        server.get("/trap");
        until_requests(&server, 14.0);
        let metrics = server.metrics();
        let count = |class| metrics.sum("wasmserve_requests_total", &[("class", class)]);
        let counts = ["2xx", "3xx", "4xx", "5xx"].map(count);
        assert_eq!(counts, [7.0, 2.0, 3.0, 2.0], "{guest}");
        assert_eq!(metrics.sum("wasmserve_request_duration_seconds_count", &[]), 14.0, "{guest}");
        assert_eq!(metrics.types["wasmserve_request_duration_seconds"], "histogram");
        assert_eq!(metrics.sum("wasmserve_instance_traps_total", &[]), 1.0, "{guest}");
        for slot in ["0", "1"] {
            let labels = [("app", guest), ("worker", slot)];
            assert!(metrics.sum("wasmserve_requests_total", &labels) >= 0.0);
            assert_eq!(metrics.sum("wasmserve_worker_ready", &labels), 1.0);
        }
    }
}

#[test]
fn metrics_are_of_the_text_format_that_their_type_names() {
    let server = start("hello-sync", &[]);
    let response = server.admin("/metrics");
    let kind = response.header("content-type").unwrap();
    assert!(kind.starts_with("text/plain") && kind.contains("version=0.0.4"), "{kind}");
    server.metrics();
}

#[test]
fn the_histogram_has_each_request_in_its_place() {
    let server = start("testbed-async", &[]);
    for _ in 0..5 {
        server.get("/sleep?ms=300");
    }
    until_requests(&server, 5.0);
    let metrics = server.metrics();
    let up_to = |bound| metrics.sum("wasmserve_request_duration_seconds_bucket", &[("le", bound)]);
    assert_eq!((up_to("0.2"), up_to("50"), up_to("+Inf")), (0.0, 5.0, 5.0));
    assert!(metrics.sum("wasmserve_request_duration_seconds_sum", &[]) >= 1.5);
}

#[test]
fn counters_survive_the_death_of_workers_and_their_generations() {
    let server = start("testbed-sync", &["--workers", "2"]);
    for _ in 0..10 {
        server.get("/hello");
    }
    for (slot, old) in server.workers().into_iter().enumerate() {
        old.signal(SIGKILL);
        server.replacement(slot as u64, old);
    }
    until_requests(&server, 10.0);
    for _ in 0..5 {
        server.get("/hello");
    }
    until_requests(&server, 15.0);
    server.reload();
    until(&server, "wasmserve_generation", &[], 2.0);
    until(&server, "wasmserve_worker_processes", &[], 2.0);
    let metrics = server.metrics();
    assert_eq!(metrics.sum("wasmserve_requests_total", &[]), 15.0);
    assert_eq!(metrics.sum("wasmserve_worker_restarts_total", &[]), 2.0);
    assert_eq!(metrics.sum("wasmserve_request_duration_seconds_count", &[]), 15.0);
}

#[test]
fn counters_survive_the_removal_of_a_worker() {
    let server = start("hello-sync", &["--workers", "3"]);
    for _ in 0..20 {
        server.get("/");
    }
    server.do_control(&["scale", "1"]);
    eventually("they are gone", || (server.metrics().sum("wasmserve_worker_processes", &[]) == 1.0).then_some(()));
    until_requests(&server, 20.0);
}

#[test]
fn gauges_show_what_is_in_flight_and_who_waits() {
    for guest in TESTBEDS {
        let server = start(guest, &["--instances", "1", "--concurrency", "1", "--queue", "1"]);
        let held = server.occupy("/stream?chunks=2&bytes=1&ms=3600000");
        let waiting = server.fill_the_queue();
        // Those that wait are in flight as well.
        until(&server, "wasmserve_requests_in_flight", &[], 2.0);
        until(&server, "wasmserve_requests_queued", &[], 1.0);
        let metrics = server.metrics();
        assert_eq!(metrics.sum("wasmserve_instances", &[]), 1.0, "{guest}");
        assert!(metrics.sum("wasmserve_instance_memory_bytes", &[]) > 0.0, "{guest}");
        assert!(metrics.sum("wasmserve_worker_resident_memory_bytes", &[]) > f64::from(1 << 20), "{guest}");
        drop((held, waiting));
    }
}

#[test]
fn traps_are_counted_by_kind() {
    let server = start("testbed-sync", &["--workers", "2"]);
    for target in ["/trap", "/trap", "/recurse", "/oob"] {
        server.get(target);
    }
    until(&server, "wasmserve_instance_traps_total", &[], 4.0);
    let metrics = server.metrics();
    let traps = metrics.all("wasmserve_instance_traps_total");
    let mut kinds: Vec<_> = traps.iter().filter(|sample| sample.value > 0.0).map(|s| s.labels.get("kind")).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), 3, "{traps:?}");
    assert!(kinds.iter().all(Option::is_some), "{traps:?}");
}

#[test]
fn recycled_instances_and_compiling_are_counted() {
    let cache = tempfile::TempDir::new().unwrap();
    let command = Wasmserve::serving("hello-async", &["--admin", "0", "--max-requests", "5"]);
    let server = command.env("WASMSERVE_CACHE_DIR", cache.path()).start();
    for _ in 0..20 {
        server.get("/");
    }
    until_requests(&server, 20.0);
    let metrics = server.metrics();
    assert!(metrics.sum("wasmserve_instance_recycles_total", &[]) >= 3.0);
    assert!(metrics.sum("wasmserve_compile_seconds_total", &[]) > 0.0);
}

#[test]
fn status_is_the_same_as_the_commands() {
    let server = start("hello-sync", &["--workers", "2"]);
    server.get("/");
    let response = server.admin("/status");
    assert!(response.header("content-type").unwrap().starts_with("application/json"));
    let (told, asked): (Value, _) = (response.json(), server.status());
    for field in ["version", "pid", "state", "app", "component", "addresses", "generation", "workers"] {
        assert_eq!(told[field], asked[field], "{field}");
    }
    let pids = |status: &Value| {
        status["slots"].as_array().unwrap().iter().map(|s| s["processes"][0]["pid"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(pids(&told), pids(&asked));
    assert_eq!(told["slots"].as_array().unwrap().len(), 2);
}

#[test]
fn other_methods_and_paths_are_refused() {
    let server = start("hello-sync", &[]);
    for target in ["/healthz", "/readyz", "/metrics", "/status"] {
        for method in ["POST", "PUT", "DELETE"] {
            let response = Connection::open(server.admin_address()).exchange(method, target, &[], b"");
            assert_eq!(response.status, 405, "{method} {target}");
            assert!(response.header("allow").unwrap().contains("GET"), "{method} {target}");
        }
    }
    for target in ["/", "/metrics/", "/etc/passwd", "/status/../metrics"] {
        assert_eq!(status_of(&server, target), 404, "{target}");
    }
    // What is served to everybody is not here, and the other way round.
    assert_eq!(server.get("/metrics").text(), "Hello, world!");
}

#[test]
fn its_process_holds_no_guest_code() {
    let server = Server::start_inspectable("hello-sync", &["--admin", "0"]);
    let worker = server.worker(0);
    let code = |process: Process| process.maps().contains("wasmserve-cache");
    assert!(code(worker), "workers map the machine code from the cache");
    assert!(!code(admin_process(&server)));
}

#[test]
fn its_process_comes_back_when_it_is_killed() {
    let server = start("hello-sync", &["--workers", "2"]);
    let address = server.admin_address();
    for _ in 0..3 {
        let old = admin_process(&server);
        old.signal(SIGKILL);
        eventually("its end", || (!old.runs()).then_some(()));
        // Its socket is the supervisor's: who comes meanwhile waits.
        assert_eq!(Connection::open(address).get("/healthz").status, 200);
        assert_ne!(admin_process(&server), old);
    }
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.supervisor().zombies(), []);
}

#[test]
fn it_ends_with_the_server() {
    let mut server = start("hello-sync", &["--workers", "2"]);
    let admin = admin_process(&server);
    let address = server.admin_address();
    server.stop();
    assert!(!admin.runs());
    std::net::TcpListener::bind(address).expect("the port is free");

    let mut server = start("hello-sync", &["--workers", "2"]);
    let admin = admin_process(&server);
    server.signal(SIGKILL);
    server.wait_exit();
    eventually("its end", || (!admin.runs()).then_some(()));
}

#[test]
fn it_answers_until_the_last_request_is_finished() {
    let server = start("testbed-async", &["--workers", "2"]);
    let mut held = server.occupy("/stream?chunks=2&bytes=1&ms=1500");
    server.do_control(&["stop"]);
    assert_eq!(status_of(&server, "/healthz"), 200, "it lives");
    eventually("it takes no more", || (status_of(&server, "/readyz") == 503).then_some(()));
    assert_eq!(held.receive().text(), "00");
}

#[test]
fn a_reload_that_failed_shows_in_metrics() {
    let app = crate::support::AppFile::of("hello-sync");
    let server = Wasmserve::serving(&app.path, &["--admin", "0"]).start();
    app.become_file("nothing");
    assert_eq!(server.control(&["reload"]).code, Some(4));
    until(&server, "wasmserve_last_reload_successful", &[], 0.0);
    app.become_guest("counter-sync");
    server.do_control(&["reload"]);
    until(&server, "wasmserve_last_reload_successful", &[], 1.0);
    assert_eq!(status_of(&server, "/readyz"), 200);
}

#[test]
fn slow_and_silent_clients_hold_up_nobody() {
    let server = start("hello-sync", &[]);
    let address = server.admin_address();
    let _silent: Vec<_> = (0..50).map(|_| Connection::open(address)).collect();
    let mut half = Connection::open(address);
    half.write("GET /met");
    let (status, took) = timed(|| status_of(&server, "/metrics"));
    assert_eq!(status, 200);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn nonsense_does_no_harm() {
    let server = start("hello-sync", &[]);
    let address = server.admin_address();
    for bytes in [&b"\x00\x01\x02\r\n\r\n"[..], b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", &[b'x'; 100_000]] {
        let mut connection = Connection::open(address);
        let _ = connection.try_write(bytes);
        let _ = connection.try_receive();
    }
    let mut large = Connection::open(address);
    let headers: Vec<_> = (0..2000).map(|n| (format!("x-{n}"), "y".repeat(100))).collect();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let _ = large.try_write(request("GET", "/healthz", &headers, b""));
    let _ = large.try_receive();
    assert_eq!(status_of(&server, "/healthz"), 200);
}

#[test]
fn scraping_all_the_time_disturbs_nobody() {
    let server = start("hello-async", &["--workers", "2"]);
    let load = server.load(2);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..100).for_each(|_| drop(server.metrics())));
        }
    });
    load.end().assert_none_lost();
    assert_eq!(server.status()["slots"][0]["restarts"], json!(0));
}

//! What all apps may have together, and who makes way for whom.

use super::*;
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};

use crate::support::{Connection, request};

/// On demand, one worker each.
fn on_demand(names: &[&str]) -> String {
    names.iter().map(|name| app(name, "testbed-async", "")).collect()
}

/// Begins a request that takes long.
fn occupy(host: &Host, name: &str, ms: u64) -> Connection {
    let mut connection = host.connect();
    connection.write(format!("GET /sleep?ms={ms} HTTP/1.1\r\nHost: {name}.test\r\n\r\n"));
    connection
}

#[test]
fn the_app_that_was_idle_longest_makes_way() {
    let host = Host::with("max-workers = 2", &on_demand(&["one", "two", "three"]));
    let ask = |name: &str| assert_eq!(host.ask(&format!("{name}.test"), "/hello").text(), "Hello, world!");
    ask("one");
    host.until_counted("one", 1);
    ask("two");
    host.until_counted("two", 1);
    ask("one");
    host.until_counted("one", 2);
    let one = host.process("one");
    ask("three");
    host.until("two", "idle");
    assert_eq!(host.process("one"), one);
    assert_eq!(host.count(|r| r.is_event("app-makes-room")), 1);
    host.until_counted("three", 1);
    ask("two");
    host.until("one", "idle");
    assert_eq!(host.app("two")["starts"], 2);
    assert_eq!(host.app("one")["counters"]["requests"], 2, "what was counted stays");
}

#[test]
fn requests_wait_for_room_and_do_not_fail() {
    let host = Host::with("max-workers = 1", &on_demand(&["one", "two"]));
    let mut held = occupy(&host, "one", 6000);
    host.until("one", "ready");
    eventually("it is busy", || (host.app("one")["counters"]["in_flight"] == 1).then_some(()));
    let mut waiting = host.connect();
    waiting.write(b"GET /hello HTTP/1.1\r\nHost: two.test\r\n\r\n");
    host.wait_for("it waits", |r| r.is_event("app-waits") && r.text("app") == "two");
    assert_eq!(held.receive().text(), "slept");
    assert_eq!(waiting.receive().text(), "Hello, world!");
}

#[test]
fn busy_apps_take_turns() {
    let busy = format!("[app.busy]\ncomponent = \"{}\"\nroute = \"*\"\n", guest("testbed-async"));
    let host = Host::with("max-workers = 1", &(busy + &on_demand(&["other"])));
    let load = host.load(2);
    load.wait_for_more(1);
    for _ in 0..2 {
        assert_eq!(host.ask("other.test", "/hello").text(), "Hello, world!");
        load.wait_for_more(1);
    }
    load.end().assert_none_lost();
}

#[test]
fn more_workers_come_only_while_there_is_room() {
    let apps = app("many", "testbed-sync", "workers = { max = 3 }\ninstances = 1\nconcurrency = 1")
        + &app("other", "hello-sync", "");
    let host = Host::with("max-workers = 2", &apps);
    let held: Vec<_> = (0..6)
        .map(|_| {
            let mut connection = host.connect();
            connection.write(b"GET /sleep?ms=600000 HTTP/1.1\r\nHost: many.test\r\n\r\n");
            connection
        })
        .collect();
    eventually("all that there may be", || (host.app("many")["workers"] == 2).then_some(()));
    // It gives one of them up for an app that has none, as soon as that is free.
    let mut waiting = host.connect();
    waiting.write(request("GET", "/", &[("Host", "other.test")], b""));
    host.wait_for("it waits", |r| r.is_event("app-waits") && r.text("app") == "other");
    let server = host.process("many").unwrap();
    assert!(server.children().len() <= 2, "{server:?}");
    drop(held);
    assert_eq!(waiting.receive().text(), "Hello, world!");
}

#[test]
fn memory_counts_too() {
    let host = Host::with("max-memory = \"60MiB\"", &on_demand(&["large", "other"]));
    let grown = host.ask("large.test", "/grow?mb=100");
    assert_eq!(grown.status, 200);
    // Idle and too large: it makes way, whether or not somebody else asks.
    host.until("large", "idle");
    assert_eq!(host.ask("other.test", "/hello").text(), "Hello, world!");
}

#[test]
fn the_least_that_apps_have_must_fit() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("wasmserve.toml");
    let apps = app("one", "hello-sync", "workers = 2") + &app("two", "hello-sync", "workers = { min = 1, max = 2 }");
    fs::write(&path, server_table("max-workers = 2") + &apps).unwrap();
    let refused = Wasmserve::new(&["check", "--config", path.to_str().unwrap()]).run();
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("server.max-workers 2: the apps have 3 at least"), "{}", refused.stderr);
}

#[test]
fn a_stuck_app_has_a_budget_in_each_gateway_and_no_more() {
    let stuck = "workers = 1\n[app.stuck.limits]\nconcurrency = 4";
    let host = Host::with("gateways = 1", &(app("stuck", "hello-sync", stuck) + &app("other", "hello-sync", "")));
    host.until("stuck", "ready");
    let server = host.process("stuck").unwrap();
    let processes: Vec<_> = server.children().into_iter().chain([server]).collect();
    processes.iter().for_each(|process| process.signal(SIGSTOP));
    let mut held: Vec<_> = (0..4).map(|_| occupy(&host, "stuck", 1)).collect();
    eventually("no more than four", || (host.ask("stuck.test", "/").status == 503).then_some(()));
    assert_eq!(host.ask("other.test", "/").text(), "Hello, world!");
    processes.iter().for_each(|process| process.signal(SIGCONT));
    for connection in &mut held {
        assert_eq!(connection.receive().text(), "Hello, world!");
    }
    eventually("it serves again", || (host.ask("stuck.test", "/").status == 200).then_some(()));
}

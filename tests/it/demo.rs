//! `wasmserve demo`: the component inside the executable.

use std::collections::HashMap;

use serde_json::Value;

use crate::support::{Server, Wasmserve};

fn start(options: &[&str]) -> Server {
    Wasmserve::new(&["demo"]).args(options).start()
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let server = start(&[]);
    let page = server.get("/");
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let text = page.text();
    assert!(text.starts_with("<!doctype html>") || text.starts_with("<!DOCTYPE html>"));
    for outside in ["src=\"http", "href=\"http", "src=\"//", "url(http", "@import", "<link rel=\"stylesheet\""] {
        assert!(!text.contains(outside), "{outside}");
    }
}

#[test]
fn it_shows_who_answered_and_counts_for_each_instance() {
    let server = start(&["--workers", "4", "--identify"]);
    let workers = server.workers();
    let mut counts: HashMap<u64, u64> = HashMap::new();
    for _ in 0..1000 {
        let response = server.get("/api/whoami");
        let who: Value = response.json();
        let (worker, instance, generation) = response.place();
        assert_eq!(who["worker"], worker);
        assert_eq!(who["instance"], instance);
        assert_eq!(who["generation"], generation);
        assert_eq!(who["pid"], workers[worker as usize].pid);
        let count = counts.entry(worker).or_default();
        *count += 1;
        assert_eq!(who["count"], *count);
        if counts.len() == 4 {
            return;
        }
    }
    panic!("only these workers answered: {counts:?}");
}

#[test]
fn a_browser_meets_several_workers() {
    // A kept connection would show one worker only.
    let server = start(&["--workers", "2"]);
    let mut connection = server.connect();
    connection.get("/api/whoami");
    assert!(connection.is_at_end());
}

#[test]
fn it_can_trap_and_lives_on() {
    let server = start(&[]);
    assert_eq!(server.get_json("/api/whoami")["count"], 1);
    assert_eq!(server.get("/api/trap").status, 500);
    let who = server.get_json("/api/whoami");
    assert_eq!((&who["instance"], &who["count"]), (&Value::from(2), &Value::from(1)));
}

#[test]
fn it_ends_like_any_other() {
    let mut server = start(&["--workers", "2"]);
    server.get("/");
    server.stop();
}

//! Each example runs as its README says, and so does the whole.

use std::fs;
use std::path::PathBuf;

use crate::support::{Server, Wasmserve};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// Starts the first command of the README that serves something, from where the README says.
fn start(name: &str) -> Server {
    let readme = fs::read_to_string(folder(name).join("README.md")).unwrap();
    let commands = readme.lines().map(|line| line.trim().trim_start_matches("$ "));
    let arguments = commands
        .filter_map(|line| line.strip_prefix("wasmserve ").or_else(|| line.strip_prefix("cargo run --release -- ")))
        .find(|arguments| arguments.contains(".wasm"))
        .unwrap_or_else(|| panic!("the README of {name} serves nothing"));
    let arguments: Vec<_> = arguments.split_whitespace().filter(|word| *word != "&").collect();
    let root = env!("CARGO_MANIFEST_DIR");
    Wasmserve::new(&arguments).current_dir(root).start()
}

#[test]
fn hello() {
    assert_eq!(start("hello").get("/").text(), "Hello, world!");
}

#[test]
fn counter_shows_four_counters_for_four_workers() {
    let server = start("counter");
    assert_eq!(server.ready().number("workers"), 4);
    assert!(server.get("/").text().starts_with("worker "));
    let readme = fs::read_to_string(folder("counter").join("README.md")).unwrap();
    for worker in 0..4 {
        assert!(readme.contains(&format!("worker {worker}, instance 1: ")), "worker {worker}");
    }
}

#[test]
fn lifespan() {
    let mut server = start("lifespan");
    assert!(server.get("/").status < 500);
    assert_ne!(server.ready().field("lifespan"), "none");
    server.stop();
    assert!(server.count(|r| r.is_guest()) > 0, "the hooks print something");
}

#[test]
fn the_readme_names_the_two_commands_to_begin_with() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    assert!(readme.contains("cargo run --release -- demo --workers 4"));
    assert!(readme.lines().any(|line| line.trim().trim_start_matches("$ ") == "cargo test"));
}

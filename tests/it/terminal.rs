//! What a person at a terminal sees.

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::{Server, TESTBEDS, Wasmserve, code_to_compile, sync_app, with, write_component};

fn seen(server: &Server) -> String {
    server.records().iter().map(|record| record.line.clone() + "\n").collect()
}

#[test]
fn the_log_is_text() {
    let server = Wasmserve::serving("hello-sync", &[]).start_on_terminal();
    server.get("/some/path");
    server.wait_for("the access line", |r| r.line.contains("GET /some/path"));
    assert!(server.records().iter().all(|record| !record.is_json()), "{}", seen(&server));
}

#[test]
fn a_long_compilation_shows_that_it_goes_on() {
    let folder = TempDir::new().unwrap();
    let text = with(&sync_app(), &code_to_compile(400_000));
    let component = write_component(folder.path(), "large.wasm", wat::parse_str(text).unwrap());
    let command = || Wasmserve::serving(&component, &[]).env("WASMSERVE_CACHE_DIR", folder.path());

    let first = command().launch_on_terminal();
    let compiler = first.hold_compiler();
    first.wait_for_unfinished("compiling");
    compiler.signal(Signal::SIGCONT);
    first.wait_for_url();
    assert!(!seen(&command().start_on_terminal()).contains("compiling"));
}

#[test]
fn a_guest_cannot_write_to_the_terminal_itself() {
    for guest in TESTBEDS {
        let server = Wasmserve::serving(guest, &[]).start_on_terminal();
        // It would set the window's title, and it would go up a line and erase it.
        server.get("/print?text=before%1B]0;mine%07%1B[1A%1B[2Kafter%0Dagain");
        server.wait_for("what it prints", |r| r.line.contains("before"));
        server.get("/print?text=done");
        server.wait_for("the end", |r| r.line.contains("done"));
        let seen = seen(&server);
        for sequence in ["\u{1b}]", "\u{7}", "\u{1b}[1A", "\u{1b}[2K", "after\r"] {
            assert!(!seen.contains(sequence), "{guest}: {sequence:?} in {seen:?}");
        }
    }
}

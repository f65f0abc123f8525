//! Guests in every language answer every route of one table. docs/languages.md publishes it: run this with
//! `WASMSERVE_BLESS=1` to write it anew.

use std::env;
use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::support::Wasmserve;

mod checks;
mod frameworks;
mod table;

use checks::CHECKS;

/// One testbed: a language in one generation of WASI.
struct Guest {
    name: &'static str,
    language: &'static str,
    generation: &'static str,
    /// Checks that fail for a reason outside this project. One that passes after all is a failure, too.
    cannot: &'static [(&'static str, &'static str)],
}

const GUESTS: &[Guest] = &[
    Guest { name: "testbed-sync", language: "Rust", generation: "0.2", cannot: &[] },
    Guest { name: "testbed-async", language: "Rust", generation: "0.3", cannot: &[] },
    Guest { name: "testbed-javascript-sync", language: "JavaScript", generation: "0.2", cannot: &[NO_TRAP] },
    Guest {
        name: "testbed-javascript-async",
        language: "JavaScript",
        generation: "0.3",
        cannot: &[NO_TRAP, NO_CLIENT],
    },
    Guest { name: "testbed-python-sync", language: "Python", generation: "0.2", cannot: &[] },
    Guest { name: "testbed-python-async", language: "Python", generation: "0.3", cannot: &[] },
    Guest { name: "testbed-go-sync", language: "Go", generation: "0.2", cannot: &[] },
    Guest { name: "testbed-c-sync", language: "C", generation: "0.2", cannot: &[NO_EXCEPTIONS_C] },
    Guest { name: "testbed-c-async", language: "C", generation: "0.3", cannot: &[NO_EXCEPTIONS_C] },
    Guest { name: "testbed-cpp-sync", language: "C++", generation: "0.2", cannot: &[NO_EXCEPTIONS_CPP] },
    Guest { name: "testbed-zig-sync", language: "Zig", generation: "0.2", cannot: &[NO_EXCEPTIONS_ZIG] },
];

const NO_TRAP: (&str, &str) = ("trap", "nothing in JavaScript traps: an exception ends a request and not its instance");
const NO_CLIENT: (&str, &str) = ("outbound", "componentize-qjs 0.4.5 cannot import wasi:http/client");
const NO_EXCEPTIONS_C: (&str, &str) = ("throw", "C has no exceptions");
const NO_EXCEPTIONS_CPP: (&str, &str) = ("throw", "the C++ library of Zig 0.17.1 for WASI is built without exceptions");
const NO_EXCEPTIONS_ZIG: (&str, &str) =
    ("throw", "Zig has errors and no exceptions; a panic ends the instance, as `trap` does");

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where a guest is, if it has been built: the large ones are not in the repository.
fn find(name: &str) -> Option<PathBuf> {
    let file = format!("{name}.wasm");
    ["guests/built", "guests/prebuilt"]
        .map(|folder| project().join(folder).join(&file))
        .into_iter()
        .find(|p| p.exists())
}

/// What has not been run must not look as if it had passed. The harness does not capture this.
fn say_missing(name: &str) {
    let required = env::var_os("WASMSERVE_LANGUAGES").is_some_and(|value| value == "all");
    assert!(!required, "{name} has not been built: scripts/build-languages {name}");
    let _ = writeln!(
        std::io::stderr(),
        "\nNOT RUN: {name} has not been built. To build it: scripts/build-languages {name}"
    );
}

/// Compiles a component before anything with a time limit waits for that; the large ones take a while.
fn compile(path: &Path) {
    let checked = Wasmserve::new(&["check", path.to_str().unwrap()]).run_with_all_patience();
    assert!(checked.code == Some(0), "{}", checked.stderr);
}

/// Runs every check, and returns what was not as expected.
fn run(guest: &Guest, path: &Path) -> Vec<String> {
    let component = path.to_str().unwrap();
    let mut wrong = Vec::new();
    for (check, run) in &CHECKS {
        let failure = catch_unwind(AssertUnwindSafe(|| run(component))).err();
        let reason = guest.cannot.iter().find(|(name, _)| name == check);
        match (failure, reason) {
            (None, None) | (Some(_), Some(_)) => {}
            (None, Some((_, reason))) => wrong.push(format!("{check} passes, and was not to, because: {reason}")),
            (Some(panic), None) => {
                let message = panic.downcast_ref::<String>().cloned();
                let message = message.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
                wrong.push(format!("{check}: {}", message.unwrap_or_default()));
            }
        }
    }
    wrong
}

fn test(name: &str) {
    let guest = GUESTS.iter().find(|guest| guest.name == name).unwrap();
    for (check, _) in guest.cannot {
        assert!(CHECKS.iter().any(|(name, _)| *name == *check), "there is no check {check}");
    }
    let Some(path) = find(name) else { return say_missing(name) };
    compile(&path);
    let wrong = run(guest, &path);
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}

#[test]
fn rust_sync() {
    test("testbed-sync");
}

#[test]
fn rust_async() {
    test("testbed-async");
}

#[test]
fn javascript_sync() {
    test("testbed-javascript-sync");
}

#[test]
fn javascript_async() {
    test("testbed-javascript-async");
}

#[test]
fn python_sync() {
    test("testbed-python-sync");
}

#[test]
fn python_async() {
    test("testbed-python-async");
}

#[test]
fn go_sync() {
    test("testbed-go-sync");
}

#[test]
fn c_sync() {
    test("testbed-c-sync");
}

#[test]
fn c_async() {
    test("testbed-c-async");
}

#[test]
fn cpp_sync() {
    test("testbed-cpp-sync");
}

#[test]
fn zig_sync() {
    test("testbed-zig-sync");
}

#[test]
fn the_documentation_has_the_table() {
    let path = project().join("docs/languages.md");
    let text = fs::read_to_string(&path).unwrap();
    let new = table::replace(&text, GUESTS);
    if env::var_os("WASMSERVE_BLESS").is_some() {
        fs::write(&path, &new).unwrap();
    } else {
        assert!(new == text, "docs/languages.md is out of date: WASMSERVE_BLESS=1 cargo test languages");
    }
}

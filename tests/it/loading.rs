//! What cannot be served is refused with one clear message, exit code 4, and nothing left behind;
//! what can be is, whatever its form and minor version.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::{Server, Wasmserve, app_of_both, async_app, guest, sync_app, with, write_component};

/// Tries to serve the file and returns the message.
#[track_caller]
fn refusal(path: &Path) -> String {
    let cache = TempDir::new().unwrap();
    let temporary = TempDir::new().unwrap();
    let finished = Wasmserve::serving(path, &["--port", "0", "--workers", "4"])
        .env("WASMSERVE_CACHE_DIR", cache.path())
        .env("TMPDIR", temporary.path())
        .run();
    assert_eq!(finished.code, Some(4), "{finished:?}");
    assert_eq!(finished.stdout, "");
    let message = finished.stderr;
    assert!(message.contains(path.to_str().unwrap()), "names the file: {message}");
    assert!(!message.contains("panicked"), "{message}");
    for folder in [&cache, &temporary] {
        let left: Vec<_> = fs::read_dir(folder).unwrap().flatten().collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
    message
}

#[track_caller]
fn refusal_of(name: &str, content: impl AsRef<[u8]>) -> String {
    let folder = TempDir::new().unwrap();
    refusal(&write_component(folder.path(), name, content))
}

#[track_caller]
fn assert_tells(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

fn hello() -> Vec<u8> {
    fs::read(guest("hello-sync")).unwrap()
}

#[test]
fn a_file_that_is_not_there() {
    assert_tells(&refusal(Path::new("/no/such/app.wasm")), &["no such file"]);
}

#[test]
fn a_folder() {
    let folder = TempDir::new().unwrap();
    assert_tells(&refusal(folder.path()), &["folder"]);
}

#[test]
fn an_empty_file() {
    assert_tells(&refusal_of("app.wasm", ""), &["empty"]);
}

#[test]
fn a_file_that_is_not_wasm() {
    let message = refusal_of("app.wasm", "#!/bin/sh\necho I am no component\n");
    assert_tells(&message, &["not", "WebAssembly"]);
}

#[test]
fn a_core_module_is_told_apart_and_the_tool_that_helps_is_named() {
    let module = wat::parse_str("(module (func (export \"run\")))").unwrap();
    assert_tells(&refusal_of("app.wasm", module), &["core WebAssembly module", "wasmserve componentize"]);
}

#[test]
fn a_truncated_component() {
    let whole = hello();
    for length in [9, whole.len() / 2, whole.len() - 1] {
        let message = refusal_of("app.wasm", &whole[..length]);
        assert_tells(&message, &["truncated"]);
    }
}

#[test]
fn a_corrupted_component() {
    let mut bytes = hello();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xff);
    let message = refusal_of("app.wasm", bytes);
    assert!(message.contains("corrupt") || message.contains("not valid"), "{message}");
}

#[test]
fn a_component_without_a_handler_has_its_exports_listed() {
    let text = r#"(component
        (core module $m (func (export "run")))
        (core instance $m (instantiate $m))
        (func $run (canon lift (core func $m "run")))
        (instance $tool (export "run" (func $run)))
        (export "acme:tool/runner@1.2.3" (instance $tool)))"#;
    for (name, content) in [("app.wat", text.as_bytes().to_vec()), ("app.wasm", wat::parse_str(text).unwrap())] {
        assert_tells(&refusal_of(name, content), &["wasi:http", "acme:tool/runner@1.2.3"]);
    }
}

#[test]
fn an_import_that_nobody_provides_is_named_with_its_version() {
    let import = r#"(import "acme:store/table@1.4.0" (instance (export "get" (func))))"#;
    let text = sync_app().replace("(component", &format!("(component {import}"));
    assert_tells(&refusal_of("app.wat", text), &["acme:store/table@1.4.0"]);
}

#[test]
fn next_to_an_unknown_import_the_nearest_known_one_is_named() {
    let import = r#"(import "wasi:clocks/wall-clocks@0.2.0" (instance (export "now" (func))))"#;
    let text = sync_app().replace("(component", &format!("(component {import}"));
    let message = refusal_of("app.wat", text);
    assert_tells(&message, &["wasi:clocks/wall-clocks@0.2.0", "wasi:clocks/wall-clock@0."]);
}

#[test]
fn an_import_of_a_newer_wasi() {
    let import = r#"(import "wasi:clocks/monotonic-clock@0.4.0" (instance
        (export "now" (func (result u64)))))"#;
    let text = sync_app().replace("(component", &format!("(component {import}"));
    let message = refusal_of("app.wat", text);
    assert_tells(&message, &["wasi:clocks/monotonic-clock@0.4.0", "newer", "0.3."]);
}

#[test]
fn a_handler_of_a_newer_wasi() {
    let text = async_app().replace("wasi:http/handler@0.3.0", "wasi:http/handler@0.4.0");
    let message = refusal_of("app.wat", text);
    assert_tells(&message, &["wasi:http/handler@0.4.0", "0.3."]);
}

#[test]
fn an_import_whose_function_has_another_type() {
    let text = sync_app().replace(
        "(component",
        r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance
            (export "now" (func (result string)))))"#,
    );
    // The function needs memory for its text only if it is used, so the component is valid.
    assert_tells(&refusal_of("app.wat", text), &["wasi:clocks/wall-clock@0.2.0", "now"]);
}

#[test]
fn a_mistake_in_component_text_is_told_with_line_and_column() {
    let message = refusal_of("app.wat", "(component\n  (core modul)\n)\n");
    assert!(message.contains(":2:") || (message.contains("line 2") && message.contains("column")), "{message}");
}

#[test]
fn lifespan_on_needs_its_exports() {
    let finished = Wasmserve::serving("hello-sync", &["--port", "0", "--lifespan", "on"]).run();
    assert_eq!(finished.code, Some(4), "{}", finished.stderr);
    assert_tells(&finished.stderr, &["wasmserve:lifespan"]);
}

#[test]
fn component_text_is_served() {
    let folder = TempDir::new().unwrap();
    let path = write_component(folder.path(), "app.wat", sync_app());
    let server = Wasmserve::serving(path, &[]).start();
    let response = server.get("/");
    assert_eq!((response.status, response.text().as_str()), (200, ""));
}

#[test]
fn any_minor_version_of_either_generation_is_served() {
    let folder = TempDir::new().unwrap();
    for version in ["0.2.0", "0.2.3", "0.2.10"] {
        let text = sync_app().replace("@0.2.0", &format!("@{version}"));
        let path = write_component(folder.path(), &format!("app-{version}.wat"), text);
        let server = Wasmserve::serving(path, &[]).start();
        assert_eq!(server.ready().text("handler"), "sync", "{version}");
        assert_eq!(server.get("/").status, 200, "{version}");
    }
    for version in ["0.3.0", "0.3.2"] {
        let text = async_app().replace("@0.3.0", &format!("@{version}"));
        let path = write_component(folder.path(), &format!("app-{version}.wat"), text);
        let server = Wasmserve::serving(path, &[]).start();
        assert_eq!(server.ready().text("handler"), "async", "{version}");
    }
}

#[test]
fn of_both_generations_the_newer_one_is_served() {
    let folder = TempDir::new().unwrap();
    let path = write_component(folder.path(), "app.wat", app_of_both());
    let server = Wasmserve::serving(path, &[]).start();
    assert_eq!(server.ready().text("handler"), "async");
}

#[test]
fn other_exports_do_no_harm() {
    let folder = TempDir::new().unwrap();
    let other = r#"(core module $m (func (export "run")))
        (core instance $m (instantiate $m))
        (func $run (canon lift (core func $m "run")))
        (export "run" (func $run))"#;
    let path = write_component(folder.path(), "app.wat", with(&sync_app(), other));
    let server = Wasmserve::serving(path, &[]).start();
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn the_prebuilt_guests_are_served_without_any_option() {
    for name in ["hello-sync", "hello-async", "counter-sync", "counter-async", "demo"] {
        assert_eq!(Server::start(name, &[]).get("/").status, 200, "{name}");
    }
}

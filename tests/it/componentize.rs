//! `wasmserve componentize`: from what a compiler for WASI 0.1 makes to what is served.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::{Finished, Wasmserve, guest, write_component};

const CORE: &str = include_str!("components/core-0.1.wat");
const WIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/wit");
const WORLD: [&str; 4] = ["--wit", WIT, "--world", "sync-app-with-lifespan"];

fn core_module(folder: &TempDir, text: &str) -> PathBuf {
    write_component(folder.path(), "core.wasm", wat::parse_str(text).unwrap())
}

fn componentize(module: &Path, args: &[&str]) -> Finished {
    Wasmserve::new(&["componentize", module.to_str().unwrap()]).args(args).run()
}

#[track_caller]
fn assert_refused(finished: &Finished, code: i32, parts: &[&str]) {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    for part in parts {
        assert!(finished.stderr.contains(part), "{part:?} is not in: {}", finished.stderr);
    }
}

fn files(folder: &TempDir) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn a_core_module_of_wasi_0_1_becomes_an_app_that_is_served() {
    let folder = TempDir::new().unwrap();
    let module = core_module(&folder, CORE);
    let app = folder.path().join("app.wasm");
    let made = componentize(&module, &[&WORLD[..], &["-o", app.to_str().unwrap()]].concat());
    assert_eq!(made.code, Some(0), "{made:?}");
    for part in ["wasi:http/incoming-handler@0.2.10", "startup and shutdown are called", "app.wasm"] {
        assert!(made.stdout.contains(part), "{made:?}");
    }
    let server = Wasmserve::serving(&app, &[]).start();
    server.wait_for("startup prints through the adapter", |r| r.is_guest() && r.message().contains("started"));
    assert_eq!(server.get("/").status, 200);
    assert_eq!(files(&folder), ["app.wasm", "core.wasm"]);
}

#[test]
fn the_component_gets_a_name_of_its_own_and_is_made_anew() {
    let folder = TempDir::new().unwrap();
    let module = core_module(&folder, CORE);
    let before = fs::read(&module).unwrap();
    for _ in 0..2 {
        assert_eq!(componentize(&module, &WORLD).code, Some(0));
    }
    assert_eq!(fs::read(&module).unwrap(), before);
    assert_eq!(files(&folder), ["core.component.wasm", "core.wasm"]);
}

#[test]
fn its_own_module_is_not_overwritten_under_any_name() {
    let folder = TempDir::new().unwrap();
    let module = core_module(&folder, CORE);
    let before = fs::read(&module).unwrap();
    let link = folder.path().join("link.wasm");
    std::os::unix::fs::symlink(&module, &link).unwrap();
    for output in [module.to_str().unwrap(), link.to_str().unwrap()] {
        let refused = componentize(&module, &[&WORLD[..], &["--output", output]].concat());
        assert_refused(&refused, 2, &["core.wasm", "overwritten", "--output"]);
    }
    assert_eq!(fs::read(&module).unwrap(), before);
}

#[test]
fn a_module_without_a_world_is_told_how_to_name_one() {
    let folder = TempDir::new().unwrap();
    let module = core_module(&folder, CORE);
    assert_refused(&componentize(&module, &[]), 2, &["core.wasm", "--wit", "--world", "wasmserve wit"]);
    assert_refused(&componentize(&module, &["--wit", WIT]), 2, &["--world", "async-app-with-lifespan"]);
    let unknown = componentize(&module, &["--wit", WIT, "--world", "app"]);
    assert_refused(&unknown, 2, &["no world app", "sync-app-with-lifespan"]);
    assert_refused(&componentize(&module, &["--wit", "/no/such/folder"]), 2, &["/no/such/folder"]);
    assert_eq!(files(&folder), ["core.wasm"]);
}

#[test]
fn an_export_that_the_world_has_and_the_module_has_not_is_named() {
    let folder = TempDir::new().unwrap();
    let module = core_module(&folder, &CORE.replace("lifespan@0.1.0#shutdown", "forgotten"));
    assert_refused(
        &componentize(&module, &WORLD),
        4,
        &["core.wasm", "wasmserve:lifespan/lifespan@0.1.0", "`shutdown`"],
    );
    assert_eq!(files(&folder), ["core.wasm"]);
}

#[test]
fn a_world_inside_counts() {
    let folder = TempDir::new().unwrap();
    let bare = wit_component_of(&folder);
    let made = componentize(&bare, &["--wit", WIT, "--world", "async-app"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.stderr.contains("world inside"), "{made:?}");
    assert!(made.stdout.contains("incoming-handler@0.2.10"), "{made:?}");
}

/// A module that carries the world `sync-app`, as bindings generators for C put it there.
fn wit_component_of(folder: &TempDir) -> PathBuf {
    let mut module = wat::parse_str(CORE).unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_path(WIT).unwrap();
    let world = resolve.select_world(&[package], Some("sync-app")).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, wit_component::StringEncoding::UTF8).unwrap();
    write_component(folder.path(), "typed.wasm", module)
}

#[test]
fn a_command_becomes_a_component_that_cannot_be_served_and_says_why() {
    let folder = TempDir::new().unwrap();
    let text = r#"(module
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (func (export "_start") (call $exit (i32.const 0))))"#;
    let made = componentize(&core_module(&folder, text), &[]);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.stderr.contains("cannot be served") && made.stderr.contains("wasi:cli/run"), "{made:?}");
}

#[test]
fn what_is_no_core_module_is_refused() {
    assert_refused(&componentize(Path::new(&guest("hello-sync")), &[]), 4, &["a component already"]);
    assert_refused(&componentize(Path::new("/no/such/core.wasm"), &[]), 4, &["/no/such/core.wasm", "no such file"]);
}

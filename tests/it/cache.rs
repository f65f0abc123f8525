//! Machine code is compiled once, by a process made for that, and kept where nobody else can write.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::{Server, Wasmserve, code_to_compile, guest, sync_app, timed, with, write_component};

fn serving(component: impl AsRef<Path>, cache: &Path) -> Wasmserve {
    let component = component.as_ref().to_str().unwrap();
    Wasmserve::serving(component, &[]).env("WASMSERVE_CACHE_DIR", cache)
}

fn hello() -> String {
    guest("hello-sync")
}

/// Whether this start has compiled anything: a process that ended before the workers came did.
fn compiled(server: &Server) -> bool {
    let (_, children) = server.supervisor().cpu();
    children > Duration::ZERO
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.path()) {
        match path.is_dir() {
            true => files.extend(self::files(&path)),
            false => files.push(path),
        }
    }
    files
}

/// An app that takes a good second to compile in an unoptimised build.
fn large_app(folder: &Path) -> PathBuf {
    let text = with(&sync_app(), &code_to_compile(100_000));
    write_component(folder, "large.wasm", wat::parse_str(text).unwrap())
}

#[test]
fn the_second_start_compiles_nothing_and_takes_well_under_100_ms() {
    let cache = TempDir::new().unwrap();
    let component = large_app(cache.path());
    let (server, cold) = timed(|| serving(&component, cache.path()).start());
    assert!(compiled(&server), "the first start compiles");
    drop(server);

    // The best of ten: the promise is about the server, not about what else the machine does.
    let starts = (0..10).map(|_| {
        let (server, took) = timed(|| serving(&component, cache.path()).start());
        assert!(!compiled(&server), "the second start compiles nothing");
        took
    });
    let best = starts.min().unwrap();
    assert!(best < Duration::from_millis(100), "warm {best:?}, cold {cold:?}");
}

#[test]
fn a_long_compilation_is_one_line_in_the_log_and_a_short_one_is_none() {
    let cache = TempDir::new().unwrap();
    let text = with(&sync_app(), &code_to_compile(400_000));
    let component = write_component(cache.path(), "larger.wasm", wat::parse_str(text).unwrap());
    let lines = |server: &Server| server.count(|r| r.message().to_lowercase().contains("compil"));

    let first = serving(&component, cache.path()).launch();
    let compiler = first.hold_compiler();
    first.wait_for("a compilation that takes long", |r| r.is_event("compiling"));
    compiler.signal(Signal::SIGCONT);
    first.wait_for("readiness", |r| r.is_event("ready"));
    assert_eq!(lines(&first), 1);
    assert_eq!(lines(&serving(&component, cache.path()).start()), 0);
}

#[test]
fn neither_supervisor_nor_workers_compile() {
    let cache = TempDir::new().unwrap();
    let component = large_app(cache.path());
    let server = serving(&component, cache.path()).args(&["--workers", "2"]).start();
    let (own, children) = server.supervisor().cpu();
    assert!(own < children / 2, "supervisor {own:?}, processes that ended {children:?}");
    for worker in server.workers() {
        let (own, _) = worker.cpu();
        assert!(own < children / 2, "worker {own:?}, processes that ended {children:?}");
    }
}

#[test]
fn every_worker_maps_the_same_code() {
    let cache = TempDir::new().unwrap();
    let server = serving(hello(), cache.path()).args(&["--workers", "3"]).inspectable().start();
    let folder = cache.path().to_str().unwrap();
    for worker in server.workers() {
        let maps = worker.maps();
        let code = maps.lines().find(|line| line.contains(folder) && line.contains("r-x"));
        assert!(code.is_some(), "no code from the cache in:\n{maps}");
    }
}

#[test]
fn the_key_is_the_content_not_the_name() {
    let cache = TempDir::new().unwrap();
    drop(serving(hello(), cache.path()).start());
    let kept = files(cache.path());

    let folder = TempDir::new().unwrap();
    let copy = write_component(folder.path(), "copy.wasm", fs::read(hello()).unwrap());
    drop(serving(&copy, cache.path()).start());
    assert_eq!(files(cache.path()), kept);

    fs::write(&copy, fs::read(guest("hello-async")).unwrap()).unwrap();
    let server = serving(&copy, cache.path()).start();
    assert_eq!(server.ready().text("handler"), "async");
    assert!(files(cache.path()).len() > kept.len());
}

#[test]
fn nobody_else_can_read_or_write_the_cache() {
    let parent = TempDir::new().unwrap();
    let cache = parent.path().join("not/yet/there");
    drop(serving(hello(), &cache).start());
    let entries = files(&cache);
    assert!(!entries.is_empty());
    for path in entries.iter().chain([&cache]) {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{path:?} has mode {mode:o}");
    }
}

#[track_caller]
fn assert_cache_is_not_used(cache: &Path) {
    let server = serving(hello(), cache).start();
    assert_eq!(server.get("/").text(), "Hello, world!");
    let warning = server.wait_for("a warning", |r| r.level() == "warn");
    assert!(warning.message().contains(cache.to_str().unwrap()), "{}", warning.line);
    assert_eq!(files(cache), Vec::<PathBuf>::new());
}

#[test]
fn a_folder_that_others_can_write_is_not_used() {
    for mode in [0o777, 0o770, 0o702] {
        let cache = TempDir::new().unwrap();
        fs::set_permissions(cache.path(), Permissions::from_mode(mode)).unwrap();
        assert_cache_is_not_used(cache.path());
    }
}

#[test]
fn a_folder_of_another_user_is_not_used() {
    let cache = TempDir::new().unwrap();
    if chown(cache.path(), Some(65534), None).is_err() {
        return; // Only root can give a folder away.
    }
    assert_cache_is_not_used(cache.path());
}

#[test]
fn code_planted_in_a_writable_folder_is_not_run() {
    let cache = TempDir::new().unwrap();
    drop(serving(hello(), cache.path()).start());
    // What belongs to another component, under the name of this one.
    let entry = files(cache.path()).pop().unwrap();
    drop(serving(guest("hello-async"), cache.path()).start());
    let other = files(cache.path()).into_iter().find(|path| *path != entry).unwrap();
    fs::copy(other, &entry).unwrap();
    fs::set_permissions(cache.path(), Permissions::from_mode(0o777)).unwrap();

    let server = serving(hello(), cache.path()).start();
    assert_eq!(server.get("/").text(), "Hello, world!");
}

#[test]
fn a_damaged_entry_is_compiled_again() {
    let whole = |bytes: &mut Vec<u8>| bytes.fill(0xff);
    let half = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2);
    let empty = |bytes: &mut Vec<u8>| bytes.clear();
    for damage in [whole, half, empty] as [fn(&mut Vec<u8>); 3] {
        let cache = TempDir::new().unwrap();
        drop(serving(hello(), cache.path()).start());
        for path in files(cache.path()) {
            let mut bytes = fs::read(&path).unwrap();
            damage(&mut bytes);
            fs::write(&path, bytes).unwrap();
        }
        let server = serving(hello(), cache.path()).start();
        assert_eq!(server.get("/").text(), "Hello, world!");
        drop(server);
        assert!(!compiled(&serving(hello(), cache.path()).start()), "the entry is good again");
    }
}

#[test]
fn without_a_place_for_the_cache_there_is_none() {
    let command = Wasmserve::serving("hello-sync", &[]).without_env("WASMSERVE_CACHE_DIR");
    let server = command.env("HOME", "/no/such/home").start();
    assert_eq!(server.get("/").text(), "Hello, world!");
}

#[test]
fn the_cache_is_in_the_users_cache_folder() {
    let home = TempDir::new().unwrap();
    let command = || Wasmserve::serving("hello-sync", &[]).without_env("WASMSERVE_CACHE_DIR");
    drop(command().env("HOME", home.path()).start());
    assert!(!files(&home.path().join(".cache/wasmserve")).is_empty());

    let cache = TempDir::new().unwrap();
    drop(command().env("HOME", home.path()).env("XDG_CACHE_HOME", cache.path()).start());
    assert!(!files(&cache.path().join("wasmserve")).is_empty());
}

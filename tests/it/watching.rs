//! `--reload`: what changes on disk is served without a command, with any number of workers.

use std::fs::{self, File};
use std::io::Write;

use nix::sys::signal::Signal::SIGHUP;
use tempfile::TempDir;

use crate::support::{AppFile, Server, Wasmserve, eventually, prebuilt};

fn watching(app: &AppFile, args: &[&str]) -> Server {
    Wasmserve::serving(&app.path, &["--reload", "--workers", "2", "--no-access-log"]).args(args).start()
}

#[track_caller]
fn until_counter_serves(server: &Server) {
    eventually("the new one serves", || server.get("/").text().starts_with("worker ").then_some(()));
}

#[track_caller]
fn until_hello_serves(server: &Server) {
    eventually("the new one serves", || (server.get("/").text() == "Hello, world!").then_some(()));
}

fn reloads(server: &Server) -> usize {
    server.count(|r| r.is_event("reload-started"))
}

#[test]
fn a_changed_component_is_served_without_a_command_and_no_request_is_lost() {
    let app = AppFile::of("hello-sync");
    let server = watching(&app, &[]);
    let load = server.load(4);
    app.become_guest("counter-async");
    until_counter_serves(&server);
    app.become_guest("hello-async");
    until_hello_serves(&server);
    load.end().assert_none_lost();
    assert_eq!(server.count(|r| r.is_event("reload-failed")), 0);
}

#[test]
fn a_component_that_is_written_in_place_is_served() {
    let app = AppFile::of("hello-sync");
    let server = watching(&app, &[]);
    fs::write(&app.path, prebuilt("counter-sync")).unwrap();
    until_counter_serves(&server);
}

#[test]
fn a_component_that_is_removed_and_built_again_is_served() {
    let app = AppFile::of("hello-sync");
    let server = watching(&app, &[]);
    for guest in ["counter-sync", "hello-async", "counter-async"] {
        app.remove();
        assert_eq!(server.get("/").status, 200);
        fs::write(&app.path, prebuilt(guest)).unwrap();
        match guest.starts_with("counter") {
            true => until_counter_serves(&server),
            false => until_hello_serves(&server),
        }
    }
}

#[test]
fn a_component_behind_a_link_is_watched_where_it_is() {
    let app = AppFile::of("hello-sync");
    let folder = TempDir::new().unwrap();
    let link = folder.path().join("linked.wasm");
    std::os::unix::fs::symlink(&app.path, &link).unwrap();
    let server = Wasmserve::serving(&link, &["--reload", "--workers", "2"]).start();
    app.become_guest("counter-sync");
    until_counter_serves(&server);
}

#[test]
fn a_half_written_component_is_never_served() {
    let app = AppFile::of("hello-sync");
    let server = watching(&app, &[]);
    let load = server.load(2);
    let whole = prebuilt("counter-sync");
    let (first, rest) = whole.split_at(whole.len() / 2);

    // A build tool that stops in the middle: it is told that this is none.
    app.become_file(first);
    server.wait_for("it is refused", |r| r.is_event("reload-failed") && r.message().contains("truncated"));
    assert_eq!(server.get("/").text(), "Hello, world!");

    // One that takes its time.
    let mut file = File::create(&app.path).unwrap();
    for part in first.chunks(first.len() / 4) {
        file.write_all(part).unwrap();
        load.wait_for_more(20);
        assert_eq!(server.get("/").text(), "Hello, world!");
    }
    file.write_all(rest).unwrap();
    drop(file);
    until_counter_serves(&server);
    load.end().assert_none_lost();
}

#[test]
fn a_broken_build_is_told_on_the_terminal_and_the_old_one_goes_on() {
    let app = AppFile::of("hello-sync");
    let command = Wasmserve::serving(&app.path, &["--reload", "--workers", "2"]);
    let server = command.start_on_terminal();
    app.become_file("error: no such crate");
    server.wait_for("the reason", |r| r.line.contains("app.wasm") && r.line.contains("WebAssembly"));
    assert_eq!(server.get("/").text(), "Hello, world!");
    app.become_guest("counter-sync");
    until_counter_serves(&server);
}

#[test]
fn a_file_that_comes_in_a_watched_folder_is_a_reload() {
    let app = AppFile::of("counter-sync");
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("old")).unwrap();
    let server = watching(&app, &["--reload-dir", folder.path().to_str().unwrap()]);
    for (n, path) in ["file", "old/file", "new/file", "new/newer/file", "old/new/file"].into_iter().enumerate() {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // The folder alone is none.
        let mark = server.len();
        fs::write(&path, format!("content {n}")).unwrap();
        server.wait_from(mark, "a reload", |r| r.is_event("reload-finished"));
    }
}

#[test]
fn a_changed_or_removed_file_of_a_watched_folder_is_a_reload() {
    let app = AppFile::of("counter-sync");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "before").unwrap();
    // The folder implies --reload.
    let dir = folder.path().to_str().unwrap();
    let server = Wasmserve::serving(&app.path, &["--reload-dir", dir, "--workers", "2"]).start();
    fs::write(&file, "after").unwrap();
    server.wait_for("a reload", |r| r.is_event("reload-finished"));
    let mark = server.len();
    fs::remove_file(&file).unwrap();
    server.wait_from(mark, "a reload", |r| r.is_event("reload-finished"));
}

#[test]
fn a_burst_of_changes_is_one_reload_or_two() {
    let app = AppFile::of("hello-sync");
    let folder = TempDir::new().unwrap();
    let server = watching(&app, &["--reload-dir", folder.path().to_str().unwrap()]);
    for n in 0..100 {
        fs::write(folder.path().join(format!("{n}.o")), "object").unwrap();
    }
    app.become_guest("counter-sync");
    until_counter_serves(&server);
    eventually("the reloads end", || {
        let finished = server.count(|r| r.is_event("reload-finished"));
        (finished == reloads(&server)).then_some(())
    });
    assert!(reloads(&server) <= 3, "{} reloads", reloads(&server));
}

#[test]
fn a_change_while_a_reload_goes_on_is_served_in_the_end() {
    let app = AppFile::of("hello-sync");
    let server = watching(&app, &["--env", "TESTBED_STARTUP=sleep:300"]);
    app.become_guest("testbed-sync");
    server.wait_for("a reload", |r| r.is_event("reload-started"));
    app.become_guest("counter-sync");
    until_counter_serves(&server);
}

#[test]
fn without_the_option_nothing_is_watched() {
    let app = AppFile::of("hello-sync");
    let server = Wasmserve::serving(&app.path, &["--workers", "2"]).start();
    app.become_guest("counter-sync");
    for _ in 0..20 {
        assert_eq!(server.get("/").text(), "Hello, world!");
    }
    assert_eq!(reloads(&server), 0);
    server.signal(SIGHUP);
    until_counter_serves(&server);
    assert_eq!(reloads(&server), 1);
}

#[test]
fn the_supervisor_watches_without_a_thread() {
    let app = AppFile::of("hello-sync");
    let server = watching(&app, &[]);
    app.become_guest("counter-sync");
    until_counter_serves(&server);
    assert_eq!(server.supervisor().status("Threads"), 1);
}

#[test]
fn a_folder_to_watch_that_is_not_there_is_a_mistake() {
    let finished = Wasmserve::serving("hello-sync", &["--reload-dir", "/no/such/folder"]).run();
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("--reload-dir"), "{finished:?}");
}

//! `wasmserve dev`: builds, serves, builds again. The projects here "build" by copying a prebuilt guest, whose name is in
//! the file `app`.

use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::path::PathBuf;

use nix::sys::signal::Signal::{SIGHUP, SIGINT, SIGKILL, SIGTERM};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

use crate::support::{Server, Wasmserve, eventually, guest};

const BUILD: &str = "echo this is the build; cp \"$GUESTS/$(cat app).wasm\" app.wasm";

struct Project {
    folder: TempDir,
}

impl Project {
    /// Builds in this way the guest that `app` names.
    fn new(build: &str, app: &str) -> Self {
        let project = Self { folder: TempDir::new().unwrap() };
        project.manifest(&format!("[dev]\nbuild = '''{build}'''\ncomponent = \"app.wasm\"\n"));
        project.become_app(app);
        project
    }

    fn manifest(&self, text: &str) {
        self.write("wasmserve.toml", text);
    }

    fn become_app(&self, guest: &str) {
        self.write("app", guest);
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn dev(&self, args: &[&str]) -> Wasmserve {
        let guests = PathBuf::from(guest("hello-sync")).parent().unwrap().to_owned();
        Wasmserve::new(&["dev"]).args(args).current_dir(&self.folder).env("GUESTS", guests)
    }
}

#[track_caller]
fn until_counter_serves(server: &Server) {
    eventually("the counter serves", || server.get("/").text().starts_with("worker ").then_some(()));
}

#[track_caller]
fn until_hello_serves(server: &Server) {
    eventually("hello serves", || (server.get("/").text() == "Hello, world!").then_some(()));
}

#[track_caller]
fn wait_for_builds(server: &Server, builds: usize) {
    eventually("the build has ended", || (ended_builds(server) >= builds).then_some(()));
    assert_eq!(builds_of(server), builds);
}

fn ended_builds(server: &Server) -> usize {
    server.count(|r| r.is_event("build-finished") || r.is_event("build-failed"))
}

fn builds_of(server: &Server) -> usize {
    server.count(|r| r.is_event("build-started"))
}

#[test]
fn a_project_is_built_and_served_and_built_again_when_it_changes() {
    let project = Project::new(BUILD, "hello-sync");
    // Options of the server are passed on.
    let server = project.dev(&["--workers", "2", "--identify"]).start();
    assert_eq!(server.ready().number("workers"), 2);
    assert!(server.get("/").header("x-wasmserve-instance").is_some());
    server.wait_for("the tool's output", |r| r.line == "this is the build");
    project.become_app("counter-async");
    until_counter_serves(&server);
    project.become_app("hello-async");
    until_hello_serves(&server);
    wait_for_builds(&server, 3);
}

#[test]
fn the_project_may_be_named() {
    let project = Project::new(BUILD, "hello-sync");
    let folder = project.folder.path().to_str().unwrap();
    let server = project.dev(&[folder, "--chdir", "/"]).current_dir("/").start();
    assert_eq!(server.get("/").text(), "Hello, world!");
}

#[test]
fn a_build_that_fails_shows_why_and_the_last_good_one_goes_on_serving() {
    let project = Project::new(BUILD, "hello-sync");
    let server = project.dev(&[]).start();
    project.become_app("no-such-guest");
    server.wait_for("the tool's own words", |r| !r.is_json() && r.line.contains("no-such-guest.wasm"));
    server.wait_for("a line of ours", |r| {
        r.is_event("build-failed") && r.message().contains("the last good build goes on serving")
    });
    assert_eq!(server.get("/").text(), "Hello, world!");
    project.become_app("counter-sync");
    until_counter_serves(&server);
    wait_for_builds(&server, 3);
}

#[test]
fn a_first_build_that_fails_waits_for_a_change() {
    let project = Project::new(BUILD, "no-such-guest");
    let server = project.dev(&[]).launch();
    server.wait_for("it fails", |r| r.is_event("build-failed") && r.message().contains("waiting for a change"));
    project.become_app("hello-sync");
    server.wait_for("it serves", |r| r.is_event("ready"));
}

#[test]
fn a_component_that_cannot_be_served_waits_for_a_change() {
    for (app, build, code) in
        [("hello-sync", "head -c 100 \"$GUESTS/$(cat app).wasm\" >app.wasm", 4), ("counter-sync", BUILD, 3)]
    {
        let project = Project::new(build, app);
        let server = project.dev(&["--env", "COUNTER_START=none"]).launch();
        server.wait_for("it fails", |r| r.is_event("server-failed") && r.message().contains("waiting for a change"));
        project.manifest(&format!("[dev]\nbuild = '''{BUILD}'''\ncomponent = \"app.wasm\"\n"));
        project.become_app("hello-async");
        server.wait_for(&format!("it serves after {code}"), |r| r.is_event("ready"));
    }
}

#[test]
fn a_build_that_makes_nothing_is_told_where_to_look() {
    let project = Project::new("true", "hello-sync");
    let server = project.dev(&[]).launch();
    server.wait_for("what is missing", |r| r.is_event("build-failed") && r.message().contains("no app.wasm"));
}

#[test]
fn what_a_build_writes_starts_no_other() {
    let writes = "date +%N >generated; mkdir -p made; date +%N >made/file; date +%N >app.o; touch app";
    let project = Project::new(&format!("{writes}; {BUILD}"), "hello-sync");
    let server = project.dev(&[]).start();
    // Were there others, there would be more than one for each change.
    for (builds, app) in [(2, "counter-sync"), (3, "hello-sync"), (4, "counter-sync")] {
        project.become_app(app);
        wait_for_builds(&server, builds);
    }
    until_counter_serves(&server);
    assert_eq!(builds_of(&server), 4);
}

#[test]
fn changes_during_a_build_start_one_more_after_it() {
    let project = Project::new(&format!("name=$(cat app); [ ! -e .wait ] || cat .gate; {BUILD}"), "hello-sync");
    project.write("other", "1");
    mkfifo(&project.path(".gate"), Mode::S_IRWXU).unwrap();
    let server = project.dev(&[]).start();
    project.write(".wait", "");
    project.become_app("counter-sync");
    eventually("the second build", || (builds_of(&server) == 2).then_some(()));
    // It has read the name once it waits at the gate.
    let gate = OpenOptions::new().write(true).open(project.path(".gate")).unwrap();
    project.write("other", "2");
    project.become_app("hello-async");
    fs::remove_file(project.path(".wait")).unwrap();
    drop(gate);
    wait_for_builds(&server, 3);
    until_hello_serves(&server);
    assert_eq!(builds_of(&server), 3);
}

#[test]
fn only_what_is_named_is_watched() {
    let project = Project::new(BUILD, "hello-sync");
    project.manifest(&format!("[dev]\nbuild = '''{BUILD}'''\ncomponent = \"app.wasm\"\nwatch = [\"app\", \"src\"]\n"));
    fs::create_dir_all(project.path("src/below")).unwrap();
    let server = project.dev(&[]).start();
    project.write("other", "not counted");
    project.write("src/below/file", "counted");
    wait_for_builds(&server, 2);
    let told: Vec<_> = server.all(|r| r.is_event("source-changed"));
    assert_eq!(told.len(), 1);
    assert!(told[0].message().starts_with("src/below/file "), "{}", told[0].message());
}

#[test]
fn a_changed_manifest_counts_and_a_broken_one_is_told() {
    let project = Project::new(BUILD, "hello-sync");
    let server = project.dev(&[]).start();
    project.manifest("[dev]\nbuild = 3\n");
    server.wait_for("the mistake", |r| r.is_event("build-failed") && r.message().contains("wasmserve.toml:2:9: "));
    project.manifest("[dev]\nbuild = 'cp \"$GUESTS/counter-sync.wasm\" app.wasm'\ncomponent = \"app.wasm\"\n");
    until_counter_serves(&server);
}

#[test]
fn build_and_server_end_with_it() {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let project = Project::new(&format!("[ ! -e .wait ] || sleep 1000; {BUILD}"), "counter-sync");
        let mut server = project.dev(&[]).start();
        project.write(".wait", "");
        project.become_app("hello-sync");
        eventually("the second build", || (builds_of(&server) == 2).then_some(()));
        server.signal(signal);
        assert_eq!(server.wait_exit().code(), Some(0), "{signal}");
        // Nobody has the pipe any more.
        server.wait_for_end();
        assert_eq!(server.count(|r| r.is_guest_line("counter: shutdown after 0 requests")), 1, "{signal}");
    }
}

#[test]
fn the_server_ends_with_it_also_when_it_is_killed() {
    let project = Project::new(BUILD, "counter-sync");
    let mut server = project.dev(&[]).start();
    server.signal(SIGKILL);
    server.wait_exit();
    server.wait_for_end();
    assert_eq!(server.count(|r| r.is_guest_line("counter: shutdown after 0 requests")), 1);
}

#[test]
fn a_server_that_cannot_listen_is_the_end() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let project = Project::new(BUILD, "hello-sync");
    let mut server = project.dev(&["--port", &port]).launch();
    assert_eq!(server.wait_exit().code(), Some(2));
    server.wait_for("the address", |r| r.line.contains(&format!("127.0.0.1:{port}")));
}

#[track_caller]
fn assert_refused(project: &Project, parts: &[&str]) {
    let refused = project.dev(&[]).run();
    assert_eq!(refused.code, Some(2), "{refused:?}");
    for part in parts {
        assert!(refused.stderr.contains(part), "{part:?} is not in: {}", refused.stderr);
    }
    assert!(!project.path("app.wasm").exists(), "nothing was built");
}

#[test]
fn mistakes_in_the_manifest_are_told_with_their_place() {
    let project = Project::new(BUILD, "hello-sync");
    let good = fs::read_to_string(project.path("wasmserve.toml")).unwrap();
    for (text, place) in [
        (format!("{good}wacth = []\n"), "wasmserve.toml:4:1: unknown field `wacth`"),
        (good.replace("app.wasm\"", "\""), "wasmserve.toml:3:13: component"),
        (good.replace("[dev]", "[dev"), "wasmserve.toml:1:"),
    ] {
        project.manifest(&text);
        assert_refused(&project, &[place]);
    }
    fs::remove_file(project.path("wasmserve.toml")).unwrap();
    assert_refused(&project, &["wasmserve.toml", "no such file", "wasmserve new"]);
}

#[test]
fn mistakes_in_options_are_told_before_anything_is_built() {
    let project = Project::new(BUILD, "hello-sync");
    let refused = project.dev(&["--workers", "0"]).run();
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("--workers 0"), "{refused:?}");
    assert!(!project.path("app.wasm").exists());
}

#[test]
fn a_missing_tool_is_named_with_what_installs_it() {
    let project = Project::new(BUILD, "hello-sync");
    let good = fs::read_to_string(project.path("wasmserve.toml")).unwrap();
    let tool = |command: &str| format!("[[dev.tool]]\ncommand = \"{command}\"\ninstall = \"apt install {command}\"\n");
    project.manifest(&format!("{good}{}{}", tool("sh"), tool("no-such-tool")));
    assert_refused(&project, &["wasmserve.toml", "no-such-tool: apt install no-such-tool"]);
}

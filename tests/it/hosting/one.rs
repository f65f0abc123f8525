//! One app of many: commands for it, and its numbers.

use super::*;

#[test]
fn commands_name_the_app_they_are_for() {
    let apps = app("one", "hello-sync", "workers = { min = 1, max = 4 }") + &app("idle", "hello-sync", "");
    let host = Host::start(&apps);
    host.until("one", "ready");
    let scaled = host.do_control(&["scale", "3", "--app", "one"]);
    assert!(scaled.stdout.contains("workers wanted: 3"), "{}", scaled.stdout);
    eventually("three workers", || (host.app("one")["workers"] == 3).then_some(()));
    let status: Value = serde_json::from_str(&host.do_control(&["status", "--json", "--app", "one"]).stdout).unwrap();
    assert_eq!((&status["app"], &status["workers"]), (&"one".into(), &3.into()));
    host.do_control(&["recycle", "--app", "one"]);
    for (name, expected) in
        [("idle", "it has no process now (idle)"), ("other", "there is no such app: it has idle, one")]
    {
        let refused = host.control(&["scale", "2", "--app", name]);
        assert_eq!(refused.code, Some(2));
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
}

#[test]
fn an_app_goes_back_to_its_generation_before_and_keeps_it() {
    let folder = TempDir::new().unwrap();
    let component = folder.path().join("app.wasm");
    fs::copy(guest("hello-sync"), &component).unwrap();
    let one = format!("[app.one]\ncomponent = \"{}\"\nroute = \"one.test\"\nidle-timeout = 3\n", component.display());
    let host = Host::with("log-level = \"debug\"", &one);
    assert_eq!(host.ask("one.test", "/count").text(), "Hello, world!");
    fs::copy(guest("testbed-sync"), &component).unwrap();
    host.reload();
    eventually("the new component", || (host.ask("one.test", "/count").text() == "1").then_some(()));
    host.do_control(&["rollback", "--app", "one"]);
    assert_eq!(host.ask("one.test", "/count").text(), "Hello, world!");
    let server = host.process("one");
    host.wait_for("it is idle and stays", |r| r.is_event("idle-kept"));
    assert_eq!(host.process("one"), server);
    assert_eq!(host.ask("one.test", "/count").text(), "Hello, world!");
    host.do_control(&["reload", "--app", "one"]);
    assert_eq!(host.ask("one.test", "/count").text(), "1");
}

#[test]
fn metrics_are_by_app() {
    let host = Host::with("admin = \"127.0.0.1:0\"", &(app("one", "hello-sync", "") + &app("two", "hello-sync", "")));
    for _ in 0..3 {
        host.ask("one.test", "/");
    }
    host.until_counted("one", 3);
    let metrics = host.metrics();
    assert_eq!(metrics.sum("wasmserve_requests_total", &[("app", "one"), ("class", "2xx")]), 3.0);
    assert_eq!(metrics.sum("wasmserve_app_starts_total", &[("app", "one")]), 1.0);
    assert_eq!(metrics.sum("wasmserve_app_state", &[("app", "two"), ("state", "idle")]), 1.0);
    assert_eq!(metrics.sum("wasmserve_app_workers", &[("app", "one")]), 1.0);
    assert!(metrics.sum("wasmserve_app_memory_bytes", &[("app", "one")]) > 0.0);
}

#[test]
fn each_app_runs_as_a_user_of_its_own() {
    let apps = app("one", "hello-sync", "workers = 1")
        + &app("two", "hello-sync", "workers = 1")
        + &app("three", "hello-sync", "workers = 1\nuser = \"65534\"");
    let users = "users = \"200000-200999\"";
    if !nix::unistd::geteuid().is_root() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("wasmserve.toml");
        fs::write(&path, server_table(users) + &apps).unwrap();
        let refused = Wasmserve::new(&["check", "--config", path.to_str().unwrap()]).run();
        assert!(refused.code == Some(2) && refused.stderr.contains("root"), "{refused:?}");
        return;
    }
    let host = Host::with(users, &apps);
    let user = |name: &str| {
        host.until(name, "ready");
        host.process(name).unwrap().children()[0].status("Uid")
    };
    let (one, two) = (user("one"), user("two"));
    assert!((200_000..=200_999).contains(&one) && (200_000..=200_999).contains(&two) && one != two, "{one} {two}");
    assert_eq!(user("three"), 65534);
    assert_eq!(host.ask("one.test", "/").text(), "Hello, world!");
}

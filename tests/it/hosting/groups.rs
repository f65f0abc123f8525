//! Each app's control group. What a machine allows differs: each test asks it, and has something to expect of either
//! answer.

use super::*;
use std::path::PathBuf;

const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];
const LIMITS: &str = "[app.limited.cgroup]\nmemory-max = \"1 GiB\"\ncpu-max = 0.5\ncpu-weight = 50\npids-max = 500\n";

/// The group that this process is in, and servers that it starts, if groups can be made in it.
fn own_group() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    let fields: Vec<_> = mount.split(' ').collect();
    let below = Path::new("/").join(own).strip_prefix(fields[3]).ok()?.to_owned();
    let folder = Path::new(fields[4]).join(below);
    let probe = folder.join(format!("test-{}-{:?}", std::process::id(), std::thread::current().id()));
    fs::create_dir(&probe).ok()?;
    fs::remove_dir(&probe).unwrap();
    Some(folder)
}

/// Whether limits can be set. We are in the group ourselves, so only if it is the root, which may have processes too.
fn has_limits() -> bool {
    let Some(own) = own_group() else { return false };
    let controllers = fs::read_to_string(own.join("cgroup.controllers")).unwrap();
    let has = |name: &&str| controllers.split_whitespace().any(|one| one == *name);
    CONTROLLERS.iter().all(has) && !own.join("cgroup.type").exists()
}

/// An app that asks for a group, which is then there also where it can do nothing.
fn grouped(name: &str, more: &str) -> String {
    let more = format!("sandbox = \"best-effort\"\n{more}\n[app.{name}.cgroup]\ncpu-weight = 100\n");
    app(name, "hello-sync", &more)
}

fn group_of(process: Process) -> String {
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", process.pid)).unwrap();
    groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default().to_owned()
}

/// Its group, as the status says.
fn group(host: &Host, name: &str) -> Option<PathBuf> {
    host.app(name)["cgroup"].as_str().map(PathBuf::from)
}

#[test]
fn the_processes_of_an_app_are_in_a_group_of_its_own_and_the_gateways_are_not() {
    let mut host = Host::start(&grouped("hello", "workers = 2"));
    host.until("hello", "ready");
    let server = host.process("hello").unwrap();
    let supervisor = host.supervisor();
    let Some(own) = own_group() else {
        assert_eq!(group(&host, "hello"), None);
        assert_eq!(group_of(server), group_of(supervisor));
        return;
    };
    let folder = own.join(format!("wasmserve-{}", supervisor.pid));
    assert_eq!(group(&host, "hello"), Some(folder.join("app-hello")));
    let place = |process| group_of(process).rsplit('/').take(2).map(str::to_owned).collect::<Vec<_>>();
    let expected = |name: &str| [name.to_owned(), format!("wasmserve-{}", supervisor.pid)];
    let workers = server.children();
    assert_eq!(workers.len(), 2);
    for process in workers.into_iter().chain([server]) {
        assert_eq!(place(process), expected("app-hello"));
    }
    let gateways = supervisor.children().into_iter().filter(|child| *child != server);
    for process in gateways.chain([supervisor]) {
        assert_eq!(place(process), expected("server"));
    }
    host.server.stop();
    assert!(!folder.join("app-hello").exists());
    assert!(!folder.exists() || own.join("cgroup.type").exists(), "only the root may have processes and groups");
}

#[test]
fn a_group_is_there_as_long_as_its_app_has_processes() {
    let hello = grouped("hello", "idle-timeout = 1");
    let host = Host::start(&(hello.clone() + &grouped("other", "")));
    assert_eq!(group(&host, "hello"), None, "none while it is idle");
    for name in ["hello", "other"] {
        host.ask(&format!("{name}.test"), "/");
    }
    let folder = own_group().map(|own| own.join(format!("wasmserve-{}", host.supervisor().pid)));
    let other = folder.as_ref().map(|folder| folder.join("app-other"));
    host.until("other", "ready");
    assert_eq!(group(&host, "other"), other);
    host.until("hello", "idle");
    eventually("its group is gone", || group(&host, "hello").is_none().then_some(()));
    assert!(folder.is_none_or(|folder| !folder.join("app-hello").exists()));
    host.write(&hello);
    host.reload();
    host.until("other", "gone");
    assert!(other.is_none_or(|other| !other.exists()));
    assert_eq!(host.ask("hello.test", "/").text(), "Hello, world!");
}

#[test]
fn groups_that_a_killed_server_has_left_are_removed_by_the_next() {
    let mut host = Host::start(&grouped("hello", "workers = 1"));
    host.until("hello", "ready");
    let left = own_group().map(|own| own.join(format!("wasmserve-{}", host.supervisor().pid)));
    assert!(left.as_ref().is_none_or(|left| left.exists()));
    let server = host.process("hello").unwrap();
    let all: Vec<_> = host.supervisor().children().into_iter().chain(server.children()).collect();
    host.server.signal(SIGKILL);
    host.server.wait_exit();
    eventually("all have ended", || all.iter().all(|process| !process.runs()).then_some(()));
    let Some(left) = left else { return assert_eq!(own_group(), None) };
    // Another one may have come first.
    let _next = Host::start(&app("hello", "hello-sync", ""));
    assert!(!left.exists(), "{}", left.display());
}

#[test]
fn limits_are_set_or_it_is_told_once_that_they_are_not() {
    let limited = app("limited", "hello-sync", "sandbox = \"best-effort\"");
    let apps = limited + LIMITS + &app("free", "hello-sync", "");
    let host = Host::start(&apps);
    for name in ["limited", "free"] {
        assert_eq!(host.ask(&format!("{name}.test"), "/").text(), "Hello, world!");
        host.until(name, "ready");
    }
    let server = host.process("limited");
    host.write(&apps.replace("500", "600"));
    host.reload();
    assert_eq!(host.process("limited"), server, "other limits need no other process");
    let told = host.all(|r| r.is_event("cgroup-missing"));
    if !has_limits() {
        let [warning] = told.as_slice() else { panic!("told {} times", told.len()) };
        let text = warning.message();
        assert!(text.contains("[app.limited.cgroup]") && text.contains("Delegate=yes"), "{text}");
        assert!(!text.contains("others"), "only what asks for limits: {text}");
        return;
    }
    assert_eq!(told.len(), 0, "{}", told[0].line);
    let value = |name: &str, file: &str| {
        fs::read_to_string(group(&host, name).unwrap().join(file)).unwrap().trim_end().to_owned()
    };
    for (file, limited, free) in [
        ("memory.max", "1073741824", "max"),
        ("cpu.max", "50000 100000", "max 100000"),
        ("cpu.weight", "50", "100"),
        ("pids.max", "600", "max"),
    ] {
        assert_eq!((value("limited", file), value("free", file)), (limited.to_owned(), free.to_owned()), "{file}");
    }
}

#[test]
fn apps_that_ask_for_no_limits_cause_no_warning() {
    let host = Host::start(&app("hello", "hello-sync", ""));
    assert_eq!(host.ask("hello.test", "/").text(), "Hello, world!");
    assert_eq!(host.count(|r| r.is_event("cgroup-missing")), 0);
}

#[test]
fn strict_wants_the_limits_to_be_there() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("wasmserve.toml");
    let strict = app("limited", "hello-sync", "sandbox = \"strict\"") + LIMITS;
    fs::write(&path, server_table("") + &strict).unwrap();
    let wasmserve = Wasmserve::new(&["--config", path.to_str().unwrap()]);
    if has_limits() {
        let server = wasmserve.start();
        assert_eq!(server.count(|r| r.is_event("cgroup-missing")), 0);
        return;
    }
    let refused = wasmserve.run();
    assert_eq!(refused.code, Some(5), "{}", refused.stderr);
    for expected in ["strict", "[app.limited.cgroup]", "Delegate=yes", "best-effort"] {
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
}

#[test]
fn a_reload_that_asks_for_limits_in_strict_is_given_up_if_there_are_none() {
    let before = app("limited", "hello-sync", "sandbox = \"strict\"");
    let host = Host::start(&before);
    host.write(&(before + LIMITS));
    let expected = if has_limits() { "reload-finished" } else { "reload-failed" };
    let end = host.reload();
    assert!(end.is_event(expected), "{}", end.line);
}

#[test]
fn mistakes_are_told_with_their_places() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("wasmserve.toml");
    let wrong =
        "[app.a.cgroup]\nmemory-max = \"much\"\ncpu-max = 0.001\ncpu-weight = 0\npids-max = \"1\"\npid-max = 3\n";
    let more =
        "[app.b]\ncgroup = 7\n[app.c.cgroup]\nmemory-max = 4096\ncpu-max = true\ncpu-weight = 10001\npids-max = 1.5\n";
    fs::write(&path, format!("{wrong}{more}")).unwrap();
    let finished = Wasmserve::new(&["check", "--config", path.to_str().unwrap()]).run();
    assert_eq!(finished.code, Some(2));
    for expected in [
        "wasmserve.toml:2:14: app.a.cgroup.memory-max: must be a number of bytes such as",
        "wasmserve.toml:3:11: app.a.cgroup.cpu-max: must be a number of processors from 0.01",
        "wasmserve.toml:4:14: app.a.cgroup.cpu-weight: must be a whole number from 1 to 10000",
        "wasmserve.toml:6:1: app.a.cgroup.pid-max: there is no such key: did you mean pids-max?",
        "wasmserve.toml:8:10: app.b.cgroup: must be a table",
        "wasmserve.toml:10:14: app.c.cgroup.memory-max: ",
        "wasmserve.toml:11:11: app.c.cgroup.cpu-max: ",
        "wasmserve.toml:12:14: app.c.cgroup.cpu-weight: ",
        "wasmserve.toml:13:12: app.c.cgroup.pids-max: ",
    ] {
        assert!(finished.stderr.contains(expected), "no {expected:?} in\n{}", finished.stderr);
    }
    assert!(!finished.stderr.contains("app.a.cgroup.pids-max"), "{}", finished.stderr);
}

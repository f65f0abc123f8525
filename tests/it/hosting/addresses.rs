//! Apps that listen at addresses of their own.

use super::*;
use std::os::unix::net::UnixListener;

use nix::sys::signal::Signal::{SIGTERM, SIGUSR2};

use crate::support::{Connection, get_over_unix};

#[test]
fn an_app_with_an_address_of_its_own_is_served_there_without_a_gateway() {
    let own = "bind = [\"127.0.0.1:0\"]\nenv = { WHO = \"own\" }";
    let host = Host::start(&app("own", "testbed-sync", own));
    let address = address(&host, "own");
    assert_eq!(host.state("own"), "idle", "it starts with its first request there too");
    let gateways = host.status()["slots"].clone();
    let response = Connection::open(address).get("/env").json();
    assert_eq!(response["WHO"], "own");
    let count = |slots: &Value| {
        slots.as_array().unwrap().iter().map(|slot| slot["counters"]["requests"].as_u64()).sum::<Option<u64>>()
    };
    assert_eq!(count(&host.status()["slots"]), count(&gateways), "no gateway has seen it");
    assert_eq!(host.ask("own.test", "/env").json()["WHO"], "own", "its route leads there as well");
}

#[test]
fn an_address_in_use_is_that_apps_failure_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("own.sock");
    let taken = UnixListener::bind(&path).unwrap();
    let own = app("own", "hello-sync", &format!("bind = [\"unix:{}\"]", path.display()));
    let host = Host::start(&(own + &app("hello", "hello-sync", "")));
    host.until("own", "failing");
    assert!(host.app("own")["why"].as_str().unwrap().contains("own.sock"));
    assert_eq!(host.ask("hello.test", "/").text(), "Hello, world!");
    drop(taken);
    host.until("own", "idle");
    assert_eq!(get_over_unix(&path, "/").unwrap(), (200, "Hello, world!".to_owned()));
}

#[test]
fn an_address_comes_and_goes_with_its_app() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("own.sock");
    let hello = app("hello", "hello-sync", "");
    let own = app("own", "hello-sync", &format!("bind = [\"unix:{}\"]", path.display()));
    let host = Host::start(&hello);
    host.write(&(hello.clone() + &own));
    host.reload();
    assert_eq!(get_over_unix(&path, "/").unwrap(), (200, "Hello, world!".to_owned()));
    host.write(&hello);
    host.reload();
    host.until("own", "gone");
    assert!(!path.exists());
}

#[test]
fn an_address_that_stays_is_kept_when_others_change() {
    let bound = |binds: &str| app("own", "hello-sync", &format!("bind = [{binds}]"));
    let host = Host::start(&bound("\"127.0.0.1:0\""));
    let first = address(&host, "own");
    assert_eq!(Connection::open(first).get("/").text(), "Hello, world!");
    host.write(&bound(&format!("\"127.0.0.1:0\", \"{first}\"")));
    host.reload();
    host.until("own", "ready");
    assert_eq!(host.app("own")["addresses"][1], format!("http://{first}"));
    for at in [address(&host, "own"), first] {
        assert_eq!(Connection::open(at).get("/").text(), "Hello, world!");
    }
}

#[test]
fn an_upgrade_takes_the_apps_and_their_addresses_along() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("own.sock");
    let bound = |tcp: &str| {
        let own = format!("bind = [\"{tcp}\", \"unix:{}\"]", path.display());
        format!("[app.own]\ncomponent = \"{}\"\nroute = \"*\"\n{own}\n", guest("hello-sync"))
    };
    let host = Host::start(&bound("127.0.0.1:0"));
    let tcp = address(&host, "own");
    // The new process finds the port in the file.
    host.write(&bound(&tcp.to_string()));
    host.reload();
    let load = host.load(2);
    load.wait_for_more(10);
    let mark = host.len();
    host.supervisor().signal(SIGUSR2);
    let record = host.wait_from(mark, "the new one", |r| r.is_event("upgrade-started"));
    let successor = Process { pid: record.number("pid") as i32 };
    host.wait_from(mark, "it serves", |r| r.is_event("upgrade-ready"));
    load.wait_for_more(10);
    host.supervisor().signal(SIGTERM);
    host.wait_from(mark, "the old one has ended", |r| r.is_event("stopped") && r.field("app").is_null());
    load.wait_for_more(10);
    assert_eq!(Connection::open(tcp).get("/").text(), "Hello, world!");
    assert_eq!(get_over_unix(&path, "/").unwrap(), (200, "Hello, world!".to_owned()));
    load.end().assert_none_lost();
    successor.signal(SIGTERM);
    eventually("its end", || (!successor.runs()).then_some(()));
}

#[test]
fn two_apps_cannot_have_the_same_address() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("wasmserve.toml");
    let apps = ["one", "two"].map(|name| app(name, "hello-sync", "bind = [\"127.0.0.1:9000\", \"127.0.0.1:0\"]"));
    fs::write(&path, server_table("") + &apps.concat()).unwrap();
    let refused = Wasmserve::new(&["check", "--config", path.to_str().unwrap()]).run();
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("app.two.bind: app one has the same address"), "{}", refused.stderr);
}

#[test]
fn clients_of_an_apps_own_address_cannot_pretend_either() {
    let host = Host::start(&app("own", "testbed-sync", "bind = [\"127.0.0.1:0\"]"));
    let mut connection = Connection::open(address(&host, "own"));
    connection.write(b"GET /request HTTP/1.1\r\nHost: own.test\r\nX-Forwarded-For: 8.8.8.8\r\nX-Other: kept\r\n\r\n");
    let seen = connection.receive().text().to_lowercase();
    assert!(seen.contains("x-other") && !seen.contains("8.8.8.8"), "{seen}");
}

#[test]
fn a_change_of_addresses_that_fails_leaves_what_serves() {
    let folder = TempDir::new().unwrap();
    let taken = folder.path().join("taken.sock");
    let holder = UnixListener::bind(&taken).unwrap();
    let hello = |more: &str| app("hello", "hello-sync", &format!("workers = 1\n{more}"));
    let host = Host::start(&hello("bind = [\"127.0.0.1:0\"]"));
    host.until("hello", "ready");
    let (server, own) = (host.process("hello"), address(&host, "hello"));
    host.write(&hello(&format!("bind = [\"unix:{}\"]", taken.display())));
    host.reload();
    host.wait_for("it is told", |r| r.is_event("app-failed") && r.message().contains("taken.sock"));
    assert_eq!(host.process("hello"), server);
    assert_eq!(host.ask("hello.test", "/").text(), "Hello, world!");
    assert_eq!(Connection::open(own).get("/").text(), "Hello, world!");
    drop(holder);
    host.reload();
    eventually("it moves", || get_over_unix(&taken, "/").ok().filter(|answer| answer.0 == 200));
    assert_eq!(host.ask("hello.test", "/").text(), "Hello, world!");
}

#[test]
fn the_log_has_a_request_once_with_its_client() {
    let host = Host::start(&app("hello", "hello-sync", ""));
    let mut connection = host.connect();
    connection.write(b"GET /one HTTP/1.1\r\nHost: hello.test\r\nX-Forwarded-For: 8.8.8.8\r\n\r\n");
    connection.receive();
    let record = host.wait_for("its record", |r| r.is_access() && r.text("path") == "/one");
    assert_eq!(record.text("client"), "127.0.0.1", "{}", record.line);
    // What no app has seen is the gateway's.
    host.ask("other.test", "/two");
    host.wait_for("its record", |r| r.is_access() && r.text("path") == "/two");
    assert_eq!(host.count(|r| r.is_access()), 2);
}

fn address(host: &Host, name: &str) -> std::net::SocketAddr {
    let app = host.app(name);
    let url = app["addresses"][0].as_str().unwrap_or_else(|| panic!("{app}"));
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

//! The command line: options, their environment variables, addresses, exit codes.

use std::net::TcpListener;
use std::time::Duration;

use crate::support::{Connection, Server, Wasmserve};

const OPTIONS: [&str; 21] = [
    "host",
    "port",
    "bind",
    "workers",
    "threads",
    "offload",
    "instances",
    "concurrency",
    "queue",
    "isolation",
    "lifespan",
    "env",
    "dir",
    "timeout-graceful-shutdown",
    "timeout-startup",
    "timeout-worker-healthcheck",
    "log-level",
    "log-format",
    "no-access-log",
    "identify",
    "cache-dir",
];

#[test]
fn help_names_every_option_with_its_environment_variable() {
    let help = Wasmserve::new(&["--help"]).run();
    assert_eq!(help.code, Some(0));
    for option in OPTIONS {
        let variable = format!("WASMSERVE_{}", option.to_uppercase().replace('-', "_"));
        assert!(help.stdout.contains(&format!("--{option}")), "--{option}");
        assert!(help.stdout.contains(&variable), "{variable}");
    }
    for command in ["demo", "inspect", "check"] {
        assert!(help.stdout.contains(command), "{command}");
    }
}

#[test]
fn help_tells_the_defaults() {
    let help = Wasmserve::new(&["--help"]).run().stdout;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for (option, default) in [
        ("--host", "[default: 127.0.0.1]"),
        ("--port", "[default: 8000]"),
        ("--workers", "[default: WEB_CONCURRENCY, else 1]"),
        ("--threads", "[default: 8]"),
        ("--instances", "[default: 1 for an async app, 32 for a sync one]"),
        ("--concurrency", "[default: 128]"),
        ("--queue", "[default: 1024]"),
        ("--isolation", "[default: auto]"),
        ("--lifespan", "[default: auto]"),
        ("--timeout-graceful-shutdown", "[default: 30]"),
        ("--timeout-startup", "[default: 30]"),
        ("--log-level", "[default: info]"),
        ("--log-format", "[default: text on a terminal, else json]"),
    ] {
        let (_, from_option) = help.split_once(&format!("{option} <")).expect(option);
        let end = from_option.find(" --").unwrap_or(from_option.len());
        assert!(from_option[..end].contains(default), "{option}: {}", &from_option[..end]);
    }
}

#[test]
fn the_version_is_told() {
    let version = Wasmserve::new(&["--version"]).run();
    assert_eq!((version.code, version.stdout.starts_with("wasmserve ")), (Some(0), true));
}

#[test]
fn without_a_component_there_is_nothing_to_serve() {
    let finished = Wasmserve::new(&[]).run();
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("COMPONENT"), "{finished:?}");
}

#[test]
fn an_unusable_value_is_refused_with_its_option_named() {
    for (option, value) in [
        ("--workers", "0"),
        ("--workers", "many"),
        ("--threads", "0"),
        ("--instances", "0"),
        ("--concurrency", "0"),
        ("--queue", "-1"),
        ("--port", "65536"),
        ("--bind", "127.0.0.1"),
        ("--bind", "127.0.0.1:http"),
        ("--isolation", "process"),
        ("--lifespan", "maybe"),
        ("--offload", "never"),
        ("--env", "=value"),
        ("--env", "SURELY_NOT_SET"),
        ("--dir", "/tmp"),
        ("--dir", "/no/such/folder::/data"),
        ("--timeout-graceful-shutdown", "soon"),
        ("--timeout-startup", "-1"),
        ("--log-level", "loud"),
        ("--log-format", "xml"),
        ("--no-such-option", "1"),
    ] {
        let option_with_value = format!("{option}={value}");
        let finished = Wasmserve::serving("hello-sync", &[&option_with_value]).run();
        assert_eq!(finished.code, Some(2), "{option} {value}: {}", finished.stderr);
        assert!(finished.stderr.contains(option), "{option} {value}: {}", finished.stderr);
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let mistakes = ["--threads", "0", "--workers", "x", "--dir", "nowhere", "--env", "=x"];
    let finished = Wasmserve::serving("hello-sync", &mistakes).run();
    assert_eq!(finished.code, Some(2));
    for option in ["--threads", "--workers", "--dir", "--env"] {
        assert!(finished.stderr.contains(option), "{option}: {}", finished.stderr);
    }
}

#[test]
fn check_serves_nothing_and_tells_what_a_start_would() {
    let hello = crate::support::guest("hello-sync");
    let check = |args: &[&str]| Wasmserve::new(&["check"]).args(args).run();

    assert_eq!(check(&[&hello, "--workers", "4"]).code, Some(0));
    let finished = check(&[&hello, "--threads", "0", "--env", "=x"]);
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("--threads") && finished.stderr.contains("--env"));
    assert_eq!(check(&["/no/such/component.wasm"]).code, Some(4));
}

#[test]
fn every_option_can_come_from_the_environment() {
    let server = Wasmserve::serving("testbed-sync", &[])
        .env("WASMSERVE_PORT", "0")
        .env("WASMSERVE_WORKERS", "2")
        .env("WASMSERVE_THREADS", "3")
        .env("WASMSERVE_ISOLATION", "request")
        .env("WASMSERVE_IDENTIFY", "true")
        .env("WASMSERVE_ENV", "GREETING=hello")
        .env("WASMSERVE_NO_ACCESS_LOG", "true")
        .start();
    assert_eq!(server.ready().number("workers"), 2);
    assert_eq!(server.ready().number("threads"), 3);
    assert_eq!(server.ready().text("isolation"), "request");
    assert_eq!(server.get_json("/env")["GREETING"], "hello");
    assert!(server.get("/").header("x-wasmserve-instance").is_some());
    assert_eq!(server.count(|r| r.is_access()), 0);
}

#[test]
fn an_option_beats_its_variable() {
    let server = Wasmserve::serving("hello-sync", &["--workers", "2"]).env("WASMSERVE_WORKERS", "1").start();
    assert_eq!(server.ready().number("workers"), 2);
}

#[test]
fn web_concurrency_is_the_default_number_of_workers() {
    let workers = |args: &[&str], value: &str| {
        let command = Wasmserve::serving("hello-sync", args).env("WEB_CONCURRENCY", value);
        command.start().ready().number("workers")
    };
    assert_eq!(workers(&[], "3"), 3);
    assert_eq!(workers(&["--workers", "2"], "3"), 2);

    let finished = Wasmserve::serving("hello-sync", &[]).env("WEB_CONCURRENCY", "lots").run();
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("WEB_CONCURRENCY"), "{}", finished.stderr);
}

#[test]
fn one_worker_unless_more_are_asked_for_and_auto_is_one_per_core() {
    assert_eq!(Server::start("hello-sync", &[]).ready().number("workers"), 1);
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    let server = Server::start("hello-sync", &["--workers", "auto"]);
    assert_eq!(server.ready().number("workers"), cores);
    assert_eq!(server.workers().len() as u64, cores);
}

#[test]
fn port_zero_picks_a_port_and_prints_it() {
    let server = Server::start("hello-sync", &["--port", "0"]);
    let address = server.address();
    assert_eq!(address.ip().to_string(), "127.0.0.1");
    assert_ne!(address.port(), 0);
    assert!(server.ready().message().contains(&format!("http://{address}")));
    assert_eq!(server.get("/").text(), "Hello, world!");
}

/// The best of three: the promise is about the server, not about what else the machine does.
fn best_refusal(args: &[&str]) -> String {
    let tries = (0..3).map(|_| Wasmserve::serving("hello-sync", args).run());
    let best = tries.min_by_key(|finished| finished.took).unwrap();
    assert_eq!(best.code, Some(2), "{}", best.stderr);
    assert!(best.took < Duration::from_secs(1), "took {:?}", best.took);
    best.stderr
}

#[test]
fn a_port_in_use_is_told_within_a_second() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let message = best_refusal(&["--bind", &address]);
    assert!(message.contains(&address) && message.contains("in use"), "{message}");
}

#[test]
fn a_port_that_another_wasmserve_serves_is_in_use() {
    // Sockets that share a port would let a second server take half of the first one's connections.
    let server = Server::start("hello-sync", &["--workers", "2"]);
    let address = server.address().to_string();
    let message = best_refusal(&["--bind", &address]);
    assert!(message.contains(&address) && message.contains("in use"), "{message}");
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn an_address_of_another_machine_is_refused() {
    // 192.0.2.0/24 is for documentation: nobody has it.
    let message = best_refusal(&["--host", "192.0.2.1", "--port", "0"]);
    assert!(message.contains("192.0.2.1"), "{message}");
}

#[test]
fn several_addresses_are_served_by_the_same_workers() {
    let binds = ["--bind", "127.0.0.1:0", "--bind", "127.0.0.2:0", "--workers", "2"];
    let server = Server::start("hello-async", &binds);
    let message = server.ready().message();
    let urls = message.split("http://").skip(1);
    let addresses: Vec<_> = urls
        .map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit() && !".:".contains(c));
            rest[..end.unwrap_or(rest.len())].trim_end_matches(['.', ':']).to_owned()
        })
        .collect();
    assert_eq!(addresses.len(), 2, "{message}");
    assert!(addresses[0].starts_with("127.0.0.1:") && addresses[1].starts_with("127.0.0.2:"));
    for address in addresses {
        let mut connection = Connection::open(address.parse().unwrap());
        assert_eq!(connection.get("/").text(), "Hello, world!", "{address}");
    }
    assert_eq!(server.supervisor().children().len(), 2);
}

#[test]
fn an_ipv6_address_is_served() {
    if TcpListener::bind("[::1]:0").is_err() {
        return; // This machine has no IPv6.
    }
    let server = Server::start("hello-sync", &["--host", "::1", "--port", "0"]);
    assert!(server.url.starts_with("http://[::1]:"), "{}", server.url);
    assert_eq!(server.get("/").text(), "Hello, world!");
}

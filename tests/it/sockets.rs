//! What can be listened at besides an address and a port: Unix sockets and what the server was started with.

use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal::{SIGKILL, SIGSTOP};
use tempfile::TempDir;

use crate::support::{Connection, Server, TESTBEDS, Wasmserve, eventually, get_over_unix, parallel};

fn bind_to(path: &Path) -> String {
    format!("unix:{}", path.display())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Moves descriptor 0 to 3, where a service manager puts the first socket.
const MOVE_TO_3: &str = "exec 3<&0 0</dev/null";

#[test]
fn a_unix_socket_is_served_and_removed_at_the_end() {
    for guest in TESTBEDS {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("app.sock");
        let mut server = Server::start(guest, &["--bind", &bind_to(&path), "--workers", "2"]);
        assert!(fs::metadata(&path).unwrap().file_type().is_socket());
        assert_eq!(mode(&path), 0o666, "{guest}");
        for _ in 0..10 {
            assert_eq!(get_over_unix(&path, "/hello").unwrap(), (200, "Hello, world!".into()), "{guest}");
        }
        assert!(server.ready().message().contains(path.to_str().unwrap()), "{}", server.ready().line);
        server.stop();
        assert!(!path.exists(), "{guest}");
    }
}

#[test]
fn a_unix_sockets_permissions_are_those_asked_for_whatever_the_umask() {
    let folder = TempDir::new().unwrap();
    for (asked, expected) in [("600", 0o600), ("660", 0o660), ("666", 0o666)] {
        let path = folder.path().join(asked);
        let options = ["--bind", &bind_to(&path), "--uds-mode", asked, "--umask", "077"];
        let server = Server::start("hello-sync", &options);
        assert_eq!(mode(&path), expected);
        drop(server);
    }
    let finished = Wasmserve::serving("hello-sync", &["--uds-mode", "rw"]).run();
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("--uds-mode"), "{finished:?}");
}

#[test]
fn a_unix_socket_that_was_left_behind_is_replaced() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.sock");
    let start = || Server::start("hello-sync", &["--bind", &bind_to(&path)]);
    let mut killed = start();
    killed.signal(SIGKILL);
    killed.wait_exit();
    eventually("nobody listens there", || get_over_unix(&path, "/").is_err().then_some(()));
    assert!(path.exists());
    let server = start();
    assert_eq!(get_over_unix(&path, "/").unwrap().0, 200);
    drop(server);
}

#[test]
fn a_unix_socket_in_use_is_refused_and_goes_on() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.sock");
    let bind = bind_to(&path);
    let server = Server::start("hello-sync", &["--bind", &bind]);
    let finished = Wasmserve::serving("hello-sync", &["--bind", &bind]).run();
    assert_eq!(finished.code, Some(2), "{finished:?}");
    let message = &finished.stderr;
    let holder = server.supervisor().pid.to_string();
    assert!(message.contains(path.to_str().unwrap()) && message.contains(&holder), "{message}");
    assert_eq!(get_over_unix(&path, "/").unwrap().0, 200);
    assert!(server.worker(0).runs());
}

#[test]
fn a_file_in_the_place_of_a_unix_socket_is_not_touched() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("precious");
    fs::write(&path, "data").unwrap();
    let finished = Wasmserve::serving("hello-sync", &["--bind", &bind_to(&path)]).run();
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.stderr.contains(path.to_str().unwrap()), "{finished:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "data");
}

#[test]
fn a_socket_that_somebody_has_put_in_our_place_is_not_removed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.sock");
    let mut server = Server::start("hello-sync", &["--bind", &bind_to(&path)]);
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    server.stop();
    assert!(path.exists());
}

#[test]
fn a_unix_socket_that_cannot_be_is_a_clear_mistake() {
    for path in ["/no/such/folder/app.sock", &format!("/tmp/{}", "x".repeat(200)), ""] {
        let finished = Wasmserve::serving("hello-sync", &["--bind", &format!("unix:{path}")]).run();
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(finished.stderr.contains(path), "{finished:?}");
    }
}

#[test]
fn addresses_of_both_kinds_are_served_by_the_same_workers() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.sock");
    let binds = ["--bind", "127.0.0.1:0", "--bind", &bind_to(&path), "--workers", "2"];
    let server = Server::start("hello-async", &binds);
    assert_eq!(server.get("/").text(), "Hello, world!");
    assert_eq!(get_over_unix(&path, "/").unwrap().1, "Hello, world!");
    assert_eq!(server.supervisor().children().len(), 2);
}

#[test]
fn a_unix_socket_loses_no_request_while_workers_and_generations_change() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.sock");
    let options = ["--bind", &bind_to(&path), "--workers", "2", "--no-access-log"];
    let server = Server::start("hello-sync", &options);
    thread::scope(|scope| {
        let changes = scope.spawn(|| {
            for _ in 0..3 {
                server.reload();
                server.do_control(&["recycle", "0"]);
            }
        });
        while !changes.is_finished() {
            for answer in parallel(4, |_| get_over_unix(&path, "/")) {
                assert_eq!(answer.unwrap(), (200, "Hello, world!".into()));
            }
        }
    });
}

#[test]
fn new_connections_to_a_unix_socket_wait_while_the_only_worker_is_replaced() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.sock");
    let server = Server::start("hello-sync", &["--bind", &bind_to(&path)]);
    let old = server.worker(0);
    old.signal(SIGKILL);
    eventually("its end", || (!old.runs()).then_some(()));
    for _ in 0..5 {
        assert_eq!(get_over_unix(&path, "/").unwrap().0, 200);
    }
}

#[test]
fn an_inherited_socket_is_served_by_every_worker_and_not_closed_for_others() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let command = Wasmserve::serving("hello-async", &["--fd", "0", "--workers", "2", "--identify"]);
    let mut server = command.stdin(listener.try_clone().unwrap()).start();
    assert_eq!(server.address(), address, "the ready line names where it is bound");
    let workers: std::collections::HashSet<_> =
        parallel(40, |_| Connection::open(address).get("/").place().0).into_iter().collect();
    assert!(!workers.is_empty());
    server.stop();
    // It is whoever's who made it: this one can still accept.
    TcpStream::connect(address).expect("it still listens");
    listener.accept().unwrap();
}

#[test]
fn an_inherited_socket_outlives_reloads_and_the_death_of_its_only_worker() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let command = Wasmserve::serving("hello-async", &["--fd", "0", "--no-access-log"]);
    let server = command.stdin(listener).start();
    let load = server.load(4);
    server.reload();
    load.wait_for_more(20);
    load.end().assert_none_lost();
    let old = server.worker(0);
    old.signal(SIGKILL);
    server.replacement(0, old);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn descriptors_that_are_no_listening_sockets_are_refused() {
    let file = fs::File::open("/dev/null").unwrap();
    let connected = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).unwrap()
    };
    for (number, descriptor) in [("0", Some(file.into())), ("0", Some(connected.into())), ("77", None), ("-1", None)] {
        let mut command = Wasmserve::serving("hello-sync", &[&format!("--fd={number}")]);
        if let Some(descriptor) = descriptor {
            let descriptor: std::os::fd::OwnedFd = descriptor;
            command = command.stdin(descriptor);
        }
        let finished = command.run();
        assert_eq!(finished.code, Some(2), "{number}: {finished:?}");
        assert!(finished.stderr.contains(number), "{number}: {finished:?}");
    }
}

/// As systemd starts it, with this socket as descriptor 3.
fn activated(guest: &str, args: &[&str], socket: impl Into<std::os::fd::OwnedFd>) -> Wasmserve {
    Wasmserve::serving(guest, args)
        .env("LISTEN_FDS", "1")
        .through_shell(&format!("{MOVE_TO_3}; export LISTEN_PID=$$"))
        .stdin(socket)
}

#[test]
fn sockets_of_systemd_are_served() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = activated("testbed-sync", &["--workers", "2"], listener).start();
    assert_eq!(server.address(), address);
    assert_eq!(server.get("/hello").text(), "Hello, world!");
    // They are no guest's and no worker's business.
    let environment = server.get_json("/env");
    assert!(environment["LISTEN_FDS"].is_null() && environment["LISTEN_PID"].is_null(), "{environment}");
    server.stop();
}

#[test]
fn a_unix_socket_of_systemd_is_served_and_never_removed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let mut server = activated("hello-sync", &["--workers", "2"], listener).start();
    assert_eq!(get_over_unix(&path, "/").unwrap().1, "Hello, world!");
    server.reload();
    assert_eq!(get_over_unix(&path, "/").unwrap().1, "Hello, world!");
    server.stop();
    assert!(path.exists());
    assert_eq!(mode(&path), 0o640);
}

#[test]
fn sockets_that_were_meant_for_another_process_are_left_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = Wasmserve::serving("hello-sync", &["--bind", "127.0.0.1:0"])
        .env("LISTEN_FDS", "1")
        .env("LISTEN_PID", "1")
        .through_shell(MOVE_TO_3)
        .stdin(listener)
        .start();
    assert_ne!(server.address(), address);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_bracketed_ipv6_address_is_served() {
    if TcpListener::bind("[::1]:0").is_err() {
        return; // This machine has no IPv6.
    }
    let server = Server::start("hello-sync", &["--bind", "[::1]:0", "--workers", "2", "--admin", "[::1]:0"]);
    assert!(server.url.starts_with("http://[::1]:"), "{}", server.url);
    assert_eq!(server.get("/").text(), "Hello, world!");
    assert_eq!(server.http2().get("/").text(), "Hello, world!");
    assert_eq!(server.admin("/readyz").status, 200);
    let address = server.address().to_string();
    let finished = Wasmserve::serving("hello-sync", &["--bind", &address]).run();
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.stderr.contains(&address), "{finished:?}");
}

#[test]
fn who_holds_a_port_in_use_is_told() {
    let server = Server::start("hello-sync", &["--workers", "2"]);
    let address = server.address().to_string();
    let finished = Wasmserve::serving("hello-sync", &["--bind", &address]).run();
    assert_eq!(finished.code, Some(2), "{finished:?}");
    let message = &finished.stderr;
    let mut holders = server.workers();
    holders.push(server.supervisor());
    assert!(message.contains(&address), "{message}");
    assert!(holders.iter().any(|holder| message.contains(&holder.pid.to_string())), "{holders:?}: {message}");
    assert_eq!(message.trim_end().lines().count(), 1, "one clear line: {message}");
}

/// How many connections the kernel takes that nobody accepts.
fn connections_that_fit(address: SocketAddr, at_most: usize) -> usize {
    let mut held = Vec::new();
    while held.len() < at_most
        && let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(500))
    {
        held.push(stream);
    }
    held.len()
}

#[test]
fn the_backlog_is_how_many_connections_wait() {
    for (backlog, least, most) in [("4", 4, 8), ("64", 64, 70)] {
        let options = ["--backlog", backlog, "--timeout-worker-healthcheck", "3600"];
        let server = Server::start("hello-sync", &options);
        let worker = server.worker(0);
        worker.signal(SIGSTOP);
        eventually("it is stopped", || (worker.state() == Some('T')).then_some(()));
        let fit = connections_that_fit(server.address(), 100);
        assert!((least..=most).contains(&fit), "{fit} with a backlog of {backlog}");
    }
    let finished = Wasmserve::serving("hello-sync", &["--backlog", "0"]).run();
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("--backlog"), "{finished:?}");
}

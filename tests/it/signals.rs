//! How a server ends: TERM and INT drain, a second signal does not wait, and there is a limit to patience.

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal::{self, SIGINT, SIGTERM};
use nix::sys::signal::killpg;
use nix::unistd::Pid;

use crate::support::{Connection, Server, TESTBEDS, Wasmserve, eventually, request, timed};

/// A request that is in flight: the guest has sent one byte and will send another one.
fn in_flight(server: &Server, ms: u64) -> Connection {
    server.occupy(&format!("/stream?chunks=2&bytes=1&ms={ms}"))
}

/// Waits until the listening sockets are closed, by when the drain has begun.
fn until_drains(server: &Server) {
    eventually("the listeners are closed", || server.refuses_connections().then_some(()));
}

#[test]
fn term_and_int_finish_what_is_in_flight() {
    for guest in TESTBEDS {
        for signal in [SIGTERM, SIGINT] {
            let mut server = Server::start(guest, &["--workers", "2"]);
            let mut streaming = in_flight(&server, 800);
            let mut uploading = server.connect();
            uploading.begin_upload("/length", 4);

            server.signal(signal);
            until_drains(&server);
            assert_eq!(streaming.receive().text(), "00", "{guest} {signal}");
            uploading.write("body");
            let response = uploading.receive();
            assert_eq!(response.text(), "4", "{guest} {signal}");
            assert_eq!(response.header("connection"), Some("close"), "{guest} {signal}");
            assert!(uploading.is_at_end());
            assert_eq!(server.wait_exit().code(), Some(0), "{guest} {signal}");
        }
    }
}

#[test]
fn requests_that_wait_for_an_instance_are_in_flight_too() {
    for guest in TESTBEDS {
        let options = ["--instances", "1", "--concurrency", "1", "--queue", "1"];
        let mut server = Server::start(guest, &options);
        let mut first = in_flight(&server, 1500);
        let mut waiting = server.fill_the_queue();
        server.signal(SIGTERM);
        assert_eq!(first.receive().text(), "00", "{guest}");
        assert_eq!(waiting.receive().text(), "1", "{guest}");
        assert_eq!(server.wait_exit().code(), Some(0), "{guest}");
    }
}

#[test]
fn an_upload_under_way_is_finished() {
    for guest in TESTBEDS {
        let mut server = Server::start(guest, &[]);
        let mut uploading = server.connect();
        uploading.begin_upload("/length", 200_000);
        uploading.write(vec![b'x'; 100_000]);
        server.signal(SIGTERM);
        until_drains(&server);
        uploading.write(vec![b'x'; 100_000]);
        assert_eq!(uploading.receive().text(), "200000", "{guest}");
        assert_eq!(server.wait_exit().code(), Some(0), "{guest}");
    }
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    for guest in TESTBEDS {
        let mut server = Server::start(guest, &["--workers", "2"]);
        let mut used = server.connect();
        assert_eq!(used.get("/hello").status, 200);
        let mut fresh = server.connect();
        let http2 = server.http2();
        assert_eq!(http2.get("/hello").status, 200);

        let ((), took) = timed(|| server.stop());
        assert!(took < Duration::from_secs(3), "{guest}: {took:?}");
        assert!(used.is_at_end() && fresh.is_at_end(), "{guest}");
        http2.ended().expect("a proper end");
    }
}

#[test]
fn http_2_clients_get_goaway_and_their_answers() {
    for guest in TESTBEDS {
        let mut server = Server::start(guest, &[]);
        let client = server.http2();
        let mut stream = client.begin("GET", "/stream?chunks=2&bytes=1&ms=800", &[]);
        stream.finish();
        let (head, mut reply) = stream.receive_head();
        assert_eq!(head.status, 200);
        server.signal(SIGTERM);
        until_drains(&server);
        let mut body = Vec::new();
        while let Some(frame) = reply.frame() {
            body.extend(frame.expect("the stream goes on").into_data().unwrap());
        }
        assert_eq!(body, b"00", "{guest}");
        client.ended().expect("GOAWAY without an error");
        assert_eq!(server.wait_exit().code(), Some(0), "{guest}");
    }
}

#[test]
fn work_after_the_response_is_finished_before_the_end() {
    for guest in TESTBEDS {
        let mut server = Server::start(guest, &["--instances", "1"]);
        assert_eq!(server.get("/after?ms=500").text(), "answered", "{guest}");
        server.stop();
        assert_eq!(server.count(|r| r.is_guest_line("after: done")), 1, "{guest}");
        assert_eq!(server.count(|r| r.is_guest_line("testbed: shutdown")), 1, "{guest}");
    }
}

#[test]
fn nothing_is_left_after_the_end() {
    let mut server = Server::start("testbed-sync", &["--workers", "4"]);
    let workers = server.workers();
    let address = server.address();
    server.stop();
    assert!(workers.iter().all(|worker| !worker.runs()));
    std::net::TcpListener::bind(address).expect("the port is free");
}

#[test]
fn a_second_signal_ends_at_once() {
    for guest in TESTBEDS {
        for (first, second) in [(SIGTERM, SIGTERM), (SIGINT, SIGINT), (SIGTERM, SIGINT)] {
            let mut server = Server::start(guest, &["--workers", "2"]);
            let workers = server.workers();
            let _held = in_flight(&server, 3_600_000);
            server.signal(first);
            until_drains(&server);
            // What comes within moments of the first may be the same one, told to a whole group as well.
            let (_, took) = timed(|| {
                eventually("the end", || {
                    server.signal(second);
                    server.has_ended().then_some(())
                });
            });
            assert!(took < Duration::from_secs(2), "{guest}: {took:?}");
            eventually("the workers end", || workers.iter().all(|w| !w.runs()).then_some(()));
        }
    }
}

#[test]
fn ctrl_c_in_a_terminal_is_one_signal() {
    // A terminal sends it to the whole process group: supervisor and workers.
    for guest in TESTBEDS {
        let command = Wasmserve::serving(guest, &["--workers", "2"]).own_process_group();
        let mut server = command.start();
        let mut held = in_flight(&server, 800);
        killpg(Pid::from_raw(server.supervisor().pid), SIGINT).unwrap();
        assert_eq!(held.receive().text(), "00", "{guest}");
        assert_eq!(server.wait_exit().code(), Some(0), "{guest}");
        server.wait_for_end();
        let lines = |line| server.count(|r| r.is_guest_line(line));
        assert_eq!(lines("testbed: shutdown"), lines("testbed: startup"), "{guest}");
        assert_eq!(server.count(|r| r.is_event("worker-ready")), 2, "{guest}: none is replaced");
    }
}

#[test]
fn what_is_left_after_the_graceful_timeout_is_killed_and_logged() {
    for guest in TESTBEDS {
        let options = ["--timeout-graceful-shutdown", "0.5", "--workers", "2"];
        for target in ["/stream?chunks=2&bytes=1&ms=3600000", "/stream?chunks=0&bytes=100", "/spin"] {
            let mut server = Server::start(guest, &options);
            let workers = server.workers();
            let _stuck = server.occupy(target);
            let (_, took) = timed(|| {
                server.signal(SIGTERM);
                server.wait_exit()
            });
            assert!(took >= Duration::from_millis(500), "{guest} {target}: {took:?}");
            assert!(took < Duration::from_secs(5), "{guest} {target}: {took:?}");
            server.wait_for_end();
            let record = server.wait_for("what was left", |r| r.is_event("drain-timeout"));
            assert!(record.message().contains('1'), "one request: {}", record.line);
            eventually("the workers end", || workers.iter().all(|w| !w.runs()).then_some(()));
        }
    }
}

#[test]
fn a_signal_while_an_app_starts_up_ends_the_start() {
    for guest in TESTBEDS {
        for step in ["sleep:3600000", "spin"] {
            let step = format!("TESTBED_STARTUP={step}");
            let command = Wasmserve::serving(guest, &["--env", &step, "--workers", "2"]);
            let mut server = command.launch();
            let supervisor = server.supervisor();
            eventually("the workers start", || (supervisor.children().len() == 2).then_some(()));
            let workers = supervisor.children();
            let (_, took) = timed(|| {
                server.signal(SIGTERM);
                server.wait_exit()
            });
            assert!(took < Duration::from_secs(3), "{guest}: {took:?}");
            assert!(workers.iter().all(|worker| !worker.runs()), "{guest}");
            assert_eq!(server.count(|r| r.is_event("ready")), 0, "{guest}");
        }
    }
}

#[test]
fn clients_that_come_while_a_server_ends_are_refused_or_served_never_left_hanging() {
    let mut server = Server::start("hello-async", &["--workers", "2", "--no-access-log"]);
    let address = server.address();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(move || {
                    let mut served = 0;
                    // A connection that the kernel had taken when the listener was closed is reset.
                    while let Ok(mut connection) = Connection::try_open(address) {
                        if connection.try_write(request("GET", "/", &[], b"")).is_err() {
                            continue;
                        }
                        match connection.try_receive() {
                            Ok(response) => assert_eq!(response.text(), "Hello, world!"),
                            Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock),
                        }
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        eventually("they are being served", || (server.worker(0).cpu().0 > Duration::from_millis(30)).then_some(()));
        server.signal(Signal::SIGTERM);
        assert!(clients.into_iter().all(|client| client.join().unwrap() > 0));
    });
    assert_eq!(server.wait_exit().code(), Some(0));
}

//! Sockets and names of guests, and what else they see of the machine: its clocks.

use std::net::{TcpListener, UdpSocket};

use crate::support::{Server, TESTBEDS, Trap, Wasmserve};

const LOOPBACK: [&str; 2] = ["--allow-private-network", "127.0.0.1"];

#[test]
fn tcp_goes_where_it_was_granted_to() {
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = target.local_addr().unwrap().to_string();
    let trap = Trap::set("127.0.0.1:0");
    let other = Trap::set("127.0.0.2:0");
    for guest in TESTBEDS {
        let granted = ["--allow-tcp", &address, "--allow-tcp", "127.0.0.2:*"];
        let server = Server::start(guest, &[&granted, &LOOPBACK[..]].concat());
        let response = server.get(&format!("/tcp?addr={address}"));
        assert_eq!(response.text(), "connected", "{guest}");
        target.accept().unwrap();
        for denied in [format!("127.0.0.1:{}", trap.port()), format!("127.0.0.2:{}", other.port())] {
            assert_eq!(server.get(&format!("/tcp?addr={denied}")).status, 502, "{guest} {denied}");
        }
        assert_eq!(server.get(&format!("/udp?addr={address}")).status, 502, "{guest}: not by UDP");
        assert_eq!(server.get(&format!("/fetch?url=http://{address}/")).status, 502, "{guest}: not by HTTP");
    }
    trap.is_untouched();
    other.is_untouched();
}

#[test]
fn a_private_address_needs_its_network_named_beside_the_grant() {
    let trap = Trap::set("127.0.0.1:0");
    let address = format!("127.0.0.1:{}", trap.port());
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--allow-tcp", &address, "--allow-tcp", "*:*"]);
        assert_eq!(server.get(&format!("/tcp?addr={address}")).status, 502, "{guest}");
        assert_eq!(server.get(&format!("/tcp?addr=localhost:{}", trap.port())).status, 502, "{guest}");
    }
    trap.is_untouched();
}

#[test]
fn names_are_resolved_where_they_were_granted() {
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = target.local_addr().unwrap().port();
    for guest in TESTBEDS {
        let granted = format!("localhost:{port}");
        let server = Server::start(guest, &[&["--allow-tcp", &granted], &LOOPBACK[..]].concat());
        assert_eq!(server.get("/resolve?name=localhost").text(), "127.0.0.1", "{guest}: ::1 may not be reached");
        assert_eq!(server.get(&format!("/tcp?addr=localhost:{port}")).text(), "connected", "{guest}");
        target.accept().unwrap();
        assert_eq!(server.get("/resolve?name=example.com").status, 502, "{guest}");
        assert_eq!(server.get("/resolve?name=localhost.").status, 200, "{guest}");
    }
}

#[test]
fn an_address_counts_by_its_name_once_it_was_resolved() {
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = target.local_addr().unwrap();
    let granted = format!("localhost:{}", address.port());
    let args = [&["--workers", "1", "--instances", "1", "--allow-tcp", &granted], &LOOPBACK[..]].concat();
    let server = Server::start("testbed-sync", &args);
    assert_eq!(server.get(&format!("/tcp?addr={address}")).status, 502, "nobody knows that it is localhost");
    server.get("/resolve?name=localhost");
    assert_eq!(server.get(&format!("/tcp?addr={address}")).text(), "connected");
    target.accept().unwrap();
}

#[test]
fn datagrams_go_where_they_were_granted_to_and_come_from_there() {
    let target = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = target.local_addr().unwrap();
    let denied = UdpSocket::bind("127.0.0.1:0").unwrap();
    denied.set_nonblocking(true).unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 10];
        while let Ok((_, from)) = target.recv_from(&mut buffer) {
            stranger.send_to(b"injected", from).unwrap();
            target.send_to(b"pong", from).unwrap();
        }
    });
    for guest in TESTBEDS {
        let granted = address.to_string();
        let server = Server::start(guest, &[&["--allow-udp", &granted], &LOOPBACK[..]].concat());
        let response = server.get(&format!("/udp?addr={address}"));
        assert_eq!(response.text(), format!("pong from {address}"), "{guest}");
        let other = denied.local_addr().unwrap();
        assert_eq!(server.get(&format!("/udp?addr={other}")).status, 502, "{guest}");
        assert_eq!(server.get(&format!("/tcp?addr={address}")).status, 502, "{guest}: not by TCP");
    }
    assert!(denied.recv_from(&mut [0; 10]).is_err());
}

#[test]
fn no_guest_is_a_server() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[&["--allow-tcp", "*:*", "--allow-udp", "*:*"], &LOOPBACK[..]].concat());
        for address in ["127.0.0.1:0", "0.0.0.0:0", "0.0.0.0:8123"] {
            let response = server.get(&format!("/listen?addr={address}"));
            assert_eq!(response.status, 502, "{guest} {address}: {}", response.text());
        }
    }
}

#[test]
fn clocks_are_coarse_unless_asked_for() {
    for guest in TESTBEDS {
        let steps = |args: &[&str]| {
            let steps = Wasmserve::serving(guest, args).start().get_json("/clocks");
            ["monotonic", "wall"].map(|clock| steps[clock].as_u64().unwrap())
        };
        for step in steps(&[]) {
            assert!(step > 0 && step.is_multiple_of(1_000_000), "{guest}: {step} ns");
        }
        // It is less likely than a hit in the lottery that both are whole milliseconds.
        let fine = steps(&["--fine-clocks"]);
        assert!(fine.iter().any(|step| !step.is_multiple_of(1_000_000)), "{guest}: {fine:?}");
    }
}

#[test]
fn sleeping_is_as_long_as_ever() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let (_, took) = crate::support::timed(|| server.get("/sleep?ms=50"));
        assert!(took >= std::time::Duration::from_millis(50), "{guest}: {took:?}");
    }
}

//! Requests that guests send: to hosts that were granted, at addresses that are public or were named, over connections
//! that are kept.

use std::fs;
use std::io::Write;

use tempfile::TempDir;

use crate::support::{
    Received, Server, TESTBEDS, TlsUpstream, Trap, Upstream, Wasmserve, chunked, eventually, parallel, reply, request,
    unshare_options,
};

const LOOPBACK: [&str; 2] = ["--allow-private-network", "127.0.0.1"];

/// A guest that may reach a server here, and everything else that is said.
fn start(guest: &str, upstream: &Upstream, args: &[&str]) -> Server {
    let target = upstream.address.to_string();
    Server::start(guest, &[&["--allow-http", &target], &LOOPBACK[..], args].concat())
}

fn field<'a>(received: &'a Received, name: &str) -> &'a str {
    received.header(name).unwrap_or_default()
}

#[test]
fn a_request_goes_where_it_was_granted_to() {
    for guest in TESTBEDS {
        let upstream = Upstream::start(|_, stream| reply(stream, "201 Made", &[("x-answer", "42")], b"greetings"));
        let server = start(guest, &upstream, &[]);
        let response = server.get(&format!("/fetch?url={}/a/b%3Fc&header=x-own:yes", upstream.url()));
        assert_eq!((response.status, response.text().as_str()), (201, "greetings"), "{guest}");
        assert_eq!(response.header("x-answer"), Some("42"), "{guest}");
        let received = upstream.request();
        assert_eq!(received.line, "GET /a/b?c HTTP/1.1", "{guest}");
        assert_eq!(field(&received, "host"), upstream.address.to_string(), "{guest}");
        assert_eq!(field(&received, "x-own"), "yes", "{guest}");
        assert_eq!(received.header("connection"), None, "{guest}");
    }
}

#[test]
fn other_hosts_and_ports_are_denied() {
    for guest in TESTBEDS {
        let upstream = Upstream::greeting();
        let trap = Trap::set("127.0.0.1:0");
        let server = start(guest, &upstream, &[]);
        for url in [
            format!("http://127.0.0.1:{}", trap.port()),
            format!("http://localhost:{}", upstream.address.port()),
            format!("http://user@{}", upstream.address),
            format!("ftp://{}", upstream.address),
            "http://example.com".to_owned(),
        ] {
            let response = server.get(&format!("/fetch?url={url}"));
            assert_eq!(response.status, 502, "{guest} {url}: {}", response.text());
        }
        let connect = server.get(&format!("/fetch?url={}&method=CONNECT", upstream.url()));
        assert_eq!(connect.status, 502, "{guest}: {}", connect.text());
        trap.is_untouched();
        assert_eq!(upstream.connections(), 0, "{guest}");
    }
}

#[test]
fn addresses_that_are_not_public_are_refused_in_every_notation() {
    let trap = Trap::set("127.0.0.1:0");
    let port = trap.port();
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--allow-http", "*:*"]);
        for host in [
            "127.0.0.1",
            "127.8.9.10",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::127.0.0.1]",
            "[2002:7f00:1::]",
            "[fe80::1]",
            "[fc00::1]",
            "[fd00::1]",
            "[fec0::1]",
            "[ff02::1]",
            "localhost",
            "LOCALHOST.",
        ] {
            let response = server.get(&format!("/fetch?url=http://{host}:{port}/"));
            let text = response.text();
            assert!(response.status == 502 && text.contains("DestinationIpProhibited"), "{guest} {host}: {text}");
        }
        // For some parsers these are 127.0.0.1.
        for host in
            ["127.1", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "0177.0.0.1", "127.0.0.1.", "127.0.0.0x1"]
        {
            let response = server.get(&format!("/fetch?url=http://{host}:{port}/"));
            assert_eq!(response.status, 502, "{guest} {host}: {}", response.text());
        }
    }
    trap.is_untouched();
}

#[test]
fn a_network_can_be_named() {
    let upstream = Upstream::greeting();
    let port = upstream.address.port();
    let server = Server::start("testbed-async", &["--allow-http", "*:*", "--allow-private-network", "127.0.0.0/8"]);
    assert_eq!(server.get(&format!("/fetch?url=http://127.0.0.1:{port}")).text(), "greetings");
    assert_eq!(server.get(&format!("/fetch?url=http://LocalHost:{port}")).text(), "greetings");
    assert_eq!(field(&upstream.requests()[1], "host"), format!("localhost:{port}"));
    assert_eq!(server.get(&format!("/fetch?url=http://[::1]:{port}")).status, 502);
}

/// A server in whose /etc/hosts these lines are, if that can be done here.
fn with_hosts(folder: &TempDir, lines: &str, args: &[&str]) -> Option<Server> {
    let unshare = unshare_options(&["--mount"])?;
    let hosts = folder.path().join("hosts");
    fs::write(&hosts, lines).unwrap();
    let command = Wasmserve::serving("testbed-sync", args);
    let shell = command.through_shell(&format!("mount --bind {} /etc/hosts", hosts.display()));
    Some(shell.through("unshare", &unshare).start())
}

#[test]
fn names_are_judged_by_all_that_they_resolve_to() {
    let upstream = Upstream::greeting();
    let trap = Trap::set("127.0.0.2:0");
    let port = upstream.address.port();
    let folder = TempDir::new().unwrap();
    let lines = "169.254.169.254 metadata.test\n::ffff:127.0.0.1 mapped.test\n10.0.0.1 mixed.test\n127.0.0.1 mixed.test\n\
                 127.0.0.2 other.test\n127.0.0.1 127.0.0.1.sub.test\n";
    let args = ["--allow-http", "*.test:*", "--allow-private-network", "127.0.0.1"];
    let Some(server) = with_hosts(&folder, lines, &args) else { return };
    for name in ["metadata.test", "mapped.test"] {
        let response = server.get(&format!("/fetch?url=http://{name}:{port}"));
        assert!(response.text().contains("DestinationIpProhibited"), "{name}: {}", response.text());
    }
    let response = server.get(&format!("/fetch?url=http://other.test:{}", trap.port()));
    assert!(response.text().contains("DestinationIpProhibited"), "{}", response.text());
    trap.is_untouched();
    for name in ["mixed.test", "127.0.0.1.sub.test"] {
        let response = server.get(&format!("/fetch?url=http://{name}:{port}"));
        assert_eq!(response.text(), "greetings", "{name}");
    }
}

#[test]
fn one_connection_does_for_many_requests_of_all_instances() {
    for guest in TESTBEDS {
        let upstream = Upstream::greeting();
        let server = start(guest, &upstream, &["--workers", "1", "--isolation", "request"]);
        for _ in 0..20 {
            assert_eq!(server.get(&format!("/fetch?url={}&before=4", upstream.url())).text(), "greetings", "{guest}");
        }
        assert_eq!((upstream.requests().len(), upstream.connections()), (100, 1), "{guest}");
    }
}

#[test]
fn a_connection_that_has_ended_is_replaced() {
    let upstream = Upstream::start(|_, stream| {
        reply(stream, "200 OK", &[("connection", "close")], b"greetings");
        let _ = stream.shutdown(std::net::Shutdown::Both);
    });
    let server = start("testbed-sync", &upstream, &["--workers", "1"]);
    let url = format!("/fetch?url={}", upstream.url());
    for _ in 0..50 {
        assert_eq!(server.get(&url).text(), "greetings");
    }
    assert_eq!(upstream.requests().len(), 50);
    assert!(upstream.connections() >= 50);
}

#[test]
fn bodies_stream_both_ways() {
    for guest in TESTBEDS {
        let upstream = Upstream::start(|received, stream| reply(stream, "200 OK", &[], &received.body));
        let server = start(guest, &upstream, &[]);
        let body: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        let response = server.send("POST", &format!("/fetch?url={}&method=POST", upstream.url()), &[], &body);
        assert_eq!((response.status, response.body.len()), (200, body.len()), "{guest}");
        assert!(response.body == body, "{guest}");
    }
}

#[test]
fn the_first_piece_of_a_response_does_not_wait_for_the_last() {
    for guest in TESTBEDS {
        let (go, wait) = std::sync::mpsc::channel();
        let wait = std::sync::Mutex::new(wait);
        let upstream = Upstream::start(move |_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfirst").unwrap();
            wait.lock().unwrap().recv().unwrap();
            stream.write_all(b"later").unwrap();
        });
        let server = start(guest, &upstream, &[]);
        let mut client = server.connect();
        client.write(request("GET", &format!("/fetch?url={}", upstream.url()), &[], b""));
        let head = client.receive_head();
        let mut body = client.body(&head);
        assert_eq!(body.exactly(5), b"first", "{guest}");
        go.send(()).unwrap();
        assert_eq!(body.exactly(5), b"later", "{guest}");
    }
}

#[test]
fn trailers_of_a_response_reach_the_guest() {
    for guest in TESTBEDS {
        let upstream = Upstream::start(|_, stream| {
            let body = chunked(&[b"body"], &[("x-last", "yes")]);
            let head = b"HTTP/1.1 200 OK\r\ntrailer: x-last\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(&[head, body.as_slice()].concat()).unwrap();
        });
        let server = start(guest, &upstream, &[]);
        let response = server.send(
            "GET",
            &format!("/fetch?url={}", upstream.url()),
            &[("te", "trailers"), ("connection", "te")],
            b"",
        );
        assert_eq!((response.text().as_str(), response.trailer("x-last")), ("body", Some("yes")), "{guest}");
    }
}

fn trusting(guest: &str, target: &str, args: &[&str]) -> Server {
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tls/authority.pem");
    let args = [&["--allow-http", target, "--allow-private-network", "127.0.0.0/8"], args].concat();
    Wasmserve::serving(guest, &args).env("SSL_CERT_FILE", authority).start()
}

#[test]
fn https_speaks_http2_where_the_other_side_does() {
    for guest in TESTBEDS {
        for (protocols, version) in
            [(&["h2", "http/1.1"][..], "HTTP/2.0"), (&["http/1.1"], "HTTP/1.1"), (&[], "HTTP/1.1")]
        {
            let upstream = TlsUpstream::start("127.0.0.1", protocols);
            let target = format!("localhost:{}", upstream.address.port());
            let server = trusting(guest, &target, &["--workers", "1"]);
            for _ in 0..3 {
                let response =
                    server.send("POST", &format!("/fetch?url=https://{target}/x&method=POST"), &[], b"12345");
                let text = response.text();
                assert!(text.starts_with(&format!("{version} POST ")) && text.ends_with("body 5"), "{guest}: {text}");
                let (uri, host) = match version {
                    "HTTP/2.0" => (format!(" https://{target}/x "), "host None".to_owned()),
                    _ => (" /x ".to_owned(), format!("host Some({target:?})")),
                };
                assert!(text.contains(&uri) && text.contains(&host), "{guest}: {text}");
            }
            assert_eq!(upstream.connections(), 1, "{guest} {version}");
        }
    }
}

#[test]
fn certificates_and_names_are_verified() {
    let upstream = TlsUpstream::start("127.0.0.1", &[]);
    let port = upstream.address.port();
    let other = TlsUpstream::start("127.0.0.2", &[]);
    let args = ["--allow-http", "*:*", "--allow-private-network", "127.0.0.0/8"];
    let untrusting = Server::start("testbed-sync", &args);
    let response = untrusting.get(&format!("/fetch?url=https://localhost:{port}/"));
    assert!(response.text().contains("TlsCertificateError"), "nobody trusts it: {}", response.text());
    let trusting = trusting("testbed-sync", "*:*", &[]);
    assert_eq!(trusting.get(&format!("/fetch?url=https://127.0.0.1:{port}/")).status, 200);
    let response = trusting.get(&format!("/fetch?url=https://127.0.0.2:{}/", other.address.port()));
    assert!(response.text().contains("TlsCertificateError"), "it is for others: {}", response.text());
    // What speaks no TLS.
    let plain = Upstream::start(|_, _| {});
    let response = trusting.get(&format!("/fetch?url=https://{}/", plain.address));
    assert_eq!(response.status, 502, "{}", response.text());
}

#[test]
fn each_hop_of_a_redirect_is_the_guests_own_request() {
    let trap = Trap::set("127.0.0.1:0");
    let to = format!("http://127.0.0.1:{}/", trap.port());
    let upstream = Upstream::start(move |_, stream| reply(stream, "302 Found", &[("location", &to)], b""));
    let server = start("testbed-sync", &upstream, &[]);
    let response = server.get(&format!("/fetch?url={}", upstream.url()));
    assert_eq!(response.status, 302, "it is not followed");
    let denied = server.get(&format!("/fetch?url={}", response.header("location").unwrap()));
    assert_eq!(denied.status, 502);
    trap.is_untouched();
}

#[test]
fn nothing_of_a_request_is_left_when_its_guest_is_gone() {
    let upstream = Upstream::start(|_, stream| crate::support::silence(stream));
    let server = start("testbed-async", &upstream, &["--workers", "1", "--isolation", "request"]);
    let clients: Vec<_> = (0..5)
        .map(|_| {
            let mut client = server.connect();
            client.write(request("GET", &format!("/fetch?url={}", upstream.url()), &[], b""));
            client
        })
        .collect();
    eventually("they have arrived", || (upstream.under_way() == 5).then_some(()));
    assert_eq!(server.status()["slots"][0]["counters"]["outbound"], 5);
    drop(clients);
    eventually("their connections have ended", || (upstream.under_way() == 0).then_some(()));
    eventually("none is counted", || (server.status()["slots"][0]["counters"]["outbound"] == 0).then_some(()));
}

#[test]
fn many_at_once_share_a_worker() {
    for guest in TESTBEDS {
        let upstream = Upstream::greeting();
        let server = start(guest, &upstream, &["--workers", "1"]);
        let url = format!("/fetch?url={}&before=9", upstream.url());
        for text in parallel(10, |_| server.get(&url).text()) {
            assert_eq!(text, "greetings", "{guest}");
        }
        let connections = upstream.connections();
        assert!(connections <= 30, "{guest}: {connections} connections");
    }
}

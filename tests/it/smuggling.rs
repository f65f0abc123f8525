//! Requests that whoever stands in front may frame otherwise than we do: each is refused, or framed as chunked, and
//! ends its connection. What is hidden in it never reaches a guest as a request of its own.

use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::{Connection, Server, TESTBEDS, chunked, eventually, request};

/// What is hidden: if a guest saw it, the next `/count` would show it.
const HIDDEN: &str = "GET /count HTTP/1.1\r\nHost: a\r\n\r\n";

/// Name, request line and fields, what follows the head.
type Attack = (&'static str, String, String);

fn attack(name: &'static str, fields: &str, rest: &str) -> Attack {
    (name, format!("POST /length HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), rest.to_owned())
}

/// Those that are refused.
fn refused() -> Vec<Attack> {
    const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
    let end = &format!("0\r\n\r\n{HIDDEN}");
    let mut attacks = vec![
        attack("unequal lengths", "Content-Length: 0\r\nContent-Length: 31\r\n", HIDDEN),
        attack("a list of lengths", "Content-Length: 0, 31\r\n", HIDDEN),
        attack("a signed length", "Content-Length: +5\r\n", "hello"),
        attack("a negative length", "Content-Length: -1\r\n", HIDDEN),
        attack("a length in hexadecimal", "Content-Length: 0x5\r\n", "hello"),
        attack("a length with a space", "Content-Length: 1 1\r\n", HIDDEN),
        attack("an empty length", "Content-Length:\r\n", HIDDEN),
        attack("a length beyond all", "Content-Length: 18446744073709551616\r\n", HIDDEN),
        attack("a length with an underscore", "Content-Length: 1_0\r\n", HIDDEN),
        attack("a space before the colon", "Content-Length : 31\r\n", HIDDEN),
        attack("a space before the coding's colon", "Transfer-Encoding : chunked\r\n", end),
        attack("a space before the field", " Content-Length: 31\r\n", HIDDEN),
        attack("a folded line", "X: a\r\n b\r\n", HIDDEN),
        attack("a folded coding", "Transfer-Encoding:\r\n chunked\r\n", end),
        attack("a line without a colon", "Content-Length\r\n", HIDDEN),
        attack("a nul in a value", "X: a\0b\r\n", HIDDEN),
        attack("a return in a value", "X: a\rContent-Length: 31\r\n", HIDDEN),
        attack("a line feed alone", "X: a\nContent-Length: 31\r\n", HIDDEN),
        attack("an empty line of line feeds", "X: a\n\n", HIDDEN),
        attack("an empty line of a line feed", "X: a\r\n\n", HIDDEN),
        attack("two hosts", "Host: b\r\n", HIDDEN),
        attack("a list of codings", "Transfer-Encoding: gzip, chunked\r\n", end),
        attack("chunked twice", "Transfer-Encoding: chunked, chunked\r\n", end),
        attack("chunked in two fields", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", end),
        attack("identity and chunked", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", end),
        attack("chunked and identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", end),
        attack("chunked and something", "Transfer-Encoding: chunked, x\r\n", end),
        attack("another word", "Transfer-Encoding: xchunked\r\n", end),
        attack("quotes", "Transfer-Encoding: \"chunked\"\r\n", end),
        attack("a parameter", "Transfer-Encoding: chunked;q=1\r\n", end),
        attack("a vertical tab", "Transfer-Encoding: \x0bchunked\r\n", end),
        attack("a comma", "Transfer-Encoding: chunked,\r\n", end),
        attack("no coding", "Transfer-Encoding:\r\n", end),
        attack("a coding that is none, and a length", "Transfer-Encoding: x\r\nContent-Length: 0\r\n", end),
        attack("a chunk size that overflows", CHUNKED, &format!("FFFFFFFFFFFFFFFFF\r\n{HIDDEN}")),
        attack("a chunk size that wraps around", CHUNKED, &format!("10000000000000000\r\n{HIDDEN}")),
        attack("a signed chunk size", CHUNKED, &format!("+5\r\nhello\r\n{end}")),
        attack("a chunk size with a prefix", CHUNKED, &format!("0x5\r\nhello\r\n{end}")),
        attack("an empty chunk size", CHUNKED, &format!("\r\n{end}")),
        attack("a space before a chunk size", CHUNKED, &format!(" 5\r\nhello\r\n{end}")),
        attack("a line feed after a chunk size", CHUNKED, &format!("5\nhello\r\n{end}")),
        attack("a line feed in an extension", CHUNKED, &format!("5;a\nhello\r\n{end}")),
        attack("a return in an extension", CHUNKED, &format!("5;a\rb\r\nhello\r\n{end}")),
        attack("a chunk that is longer than it says", CHUNKED, &format!("5\r\nhello there\r\n{end}")),
        attack("no line end after a chunk", CHUNKED, &format!("5\r\nhello{end}")),
        attack("a line feed after a chunk", CHUNKED, &format!("5\r\nhello\n{end}")),
        attack("a line feed after a trailer", CHUNKED, &format!("0\r\nx: y\n\r\n{HIDDEN}")),
        attack("a folded trailer", CHUNKED, &format!("0\r\nx: y\r\n z\r\n\r\n{HIDDEN}")),
        attack("extensions of more than 16 KiB", CHUNKED, &format!("5;{}\r\nhello\r\n{end}", "x".repeat(17_000))),
        attack("extensions of more than 16 KiB in all", CHUNKED, &{
            let chunk = format!("1;{}\r\nx\r\n", "y".repeat(100));
            chunk.repeat(200) + end
        }),
    ];
    let whole = |head: &str| head.to_owned();
    attacks.extend([
        (
            "a coding in HTTP/1.0",
            whole("POST /length HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
            end.clone(),
        ),
        ("a line feed after the request line", whole("POST /length HTTP/1.1\nHost: a\r\n\r\n"), HIDDEN.into()),
        ("no host", whole("GET /hello HTTP/1.1\r\n\r\n"), HIDDEN.into()),
        ("two spaces", whole("GET  /hello HTTP/1.1\r\nHost: a\r\n\r\n"), HIDDEN.into()),
        ("a space at the end", whole("GET /hello HTTP/1.1 \r\nHost: a\r\n\r\n"), HIDDEN.into()),
        ("another version", whole("GET /hello HTTP/1.2\r\nHost: a\r\n\r\n"), HIDDEN.into()),
        ("no version", whole("GET /hello\r\nHost: a\r\n\r\n"), HIDDEN.into()),
        ("a tab", whole("GET\t/hello\tHTTP/1.1\r\nHost: a\r\n\r\n"), HIDDEN.into()),
    ]);
    attacks
}

/// Those that are taken for one request, whatever else they may look like.
fn closed() -> Vec<Attack> {
    let end = &format!("5\r\nhello\r\n0\r\n\r\n{HIDDEN}");
    vec![
        attack("a length and chunks", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", end),
        attack("chunks and a length", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", end),
        attack("chunks and no length", "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", end),
        attack("chunks and a wrong length", "Transfer-Encoding: chunked\r\nContent-Length: x\r\n", end),
        attack(
            "chunks and a length, and the wish to go on",
            "Connection: keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n",
            end,
        ),
    ]
}

fn bytes((_, head, rest): &Attack) -> String {
    format!("{head}{rest}")
}

fn start(guest: &str) -> Server {
    Server::start(guest, &["--instances", "1"])
}

/// Whether a hidden request was seen: this counts itself.
#[track_caller]
fn assert_not_counted(server: &Server, name: &str) {
    let seen = server.get("/count").text();
    assert_eq!(seen, "1", "{name}: a guest saw what was hidden");
}

#[test]
fn what_cannot_be_framed_with_certainty_is_refused() {
    for guest in TESTBEDS {
        let server = start(guest);
        for attack in refused() {
            let mut connection = server.connect();
            connection.write(bytes(&attack));
            let response = connection.receive();
            assert!((400..500).contains(&response.status), "{guest}, {}: {}", attack.0, response.status);
            assert!(connection.is_at_end(), "{guest}, {}: goes on", attack.0);
        }
        assert_not_counted(&server, guest);
    }
}

#[test]
fn it_is_refused_behind_other_requests_too() {
    for guest in TESTBEDS {
        let server = start(guest);
        let before = [
            request("GET", "/hello", &[], b""),
            request("POST", "/length", &[], b"a\nb\n\nc"),
            [
                &request("POST", "/length", &[("Transfer-Encoding", "chunked")], b"")[..],
                &chunked(&[b"\n\n"], &[("a", "b")]),
            ]
            .concat(),
        ];
        for attack in refused() {
            let mut connection = server.connect();
            connection.write([&before.concat(), bytes(&attack).as_bytes()].concat());
            for expected in ["Hello, world!", "6", "2"] {
                assert_eq!(connection.receive().text(), expected, "{guest}, {}", attack.0);
            }
            let response = connection.receive();
            assert!((400..500).contains(&response.status), "{guest}, {}: {}", attack.0, response.status);
            assert!(connection.is_at_end(), "{guest}, {}: goes on", attack.0);
        }
        assert_not_counted(&server, guest);
    }
}

#[test]
fn however_its_bytes_come_it_is_refused() {
    let server = start("testbed-async");
    for attack in refused() {
        let mut connection = server.connect();
        let bytes = bytes(&attack);
        for piece in bytes.as_bytes().chunks(bytes.len().div_ceil(40).max(3)) {
            // The refusal may come before the end.
            if connection.try_write(piece).is_err() {
                break;
            }
        }
        if let Ok(response) = connection.try_receive() {
            assert!((400..500).contains(&response.status), "{}: {}", attack.0, response.status);
        }
        assert!(connection.is_at_end(), "{}: goes on", attack.0);
    }
    assert_not_counted(&server, "in pieces");
}

#[test]
fn a_length_beside_chunks_does_not_count_and_ends_the_connection() {
    for guest in TESTBEDS {
        let server = start(guest);
        for attack in closed() {
            let mut connection = server.connect();
            connection.write(bytes(&attack));
            let response = connection.receive();
            if response.status == 200 {
                assert_eq!(response.text(), "5", "{guest}, {}", attack.0);
                assert_eq!(response.header("connection"), Some("close"), "{guest}, {}", attack.0);
            } else {
                assert_eq!(response.status, 400, "{guest}, {}", attack.0);
            }
            assert!(connection.is_at_end(), "{guest}, {}: goes on", attack.0);
        }
        assert_not_counted(&server, guest);
    }
}

#[test]
fn a_wish_to_upgrade_changes_nothing_about_framing() {
    for guest in TESTBEDS {
        let server = start(guest);
        for protocol in ["h2c", "websocket", "TLS/1.0"] {
            let mut connection = server.connect();
            let length = HIDDEN.len().to_string();
            let fields = [
                ("Connection", "Upgrade, HTTP2-Settings"),
                ("Upgrade", protocol),
                ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
                ("Content-Length", &length),
            ];
            connection.write([&request("POST", "/length", &fields, b"")[..], HIDDEN.as_bytes()].concat());
            let response = connection.receive();
            assert_eq!((response.status, response.text()), (200, length), "{guest}, {protocol}");
            assert_eq!(response.header("upgrade"), None);
            // And what comes after is one request, as for anybody who does not upgrade.
            assert_eq!(connection.get("/hello").status, 200);
        }
        assert_not_counted(&server, guest);
    }
}

#[test]
fn what_a_guest_does_not_read_is_no_request() {
    for guest in TESTBEDS {
        let server = start(guest);
        for body in [HIDDEN.to_owned(), HIDDEN.repeat(10_000)] {
            let mut connection = server.connect();
            let mut writer = connection.writer();
            let bytes = request("POST", "/discard", &[], body.as_bytes());
            let sender = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &bytes));
            assert_eq!(connection.receive().text(), "discarded", "{guest}");
            // Either it has been skipped, or the connection is at its end.
            let _ = sender.join().unwrap();
            if connection.try_write(request("GET", "/hello", &[], b"")).is_ok()
                && let Ok(response) = connection.try_receive()
            {
                assert_eq!(response.text(), "Hello, world!", "{guest}");
            }
        }
        assert_not_counted(&server, guest);
    }
}

/// Fields, body, and the length of its content.
fn good() -> Vec<(&'static str, String, &'static str)> {
    vec![
        ("Content-Length: 3\r\n", "a\nb".to_owned(), "3"),
        ("content-length:3\r\n", "\n\n\n".into(), "3"),
        ("CONTENT-LENGTH: \t 003 \t\r\n", "\r\n\n".into(), "3"),
        ("Content-Length: 3\r\nContent-Length: 3\r\n", "abc".into(), "3"),
        ("Content-Length: 0\r\n", String::new(), "0"),
        ("transfer-encoding: Chunked\r\n", "2\r\n\n\n\r\n0\r\n\r\n".into(), "2"),
        ("Transfer-Encoding: chunked\r\n", "0002;a=\"b\"\r\nab\r\n1 \r\n\n\r\n00\r\n\r\n".into(), "3"),
        ("Transfer-Encoding:\tchunked \r\n", "2\r\nab\r\n0\r\nx: y\r\nz:\r\n\r\n".into(), "2"),
        ("X: \"\\\\\r\nCookie: a=b\r\nTE: trailers\r\nC:\r\nt: x\r\n", String::new(), "0"),
    ]
}

#[test]
fn good_requests_are_served_as_they_are() {
    for guest in TESTBEDS {
        let server = start(guest);
        let mut connection = server.connect();
        for (fields, body, length) in good() {
            connection.write(format!("\r\nPOST /length HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}"));
            let response = connection.receive();
            assert_eq!((response.status, response.text().as_str()), (200, length), "{guest}: {fields:?}");
        }
    }
}

/// nginx, if there is one, answering every request with 200.
struct Nginx {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    fn start() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let mut config = format!(
            "daemon off; master_process off; pid {0}/pid; error_log /dev/null; events {{}}\n",
            folder.path().display()
        );
        writeln!(
            config,
            "http {{ access_log off; client_body_timeout 1s; client_header_timeout 1s; keepalive_timeout 1s;"
        )
        .unwrap();
        for path in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            writeln!(config, "{path}_temp_path {}/{path};", folder.path().display()).unwrap();
        }
        // What proxies to itself reads the whole body, as `return` alone does not.
        write!(
            config,
            "server {{ listen {address}; location / {{ proxy_pass http://{address}/answer/; }} location /answer/ {{ return 200 ok; }} }} }}"
        )
        .unwrap();
        let path = folder.path().join("nginx.conf");
        fs::write(&path, config).unwrap();
        let mut command = Command::new("nginx");
        command.args(["-p".as_ref(), folder.path(), "-c".as_ref(), &path]).stderr(Stdio::null());
        let process = command.spawn().ok()?;
        eventually("nginx listens", || Connection::try_open(address).ok());
        Some(Self { process, address, _folder: folder })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The final answers to these bytes, by their status, until the server closes.
fn answers(address: SocketAddr, bytes: &str) -> Vec<u16> {
    let mut connection = Connection::open(address);
    let _ = connection.try_write(bytes);
    let mut statuses = Vec::new();
    while let Ok(head) = connection.try_receive_head() {
        let whole = connection.body(&head).read_to_end(&mut Vec::new());
        statuses.push(head.status);
        if whole.is_err() {
            break;
        }
    }
    statuses
}

#[test]
fn nginx_sees_no_fewer_requests_than_we_do_and_the_same_good_ones() {
    let Some(nginx) = Nginx::start() else {
        eprintln!("NOT TESTED: nginx is not installed, so our framing was not compared with it");
        return;
    };
    let server = start("testbed-sync");
    let is_served = |status: &&u16| **status < 400;
    for attack in refused().into_iter().chain(closed()) {
        let [ours, theirs] = [server.address(), nginx.address].map(|address| answers(address, &bytes(&attack)));
        println!("{}: {ours:?}, nginx {theirs:?}", attack.0);
        assert!(ours.len() == 1, "{}: {ours:?}, nginx {theirs:?}", attack.0);
        let [ours, theirs] = [ours, theirs].map(|statuses| statuses.iter().filter(is_served).count());
        assert!(ours <= theirs.max(1), "{}: {ours} served, nginx {theirs}", attack.0);
    }
    for (fields, body, _) in good() {
        let bytes = format!("POST /length HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}");
        let last = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let [ours, theirs] = [server.address(), nginx.address].map(|address| answers(address, &(bytes.clone() + last)));
        println!("{fields:?}: {ours:?}, nginx {theirs:?}");
        assert_eq!(ours, [200, 200], "{fields:?}");
        assert!(theirs == ours || theirs.len() == 1 && theirs[0] >= 400, "{fields:?}: nginx {theirs:?}");
    }
}

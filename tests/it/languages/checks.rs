//! What every guest is tried with. Each check starts a server of its own.

use std::io::Read;
use std::time::Duration;

use crate::support::{Connection, Server, Upstream, Wasmserve, parallel, request, timed};

type Check = (&'static str, fn(&str));

pub const CHECKS: [Check; 16] = [
    ("hello", hello),
    ("count", count),
    ("echo", echo),
    ("streamed echo", streamed_echo),
    ("trailers", trailers),
    ("stream", stream),
    ("status", status),
    ("sleep", sleep),
    ("burn", burn),
    ("trap", trap),
    ("throw", throw),
    ("environment", environment),
    ("outbound", outbound),
    ("lifespan", lifespan),
    ("failing startup", failing_startup),
    ("10,000 requests", many_requests),
];

fn start(component: &str, args: &[&str]) -> Server {
    Server::start(component, &[&["--instances", "1"], args].concat())
}

fn hello(component: &str) {
    let server = start(component, &[]);
    for path in ["/", "/hello"] {
        let response = server.get(path);
        assert_eq!((response.status, response.text().trim_end()), (200, "Hello, world!"), "{path}");
        assert!(response.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")), "{path}");
    }
    assert_eq!(server.get("/no-such-path").status, 404);
    let head = server.send("HEAD", "/hello", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

/// A global is an instance's own: two workers count for themselves.
fn count(component: &str) {
    let server = start(component, &["--workers", "2", "--identify"]);
    let mut first = server.connect_to(0);
    let mut second = server.connect_to(1);
    let counted = |connection: &mut Connection| connection.get("/count").text().trim().parse::<u64>().unwrap();
    assert_eq!([counted(&mut first), counted(&mut first), counted(&mut first)], [1, 2, 3]);
    assert_eq!([counted(&mut second), counted(&mut first)], [1, 4]);
}

fn echo(component: &str) {
    let server = start(component, &[]);
    for length in [0, 1, 4097, 3 << 20] {
        let body: Vec<u8> = (0..length).map(|n| (n * 31 % 251) as u8).collect();
        let response = server.send("POST", "/echo", &[("Content-Type", "application/x-test")], &body);
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-type"), Some("application/x-test"));
        assert!(response.body == body, "{length} bytes came back as {}", response.body.len());
    }
}

/// The beginning comes back while the end has not been sent.
fn streamed_echo(component: &str) {
    let server = start(component, &[]);
    let mut connection = server.connect();
    let half = vec![b'e'; 256 * 1024];
    let length = (2 * half.len()).to_string();
    connection.write(request("POST", "/echo", &[("Content-Length", &length)], b""));
    let mut writer = connection.writer();
    let sent = half.clone();
    let sender = std::thread::spawn(move || {
        use std::io::Write;
        writer.write_all(&sent).unwrap();
        writer
    });
    let head = connection.receive_head();
    assert_eq!(head.status, 200);
    let mut body = connection.body(&head);
    assert!(body.exactly(1000) == half[..1000], "the first bytes");
    let mut writer = sender.join().unwrap();
    std::io::Write::write_all(&mut writer, &half).unwrap();
    let mut rest = Vec::new();
    body.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len(), 2 * half.len() - 1000);
}

fn trailers(component: &str) {
    let server = start(component, &[]);
    let response = server.send("GET", "/trailers", &[("TE", "trailers")], b"");
    assert_eq!((response.status, response.text().as_str()), (200, "body"));
    assert_eq!(response.trailer("x-trailer"), Some("yes"));
}

fn stream(component: &str) {
    let server = start(component, &[]);
    assert_eq!(server.get("/stream?chunks=5&bytes=70000").body.len(), 350_000);
    // One of hours is seen only by who does not wait for its end.
    let mut connection = server.connect();
    connection.write(request("GET", "/stream?chunks=10000000&bytes=1000&ms=1", &[], b""));
    let head = connection.receive_head();
    assert_eq!(head.status, 200);
    connection.body(&head).exactly(10_000);
}

fn status(component: &str) {
    let server = start(component, &[]);
    let response = server.get("/status?code=418&body=teapot");
    assert_eq!((response.status, response.text().as_str()), (418, "teapot"));
}

fn sleep(component: &str) {
    let server = start(component, &[]);
    assert_eq!(server.get("/sleep?ms=20").text().trim_end(), "slept");
    if server.ready().text("handler") == "sync" {
        return;
    }
    // An async instance sleeps for many at a time: one after the other would take eight seconds.
    let (answers, time) = timed(|| parallel(8, |_| server.get("/sleep?ms=1000").text()));
    assert!(answers.iter().all(|text| text.trim_end() == "slept"));
    assert!(time < Duration::from_secs(5), "{time:?}");
}

fn burn(component: &str) {
    let server = start(component, &[]);
    let (response, time) = timed(|| server.get("/burn?ms=50"));
    assert_eq!((response.status, response.text().trim_end()), (200, "burned"));
    assert!(time >= Duration::from_millis(50), "{time:?}");
}

/// Ends the instance and nothing else.
fn trap(component: &str) {
    let server = start(component, &[]);
    let worker = server.worker(0);
    assert_eq!(server.get("/count").text().trim_end(), "1");
    assert_eq!(server.get("/trap").status, 500);
    server.wait_for("the death report", |r| r.is_event("instance-died"));
    assert_eq!(server.get("/count").text().trim_end(), "1");
    assert_eq!(server.worker(0), worker);
}

/// An exception, or a panic, is told with the author's own file and line.
fn throw(component: &str) {
    let server = start(component, &[]);
    assert_eq!(server.get("/throw").status, 500);
    server.wait_for("the exception's place in the author's own source", |r| {
        let text = r.message();
        let files = [".rs:", ".js:", ".ts:", ".py\", line ", ".go:", ".cpp:", ".zig:"];
        r.is_guest() && files.iter().any(|file| text.contains(file))
    });
    assert_eq!(server.get("/hello").status, 200);
}

fn environment(component: &str) {
    let server = start(component, &["--env", "GREETING=good \"day\""]);
    let environment = server.get_json("/env");
    assert_eq!(environment["GREETING"], "good \"day\"");
    let names: Vec<_> = environment.as_object().unwrap().keys().cloned().collect();
    assert!(names.iter().all(|name| name == "GREETING" || name.starts_with("WASMSERVE_")), "{names:?}");
}

fn outbound(component: &str) {
    let upstream = Upstream::greeting();
    let target = upstream.url().trim_start_matches("http://").to_owned();
    let server = start(component, &["--allow-http", &target, "--allow-private-network", "127.0.0.0/8"]);
    let answer = server.get(&format!("/out?url={}/", upstream.url()));
    assert_eq!((answer.status, answer.text().as_str()), (200, "status 200\ngreetings"));
    let refused = server.get("/out?url=http://127.0.0.1:1/");
    assert_eq!(refused.status, 502, "{}", refused.text());
}

fn lifespan(component: &str) {
    let mut server = start(component, &[]);
    assert_eq!(server.ready().text("lifespan"), "on");
    server.wait_for("startup", |r| r.is_guest_line("testbed: startup"));
    server.stop();
    assert_eq!(server.count(|r| r.is_guest_line("testbed: shutdown")), 1);
}

fn failing_startup(component: &str) {
    let args = ["--port", "0", "--env", "TESTBED_STARTUP=fail:no database"];
    let finished = Wasmserve::serving(component, &args).run();
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    assert!(finished.stderr.contains("no database"), "{}", finished.stderr);
}

/// Nothing is left behind by requests: the instance that began answers to the end.
fn many_requests(component: &str) {
    let server = start(component, &[]);
    let mut connection = server.connect();
    for n in 1..=10_000 {
        let response = connection.get("/count");
        assert_eq!((response.status, response.text().trim_end()), (200, n.to_string().as_str()));
    }
}

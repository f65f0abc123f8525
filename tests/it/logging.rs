//! The log on stderr: for programs as JSON, for people as text; one access record per request.

use serde_json::Value;

use crate::support::{Record, Server, TESTBEDS, Wasmserve};

fn access(server: &Server, path: &str) -> Record {
    server.wait_for(path, |r| r.is_access() && r.text("path") == path)
}

#[test]
fn one_access_record_per_request() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--identify"]);
        let mut connection = server.connect();
        let client = connection.local_address();
        let response = connection.exchange("POST", "/echo?x=1", &[], b"seven b");
        let (worker, instance, _) = response.place();

        let record = access(&server, "/echo?x=1");
        assert_eq!(record.text("client"), client.to_string(), "{guest}");
        assert_eq!(record.text("method"), "POST");
        assert_eq!(record.text("version"), "HTTP/1.1");
        assert_eq!(record.number("status"), 200);
        assert_eq!(record.number("bytes"), 7);
        assert_eq!(record.number("worker"), worker);
        assert_eq!(record.number("instance"), instance);
        let ms = record.field("ms").as_f64().unwrap();
        assert!(ms > 0.0 && ms < 30_000.0, "{}", record.line);

        connection.get("/hello");
        access(&server, "/hello");
        assert_eq!(server.count(|r| r.is_access()), 2, "{guest}");
    }
}

#[test]
fn the_access_record_tells_how_long_and_how_much() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        server.get("/stream?chunks=4&bytes=1000&ms=100");
        let record = access(&server, "/stream?chunks=4&bytes=1000&ms=100");
        assert_eq!(record.number("bytes"), 4000, "{guest}");
        assert!(record.field("ms").as_f64().unwrap() >= 300.0, "{guest}: {}", record.line);
    }
}

#[test]
fn http_2_requests_failures_and_refusals_are_in_the_access_log_too() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        server.http2().get("/hello?over=2");
        assert_eq!(access(&server, "/hello?over=2").text("version"), "HTTP/2.0", "{guest}");
        server.get("/trap");
        assert_eq!(access(&server, "/trap").number("status"), 500, "{guest}");
        let mut connection = server.connect();
        connection.write("GET /no-host HTTP/1.1\r\n\r\n");
        connection.receive();
        assert_eq!(access(&server, "/no-host").number("status"), 400, "{guest}");
    }
}

#[test]
fn a_client_that_left_is_in_the_access_log() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let mut leaving = server.connect();
        leaving.write(crate::support::request("GET", "/stream?chunks=0&bytes=100", &[], b""));
        leaving.receive_head();
        leaving.reset();
        access(&server, "/stream?chunks=0&bytes=100");
    }
}

#[test]
fn no_access_log_means_none() {
    let mut server = Server::start("testbed-sync", &["--no-access-log"]);
    server.get("/hello");
    server.get("/print?text=printed");
    server.wait_for("the guest's line", |r| r.is_guest_line("printed"));
    server.stop();
    assert_eq!(server.count(|r| r.is_access()), 0);
}

#[test]
fn every_record_is_a_json_object_with_time_level_target_and_message() {
    let mut server = Server::start("testbed-async", &["--workers", "2", "--log-level", "debug"]);
    for target in ["/hello", "/trap", "/panic", "/print?text=a%0Ab&err=1", "/hello?%22%5C"] {
        server.get(target);
    }
    server.stop();
    let records = server.records();
    assert!(records.len() > 10);
    for record in records {
        assert!(record.is_json(), "{}", record.line);
        for field in ["timestamp", "level", "target", "message"] {
            assert!(record.field(field).is_string(), "no {field}: {}", record.line);
        }
        let time = record.text("timestamp");
        assert!(time.starts_with("20") && time.ends_with('Z') && time.contains('T'), "{time}");
    }
}

#[test]
fn json_is_what_a_program_gets() {
    // stderr is a pipe here.
    let finished = Wasmserve::serving("counter-sync", &["--port", "0", "--env", "COUNTER_START=x"]).run();
    for line in finished.stderr.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|value| value.is_object()), "{line}");
    }
}

#[test]
fn the_level_leaves_out_what_matters_less() {
    for (level, expected) in [("error", 1), ("warn", 1), ("off", 0)] {
        let command = Wasmserve::serving("testbed-sync", &["--log-level", level]);
        // Without a ready line a fixed port is needed, and one that was free a moment ago will do.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = command.args(&["--port", &port.to_string()]).launch();
        server.url = format!("http://127.0.0.1:{port}");
        crate::support::eventually("it serves", || crate::support::Connection::try_open(server.address()).ok());
        assert_eq!(server.get("/trap").status, 500);
        server.get("/print?text=printed");
        server.stop();
        assert_eq!(server.count(|r| r.is_event("request-failed")), expected, "{level}");
        assert_eq!(server.count(|r| r.level() == "info"), 0, "{level}");
    }
}

#[test]
fn text_tells_people_what_is_served_and_each_request() {
    let server = Wasmserve::serving("counter-async", &["--workers", "3", "--threads", "5"]).start_with_text();
    let ready = server.wait_for("the ready line", |r| r.line.contains("http://")).line;
    for part in [&server.url, "counter-async", "async", "lifespan", "3", "5", "worker"] {
        assert!(ready.contains(part), "{part} is not in: {ready}");
    }
    let mut connection = server.connect();
    let client = connection.local_address().to_string();
    let response = connection.get("/some/path?x=1");
    let line = server.wait_for("the access line", |r| r.line.contains("/some/path?x=1")).line;
    let length = response.body.len().to_string();
    for part in [&client, "GET /some/path?x=1 HTTP/1.1", "200", &length, "ms"] {
        assert!(line.contains(part), "{part} is not in: {line}");
    }
}

#[test]
fn the_ready_line_is_one_line() {
    let server = Wasmserve::serving("hello-sync", &["--workers", "2"]).start_with_text();
    server.get("/hello");
    server.wait_for("the access line", |r| r.line.contains("/hello"));
    assert_eq!(server.count(|r| r.line.contains("http://")), 1);
}

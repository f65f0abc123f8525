//! The examples of frameworks, each built by the command in its folder, answer real requests and have their lifespan.

use serde_json::json;

use super::{compile, find, say_missing};
use crate::support::Server;

/// Serves an example, tries it and stops it; `started` and `stopped` are in what its hooks print.
fn try_out(name: &str, started: &str, stopped: &str, requests: impl Fn(&Server)) {
    let Some(path) = find(name) else { return say_missing(name) };
    compile(&path);
    let mut server = Server::start(path.to_str().unwrap(), &["--instances", "1"]);
    assert_eq!(server.ready().text("lifespan"), "on");
    server.wait_for("startup", |r| r.is_guest() && r.message().contains(started));
    requests(&server);
    server.stop();
    assert_eq!(server.count(|r| r.is_guest() && r.message().contains(stopped)), 1, "{name}");
}

fn post(server: &Server, target: &str, body: &str) -> (u16, String) {
    let response = server.send("POST", target, &[("Content-Type", "application/json")], body);
    (response.status, response.text())
}

#[test]
fn axum() {
    try_out("axum", "startup: 2 items", "shutdown", |server| {
        assert_eq!(server.get("/").text(), "Hello from axum\n");
        let item = [("Content-Type", "application/json")];
        assert_eq!(server.send("PUT", "/items/kiwi", &item, "{\"price\":7}").status, 201);
        assert_eq!(server.get_json("/items/kiwi"), json!({ "price": 7 }));
        assert_eq!(server.get_json("/items").as_object().unwrap().len(), 3);
        assert_eq!(server.get("/items/plum").status, 404);
        assert_eq!(server.get("/countdown/2").text(), "2\n1\ngo\n");
        assert_eq!(post(server, "/echo", "a body").1, "a body");
    });
}

#[test]
fn hono() {
    try_out("hono", "hono: startup", "hono: shutdown after 2 counted requests", |server| {
        assert_eq!(server.get("/").text(), "Hello from Hono\n");
        assert_eq!(server.get_json("/hello/you?loud=1"), json!({ "hello": "you", "loud": true }));
        assert_eq!((server.get("/count").text(), server.get("/count").text()), ("1\n".into(), "2\n".into()));
        assert_eq!(post(server, "/sum", "[1,2,3]"), (200, "{\"sum\":6}".to_owned()));
        assert_eq!(post(server, "/sum", "{}").0, 400);
        assert_eq!(server.get("/stream").text(), "line 1\nline 2\nline 3\nline 4\nline 5\n");
        assert_eq!(server.get("/fail").status, 500);
        server.wait_for("the line in the author's source", |r| r.is_guest() && r.message().contains("app.ts:"));
        assert_eq!(server.get("/about").json()["worker"], "0");
    });
}

#[test]
fn starlette_as_uvicorn_serves_it() {
    try_out("starlette", "starlette: startup", "starlette: shutdown", |server| {
        assert_eq!(server.get("/").text(), "Hello, world!");
        assert_eq!(server.get_json("/visits"), json!({ "count": 1 }));
        assert_eq!(server.get_json("/visits"), json!({ "count": 2 }));
        let body = "x".repeat(300_000);
        assert_eq!(post(server, "/echo", &body).1, body);
        assert_eq!(server.get("/countdown").text(), "3\n2\n1\nlift-off\n");
        assert_eq!(server.get("/notify/Ada").text(), "Ada will be told");
        server.wait_for("the background task", |r| r.is_guest_line("starlette: told Ada"));
        assert_eq!(server.get_json("/both"), json!({ "seconds": 0.2 }));
        assert_eq!(server.get("/plain").text(), "from a function that is not async");
        assert_eq!(server.get("/failing").status, 500);
        server.wait_for("the traceback", |r| r.is_guest() && r.message().contains("main.py\", line "));
        assert_eq!(server.get("/nowhere").status, 404);
    });
}

#[test]
fn flask() {
    try_out("flask", "flask: startup", "flask: shutdown", |server| {
        assert_eq!(server.get("/").text(), "Hello, world!");
        assert_eq!(server.get_json("/visits"), json!({ "count": 1 }));
        assert_eq!(server.get_json("/visits"), json!({ "count": 2 }));
        let body = "x".repeat(300_000);
        assert_eq!(post(server, "/echo", &body).1, body);
        assert_eq!(server.get("/countdown").text(), "3\n2\n1\n");
        assert_eq!(server.get("/greet/a&b").text(), "<p>Hello, a&amp;b!</p>");
        assert_eq!(server.get("/failing").status, 500);
        server.wait_for("the traceback", |r| r.is_guest() && r.message().contains("main.py\", line "));
        assert_eq!(server.get("/nowhere").status, 404);
    });
}

#[test]
fn go_net_http() {
    try_out("go-net-http", "startup with 1 note", "shutdown with 2 notes", |server| {
        assert_eq!(server.get("/").text(), "Hello, world!\n");
        let added = server.send("POST", "/notes", &[], "{\"text\":\"milk\"}");
        assert_eq!((added.status, added.header("location")), (201, Some("/notes/2")));
        assert_eq!(server.get_json("/notes/2"), json!({ "id": 2, "text": "milk" }));
        assert_eq!(server.get("/notes/3").status, 404);
        assert_eq!(post(server, "/notes", "no JSON").0, 400);
        let ticks = server.get("/ticks");
        assert_eq!(ticks.header("content-type"), Some("text/event-stream"));
        assert_eq!(ticks.text().matches("data: tick ").count(), 5);
    });
}

//! Which request goes where, and what it has with it.

use super::*;

#[test]
fn the_most_specific_route_wins() {
    let apps = "[app.any]\nroute = \"*\"\nenv = { WHO = \"any\" }\ncomponent = \"GUEST\"\n\
        [app.suffix]\nroute = \"*.shop.test\"\nenv = { WHO = \"suffix\" }\ncomponent = \"GUEST\"\n\
        [app.exact]\nroute = [\"a.shop.test\", \"shop.test/inner\"]\nenv = { WHO = \"exact\" }\ncomponent = \"GUEST\"\n";
    let host = Host::start(&apps.replace("GUEST", &guest("testbed-sync")));
    for (name, expected) in
        [("a.shop.test", "exact"), ("b.shop.test", "suffix"), ("shop.test", "any"), ("A.Shop.Test:80", "exact")]
    {
        assert_eq!(host.ask(name, "/env").json()["WHO"], expected, "{name}");
    }
    assert_eq!(host.ask("shop.test", "/inner").status, 404, "the guest itself has no such path");
}

#[test]
fn a_prefix_can_be_taken_off() {
    let route = "[app.tb]\ncomponent = \"GUEST\"\nroute = { match = \"a.test/tb\", strip-prefix = true }\n";
    let host = Host::start(&route.replace("GUEST", &guest("testbed-sync")));
    assert_eq!(host.ask("a.test", "/tb/hello").text(), "Hello, world!");
    assert_eq!(host.ask("a.test", "/tb").text(), "Hello, world!");
    assert_eq!(host.ask("a.test", "/tb/status?code=201&body=x").status, 201);
    assert_eq!(host.ask("a.test", "/tbx").status, 404);
}

#[test]
fn what_has_no_route_is_404_or_421() {
    let host = Host::start(&app("hello", "hello-sync", ""));
    assert_eq!(host.ask("other.test", "/").status, 404);
    let host = Host::with("unknown-host = 421", &app("hello", "hello-sync", ""));
    assert_eq!(host.ask("other.test", "/").status, 421);
}

#[test]
fn routes_may_lead_elsewhere() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("public")).unwrap();
    fs::write(folder.path().join("public/page.txt"), "a page").unwrap();
    fs::write(folder.path().join("secret.txt"), "a secret").unwrap();
    fs::write(folder.path().join("down.html"), "<h1>back soon</h1>").unwrap();
    let routes = "[redirect]\n\"old.test/a\" = \"https://new.test/b\"\n[static]\n\"files.test/f\" = \"public\"\n\
        [maintenance]\n\"down.test\" = \"down.html\"\n";
    let path = folder.path().join("wasmserve.toml");
    fs::write(&path, server_table("") + routes).unwrap();
    let server = Wasmserve::new(&["--config", path.to_str().unwrap()]).start();
    let host = Host { folder, server };
    let redirect = host.ask("old.test", "/a/c?d=e");
    assert_eq!((redirect.status, redirect.header("location")), (308, Some("https://new.test/b/c?d=e")));
    let page = host.ask("files.test", "/f/page.txt");
    assert_eq!((page.status, page.text().as_str()), (200, "a page"));
    for outside in ["/f/../secret.txt", "/f/%2e%2e/secret.txt", "/f//etc/passwd", "/f/none"] {
        assert_eq!(host.ask("files.test", outside).status, 404, "{outside}");
    }
    let down = host.ask("down.test", "/x");
    assert_eq!((down.status, down.text().as_str()), (503, "<h1>back soon</h1>"));
    assert!(down.header("retry-after").is_some());
}

#[test]
fn the_app_learns_whom_a_request_comes_from_and_no_client_can_pretend() {
    let host = Host::start(&app("tb", "testbed-sync", ""));
    let mut connection = host.connect();
    connection.write(
        b"GET /request?a=b HTTP/1.1\r\nHost: TB.test:81\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nX-Real-Ip: 1.2.3.4\r\nX-Own: kept\r\nConnection: close\r\n\r\n",
    );
    let seen = connection.receive().json();
    assert_eq!(seen["authority"], "TB.test:81");
    assert_eq!(seen["path_with_query"], "/request?a=b");
    let text = seen["headers"].to_string();
    assert!(text.contains("127.0.0.1") && text.contains("kept") && !text.contains("1.2.3.4"), "{text}");
}

#[test]
fn bodies_stream_both_ways_with_their_trailers() {
    for component in ["testbed-sync", "testbed-async"] {
        let host = Host::start(&app("tb", component, ""));
        let mut connection = host.connect();
        connection.write(b"POST /echo HTTP/1.1\r\nHost: tb.test\r\nTE: trailers\r\nX-Want-Trailers: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
        connection.write(chunked(&[b"one ", b"two"], &[("x-sent", "yes")]));
        let response = connection.receive();
        assert_eq!((response.status, response.text().as_str()), (200, "one two"), "{component}");
        assert_eq!(response.trailer("x-echo-trailer"), Some("done"), "{component}");
        let big = vec![b'b'; 5 << 20];
        let length = big.len().to_string();
        connection.write(request("POST", "/echo", &[("Content-Length", &length)], b"").replace_host("tb.test"));
        let mut writer = connection.writer();
        let sent = big.clone();
        std::thread::spawn(move || std::io::Write::write_all(&mut writer, &sent).unwrap());
        assert!(connection.receive().body == big, "{component}");
    }
}

#[test]
fn a_request_is_served_with_its_body_though_the_kept_connection_has_ended() {
    let host = Host::start(&app("tb", "testbed-sync", "idle-timeout = 2"));
    let mut connection = host.connect();
    for body in ["one", "two"] {
        // The gateway still has the connection to the server that has ended.
        host.until("tb", "idle");
        let length = body.len().to_string();
        let post = request("POST", "/echo", &[("Content-Length", &length)], body.as_bytes());
        connection.write(post.replace_host("tb.test"));
        let response = connection.receive();
        assert_eq!((response.status, response.text().as_str()), (200, body));
        host.until("tb", "ready");
    }
}

#[test]
fn http_2_is_served_in_front() {
    let host = Host::start(&app("any", "testbed-sync", "").replace("any.test", "*"));
    let client: Http2 = host.http2();
    assert_eq!(client.get("/hello").text(), "Hello, world!");
    let body = vec![b'x'; 300_000];
    assert!(client.exchange("POST", "/echo", &[], &body).body == body);
}

/// For requests that name the test server's address.
trait ReplaceHost {
    fn replace_host(self, host: &str) -> Vec<u8>;
}

impl ReplaceHost for Vec<u8> {
    fn replace_host(self, host: &str) -> Vec<u8> {
        let text = String::from_utf8(self).unwrap();
        let lines = text.split("\r\n").map(|line| match line.to_ascii_lowercase().starts_with("host:") {
            true => format!("Host: {host}"),
            false => line.to_owned(),
        });
        lines.collect::<Vec<_>>().join("\r\n").into_bytes()
    }
}

//! Method, path, query, authority, scheme and headers reach the guest as the client sent them; what
//! concerns the connection only does not; what has no valid authority never gets that far.

use serde_json::{Value, json};

use crate::support::{Server, TESTBEDS, request};

fn headers(request: &Value) -> Vec<(&str, &str)> {
    let list = request["headers"].as_array().unwrap();
    list.iter().map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap())).collect()
}

#[track_caller]
fn seen(server: &Server, method: &str, target: &str, headers: &[(&str, &str)]) -> Value {
    let response = server.send(method, target, headers, b"");
    assert_eq!(response.status, 200, "{method} {target}: {}", response.text());
    response.json()
}

#[test]
fn any_method() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "X-1"] {
            assert_eq!(seen(&server, method, "/request", &[])["method"], method, "{guest}");
        }
    }
}

#[test]
fn path_and_query_to_the_letter() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let client = server.http2();
        for query in ["", "?", "?a=1&a=2", "?q=%C3%BC%20%2F%00", "?a=b=c&&;~!*'()", "?/../?x"] {
            let target = format!("/request{query}");
            let over_1 = seen(&server, "GET", &target, &[]);
            assert_eq!(over_1["path_with_query"], target, "{guest}");
            assert_eq!(client.get(&target).json()["path_with_query"], target, "{guest}, HTTP/2");
        }
        for path in ["/a//b/./../c", "/%7euser/%2e%2e", "/x;y=1,2:@$+"] {
            // Not a route, and the answer repeats what the guest got, percent-decoded.
            assert_eq!(server.get(path).status, 404, "{guest} {path}");
        }
        assert_eq!(server.get("/a//b/./../c").text(), "no route /a//b/./../c", "{guest}");
    }
}

#[test]
fn a_long_path() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let target = format!("/request?{}", "x".repeat(8000));
        assert_eq!(seen(&server, "GET", &target, &[])["path_with_query"], target, "{guest}");
    }
}

#[test]
fn authority_and_scheme() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        for host in ["example.com", "example.com:81", "127.0.0.1", "[::1]:8080", "a-b.c_d"] {
            let request = seen(&server, "GET", "/request", &[("Host", host)]);
            assert_eq!(request["authority"], host, "{guest}");
            assert_eq!(request["scheme"], "http", "{guest}");
        }
        let request = server.http2().get("http://over-two.example:82/request").json();
        assert_eq!(request["authority"], "over-two.example:82", "{guest}");
        assert_eq!(request["scheme"], "http", "{guest}");
    }
}

#[test]
fn an_absolute_target_beats_host() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let headers = [("Host", "other.example")];
        let request = seen(&server, "GET", "http://target.example:90/request?a=b", &headers);
        assert_eq!(request["authority"], "target.example:90", "{guest}");
        assert_eq!(request["path_with_query"], "/request?a=b", "{guest}");
    }
}

#[test]
fn headers_with_their_values_and_order() {
    let sent = [
        ("x-one", "1"),
        ("accept", "text/html, */*;q=0.1"),
        ("x-list", "a"),
        ("x-list", "b, c"),
        ("cookie", "a=1; b=\"2\""),
        ("x-list", "d"),
        ("x-empty", ""),
        ("x-odd", "\"quoted\" (and) <so> {on} ü"),
    ];
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        for request in
            [seen(&server, "GET", "/request", &sent), server.http2().exchange("GET", "/request", &sent, b"").json()]
        {
            let headers = headers(&request);
            for name in ["x-one", "accept", "x-list", "cookie", "x-empty", "x-odd"] {
                let values = |list: &[(&str, &str)]| -> Vec<String> {
                    let own = list.iter().filter(|(n, _)| *n == name);
                    own.map(|(_, value)| value.to_string()).collect()
                };
                assert_eq!(values(&headers), values(&sent), "{guest}: {name}");
            }
        }
    }
}

#[test]
fn content_length_and_type() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let response = server.send("POST", "/request", &[("Content-Type", "text/plain")], b"twelve bytes");
        let request = response.json();
        let headers = headers(&request);
        assert!(headers.contains(&("content-type", "text/plain")), "{guest}: {headers:?}");
        assert!(headers.contains(&("content-length", "12")), "{guest}: {headers:?}");
    }
}

#[test]
fn hop_by_hop_fields_stay_behind() {
    let sent = [
        ("Connection", "keep-alive, X-Named"),
        ("Connection", "x-named-too"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers"),
        ("Trailer", "x-checksum"),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "websocket"),
        ("X-Named", "1"),
        ("X-Named-Too", "2"),
        ("X-Stays", "3"),
    ];
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let mut connection = server.connect();
        connection.write(request("POST", "/request", &sent, b"0\r\n\r\n"));
        let request = connection.receive().json();
        let mut names: Vec<_> = headers(&request).into_iter().map(|(name, _)| name).collect();
        names.retain(|name| *name != "host");
        assert_eq!(names, ["x-stays"], "{guest}");

        let request = server.http2().exchange("GET", "/request", &[("te", "trailers")], b"");
        let request = request.json();
        assert!(headers(&request).iter().all(|(name, _)| *name != "te"), "{guest}");
    }
}

#[test]
fn http_1_0_without_host_gets_the_bound_address() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let mut connection = server.connect();
        connection.write("GET /request HTTP/1.0\r\n\r\n");
        let request = connection.receive().json();
        assert_eq!(request["authority"], json!(server.address().to_string()), "{guest}");
    }
}

#[test]
fn a_missing_or_invalid_host_is_400_and_no_guest_sees_it() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--instances", "1"]);
        for hosts in [
            &[][..],
            &["a", "a"],
            &["a", "b"],
            &[""],
            &["a b"],
            &["user@a"],
            &["a:b"],
            &["a:99999"],
            &["a/b"],
            &["http://a"],
            &[":80"],
            &["a,b"],
            &["[::1"],
        ] {
            let mut connection = server.connect();
            let fields: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
            connection.write(format!("GET /count HTTP/1.1\r\n{fields}\r\n"));
            let status = connection.receive().status;
            // A comma is allowed in a name by RFC 3986, though no name has one.
            let expected = if hosts == ["a,b"] && status == 200 { 200 } else { 400 };
            assert_eq!(status, expected, "{guest}: {hosts:?}");
        }
        let count: u32 = server.get("/count").text().parse().unwrap();
        assert!(count <= 2, "{guest}: {count}");
    }
}

#[test]
fn a_request_that_cannot_be_prepared_fails_alone() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &["--instances", "1", "--identify"]);
        assert_eq!(server.get("/count").text(), "1");
        let long = format!("/request?{}", "y".repeat(60_000));
        for odd in [
            "GET /request HTTP/1.1\r\nHost:\r\n\r\n".to_owned(),
            "GET ftp://a/request HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            "GET /request?\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            "GET /request HTTP/1.0\r\nHost: @\r\n\r\n".to_owned(),
            format!("GET {long} HTTP/1.1\r\nHost: a\r\n\r\n"),
            format!("GET /request HTTP/1.1\r\nHost: {}\r\n\r\n", "h".repeat(5000)),
        ] {
            let mut connection = server.connect();
            connection.write(&odd);
            let answer = connection.try_receive();
            assert!(answer.is_ok(), "{guest}: no answer to {:.60}", odd);
        }
        let response = server.get("/count");
        assert_eq!((response.text().as_str(), response.instance()), ("2", 1), "{guest}");
    }
}

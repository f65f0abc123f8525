//! Trailers of requests and of responses, over both versions of HTTP.

use crate::support::{Response, Server, TESTBEDS, chunked, request};

const TE: (&str, &str) = ("TE", "trailers");

fn over_http1(server: &Server, target: &str, headers: &[(&str, &str)]) -> Response {
    server.send("GET", target, headers, b"")
}

#[test]
fn http_2_always_carries_response_trailers() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        for target in ["/trailers", "/trailers?unannounced=1"] {
            let response = server.http2().get(target);
            assert_eq!(response.text(), "body", "{guest} {target}");
            assert_eq!(response.trailer("x-trailer"), Some("yes"), "{guest} {target}");
        }
    }
}

#[test]
fn http_1_carries_announced_trailers_to_a_client_that_takes_them() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        for te in ["trailers", "gzip, trailers", "Trailers;q=1"] {
            let response = over_http1(&server, "/trailers", &[("TE", te)]);
            assert_eq!(response.text(), "body", "{guest}");
            assert_eq!(response.header("trailer"), Some("x-trailer"), "{guest} {te}");
            if te == "trailers" {
                assert_eq!(response.trailer("x-trailer"), Some("yes"), "{guest} {te}");
            }
        }
    }
}

#[test]
fn http_1_keeps_trailers_from_a_client_that_does_not_ask() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let response = over_http1(&server, "/trailers", &[]);
        assert_eq!(response.text(), "body", "{guest}");
        assert_eq!(response.trailers, [], "{guest}");
    }
}

#[test]
fn http_1_does_not_carry_trailers_that_were_not_announced() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let mut connection = server.connect();
        let response = connection.exchange("GET", "/trailers?unannounced=1", &[TE], b"");
        assert_eq!(response.text(), "body", "{guest}");
        assert_eq!(response.trailers, [], "{guest}");
        assert_eq!(connection.get("/hello").text(), "Hello, world!", "{guest}");
    }
}

#[test]
fn request_trailers_reach_the_guest_over_http_1() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let mut connection = server.connect();
        let headers = [("Transfer-Encoding", "chunked"), ("Trailer", "x-checksum"), ("x-want-trailers", "1"), TE];
        let trailers = [("x-echo-trailer", "from the client")];
        let body = chunked(&[b"some ", b"body"], &trailers);
        connection.write(request("POST", "/echo", &headers, &body));
        let response = connection.receive();
        assert_eq!(response.text(), "some body", "{guest}");
        // Only what the guest announced can come back over HTTP/1: the one name, with both values.
        let values: Vec<_> = response.trailers.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["from the client", "done"], "{guest}");
    }
}

#[test]
fn request_trailers_reach_the_guest_over_http_2() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let client = server.http2();
        let mut exchange = client.begin("POST", "/echo", &[("x-want-trailers", "1")]);
        exchange.send(b"some body");
        exchange.send_trailers(&[("x-checksum", "42")]);
        let response = exchange.receive();
        assert_eq!(response.text(), "some body", "{guest}");
        assert_eq!(response.trailer("x-checksum"), Some("42"), "{guest}");
        assert_eq!(response.trailer("x-echo-trailer"), Some("done"), "{guest}");
    }
}

#[test]
fn head_over_a_response_with_trailers_has_neither_body_nor_trailers() {
    for guest in TESTBEDS {
        let server = Server::start(guest, &[]);
        let mut connection = server.connect();
        assert_eq!(connection.exchange("HEAD", "/trailers", &[TE], b"").status, 200, "{guest}");
        assert_eq!(connection.get("/hello").text(), "Hello, world!", "{guest}");
    }
}

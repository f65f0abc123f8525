//! Whom a request is for, and what of its head goes on.

use crate::http::request::strip_hop_by_hop;
use http::header::{HOST, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Uri};
use wasmtime_wasi_http::Error;

/// The host, without brackets, and the port of an absolute URI of http or https. None if it has user information
/// (RFC 9110 section 4.2.4), or no such host or port.
pub fn host_and_port(uri: &Uri) -> Option<(&str, u16)> {
    let default = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => 443,
        Some(scheme) if *scheme == Scheme::HTTP => 80,
        _ => return None,
    };
    let authority = uri.authority()?.as_str();
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match port {
        "" | ":" => default,
        port => parse_port(port.strip_prefix(':')?)?,
    };
    (!host.is_empty() && !host.contains('@')).then_some((host, port))
}

fn parse_port(text: &str) -> Option<u16> {
    // Rust takes a sign, too.
    text.parse().ok().filter(|port| *port != 0 && text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Makes of a guest's request what the client is to send. The client makes Host of the URI where there is to be one.
pub fn prepare(method: &Method, uri: &mut Uri, headers: &mut HeaderMap) -> Result<(), Error> {
    // For proxies, through which a guest would reach anybody.
    if method == Method::CONNECT {
        return Err(Error::HttpRequestMethodInvalid);
    }
    let (host, port) = host_and_port(uri).ok_or(Error::HttpRequestUriInvalid)?;
    let is_default =
        (uri.scheme() == Some(&Scheme::HTTPS) && port == 443) || (uri.scheme() == Some(&Scheme::HTTP) && port == 80);
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_ascii_lowercase() };
    let authority = if is_default { host } else { format!("{host}:{port}") };
    let mut parts = std::mem::take(uri).into_parts();
    parts.authority = Some(Authority::try_from(authority).map_err(|_| Error::HttpRequestUriInvalid)?);
    parts.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    *uri = Uri::from_parts(parts).map_err(|_| Error::HttpRequestUriInvalid)?;
    let wants_trailers = headers.get(TE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    strip_hop_by_hop(headers);
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    headers.remove(HOST);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str) -> Option<(String, u16)> {
        let uri = uri.parse().ok()?;
        host_and_port(&uri).map(|(host, port)| (host.to_owned(), port))
    }

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (uri, host, port) in [
            ("http://example.com/", "example.com", 80),
            ("https://example.com/", "example.com", 443),
            ("https://example.com:/", "example.com", 443),
            ("http://Example.com:8080/a@b:1", "Example.com", 8080),
            ("http://[::1]/", "::1", 80),
            ("https://[::ffff:127.0.0.1]:8443/", "::ffff:127.0.0.1", 8443),
            ("http://0x7f.1/", "0x7f.1", 80),
        ] {
            assert_eq!(target(uri), Some((host.to_owned(), port)), "{uri}");
        }
    }

    #[test]
    fn what_is_odd_is_nobody() {
        for uri in [
            "/a",
            "ftp://example.com/",
            "http://user@example.com/",
            "http://user:80@example.com/",
            "http://a:b@c:1/",
            "http://example.com:0/",
            "http://example.com:65536/",
            "http://example.com:+80/",
            "http://:80/",
            "http://[::1]x/",
            "http://[::1]80/",
        ] {
            assert_eq!(target(uri), None, "{uri}");
        }
    }

    fn prepared(
        method: Method,
        uri: &str,
        headers: &[(&'static str, &'static str)],
    ) -> Result<(Uri, HeaderMap), Error> {
        let mut uri = uri.parse().unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        prepare(&method, &mut uri, &mut map).map(|()| (uri, map))
    }

    #[test]
    fn hosts_are_compared_in_one_notation() {
        let uri = |uri| prepared(Method::GET, uri, &[]).unwrap().0.to_string();
        assert_eq!(uri("http://EXAMPLE.com:80/A?b"), "http://example.com/A?b");
        assert_eq!(uri("https://example.com:80"), "https://example.com:80/");
        assert_eq!(uri("https://[2001:DB8::1]:443/"), "https://[2001:DB8::1]/");
    }

    #[test]
    fn what_concerns_one_connection_only_is_not_sent_on() {
        let headers = [("host", "other"), ("te", "gzip"), ("connection", "x-a"), ("x-a", "1"), ("x-b", "2")];
        let (_, headers) = prepared(Method::GET, "http://a/", &headers).unwrap();
        assert_eq!((headers.len(), &headers["x-b"]), (1, &HeaderValue::from_static("2")));
        let (_, headers) = prepared(Method::POST, "http://a/", &[("te", "Trailers")]).unwrap();
        assert_eq!(headers["te"], "trailers");
        assert!(matches!(prepared(Method::CONNECT, "http://a/", &[]), Err(Error::HttpRequestMethodInvalid)));
    }
}

//! What a request's head must be before a guest sees it (RFC 9110, 9112, 9113): one valid authority, an
//! absolute URI, no field that concerns the connection only.

use http::header::{CONNECTION, HOST, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, StatusCode, Uri, Version};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use std::convert::Infallible;
use std::net::SocketAddr;
use wasmtime_wasi_http::WasiBody;

/// Why a request is refused before any guest sees it.
#[derive(Debug, PartialEq)]
pub struct Rejection {
    pub status: StatusCode,
    pub reason: &'static str,
}

pub fn bad(reason: &'static str) -> Rejection {
    Rejection { status: StatusCode::BAD_REQUEST, reason }
}

/// Fields of one connection only (RFC 9110 section 7.6.1), besides those that Connection names and, in requests,
/// Trailer.
static HOP_BY_HOP: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Screens a request's head and makes its URI absolute. `local` is the address it came in at, if it has one.
pub fn prepare<B>(request: &mut http::Request<B>, local: Option<SocketAddr>) -> Result<(), Rejection> {
    if request.method() == Method::CONNECT {
        let reason = "CONNECT is for proxies, and this is none";
        return Err(Rejection { status: StatusCode::NOT_IMPLEMENTED, reason });
    }
    let authority = authority(request.version(), request.uri(), request.headers(), local)?;
    let path = request.uri().path_and_query().cloned();
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(request.uri().scheme().cloned().unwrap_or(Scheme::HTTP));
    parts.authority = Some(authority);
    parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| bad("the request target is invalid"))?;
    strip_hop_by_hop(request.headers_mut());
    // What it announces is between the client and us; a guest's own announcement is passed on.
    request.headers_mut().remove(TRAILER);
    Ok(())
}

/// The authority a request is for: of its target if that has one (RFC 9112 section 3.2.2), else of Host.
fn authority(
    version: Version,
    target: &Uri,
    headers: &HeaderMap,
    local: Option<SocketAddr>,
) -> Result<Authority, Rejection> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(bad("the request has more than one Host field"));
    }
    let host = host.map(|value| parse_host(value.as_bytes())).transpose()?;
    match (target.authority(), host) {
        // RFC 9113 section 8.3.1: a Host that differs from :authority makes the request malformed.
        (Some(authority), Some(host)) if version == Version::HTTP_2 && !same(authority, &host) => {
            Err(bad("Host and :authority differ"))
        }
        (Some(_), None) if version == Version::HTTP_11 => Err(bad("the request has no Host field")),
        (Some(authority), _) => checked(authority.clone()),
        (None, Some(host)) => Ok(host),
        // HTTP/1.0 has no obligatory Host: the address it was sent to has to do. A Unix socket has none.
        (None, None) if version <= Version::HTTP_10 => match local {
            Some(local) => Authority::try_from(local.to_string()).map_err(|_| bad("the request has no Host field")),
            None => Ok(Authority::from_static("localhost")),
        },
        (None, None) => Err(bad("the request has no Host field")),
    }
}

fn parse_host(value: &[u8]) -> Result<Authority, Rejection> {
    Authority::try_from(value).map_err(|_| bad("the Host field is invalid")).and_then(checked)
}

/// A host with an optional port: no user information (RFC 9110 section 4.2.4), no empty host or odd port.
fn checked(authority: Authority) -> Result<Authority, Rejection> {
    let port = authority.as_str().rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
    let port_is_odd = port.is_some_and(|(_, port)| !port.is_empty() && port.parse::<u16>().is_err());
    if authority.as_str().contains('@') || authority.host().is_empty() || port_is_odd {
        return Err(bad("the Host field is invalid"));
    }
    Ok(authority)
}

fn same(one: &Authority, other: &Authority) -> bool {
    one.as_str().eq_ignore_ascii_case(other.as_str())
}

/// What only a gateway may say of a client.
static FORWARDED: [HeaderName; 6] = [
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
];

pub fn strip_forwarded(headers: &mut HeaderMap) {
    if headers.keys().any(|name| FORWARDED.contains(name)) {
        FORWARDED.iter().for_each(|name| drop(headers.remove(name)));
    }
}

/// Takes out what concerns one connection only, what its Connection fields name included.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| HeaderName::try_from(name.trim()).ok())
            // These frame or address the message itself; no sender may have them taken out.
            .filter(|name| *name != HOST && *name != http::header::CONTENT_LENGTH)
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// The same request once more, if it may be sent twice (RFC 9110 section 9.2.2) and has no body.
pub fn copy(request: &http::Request<WasiBody>) -> Option<http::Request<WasiBody>> {
    if !request.method().is_idempotent() || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = http::Request::new(Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync());
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    Some(copy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const LOCAL: &str = "127.0.0.1:8000";

    fn prepared(version: Version, target: &str, headers: &[(&str, &str)]) -> Result<Request<()>, &'static str> {
        let mut request = Request::builder().uri(target).version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        prepare(&mut request, LOCAL.parse().ok()).map_err(|rejection| rejection.reason)?;
        Ok(request)
    }

    #[test]
    fn the_uri_becomes_absolute() {
        let request = prepared(Version::HTTP_11, "/a?b", &[("host", "example.com:81")]).unwrap();
        assert_eq!(request.uri(), "http://example.com:81/a?b");
        let request = prepared(Version::HTTP_10, "/a", &[]).unwrap();
        assert_eq!(request.uri(), "http://127.0.0.1:8000/a");
        let mut over_unix = Request::builder().uri("/a").version(Version::HTTP_10).body(()).unwrap();
        prepare(&mut over_unix, None).unwrap();
        assert_eq!(over_unix.uri(), "http://localhost/a");
        let request = prepared(Version::HTTP_11, "http://target/", &[("host", "other")]).unwrap();
        assert_eq!(request.uri(), "http://target/");
    }

    #[test]
    fn a_missing_doubled_or_invalid_host_is_refused() {
        for headers in [
            &[][..],
            &[("host", "a"), ("host", "a")],
            &[("host", "")],
            &[("host", "a b")],
            &[("host", "user@a")],
            &[("host", "a:b")],
            &[("host", "a:99999")],
            &[("host", "a/b")],
            &[("host", ":80")],
        ] {
            assert!(prepared(Version::HTTP_11, "/", headers).is_err(), "{headers:?}");
        }
        assert!(prepared(Version::HTTP_11, "http://a/", &[]).is_err());
        for host in ["a", "a:80", "127.0.0.1", "[::1]", "[::1]:80", "a-b.c_d"] {
            assert!(prepared(Version::HTTP_11, "/", &[("host", host)]).is_ok(), "{host}");
        }
    }

    #[test]
    fn over_http2_host_must_agree_with_the_authority() {
        assert!(prepared(Version::HTTP_2, "http://a/", &[("host", "A")]).is_ok());
        assert!(prepared(Version::HTTP_2, "http://a/", &[("host", "b")]).is_err());
    }

    #[test]
    fn what_concerns_the_connection_is_taken_out() {
        let request = prepared(
            Version::HTTP_11,
            "/",
            &[
                ("host", "a"),
                ("connection", "keep-alive, X-One"),
                ("connection", "x-two"),
                ("x-one", "1"),
                ("x-two", "2"),
                ("te", "trailers"),
                ("trailer", "x"),
                ("upgrade", "h2c"),
                ("keep-alive", "timeout=5"),
                ("x-three", "3"),
            ],
        )
        .unwrap();
        let mut left: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["host", "x-three"]);
    }
}

//! The screening of a request's head: what passes is fit for a guest.
#![no_main]

use http::{HeaderName, HeaderValue, Method, Request, Uri, Version};
use libfuzzer_sys::fuzz_target;
use wasmserve::http::request::prepare;

const VERSIONS: [Version; 4] = [Version::HTTP_09, Version::HTTP_10, Version::HTTP_11, Version::HTTP_2];

/// The head as hyper would hand it over, as far as it would.
fn request(bytes: &[u8]) -> Option<Request<()>> {
    let (version, bytes) = bytes.split_first()?;
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Request::new(&mut fields);
    if !head.parse(bytes).ok()?.is_complete() {
        return None;
    }
    let mut request = Request::new(());
    *request.version_mut() = VERSIONS[usize::from(*version) % VERSIONS.len()];
    *request.method_mut() = Method::from_bytes(head.method?.as_bytes()).ok()?;
    *request.uri_mut() = head.path?.parse::<Uri>().ok()?;
    for field in head.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    Some(request)
}

fuzz_target!(|bytes: &[u8]| {
    let Some(mut request) = request(bytes) else { return };
    if prepare(&mut request, Some(([127, 0, 0, 1], 8000).into())).is_err() {
        return;
    }
    let uri = request.uri();
    let authority = uri.authority().expect("it is for somebody");
    assert!(uri.scheme().is_some() && uri.path_and_query().is_some());
    assert!(!authority.host().is_empty() && !authority.as_str().contains('@'));
    for name in ["connection", "te", "transfer-encoding", "upgrade", "keep-alive", "proxy-connection", "trailer"] {
        assert!(!request.headers().contains_key(name), "{name} concerns the connection alone");
    }
    assert!(request.headers().get_all("host").iter().count() <= 1);
});

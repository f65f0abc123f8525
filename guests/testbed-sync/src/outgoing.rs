//! `/out`: a request of the guest's own.

use std::io::Read as _;

use testbed_common::{EXCERPT, Reply, Url};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{ErrorCode, Fields, IncomingResponse, OutgoingRequest, Scheme};

pub fn get(url: Url) -> Reply {
    match send(url) {
        Ok(response) => excerpt(response),
        Err(error) => Reply::status(502, format!("{error:?}")),
    }
}

fn send(url: Url) -> Result<IncomingResponse, ErrorCode> {
    let request = OutgoingRequest::new(Fields::new());
    let scheme = match url.scheme.as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => Scheme::Other(url.scheme),
    };
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    request.set_scheme(Some(&scheme)).map_err(invalid)?;
    request
        .set_authority(Some(&url.authority))
        .map_err(invalid)?;
    request
        .set_path_with_query(Some(&url.path_with_query))
        .map_err(invalid)?;

    let response = outgoing_handler::handle(request, None)?;
    response.subscribe().block();
    let ready = response.get().expect("a response that is ready");
    ready.expect("a response not yet taken")
}

fn excerpt(response: IncomingResponse) -> Reply {
    let mut text = format!("status {}\n", response.status()).into_bytes();
    let body = response.consume().expect("a body not yet taken");
    let stream = body.stream().expect("a stream not yet taken");
    // A body that breaks off is shown as far as it came.
    let _ = stream.take(EXCERPT as u64).read_to_end(&mut text);
    Reply::text(text)
}

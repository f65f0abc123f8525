//! How large a request's head may be, how it may be framed, and how large its body says that it is.

use super::request::{Rejection, bad};
use crate::config::ClientLimits;
use http::header::TRANSFER_ENCODING;
use http::{HeaderMap, Request, StatusCode};
use http_body::Body;

/// Refuses a request that is too large. Of what hyper refuses by itself nothing comes here.
pub fn check<B: Body>(request: &Request<B>, limits: &ClientLimits) -> Result<(), Rejection> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > limits.request_line {
        return Err(uri_too_long());
    }
    let headers = request.headers();
    if headers.len() > limits.request_fields {
        return Err(fields_too_large("the request has too many fields"));
    }
    if size(headers) > limits.request_header_size {
        return Err(fields_too_large("the request's fields are too large"));
    }
    check_coding(headers)?;
    if request.body().size_hint().lower() > limits.request_body {
        return Err(Rejection { status: StatusCode::PAYLOAD_TOO_LARGE, reason: "the request's body is too large" });
    }
    Ok(())
}

/// Bytes of names and values.
pub fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

pub fn uri_too_long() -> Rejection {
    Rejection { status: StatusCode::URI_TOO_LONG, reason: "the request's target is too long" }
}

fn fields_too_large(reason: &'static str) -> Rejection {
    Rejection { status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, reason }
}

/// hyper asks only that the last coding is chunked; it decodes no other, and neither would a guest, which is not even
/// told of it. Whoever stands in front may read a list or a repetition otherwise (RFC 9112 section 6.1).
fn check_coding(headers: &HeaderMap) -> Result<(), Rejection> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(()) };
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(bad("the request has another transfer coding than chunked"));
    }
    Ok(())
}

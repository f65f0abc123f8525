//! What goes back to the client: the guest's response, or one of our own where there is none.

use super::body::Outgoing;
use super::request::Rejection;
use crate::lane::Refusal;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use std::time::Duration;

pub type Answer = Response<Outgoing>;

pub static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub fn text(status: StatusCode, text: String) -> Answer {
    let mut response = Response::new(Outgoing::whole(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// A refused request ends its connection: what follows it may not be what it seems, or is not wanted.
pub fn rejection(rejection: Rejection) -> Answer {
    let mut answer = text(rejection.status, format!("{}: {}\n", rejection.status, rejection.reason));
    close(&mut answer);
    answer
}

/// Ends the connection after this answer. HTTP/2 has no such field; hyper takes it out there.
pub fn close(answer: &mut Answer) {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

/// The answer for a guest that gave none. `id` is what the log knows the failure by.
fn failure(status: StatusCode, id: &str) -> Answer {
    let mut response = text(status, format!("{status}\nrequest id: {id}\n"));
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID.clone(), id);
    }
    response
}

/// The answer while there is nobody to take the request.
pub fn unavailable(retry_after: Duration) -> Answer {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut response = text(status, format!("{status}\n"));
    let seconds = retry_after.as_secs_f64().ceil().max(1.0) as u64;
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// The answer to a client that asks too often (RFC 6585 section 4).
pub fn too_many() -> Answer {
    let status = StatusCode::TOO_MANY_REQUESTS;
    let mut response = text(status, format!("{status}\n"));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// How a refusal is answered, and what is to be logged of it.
pub fn refusal(refusal: Refusal, id: impl FnOnce() -> String) -> (Answer, Option<(String, String)>) {
    match refusal {
        Refusal::QueueFull => (unavailable(Duration::from_secs(1)), None),
        Refusal::NoInstance { retry_after } => (unavailable(retry_after), None),
        Refusal::Late(message) => failed(StatusCode::GATEWAY_TIMEOUT, id(), message),
        Refusal::Error(message) => failed(StatusCode::INTERNAL_SERVER_ERROR, id(), message),
        Refusal::Died(message) => failed(StatusCode::INTERNAL_SERVER_ERROR, id(), message.to_string()),
    }
}

fn failed(status: StatusCode, id: String, message: String) -> (Answer, Option<(String, String)>) {
    (failure(status, &id), Some((id, message)))
}

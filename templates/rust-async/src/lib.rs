//! An app for wasi:http 0.3: one instance answers many requests at once.

mod lifespan;

use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Request, Response};
use wasip3::http_compat::{http_from_wasi_request, http_into_wasi_response};

/// Every instance has memory of its own, so every instance counts for itself.
static COUNT: AtomicU64 = AtomicU64::new(0);

struct App;

wasip3::http::service::export!(App);

impl Guest for App {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let request = http_from_wasi_request(request)?;
        match request.uri().path() {
            "/" => text(StatusCode::OK, "Hello, world!\n"),
            "/count" => {
                let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
                text(StatusCode::OK, format!("{count}\n"))
            }
            "/sleep" => {
                // In nanoseconds. Other requests are answered meanwhile.
                wait_for(500_000_000).await;
                text(StatusCode::OK, "slept\n")
            }
            // The body of the request goes back as it comes.
            "/echo" => http_into_wasi_response(http::Response::new(request.into_body())),
            _ => text(StatusCode::NOT_FOUND, "not found\n"),
        }
    }
}

fn text(status: StatusCode, text: impl Into<String>) -> Result<Response, ErrorCode> {
    let mut response = http::Response::new(text.into());
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static("text/plain");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, kind);
    http_into_wasi_response(response)
}

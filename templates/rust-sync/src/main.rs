//! An app for wasi:http 0.2.

mod lifespan;

use std::sync::atomic::{AtomicU64, Ordering};

use wstd::http::{Body, Error, Request, Response, StatusCode};

/// Every instance has memory of its own, so every instance counts for itself.
static COUNT: AtomicU64 = AtomicU64::new(0);

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    match request.uri().path() {
        "/" => text(StatusCode::OK, "Hello, world!\n"),
        "/count" => {
            let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
            text(StatusCode::OK, format!("{count}\n"))
        }
        // The body of the request goes back as it comes.
        "/echo" => Ok(Response::new(request.into_body())),
        _ => text(StatusCode::NOT_FOUND, "not found\n"),
    }
}

fn text(status: StatusCode, text: impl Into<String>) -> Result<Response<Body>, Error> {
    let response = Response::builder()
        .status(status)
        .header("content-type", "text/plain");
    Ok(response.body(text.into().into())?)
}

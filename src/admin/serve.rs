//! The admin listener: four pages over HTTP/1.

use super::metrics;
use super::source::Source;
use crate::status::{State, Status};
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

/// Connections at a time; others wait to be accepted.
const CONNECTIONS: usize = 64;
/// How long a client may take for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take in all. It carries one request, so that none is held for nothing.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before accepting again when the process or the machine has run out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

type Page = Response<Full<Bytes>>;

pub async fn serve(listener: TcpListener, source: &Source) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(stream, source.clone(), place))),
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn converse(stream: TcpStream, source: Source, _place: OwnedSemaphorePermit) {
    let service = service_fn(|request| {
        let source = source.clone();
        async move { Ok::<_, Infallible>(answer(&request, &source).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).keep_alive(false);
    // A client that leaves or is too slow is its own affair.
    let _ = timeout(CONNECTION_TIMEOUT, builder.serve_connection(TokioIo::new(stream), service)).await;
}

async fn answer<B>(request: &Request<B>, source: &Source) -> Page {
    let path = request.uri().path();
    if !matches!(path, "/healthz" | "/readyz" | "/metrics" | "/status") {
        return page(StatusCode::NOT_FOUND, TEXT, "here are /healthz, /readyz, /metrics and /status\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut page = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
        page.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return page;
    }
    let Some(status) = source.status().await else {
        return page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "the supervisor does not answer\n");
    };
    match path {
        "/healthz" => page(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" => match not_ready(&status) {
            None => page(StatusCode::OK, TEXT, "ok\n"),
            Some(why) => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
        },
        "/metrics" => page(StatusCode::OK, METRICS, metrics::render(&status)),
        _ => page(StatusCode::OK, JSON, serde_json::to_string(&*status).unwrap_or_default() + "\n"),
    }
}

/// Why no requests should be sent here, if so.
fn not_ready(status: &Status) -> Option<&'static str> {
    match status.state {
        State::Stopping => Some("the server is stopping"),
        _ if status.slots.iter().any(|slot| slot.is_ready()) => None,
        State::Starting => Some("the server is starting: no worker is ready yet"),
        State::Ready | State::Reloading => Some("no worker is ready"),
    }
}

fn page(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Page {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // What it was a moment ago helps nobody.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::example;
    use crate::status::{ProcessState, SlotState};

    #[test]
    fn one_ready_worker_is_enough_unless_the_server_stops() {
        let mut status = example();
        assert_eq!(not_ready(&status), None);
        status.state = State::Reloading;
        assert_eq!(not_ready(&status), None);
        status.state = State::Stopping;
        assert_eq!(not_ready(&status), Some("the server is stopping"));
        status.state = State::Ready;
        for slot in &mut status.slots {
            slot.state = SlotState::BackingOff;
            slot.processes.iter_mut().for_each(|process| process.state = ProcessState::Ending);
        }
        assert_eq!(not_ready(&status), Some("no worker is ready"));
    }

    #[test]
    fn other_pages_and_methods_are_refused() {
        let ask = |method: &str, path: &str| {
            let request = Request::builder().method(method).uri(path).body(()).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(answer(&request, &Source::default()))
        };
        assert_eq!(ask("GET", "/other").status(), StatusCode::NOT_FOUND);
        let refused = ask("POST", "/metrics");
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(refused.headers()[ALLOW], "GET, HEAD");
        assert_eq!(ask("GET", "/healthz").status(), StatusCode::SERVICE_UNAVAILABLE, "nobody answers");
    }
}

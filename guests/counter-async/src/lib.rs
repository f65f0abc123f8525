//! Counts the requests that this instance has answered, in a global of its own (wasi:http 0.3).

mod lifespan;

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};

use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{spawn_local, wit_future, wit_stream};

static COUNTER: AtomicU64 = AtomicU64::new(0);

struct Counter;

wasip3::http::service::export!(Counter);

impl Guest for Counter {
    async fn handle(_request: Request) -> Result<Response, ErrorCode> {
        let count = COUNTER.fetch_add(1, Ordering::Relaxed) + 1;
        let text = format!(
            "worker {}, instance {}: {count}\n",
            place("WASMSERVE_WORKER"),
            place("WASMSERVE_INSTANCE"),
        );

        let headers = Fields::from_list(&[("content-type".into(), b"text/plain".into())])
            .expect("a plain header");
        let (mut body, body_reader) = wit_stream::new();
        // Dropping the writing end sends what it was made with: no trailers.
        let (_, trailers) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(headers, Some(body_reader), trailers);
        spawn_local(async move { body.write_all(text.into_bytes()).await });
        Ok(response)
    }
}

/// Where the server says that this instance stands; other servers say nothing.
fn place(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| "?".into())
}

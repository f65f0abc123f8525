//! Counts the requests that this instance has answered, in a global of its own (wasi:http 0.2).

mod lifespan;

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

static COUNTER: AtomicU64 = AtomicU64::new(0);

struct Counter;

wasip2::http::proxy::export!(Counter);

impl Guest for Counter {
    fn handle(_request: IncomingRequest, outparam: ResponseOutparam) {
        let count = COUNTER.fetch_add(1, Ordering::Relaxed) + 1;
        let text = format!(
            "worker {}, instance {}: {count}\n",
            place("WASMSERVE_WORKER"),
            place("WASMSERVE_INSTANCE"),
        );

        let headers = Fields::from_list(&[("content-type".into(), b"text/plain".into())])
            .expect("a plain header");
        let response = OutgoingResponse::new(headers);
        let body = response.body().expect("a body not yet taken");
        ResponseOutparam::set(outparam, Ok(response));

        // Whoever asked may be gone by now, which is no fault of this app.
        let stream = body.write().expect("a stream not yet taken");
        let _ = stream.blocking_write_and_flush(text.as_bytes());
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}

/// Where the server says that this instance stands; other servers say nothing.
fn place(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| "?".into())
}

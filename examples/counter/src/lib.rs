//! Counts its requests in a global. Every instance has memory of its own, so every instance counts for
//! itself: four workers, four counters.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};

use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Request, Response};
use wasip3::http_compat::http_into_wasi_response;

static COUNTER: AtomicU64 = AtomicU64::new(0);

struct Counter;

wasip3::http::service::export!(Counter);

impl Guest for Counter {
    async fn handle(_request: Request) -> Result<Response, ErrorCode> {
        let count = COUNTER.fetch_add(1, Ordering::Relaxed) + 1;
        // wasmserve tells each instance where it stands.
        let worker = env::var("WASMSERVE_WORKER").unwrap_or_else(|_| "?".into());
        let instance = env::var("WASMSERVE_INSTANCE").unwrap_or_else(|_| "?".into());
        let text = format!("worker {worker}, instance {instance}: {count}\n");
        http_into_wasi_response(http::Response::new(text))
    }
}

//! Loads its data once, before the first request, and says goodbye after the last (wasi:http 0.3).

mod lifespan;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Request, Response};
use wasip3::http_compat::{http_from_wasi_request, http_into_wasi_response};

/// Filled by `startup`, so that no request has to wait for it.
static GREETINGS: OnceLock<BTreeMap<String, String>> = OnceLock::new();
static SERVED: AtomicU64 = AtomicU64::new(0);

struct Greeter;

wasip3::http::service::export!(Greeter);

impl Guest for Greeter {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        SERVED.fetch_add(1, Ordering::Relaxed);
        let request = http_from_wasi_request(request)?;
        let language = request.uri().path().trim_start_matches('/');
        let greeting = GREETINGS
            .get()
            .and_then(|greetings| greetings.get(language));
        let (status, text) = match greeting {
            Some(greeting) => (200, format!("{greeting}\n")),
            None => (404, "no greeting in this language\n".to_owned()),
        };
        let response = http::Response::builder()
            .status(status)
            .header("content-type", "text/plain; charset=utf-8")
            .body(text)
            .expect("a valid response");
        http_into_wasi_response(response)
    }
}

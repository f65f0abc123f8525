//! The smallest app: greets whoever asks (wasi:http 0.3, async).

use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Request, Response};
use wasip3::http_compat::{http_from_wasi_request, http_into_wasi_response};

struct Hello;

wasip3::http::service::export!(Hello);

impl Guest for Hello {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let request = http_from_wasi_request(request)?;
        let text = format!("Hello from {}\n", request.uri().path());
        let response = http::Response::builder()
            .header("content-type", "text/plain; charset=utf-8")
            .body(text)
            .expect("a valid response");
        http_into_wasi_response(response)
    }
}

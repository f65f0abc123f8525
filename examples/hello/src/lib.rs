//! The smallest app: the same answer to every request (wasi:http 0.3, async).

use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Request, Response};
use wasip3::http_compat::http_into_wasi_response;

struct Hello;

wasip3::http::service::export!(Hello);

impl Guest for Hello {
    async fn handle(_request: Request) -> Result<Response, ErrorCode> {
        let response = http::Response::builder()
            .header("content-type", "text/plain")
            .body("Hello, world!".to_owned())
            .expect("a valid response");
        http_into_wasi_response(response)
    }
}

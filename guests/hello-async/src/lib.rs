//! The smallest app of wasi:http 0.3: the same answer to every request.
//! Benchmarks measure the server with it, so it does no more than it must.

use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{spawn_local, wit_future, wit_stream};

struct Hello;

wasip3::http::service::export!(Hello);

impl Guest for Hello {
    async fn handle(_request: Request) -> Result<Response, ErrorCode> {
        let headers = Fields::from_list(&[("content-type".into(), b"text/plain".into())])
            .expect("a plain header");
        let (mut body, body_reader) = wit_stream::new();
        // Dropping the writing end sends what it was made with: no trailers.
        let (_, trailers) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(headers, Some(body_reader), trailers);
        spawn_local(async move { body.write_all(b"Hello, world!".to_vec()).await });
        Ok(response)
    }
}

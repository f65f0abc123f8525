//! The smallest app of wasi:http 0.2: the same answer to every request.
//! Benchmarks measure the server with it, so it does no more than it must.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct Hello;

wasip2::http::proxy::export!(Hello);

impl Guest for Hello {
    fn handle(_request: IncomingRequest, outparam: ResponseOutparam) {
        let headers = Fields::from_list(&[("content-type".into(), b"text/plain".into())])
            .expect("a plain header");
        let response = OutgoingResponse::new(headers);
        let body = response.body().expect("a body not yet taken");
        ResponseOutparam::set(outparam, Ok(response));

        // Whoever asked may be gone by now, which is no fault of this app.
        let stream = body.write().expect("a stream not yet taken");
        let _ = stream.blocking_write_and_flush(b"Hello, world!");
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}

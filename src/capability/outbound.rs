//! Outgoing HTTP: denied, until grants name what is allowed (the library's default allows everything).

use http::{HeaderName, Request, Response};
use std::sync::{Arc, LazyLock};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, Result, WasiBody, WasiHttpHooks,
};

pub struct Denied;

/// Largest piece that a guest hands over in one write of a body; two of them are buffered at most.
const BODY_CHUNK: usize = 64 * 1024;

type Transmission = Box<dyn Future<Output = std::result::Result<(), Error>> + Send>;

impl WasiHttpHooks for Denied {
    fn send_request(
        &mut self,
        _request: Request<WasiBody>,
        _options: Option<RequestOptions>,
        _transmission: Transmission,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Transmission)>> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }

    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        static FILTER: LazyLock<ForbiddenHeaderFilter> =
            LazyLock::new(|| Arc::new(|name: &HeaderName| DEFAULT_FORBIDDEN_HEADERS.contains(name)));
        FILTER.clone()
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }
}

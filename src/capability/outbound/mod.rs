//! Outgoing HTTP: to hosts that were granted, at addresses that were checked (the library's default allows everything).

mod body;
pub mod client;
pub mod permit;
mod send;
mod target;

use crate::capability::reach::Reach;
use http::{HeaderName, Request, Response};
use send::Times;
use std::sync::{Arc, LazyLock};
use wasmtime_wasi::runtime::spawn;
use wasmtime_wasi_http::p2::bindings::http::types as p2;
use wasmtime_wasi_http::p3::bindings::http::types as p3;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, Result, WasiBody, WasiHttpHooks,
};

/// One instance's way out.
pub struct Outbound {
    reach: Option<Arc<Reach>>,
    /// Requests that the instance has taken.
    taken: u64,
    /// Requests that it has made.
    made: u64,
}

/// Largest piece that a guest hands over in one write of a body; two of them are buffered at most.
const BODY_CHUNK: usize = 64 * 1024;

type Transmission = Box<dyn Future<Output = std::result::Result<(), Error>> + Send>;

impl Outbound {
    pub fn new(reach: Option<Arc<Reach>>) -> Self {
        Self { reach, taken: 0, made: 0 }
    }

    /// The instance has taken a request, and may make some more of its own.
    pub fn count_taken(&mut self) {
        self.taken = self.taken.saturating_add(1);
    }

    /// Whether the guest may send this request, which is made ready to be sent.
    fn admit(&mut self, request: &mut Request<WasiBody>) -> Result<Arc<Reach>> {
        let reach = self.reach.clone().ok_or(Error::HttpRequestDenied)?;
        let method = request.method().clone();
        let mut uri = std::mem::take(request.uri_mut());
        target::prepare(&method, &mut uri, request.headers_mut())?;
        let (host, port) = target::host_and_port(&uri).ok_or(Error::HttpRequestUriInvalid)?;
        if !reach.grants.http.iter().any(|granted| granted.includes(host, port)) {
            return Err(Error::HttpRequestDenied);
        }
        // Startup counts as one that was taken.
        let most = reach.grants.max_outbound_per_request.saturating_mul(self.taken.saturating_add(1));
        if self.made >= most {
            return Err(Error::ConnectionLimitReached);
        }
        self.made += 1;
        *request.uri_mut() = uri;
        Ok(reach)
    }
}

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _transmission: Transmission,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Transmission)>> + Send> {
        let admitted = self.admit(&mut request);
        Box::new(async move {
            let reach = admitted?;
            let times = Times::new(&reach.grants, options);
            // On the loop: a guest that computes must not hold up its timers. It ends with whoever waits for it.
            let response = spawn(send::send(reach, request, times)).await?;
            // The client sees to the connection by itself.
            let transmission: Transmission = Box::new(async { Ok(()) });
            Ok((response, transmission))
        })
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

    // Unlike the library's, without a line in the log for each: whoever is at the other end could fill it.

    fn p2_error_from_hyper(&mut self, _: &hyper::Error) -> p2::ErrorCode {
        p2::ErrorCode::HttpProtocolError
    }

    fn p3_error_from_hyper(&mut self, _: &hyper::Error) -> p3::ErrorCode {
        p3::ErrorCode::HttpProtocolError
    }
}

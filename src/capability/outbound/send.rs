//! One request of a guest, from its permit to the head of its response.

use super::body::{Download, Upload};
use super::client::{self, Unconnected};
use super::permit::Permit;
use crate::capability::reach::Reach;
use crate::config::Grants;
use crate::http::request::{copy, strip_hop_by_hop};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::capture_connection;
use std::error::Error as StdError;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::sleep;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

/// How long each step may take: what was granted, or less if the guest says so.
pub struct Times {
    connect: Duration,
    first_byte: Duration,
    between_bytes: Duration,
}

impl Times {
    pub fn new(grants: &Grants, options: Option<RequestOptions>) -> Self {
        let options = options.unwrap_or_default();
        let least = |granted: Duration, wanted: Option<Duration>| wanted.map_or(granted, |wanted| wanted.min(granted));
        Self {
            connect: least(grants.timeout_connect, options.connect_timeout),
            first_byte: least(grants.timeout_first_byte, options.first_byte_timeout),
            between_bytes: least(grants.timeout_between_bytes, options.between_bytes_timeout),
        }
    }
}

/// How often a request is sent anew because its connection had ended.
const RETRIES: usize = 3;

pub async fn send(reach: Arc<Reach>, request: Request<WasiBody>, times: Times) -> Result<Response<WasiBody>, Error> {
    let permit = reach.permits.take(times.connect).await.ok_or(Error::ConnectionLimitReached)?;
    let permit = Arc::new(permit);
    for _ in 0..RETRIES {
        let Some(copy) = copy(&request) else { break };
        match attempt(&reach, copy, &times, &permit).await {
            Err(Failed { stale: true, .. }) => {}
            Err(Failed { error, .. }) => return Err(error),
            Ok(response) => return finish(response, permit, &reach.grants, &times),
        }
    }
    let response = attempt(&reach, request, &times, &permit).await.map_err(|failed| failed.error)?;
    finish(response, permit, &reach.grants, &times)
}

/// Why there is no response.
struct Failed {
    error: Error,
    /// The connection was one that had been kept, and ended. The other side may have closed it while the request was on
    /// its way, which happens to everybody who keeps connections.
    stale: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, stale: false }
    }
}

async fn attempt(
    reach: &Reach,
    request: Request<WasiBody>,
    times: &Times,
    permit: &Arc<Permit>,
) -> Result<Response<Incoming>, Failed> {
    let frames = Arc::new(AtomicU64::new(0));
    let mut request = request.map(|body| Upload { body, frames: frames.clone(), permit: Some(permit.clone()) });
    let mut connection = capture_connection(&mut request);
    let mut response = pin!(reach.client.request(request));
    tokio::select! {
        biased;
        early = &mut response => return early.map_err(|error| Failed::from(code(&error))),
        _ = connection.wait_for_connection_metadata() => {}
        () = sleep(times.connect) => return Err(Error::ConnectionTimeout.into()),
    }
    let was_kept = connection.connection_metadata().as_ref().is_some_and(client::was_used);
    loop {
        let sent = frames.load(Relaxed);
        tokio::select! {
            biased;
            response = &mut response => return response.map_err(|error| {
                let error = code(&error);
                let stale = was_kept && matches!(error, Error::HttpResponseIncomplete | Error::ConnectionTerminated);
                Failed { error, stale }
            }),
            // While the request is on its way, nobody can expect a response.
            () = sleep(times.first_byte) => if frames.load(Relaxed) == sent {
                return Err(Error::ConnectionReadTimeout.into());
            }
        }
    }
}

fn finish(
    response: Response<Incoming>,
    permit: Arc<Permit>,
    grants: &Grants,
    times: &Times,
) -> Result<Response<WasiBody>, Error> {
    let (mut head, body) = response.into_parts();
    strip_hop_by_hop(&mut head.headers);
    let body = Download::new(body, permit, grants.response_body, times.between_bytes)?;
    Ok(Response::from_parts(head, body.boxed_unsync()))
}

/// What a guest is told of an error of the client's.
pub fn code(error: &(dyn StdError + 'static)) -> Error {
    if let Some(unconnected) = cause::<Unconnected>(error) {
        return unconnected.code();
    }
    // The guest's own body.
    if let Some(Error::HttpRequestBodySize(size)) = cause(error) {
        return Error::HttpRequestBodySize(*size);
    }
    match cause(error) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            return Error::TlsCertificateError;
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            return Error::TlsAlertReceived {
                alert_id: Some(u8::from(*alert)),
                alert_message: Some(format!("{alert:?}")),
            };
        }
        Some(_) => return Error::TlsProtocolError,
        None => {}
    }
    match cause::<hyper::Error>(error) {
        Some(error) if error.is_parse_too_large() => Error::HttpResponseHeaderSectionSize(None),
        Some(error) if error.is_incomplete_message() => Error::HttpResponseIncomplete,
        Some(error) if error.is_closed() || error.is_canceled() => Error::ConnectionTerminated,
        _ if cause::<io::Error>(error).is_some() => Error::ConnectionTerminated,
        _ => Error::HttpProtocolError,
    }
}

/// The error of this type among an error's causes, those that an `io::Error` wraps included.
fn cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|wrapped| wrapped as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    None
}

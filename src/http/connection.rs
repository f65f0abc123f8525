//! One connection: HTTP/1.1 or HTTP/2 with prior knowledge on the same port, each request to the lane and
//! its answer back.

use super::access::Entry;
use super::body::{self, InFlight, Outgoing};
use super::request::{prepare, strip_hop_by_hop};
use super::response::{self, Answer};
use crate::config::Settings;
use crate::lane::exchange::Exchange;
use crate::lane::{Lane, Outcome, Refusal};
use crate::log;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;
use wasmtime_wasi_http::Error;

static INSTANCE: HeaderName = HeaderName::from_static("x-wasmserve-instance");

/// How long a client may take for a request's head, and stay idle between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// What a client that has just connected gets for its first request when the worker stops.
const FIRST_REQUEST: Duration = Duration::from_millis(500);

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    /// A client, and the address of ours that it connected to.
    Tcp { client: SocketAddr, local: SocketAddr },
    /// Somebody on this machine: clients of a Unix socket have no addresses.
    Unix,
}

impl Peer {
    fn local(self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { local, .. } => Some(local),
            Self::Unix => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { client, .. } => client.fmt(f),
            Self::Unix => f.write_str("unix:"),
        }
    }
}

/// What all connections of a worker share.
pub struct Front {
    lane: Lane,
    settings: Arc<Settings>,
    builder: Builder<TokioExecutor>,
    /// True once connections are to end after what they are doing.
    closing: watch::Sender<bool>,
    open: AtomicUsize,
    failures: AtomicU64,
    /// Makes request ids of this process differ from those of others.
    seed: u32,
}

impl Front {
    pub fn new(lane: Lane, settings: Arc<Settings>) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).keep_alive(!settings.demo);
        builder.http2().timer(TokioTimer::new());
        Self {
            lane,
            settings,
            builder,
            closing: watch::Sender::new(false),
            open: AtomicUsize::new(0),
            failures: AtomicU64::new(0),
            seed: std::process::id() ^ (crate::scoreboard::monotonic_ms() as u32).rotate_left(16),
        }
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Lets every connection end after the requests it is working on.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Takes a new connection.
    pub fn accept<S>(self: &Arc<Self>, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.open.fetch_add(1, Relaxed);
        let open = Open(self.clone());
        tokio::spawn(async move {
            let front = open.0.clone();
            let begun = Arc::new(AtomicBool::new(false));
            let service_begun = begun.clone();
            let service = service_fn(move |request| {
                service_begun.store(true, Relaxed);
                let front = front.clone();
                async move { front.serve(request, peer).await }
            });
            let front = &*open.0;
            let connection = front.builder.serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            let mut closing = front.closing.subscribe();
            let closing = async { closing.wait_for(|closing| *closing).await.is_ok() };
            let result = tokio::select! {
                biased;
                result = connection.as_mut() => Some(result),
                _ = closing => None,
            };
            let result = match result {
                Some(result) => result,
                None => {
                    // One that was just accepted has its first request on the way: closed now, it would be lost.
                    let first = poll_fn(|cx| match connection.as_mut().poll(cx) {
                        Poll::Pending if begun.load(Relaxed) => Poll::Ready(None),
                        polled => polled.map(Some),
                    });
                    match timeout(FIRST_REQUEST, first).await {
                        Ok(Some(result)) => result,
                        Ok(None) | Err(_) => {
                            connection.as_mut().graceful_shutdown();
                            connection.await
                        }
                    }
                }
            };
            if let Err(error) = result {
                tracing::debug!(client = %peer, "the connection ended: {error}");
            }
        });
    }

    async fn serve(&self, mut request: Request<Incoming>, peer: Peer) -> Result<Answer, Infallible> {
        let in_flight = InFlight::new(self.lane.shop().row);
        let mut entry = self.settings.access_log.then(|| {
            Box::new(Entry {
                client: peer,
                method: request.method().clone(),
                target: request.uri().clone(),
                version: request.version(),
                status: 0,
                bytes: 0,
                began: in_flight.began(),
                worker: self.lane.shop().worker,
                instance: 0,
            })
        });
        let answer = match prepare(&mut request, peer.local()) {
            Ok(()) => self.call(request, &mut entry).await,
            Err(rejection) => response::rejection(rejection),
        };
        self.lane.shop().row.requests.fetch_add(1, Relaxed);
        if let Some(entry) = &mut entry {
            entry.status = answer.status().as_u16();
        }
        let in_flight = in_flight.answered(answer.status());
        Ok(answer.map(|body| body.watch(in_flight, entry)))
    }

    async fn call(&self, request: Request<Incoming>, entry: &mut Option<Box<Entry>>) -> Answer {
        let (parts, body) = request.into_parts();
        let head_only = parts.method == Method::HEAD;
        let body = if body.is_end_stream() {
            http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync()
        } else if self.lane.shop().plan.concurrency == 1 {
            // An instance that serves one request at a time is not to wait for a slow upload's beginning.
            match body::read_ahead(body).await {
                Ok(body) => body.map_err(Error::from).boxed_unsync(),
                Err(_) => {
                    return response::rejection(super::request::Rejection {
                        status: StatusCode::BAD_REQUEST,
                        reason: "the request's body is incomplete",
                    });
                }
            }
        } else {
            body.map_err(Error::from).boxed_unsync()
        };
        let reply = match self.lane.push(Request::from_parts(parts, body)) {
            Ok(reply) => reply,
            Err(refusal) => return self.refuse(refusal),
        };
        let exchange = reply.exchange().clone();
        let outcome = reply.await;
        if let Some(entry) = entry {
            entry.instance = exchange.instance();
        }
        let mut answer = match outcome {
            Ok(response) if response.status().is_informational() => {
                let message =
                    format!("its handler answered with the status {}, which is not a final one", response.status());
                exchange.set_delivered();
                self.refuse(Refusal::Error(message))
            }
            outcome => self.deliver(outcome, &exchange, head_only).await,
        };
        if self.settings.identify {
            let shop = self.lane.shop();
            let place = format!("{}/{}/{}", shop.worker, exchange.instance(), shop.generation);
            if let Ok(value) = HeaderValue::try_from(place) {
                answer.headers_mut().insert(INSTANCE.clone(), value);
            }
        }
        answer
    }

    async fn deliver(&self, outcome: Outcome, exchange: &Arc<Exchange>, head_only: bool) -> Answer {
        let (mut parts, body) = match outcome {
            Ok(response) => response.into_parts(),
            Err(refusal) => {
                exchange.set_delivered();
                return self.refuse(refusal);
            }
        };
        // A guest may not say how the connection goes on.
        strip_hop_by_hop(&mut parts.headers);
        match Outgoing::collect(body, exchange.clone(), self.lane.shop()).await {
            Ok(body) if head_only => {
                // The length that a GET would have had (RFC 9110 section 9.3.2), where it is known.
                if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
                    parts.headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
                }
                Answer::from_parts(parts, body.without_content())
            }
            Ok(body) => Answer::from_parts(parts, body),
            Err(error) => {
                exchange.set_delivered();
                self.refuse(Refusal::Error(format!("its response ended early: {error}")))
            }
        }
    }

    fn refuse(&self, refusal: Refusal) -> Answer {
        let (answer, failure) =
            response::refusal(refusal, || format!("{:08x}{:08x}", self.seed, self.failures.fetch_add(1, Relaxed)));
        if let Some((request_id, message)) = failure {
            let shop = self.lane.shop();
            let text = &message[..log::fitting(&message, log::MAX_TEXT - 200)];
            tracing::error!(
                event = "request-failed",
                request_id,
                app = &*shop.app,
                worker = shop.worker,
                "request {request_id} failed: {text}"
            );
        }
        answer
    }
}

/// Counts a connection for as long as it lives.
struct Open(Arc<Front>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

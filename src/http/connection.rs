//! What all connections of a process share; each request to the lane, or to whoever passes it on, and its answer back.

use super::access::Entry;
use super::activity::{Activity, Turn};
use super::body::{InFlight, Outgoing};
use super::bounds;
use super::crowd::Crowd;
use super::delivery::Delivery;
use super::drive;
use super::protocol;
use super::request::{prepare, strip_forwarded, strip_hop_by_hop};
use super::response::{self, Answer};
use super::stall::Streams;
use super::upload::{self, Upload};
use crate::config::{ClientLimits, Settings};
use crate::exit::Failure;
use crate::lane::exchange::Exchange;
use crate::lane::{Lane, Outcome, Refusal};
use crate::log;
use crate::scoreboard::{Board, Row};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, Version};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use std::convert::Infallible;
use std::fmt;
use std::fs::File;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use wasmtime_wasi_http::WasiBody;

static INSTANCE: HeaderName = HeaderName::from_static("x-wasmserve-instance");
/// Who a gateway's client is.
pub static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    /// A client, and the address of ours that it connected to.
    Tcp { client: SocketAddr, local: SocketAddr },
    /// Somebody on this machine: clients of a Unix socket have no addresses.
    Unix,
    /// A client of a gateway, as that has said.
    Forwarded(IpAddr),
}

impl Peer {
    fn local(self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { local, .. } => Some(local),
            Self::Unix | Self::Forwarded(_) => None,
        }
    }

    fn address(self) -> Option<IpAddr> {
        match self {
            Self::Tcp { client, .. } => Some(client.ip()),
            Self::Unix | Self::Forwarded(_) => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { client, .. } => client.fmt(f),
            Self::Unix => f.write_str("unix:"),
            Self::Forwarded(client) => client.fmt(f),
        }
    }
}

/// Marks an answer that another server of ours has given, and logged.
#[derive(Clone)]
pub struct Passed;

/// Passes requests on to other servers.
pub trait Relay: Send + Sync {
    fn relay<'a>(&'a self, request: Request<WasiBody>, peer: Peer)
    -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

    /// Goes on as this file says.
    fn change(&self, table: &File) -> Result<(), Failure>;
}

/// Who answers requests.
enum Backend {
    /// Guests in this process.
    Lane(Lane),
    Relay(Box<dyn Relay>),
}

/// What all connections of a process share.
pub struct Front {
    backend: Backend,
    settings: Arc<Settings>,
    worker: usize,
    row: &'static Row,
    board: Board,
    pub http1: http1::Builder,
    pub http2: http2::Builder<Streams>,
    /// True once connections are to end after what they are doing.
    closing: watch::Sender<bool>,
    pub crowd: Crowd,
    failures: AtomicU64,
    /// Makes request ids of this process differ from those of others.
    seed: u32,
}

impl Front {
    /// In front of this worker's guests.
    pub fn new(lane: Lane, settings: Arc<Settings>, board: Board) -> Self {
        let (worker, row) = (lane.shop().worker, lane.shop().row);
        Self::of(Backend::Lane(lane), settings, worker, row, board)
    }

    /// In front of other servers.
    pub fn relaying(
        relay: Box<dyn Relay>,
        settings: Arc<Settings>,
        worker: usize,
        row: &'static Row,
        board: Board,
    ) -> Self {
        Self::of(Backend::Relay(relay), settings, worker, row, board)
    }

    fn of(backend: Backend, settings: Arc<Settings>, worker: usize, row: &'static Row, board: Board) -> Self {
        Self {
            backend,
            worker,
            row,
            board,
            crowd: Crowd::new(&settings.client),
            http1: protocol::http1(&settings),
            http2: protocol::http2(&settings),
            settings,
            closing: watch::Sender::new(false),
            failures: AtomicU64::new(0),
            seed: std::process::id() ^ (crate::scoreboard::monotonic_ms() as u32).rotate_left(16),
        }
    }

    pub fn limits(&self) -> &ClientLimits {
        &self.settings.client
    }

    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Lets every connection end after the requests it is working on.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Takes a new connection, unless its address has as many as it may have.
    pub fn accept<S>(self: &Arc<Self>, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + AsFd + Unpin + Send + 'static,
    {
        let address = peer.address();
        if self.crowd.enter(address) {
            let open = Open { front: self.clone(), address };
            tokio::spawn(drive::run(open, stream, peer));
        }
    }

    /// Answers a request within its turn on its connection.
    pub async fn serve(
        &self,
        request: Request<Incoming>,
        peer: Peer,
        mut turn: Turn,
    ) -> Result<Response<Delivery>, Infallible> {
        let is_http1 = request.version() <= Version::HTTP_11;
        let is_last = turn.activity().requests() >= self.limits().connection_requests;
        let mut answer = self.answer(request, peer, turn.activity()).await;
        if is_last && is_http1 {
            response::close(&mut answer);
        }
        turn.set_answered();
        Ok(answer.map(|body| Delivery { body, turn }))
    }

    /// Whom a request comes from: behind a gateway, whom that says. Where an app has addresses of its own nobody else is
    /// believed.
    fn client(&self, peer: Peer, headers: &mut HeaderMap) -> Peer {
        let Some(host) = self.settings.host else { return peer };
        if !matches!(peer, Peer::Unix) || !host.trusts_unix {
            strip_forwarded(headers);
            return peer;
        }
        let said = headers.get(&FORWARDED_FOR).and_then(|value| value.to_str().ok()?.parse().ok());
        said.map_or(peer, Peer::Forwarded)
    }

    /// Passes requests on as this file says from now on.
    pub fn relay_as(&self, table: &File) -> Result<(), Failure> {
        match &self.backend {
            Backend::Relay(relay) => relay.change(table),
            Backend::Lane(_) => Err(Failure::internal("a worker was told to be a gateway")),
        }
    }

    /// Screens a request, lets a guest answer it, and counts and logs it.
    async fn answer(&self, mut request: Request<Incoming>, peer: Peer, activity: &Activity) -> Answer {
        let in_flight = InFlight::new(self.row);
        let client = self.client(peer, request.headers_mut());
        let mut entry = self.settings.access_log.then(|| {
            Box::new(Entry {
                client,
                method: request.method().clone(),
                target: request.uri().clone(),
                version: request.version(),
                status: 0,
                bytes: 0,
                began: in_flight.began(),
                worker: self.worker,
                instance: 0,
            })
        });
        let answer = match self.screen(&mut request, peer, activity) {
            None => match &self.backend {
                Backend::Lane(lane) => self.call(lane, request, &mut entry).await,
                Backend::Relay(relay) => self.relay(&**relay, request, peer).await,
            },
            Some(answer) => answer,
        };
        if answer.headers().contains_key(CONNECTION) {
            activity.set_refused();
        }
        self.row.requests.fetch_add(1, Relaxed);
        entry = entry.filter(|_| answer.extensions().get::<Passed>().is_none());
        if let Some(entry) = &mut entry {
            entry.status = answer.status().as_u16();
        }
        let in_flight = in_flight.answered(answer.status());
        answer.map(|body| body.watch(in_flight, entry))
    }

    /// The answer for a request that no guest is to see.
    fn screen(&self, request: &mut Request<Incoming>, peer: Peer, activity: &Activity) -> Option<Answer> {
        if activity.is_line_too_long() {
            return Some(response::rejection(bounds::uri_too_long()));
        }
        let screened = bounds::check(request, self.limits()).and_then(|()| prepare(request, peer.local()));
        if let Err(rejection) = screened {
            return Some(response::rejection(rejection));
        }
        if self.limits().concurrency.is_some_and(|most| self.board.in_flight() > most.get()) {
            return Some(response::unavailable(Duration::from_secs(1)));
        }
        let too_many = self.limits().requests_per_second.is_some_and(|rate| !self.board.admit(rate));
        too_many.then(response::too_many)
    }

    async fn relay(&self, relay: &dyn Relay, request: Request<Incoming>, peer: Peer) -> Answer {
        let mut fault = None;
        let request = request.map(|body| {
            if body.is_end_stream() {
                return empty();
            }
            let upload = Upload::new(body, self.limits());
            fault = Some(upload.fault());
            upload.boxed_unsync()
        });
        let mut answer = relay.relay(request, peer);
        poll_fn(|cx| match fault.as_ref().map(|fault| fault.poll_status(cx)) {
            Some(Poll::Ready(status)) => Poll::Ready(response::rejection(upload::rejection(status))),
            _ => answer.as_mut().poll(cx),
        })
        .await
    }

    async fn call(&self, lane: &Lane, request: Request<Incoming>, entry: &mut Option<Box<Entry>>) -> Answer {
        let (parts, body) = request.into_parts();
        let head_only = parts.method == Method::HEAD;
        let mut fault = None;
        let body = if body.is_end_stream() {
            empty()
        } else {
            let upload = Upload::new(body, self.limits());
            let fault = fault.insert(upload.fault());
            if lane.shop().plan.concurrency == 1 {
                // An instance that serves one request at a time is not to wait for a slow upload's beginning.
                match upload::read_ahead(upload).await {
                    Ok(body) => body.boxed_unsync(),
                    Err(_) => return response::rejection(upload::rejection(fault.status())),
                }
            } else {
                upload.boxed_unsync()
            }
        };
        let mut reply = match lane.push(Request::from_parts(parts, body)) {
            Ok(reply) => reply,
            Err(refusal) => return self.refuse(refusal),
        };
        let exchange = reply.exchange().clone();
        let outcome = poll_fn(|cx| match fault.as_ref().map(|fault| fault.poll_status(cx)) {
            // What a guest makes of half a request is not wanted.
            Some(Poll::Ready(status)) => Poll::Ready(Err(status)),
            _ => Pin::new(&mut reply).poll(cx).map(Ok),
        });
        let outcome = outcome.await;
        if let Some(entry) = entry {
            entry.instance = exchange.instance();
        }
        let mut answer = match outcome {
            Err(status) => response::rejection(upload::rejection(status)),
            Ok(Ok(response)) if response.status().is_informational() => {
                let message =
                    format!("its handler answered with the status {}, which is not a final one", response.status());
                exchange.set_delivered();
                self.refuse(Refusal::Error(message))
            }
            Ok(outcome) => self.deliver(lane, outcome, &exchange, head_only).await,
        };
        if self.settings.identify {
            let shop = lane.shop();
            let place = format!("{}/{}/{}", shop.worker, exchange.instance(), shop.generation);
            if let Ok(value) = HeaderValue::try_from(place) {
                answer.headers_mut().insert(INSTANCE.clone(), value);
            }
        }
        answer
    }

    async fn deliver(&self, lane: &Lane, outcome: Outcome, exchange: &Arc<Exchange>, head_only: bool) -> Answer {
        let (mut parts, body) = match outcome {
            Ok(response) => response.into_parts(),
            Err(refusal) => {
                exchange.set_delivered();
                return self.refuse(refusal);
            }
        };
        // A guest may not say how the connection goes on.
        strip_hop_by_hop(&mut parts.headers);
        match Outgoing::collect(body, exchange.clone(), lane.shop()).await {
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
            let text = &message[..log::fitting(&message, log::MAX_TEXT - 200)];
            tracing::error!(
                event = "request-failed",
                request_id,
                app = self.settings.app,
                worker = self.worker,
                "request {request_id} failed: {text}"
            );
        }
        answer
    }
}

fn empty() -> WasiBody {
    http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Counts a connection for as long as it lives.
pub struct Open {
    pub front: Arc<Front>,
    address: Option<IpAddr>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.front.crowd.leave(self.address);
    }
}

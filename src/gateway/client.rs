//! Connections to the server of an app, kept for further requests. A connection has no task of its own: whoever waits
//! for its answer drives it, and no other task has to be woken for that. While it is kept nobody does.

use crate::http::request::copy;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};
use tokio::net::UnixStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::coop::unconstrained;
use wasmtime_wasi_http::{Error, WasiBody};

/// A connection that was not used for this long is closed, well before an idle app closes it itself.
pub const IDLE: Duration = Duration::from_secs(5);
const KEPT: usize = 256;
/// How often a request is sent anew because its kept connection had ended.
const RETRIES: usize = 3;

/// The connections to one app that nobody uses just now, the latest last.
pub struct Pool {
    path: PathBuf,
    kept: Mutex<Vec<(Box<Link>, Instant)>>,
}

struct Link {
    sender: SendRequest<WasiBody>,
    /// None once it has ended.
    connection: Option<Connection<TokioIo<UnixStream>, WasiBody>>,
}

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Connect(#[from] io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
}

impl Pool {
    pub fn new(path: PathBuf) -> Self {
        Self { path, kept: Mutex::default() }
    }

    /// A request whose kept connection has just been closed is sent anew, if it may be.
    pub async fn send(
        self: &Arc<Self>,
        mut request: Request<WasiBody>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response<Passing>, Failure> {
        for _ in 0..RETRIES {
            let Some((link, _)) = self.kept().pop() else { break };
            let copy = copy(&request);
            match self.attempt(link, request).await {
                Ok((response, link)) => return Ok(self.passing(response, link, permit)),
                Err(mut error) => {
                    // The others have most likely ended with it.
                    self.kept().clear();
                    match error.take_message().or(copy) {
                        Some(again) => request = again,
                        None => return Err(error.into_error().into()),
                    }
                }
            }
        }
        let io = TokioIo::new(UnixStream::connect(&self.path).await?);
        let (sender, connection) = handshake(io).await?;
        let link = Box::new(Link { sender, connection: Some(connection) });
        let (response, link) = self.attempt(link, request).await.map_err(TrySendError::into_error)?;
        Ok(self.passing(response, link, permit))
    }

    /// The response's head, and the connection unless it has been put back: then all of the body has come.
    async fn attempt(
        &self,
        mut link: Box<Link>,
        request: Request<WasiBody>,
    ) -> Result<(Response<Incoming>, Option<Box<Link>>), TrySendError<Request<WasiBody>>> {
        // It is there once the connection has got it, so that it need not wake anybody. Nor may it wait for its turn.
        let mut answer = pin!(unconstrained(link.sender.try_send_request(request)));
        let connection = &mut link.connection;
        let response = poll_fn(|cx| {
            drive(connection, cx);
            answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        });
        let response = response.await?;
        Ok((response, self.keep(link)))
    }

    fn passing(
        self: &Arc<Self>,
        response: Response<Incoming>,
        link: Option<Box<Link>>,
        permit: OwnedSemaphorePermit,
    ) -> Response<Passing> {
        let link = link.map(|link| (link, self.clone()));
        response.map(|body| Passing { body, link, _permit: permit })
    }

    /// Keeps a connection that is through with its request, and gives back one that is not.
    fn keep(&self, mut link: Box<Link>) -> Option<Box<Link>> {
        if !link.sender.is_ready() {
            return Some(link);
        }
        // Whoever has driven it so far is not to be woken for what others do with it.
        drive(&mut link.connection, &mut Context::from_waker(Waker::noop()));
        let mut kept = self.kept();
        if link.connection.is_some() && kept.len() < KEPT {
            kept.push((link, Instant::now()));
        }
        None
    }

    /// Closes what was not used for long.
    pub fn tidy(&self) {
        self.kept().retain(|(_, since)| since.elapsed() < IDLE);
    }

    fn kept(&self) -> MutexGuard<'_, Vec<(Box<Link>, Instant)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets a connection do what it can. Its failures are told with the answer or the body.
fn drive(connection: &mut Option<Connection<TokioIo<UnixStream>, WasiBody>>, cx: &mut Context<'_>) {
    if connection.as_mut().is_some_and(|connection| Pin::new(connection).poll(cx).is_ready()) {
        *connection = None;
    }
}

/// The body of an app's response on its way.
pub struct Passing {
    body: Incoming,
    /// The connection that it comes from, while there is more to come.
    link: Option<(Box<Link>, Arc<Pool>)>,
    /// The request is under way until its response has passed.
    _permit: OwnedSemaphorePermit,
}

impl Body for Passing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some((link, _)) = &mut self.link {
            drive(&mut link.connection, cx);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(|_| Error::ConnectionTerminated)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if let Some((link, pool)) = self.link.take() {
            pool.keep(link);
        }
    }
}

//! A request's body on its way to the guest: bounded in size and in the time that its client may take, and its
//! beginning read before a sync instance is taken.

use super::bounds;
use super::request::Rejection;
use crate::config::ClientLimits;
use bytes::{Bytes, BytesMut};
use futures::task::AtomicWaker;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};
use wasmtime_wasi_http::Error;

/// How much of a request's body is read before it takes a sync instance, in bytes.
pub const READ_AHEAD: usize = 64 * 1024;

/// What a client did wrong with a body, told to whoever waits for the answer: the guest's is not wanted any more.
#[derive(Default)]
pub struct Fault {
    /// 0 is none.
    status: AtomicU16,
    waiting: AtomicWaker,
}

impl Fault {
    fn set(&self, status: StatusCode) {
        self.status.store(status.as_u16(), Relaxed);
        self.waiting.wake();
    }

    fn is_set(&self) -> bool {
        self.status.load(Relaxed) > 0
    }

    /// The status that the client is to get.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status.load(Relaxed)).unwrap_or(StatusCode::BAD_REQUEST)
    }

    pub fn poll_status(&self, cx: &mut Context<'_>) -> Poll<StatusCode> {
        self.waiting.register(cx.waker());
        if self.is_set() { Poll::Ready(self.status()) } else { Poll::Pending }
    }
}

pub fn rejection(status: StatusCode) -> Rejection {
    let reason = match status {
        StatusCode::REQUEST_TIMEOUT => "the request's body did not come in time",
        StatusCode::PAYLOAD_TOO_LARGE => "the request's body is too large",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "the request's trailers are too large",
        _ => "the request's body is incomplete or malformed",
    };
    Rejection { status, reason }
}

/// A body within its limits. What ends it otherwise is an error: nobody is to take the beginning for the whole.
pub struct Upload<B> {
    body: B,
    /// Bytes that may still come.
    left: u64,
    max_trailers: (usize, usize),
    limit: Duration,
    /// Runs while the guest waits for the client.
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
    fault: Arc<Fault>,
}

impl<B> Upload<B> {
    pub fn new(body: B, limits: &ClientLimits) -> Self {
        Self {
            body,
            left: limits.request_body,
            max_trailers: (limits.request_fields, limits.request_header_size),
            limit: limits.body,
            timer: None,
            is_waiting: false,
            fault: Arc::default(),
        }
    }

    pub fn fault(&self) -> Arc<Fault> {
        self.fault.clone()
    }

    fn fail(&mut self, status: StatusCode, error: Error) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.fault.set(status);
        Poll::Ready(Some(Err(error)))
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(self.limit)));
        if !self.is_waiting {
            self.is_waiting = true;
            timer.as_mut().reset(Instant::now() + self.limit);
        }
        timer.as_mut().poll(cx)
    }

    fn trailers_fit(&self, trailers: &HeaderMap) -> bool {
        let (fields, bytes) = self.max_trailers;
        trailers.len() <= fields && bounds::size(trailers) <= bytes
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Upload<B>
where
    Error: From<B::Error>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if this.fault.is_set() {
            return Poll::Ready(Some(Err(Error::ConnectionTerminated)));
        }
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            return match this.poll_late(cx) {
                Poll::Ready(()) => this.fail(StatusCode::REQUEST_TIMEOUT, Error::ConnectionReadTimeout),
                Poll::Pending => Poll::Pending,
            };
        };
        this.is_waiting = false;
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return this.fail(StatusCode::BAD_REQUEST, error.into()),
            None => return Poll::Ready(None),
        };
        if let Some(trailers) = frame.trailers_ref().filter(|trailers| !this.trailers_fit(trailers)) {
            let size = u32::try_from(bounds::size(trailers)).ok();
            let error = Error::HttpRequestTrailerSectionSize(size);
            return this.fail(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, error);
        }
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        let Some(left) = this.left.checked_sub(length) else {
            return this.fail(StatusCode::PAYLOAD_TOO_LARGE, Error::HttpRequestBodySize(None));
        };
        this.left = left;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body whose first frames have been read already.
pub struct Begun<B> {
    pub frames: VecDeque<Frame<Bytes>>,
    pub rest: Option<B>,
}

/// Reads the body up to its end or `READ_AHEAD`, whichever is first: a slow upload holds no instance for that.
pub async fn read_ahead<B>(mut body: B) -> Result<Begun<B>, B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut frames = VecDeque::new();
    let mut more = BytesMut::new();
    let mut length = 0;
    let mut ended = body.is_end_stream();
    while length < READ_AHEAD && !ended {
        let Some(frame) = body.frame().await.transpose()? else {
            ended = true;
            break;
        };
        match frame.into_data() {
            Ok(data) => {
                length += data.len();
                // Many small pieces would take many times their size.
                if frames.is_empty() { frames.push_back(Frame::data(data)) } else { more.extend_from_slice(&data) }
            }
            Err(frame) => {
                flush(&mut frames, &mut more);
                frames.push_back(frame);
            }
        }
        ended = body.is_end_stream();
    }
    flush(&mut frames, &mut more);
    Ok(Begun { frames, rest: (!ended).then_some(body) })
}

fn flush(frames: &mut VecDeque<Frame<Bytes>>, more: &mut BytesMut) {
    if !more.is_empty() {
        frames.push_back(Frame::data(more.split().freeze()));
    }
}

impl<B> Begun<B> {
    fn length(&self) -> u64 {
        self.frames.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum()
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Begun<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let begun = self.length();
        let rest = self.rest.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(begun + rest.lower());
        // With an exact length there would be a Content-Length and, over HTTP/1, no place for trailers.
        let has_trailers = self.frames.iter().any(Frame::is_trailers);
        if let Some(upper) = rest.upper().filter(|_| !has_trailers) {
            hint.set_upper(begun + upper);
        }
        hint
    }
}

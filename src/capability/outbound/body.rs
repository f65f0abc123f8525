//! Bodies on their way: of requests, whose progress is seen, and of responses, which have limits.

use super::permit::Permit;
use super::send;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;
use wasmtime_wasi_http::{Error, WasiBody};

/// The body of a guest's request. With it goes the request's permit: it may be on its way for longer than the response.
pub struct Upload {
    pub body: WasiBody,
    /// Frames sent so far.
    pub frames: Arc<AtomicU64>,
    pub permit: Option<Arc<Permit>>,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(_))) => drop(self.frames.fetch_add(1, Relaxed)),
            Poll::Ready(_) => self.permit = None,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response to a guest.
pub struct Download {
    body: Incoming,
    permit: Option<Arc<Permit>>,
    limit: u64,
    taken: u64,
    between_bytes: Duration,
    /// Runs while the guest waits for a frame.
    timer: Pin<Box<Sleep>>,
    waits: bool,
}

impl Download {
    pub fn new(body: Incoming, permit: Arc<Permit>, limit: u64, between_bytes: Duration) -> Result<Self, Error> {
        if body.size_hint().lower() > limit {
            return Err(Error::HttpResponseBodySize(Some(body.size_hint().lower())));
        }
        let permit = Some(permit).filter(|_| !body.is_end_stream());
        let timer = Box::pin(tokio::time::sleep(between_bytes));
        Ok(Self { body, permit, limit, taken: 0, between_bytes, timer, waits: false })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Poll::Ready(polled) = Pin::new(&mut self.body).poll_frame(cx) else {
            if !self.waits {
                self.waits = true;
                self.timer.as_mut().reset((Instant::now() + self.between_bytes).into());
            }
            return self.timer.as_mut().poll(cx).map(|()| Some(Err(Error::ConnectionReadTimeout)));
        };
        self.waits = false;
        Poll::Ready(polled.map(|frame| {
            let frame = frame.map_err(|error| send::code(&error))?;
            self.taken = self.taken.saturating_add(frame.data_ref().map_or(0, |data| data.len() as u64));
            if self.taken > self.limit {
                return Err(Error::HttpResponseBodySize(Some(self.taken)));
            }
            Ok(frame)
        }))
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = self.poll(cx);
        let goes_on = matches!(polled, Poll::Pending | Poll::Ready(Some(Ok(_))));
        if !goes_on || self.body.is_end_stream() {
            self.permit = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

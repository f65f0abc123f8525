//! A response's body on its way to the client: counted and logged as it passes.

use super::access::Entry;
use super::flow::Flow;
use super::upload::{Begun, READ_AHEAD};
use crate::lane::exchange::Exchange;
use crate::lane::queue::Shop;
use crate::scoreboard::{BUCKETS, Row};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use wasmtime_wasi_http::{Error, WasiBody};

/// A response's body: complete already, or still produced by the guest.
pub struct Outgoing {
    content: Content,
    /// Tells the instance when the body has been passed on.
    exchange: Option<Arc<Exchange>>,
    entry: Option<Box<Entry>>,
    in_flight: Option<InFlight>,
}

/// A request from its head to the end of its response; then it is counted.
pub struct InFlight {
    row: &'static Row,
    began: Instant,
    /// None if the client left before there was an answer.
    status: Option<StatusCode>,
}

impl InFlight {
    pub fn new(row: &'static Row) -> Self {
        row.in_flight.fetch_add(1, Relaxed);
        Self { row, began: Instant::now(), status: None }
    }

    pub fn began(&self) -> Instant {
        self.began
    }

    pub fn answered(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.row.in_flight.fetch_sub(1, Relaxed);
        if let Some(status) = self.status {
            count(self.row, status, self.began.elapsed());
        }
    }
}

fn count(row: &Row, status: StatusCode, took: Duration) {
    // A status beyond 599 means what 500 does to whoever does not know it (RFC 9110 section 15).
    let class = usize::from(status.as_u16() / 100).min(row.responses.len());
    row.responses[class - 1].fetch_add(1, Relaxed);
    let micros = took.as_micros() as u64;
    row.latency[bucket(micros)].fetch_add(1, Relaxed);
    row.latency_sum.fetch_add(micros, Relaxed);
}

/// The place in the latency histogram: the first whose upper bound is not exceeded, or the one beyond all.
fn bucket(micros: u64) -> usize {
    BUCKETS.partition_point(|bound| *bound < micros)
}

enum Content {
    Whole {
        data: Option<Bytes>,
        trailers: Option<Box<HeaderMap>>,
    },
    Limited(Box<Limited>),
    /// Of another server's.
    Relayed(WasiBody),
}

/// A body that the guest still produces, within its limits.
struct Limited {
    body: Begun<WasiBody>,
    flow: Flow,
    app: Arc<str>,
    worker: usize,
}

impl Limited {
    fn poll_frame(&mut self, cx: &mut Context<'_>, exchange: &Exchange) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let excess = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => ready!(self.flow.poll_excess(cx)),
            Poll::Ready(Some(Ok(frame))) => match self.flow.passed(frame.data_ref().map_or(0, Bytes::len)) {
                Ok(()) => return Poll::Ready(Some(Ok(frame))),
                Err(excess) => excess,
            },
            ended => return ended,
        };
        let (app, worker, instance, option) = (&*self.app, self.worker, exchange.instance(), excess.option());
        exchange.cut(option);
        tracing::error!(
            event = "response-cut",
            app,
            worker,
            instance,
            option,
            "a response of instance {instance} of worker {worker} ends before it is complete: it goes beyond {option}"
        );
        Poll::Ready(Some(Err(Error::ConnectionTerminated)))
    }
}

impl Outgoing {
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::complete(bytes.into(), None)
    }

    fn complete(bytes: Bytes, trailers: Option<Box<HeaderMap>>) -> Self {
        let data = Some(bytes).filter(|bytes| !bytes.is_empty());
        Self { content: Content::Whole { data, trailers }, exchange: None, entry: None, in_flight: None }
    }

    /// As another server sends it.
    pub fn relayed(body: WasiBody) -> Self {
        Self { content: Content::Relayed(body), exchange: None, entry: None, in_flight: None }
    }

    /// For a HEAD request: nobody wants the content, and its sender may finish in peace.
    pub fn without_content(mut self) -> Self {
        if let Some(exchange) = self.exchange.take() {
            exchange.set_delivered();
        }
        self.content = Content::Whole { data: None, trailers: None };
        self
    }

    /// Counts and logs the request when its response is over.
    pub fn watch(mut self, in_flight: InFlight, entry: Option<Box<Entry>>) -> Self {
        self.in_flight = Some(in_flight);
        self.entry = entry;
        self
    }

    /// Takes what the guest produces at once: a body that is complete then goes out with its head in one write
    /// and gets a Content-Length. An error means that the guest ended before anything was sent.
    pub async fn collect(mut body: WasiBody, exchange: Arc<Exchange>, shop: &Shop) -> Result<Self, Error> {
        let limits = &shop.settings.guest;
        // The client may leave while this waits.
        let mut waiting = Self::whole(Bytes::new());
        waiting.exchange = Some(exchange.clone());
        let mut frames = VecDeque::new();
        let mut length = 0;
        let complete = poll_fn(|cx| {
            while length < READ_AHEAD {
                match Pin::new(&mut body).poll_frame(cx) {
                    Poll::Pending if exchange.is_more_to_come(cx.waker()) => return Poll::Pending,
                    Poll::Pending => break,
                    Poll::Ready(None) if exchange.is_broken() => return Poll::Ready(Err(Error::ConnectionTerminated)),
                    Poll::Ready(None) => return Poll::Ready(Ok(true)),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(Some(Ok(frame))) => {
                        length += frame.data_ref().map_or(0, Bytes::len);
                        if length as u64 > limits.response_body {
                            return Poll::Ready(Err(Error::HttpResponseBodySize(Some(length as u64))));
                        }
                        frames.push_back(frame);
                    }
                }
            }
            Poll::Ready(Ok(false))
        });
        let complete = complete.await;
        waiting.exchange = None;
        if !complete? {
            let body = Begun { frames, rest: Some(body) };
            let flow = Flow::new(limits, exchange.began());
            let (app, worker) = (shop.app.clone(), shop.worker);
            return Ok(Self {
                content: Content::Limited(Box::new(Limited { body, flow, app, worker })),
                exchange: Some(exchange),
                entry: None,
                in_flight: None,
            });
        }
        exchange.set_delivered();
        let trailers = frames.pop_back_if(|frame| frame.is_trailers()).and_then(|frame| frame.into_trailers().ok());
        Ok(Self::complete(concatenate(frames), trailers.map(Box::new)))
    }
}

fn concatenate(mut frames: VecDeque<Frame<Bytes>>) -> Bytes {
    let first = frames.pop_front().and_then(|frame| frame.into_data().ok()).unwrap_or_default();
    if frames.is_empty() {
        return first;
    }
    let mut all = Vec::from(first);
    for data in frames.into_iter().filter_map(|frame| frame.into_data().ok()) {
        all.extend_from_slice(&data);
    }
    all.into()
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let frame = match &mut this.content {
            Content::Whole { data, trailers } => {
                let data = data.take().map(Frame::data);
                data.or_else(|| trailers.take().map(|trailers| Frame::trailers(*trailers))).map(Ok)
            }
            Content::Limited(limited) => match &this.exchange {
                Some(exchange) => ready!(limited.poll_frame(cx, exchange)),
                // It has ended.
                None => None,
            },
            Content::Relayed(body) => ready!(Pin::new(body).poll_frame(cx)),
        };
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(entry), Some(data)) = (&mut this.entry, frame.data_ref()) {
                    entry.bytes += data.len() as u64;
                }
            }
            // The guest's end of the body is gone with its instance: this is not the end of the message.
            None if this.exchange.as_ref().is_some_and(|exchange| exchange.is_broken()) => {
                return Poll::Ready(Some(Err(Error::ConnectionTerminated)));
            }
            Some(Err(_)) | None => {
                if let Some(exchange) = this.exchange.take() {
                    exchange.set_delivered();
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole { data, trailers } => data.is_none() && trailers.is_none(),
            // Only its end tells whether the instance lived to see it.
            Content::Limited(_) => false,
            Content::Relayed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole { data, trailers } => {
                let length = data.as_ref().map_or(0, Bytes::len) as u64;
                match trailers {
                    None => SizeHint::with_exact(length),
                    // With a length known in advance HTTP/1.1 would leave no place for trailers.
                    Some(_) => SizeHint::default(),
                }
            }
            Content::Limited(limited) => limited.body.size_hint(),
            Content::Relayed(body) => body.size_hint(),
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.abandon();
        }
        if let Some(entry) = self.entry.take() {
            entry.log();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_not_above_its_bound() {
        assert_eq!(bucket(0), 0);
        for (at, bound) in BUCKETS.into_iter().enumerate() {
            assert_eq!((bucket(bound), bucket(bound + 1)), (at, at + 1));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS.len());
    }

    #[test]
    fn a_request_is_counted_by_its_class_and_time_when_it_is_over() {
        let rows = crate::scoreboard::new(1).unwrap();
        let row = &rows[0];
        drop(InFlight::new(row));
        assert_eq!(row.latency_sum.load(Relaxed), 0, "it had no answer");
        for status in [200, 404, 503, 999] {
            count(row, StatusCode::from_u16(status).unwrap(), Duration::from_micros(1200));
        }
        let responses: Vec<_> = row.responses.iter().map(|class| class.load(Relaxed)).collect();
        assert_eq!(responses, [0, 1, 0, 1, 2]);
        assert_eq!((row.latency[bucket(1200)].load(Relaxed), row.latency_sum.load(Relaxed)), (4, 4800));
        let in_flight = InFlight::new(row).answered(StatusCode::OK);
        assert_eq!(row.in_flight.load(Relaxed), 1);
        drop(in_flight);
        assert_eq!((row.in_flight.load(Relaxed), row.responses[1].load(Relaxed)), (0, 2));
    }
}

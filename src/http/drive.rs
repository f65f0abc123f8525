//! A connection from its first byte to its end: which protocol it speaks, how long its client may take, when it closes.

use super::activity::{Activity, Turn, Waiting};
use super::connection::{Front, Open, Peer};
use super::stall;
use super::stream::{ClientStream, Protocol};
use crate::config::ClientLimits;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulConnection;
use socket2::SockRef;
use std::future::poll_fn;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep, timeout};

/// What a client that has just connected gets for its first request when the worker stops.
const FIRST_REQUEST: Duration = Duration::from_millis(500);
/// How long a refused client may go on sending: a socket closed with bytes unread is reset, and the answer may be
/// lost with it.
const LINGER: Duration = Duration::from_secs(1);
/// How long a connection that floods is kept unread before it ends: whoever comes again at once would flood on.
const FLOOD_PAUSE: Duration = Duration::from_secs(1);
/// Requests of a connection that its client may give up, besides half of all.
const MAX_CANCELLED: u64 = 100;

const REQUEST_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// How a connection came to its end.
#[derive(Debug)]
enum End {
    Done,
    Failed(hyper::Error),
    /// The client did not do in time what it was to do.
    Late(Waiting),
    /// The client gave up too many requests, or sent too much that is none.
    Flood,
}

// What idles keeps all of this: a connection's task fits an allocation of 2,048 bytes, and only just.
pub async fn run<S>(open: Open, stream: S, peer: Peer)
where
    S: AsyncRead + AsyncWrite + AsFd + Unpin + Send + 'static,
{
    let front = &open.front;
    let activity = Arc::new(Activity::default());
    let mut stream = ClientStream::new(stream, activity.clone());
    let end = match begin(front, &mut stream).await {
        Some((Protocol::Http1, since)) => http1(front, stream, activity, &peer, since).await,
        // Large, and not to be paid for by connections of the other kind.
        Some((Protocol::Http2, _)) => Box::pin(http2(front, stream, activity, peer)).await,
        None => return,
    };
    if !matches!(end, End::Done) {
        tracing::debug!(client = %peer, "the connection ended: {end:?}");
    }
}

/// The client's protocol, and when its first byte came.
async fn begin<S>(front: &Front, stream: &mut ClientStream<S>) -> Option<(Protocol, Instant)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut begin = pin!(stream.begin(front.limits()));
    tokio::select! {
        biased;
        begun = begin.as_mut() => begun,
        // One that was just accepted has its first request on the way: closed now, it would be lost.
        _ = closed(front.closing()) => timeout(FIRST_REQUEST, begin).await.ok()?,
    }
}

async fn http1<S>(
    front: &Arc<Front>,
    stream: ClientStream<S>,
    activity: Arc<Activity>,
    peer: &Peer,
    since: Instant,
) -> End
where
    S: AsyncRead + AsyncWrite + AsFd + Unpin + Send + 'static,
{
    let service = |request| {
        let turn = Turn::begin(activity.clone());
        let front = front.clone();
        async move { front.serve(request, *peer, turn).await }
    };
    let watch = Watch { limits: front.limits(), is_http2: false, waiting: Waiting::Head(0), since, cutoff: None };
    let mut connection = front.http1.serve_connection(TokioIo::new(stream), service_fn(service));
    let end = drive(front, Pin::new(&mut connection), &activity, watch).await;
    let stream = connection.into_parts().io.into_inner();
    match &end {
        End::Late(Waiting::Write(_)) => reset(&stream.into_inner()),
        End::Late(Waiting::Head(_)) => linger(stream, REQUEST_TIMEOUT).await,
        End::Failed(error) if error.is_parse() => linger(stream, b"").await,
        End::Done if activity.is_refused() => linger(stream, b"").await,
        _ => {}
    }
    end
}

async fn http2<S>(front: &Arc<Front>, stream: ClientStream<S>, activity: Arc<Activity>, peer: Peer) -> End
where
    S: AsyncRead + AsyncWrite + AsFd + Unpin + Send + 'static,
{
    let service = |request: http::Request<Incoming>| {
        let turn = Turn::begin(activity.clone());
        let front = front.clone();
        async move {
            let mut answer = pin!(front.serve(request, peer, turn));
            poll_fn(|cx| stall::note(answer.as_mut().poll(cx))).await
        }
    };
    let watch = Watch {
        limits: front.limits(),
        is_http2: true,
        waiting: Waiting::Idle(0),
        since: Instant::now(),
        cutoff: None,
    };
    let mut connection = pin!(front.http2.serve_connection(TokioIo::new(stream), service_fn(service)));
    let end = drive(front, connection.as_mut(), &activity, watch).await;
    if activity.is_flood() {
        let _ = timeout(FLOOD_PAUSE, closed(front.closing())).await;
    }
    end
}

/// Gives up a socket with what is still to be sent, which the kernel would keep for minutes otherwise.
fn reset(stream: &impl AsFd) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Says a last word, and reads what a refused client is still sending.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: ClientStream<S>, word: &[u8]) {
    if stream.has_ended() {
        return;
    }
    let _ = Box::pin(timeout(LINGER, async {
        stream.write_all(word).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.into_inner(), &mut tokio::io::sink()).await
    }))
    .await;
}

/// Resolves when connections are to close.
async fn closed(mut closing: watch::Receiver<bool>) {
    // An error would mean that the front is gone, and with it all of its connections.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// Drives a connection within its client's limits until it ends.
async fn drive<C>(front: &Front, mut connection: Pin<&mut C>, activity: &Activity, mut watch: Watch<'_>) -> End
where
    C: GracefulConnection<Error = hyper::Error> + Future<Output = Result<(), hyper::Error>>,
{
    let mut timer = pin!(sleep(watch.limits.header));
    let mut closing = pin!(closed(front.closing()));
    let mut close = Close::Not;
    loop {
        let event = poll_fn(|cx| {
            let polled = connection.as_mut().poll(cx);
            if activity.is_flood() {
                return Poll::Ready(Event::End(End::Flood));
            }
            if let Poll::Ready(result) = polled {
                return Poll::Ready(Event::End(result.map_or_else(End::Failed, |()| End::Done)));
            }
            if activity.cancelled() > MAX_CANCELLED + activity.requests() / 2 {
                return Poll::Ready(Event::End(End::Flood));
            }
            let is_over = match close {
                Close::Not if closing.as_mut().poll(cx).is_ready() => return Poll::Ready(Event::Stop),
                Close::Not => activity.requests() >= watch.limits.connection_requests,
                Close::AfterFirst => activity.requests() > 0,
                Close::Begun => false,
            };
            if is_over {
                return Poll::Ready(Event::Over);
            }
            watch.poll_late(timer.as_mut(), activity, cx).map(Event::Late)
        });
        match event.await {
            Event::End(end) => return end,
            // One that was just accepted has its first request on the way: closed now, it would be lost.
            Event::Stop if activity.requests() == 0 => {
                close = Close::AfterFirst;
                watch.cutoff = Some(Instant::now() + FIRST_REQUEST);
            }
            Event::Late(waiting) if close == Close::Begun || !watch.says_goodbye(close) => return End::Late(waiting),
            Event::Stop | Event::Over | Event::Late(_) => {
                close = Close::Begun;
                watch.cutoff = watch.is_http2.then(|| Instant::now() + watch.limits.write);
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

enum Event {
    End(End),
    Late(Waiting),
    /// The worker stops.
    Stop,
    /// The connection has had what it may have.
    Over,
}

#[derive(Clone, Copy, PartialEq)]
enum Close {
    Not,
    /// The worker stops, but a first request may be on its way.
    AfterFirst,
    Begun,
}

/// The deadline of whatever the client is to do now. One timer is enough for all of them, and it is only ever set to
/// an earlier time: for most requests it is not touched, and one that fires too early is set again.
struct Watch<'a> {
    limits: &'a ClientLimits,
    is_http2: bool,
    waiting: Waiting,
    since: Instant,
    /// However long that may take, it ends here.
    cutoff: Option<Instant>,
}

impl Watch<'_> {
    /// Whether a client that is late is told before its connection ends.
    fn says_goodbye(&self, close: Close) -> bool {
        close == Close::AfterFirst || self.is_http2 && matches!(self.waiting, Waiting::Idle(_))
    }

    fn poll_late(&mut self, mut timer: Pin<&mut Sleep>, activity: &Activity, cx: &mut Context<'_>) -> Poll<Waiting> {
        if self.is_http2 {
            activity.register_owner(cx.waker());
        }
        let Some(deadline) = self.deadline(activity.waiting()) else { return Poll::Pending };
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(self.waiting);
            }
            timer.as_mut().reset(deadline);
        }
    }

    fn deadline(&mut self, waiting: Waiting) -> Option<Instant> {
        let limit = match waiting {
            Waiting::Write(_) => self.limits.write,
            Waiting::Head(_) => self.limits.header,
            Waiting::Idle(_) => self.limits.keep_alive,
            Waiting::Nothing => return None,
        };
        if waiting != self.waiting {
            (self.waiting, self.since) = (waiting, Instant::now());
        }
        let deadline = self.since + limit;
        Some(self.cutoff.map_or(deadline, |cutoff| cutoff.min(deadline)))
    }
}

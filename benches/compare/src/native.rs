//! The limit: the guests' answers from native code, on a runtime and a hyper configured as in a worker of
//! wasmserve (`src/http/connection.rs` and `src/worker/boot.rs` there: what changes in them changes here).

use anyhow::{Context, Result};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket};

/// As the testbed's: how much of a body is made at a time.
const PIECE: usize = 64 * 1024;
static PATTERN: [u8; PIECE] = [b'x'; PIECE];

/// Serves on a port of the loopback until it is killed, sharing the port with its like.
pub fn run(port: u16) -> Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        serve(socket.listen(2048)?).await
    })
}

async fn serve(listener: TcpListener) -> Result<()> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(60)).keep_alive(true);
    builder.http2().timer(TokioTimer::new());
    let builder = Arc::new(builder);
    loop {
        let (stream, _) = listener.accept().await.context("cannot accept")?;
        let _ = stream.set_nodelay(true);
        let builder = builder.clone();
        tokio::spawn(async move {
            let _ = builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Reply>, Infallible> {
    let query = request.uri().query().unwrap_or_default();
    let number = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).find_map(|(_, value)| value.parse().ok()).unwrap_or(0)
    };
    let reply = match request.uri().path() {
        "/" | "/hello" => Reply::text(b"Hello, world!"),
        "/big" => Reply::Pieces { left: number("bytes"), size: PIECE, sized: true },
        "/stream" => {
            let size = (number("bytes") as usize).clamp(1, PIECE);
            Reply::Pieces { left: number("chunks").saturating_mul(size as u64), size, sized: false }
        }
        "/burn" => {
            let time = Duration::from_millis(number("ms"));
            let _ = tokio::task::spawn_blocking(move || burn(time)).await;
            Reply::text(b"burned")
        }
        "/echo" => Reply::Echo(request.into_body()),
        _ => {
            let mut response = Response::new(Reply::text(b"no such path"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            return Ok(response);
        }
    };
    let mut response = Response::new(reply);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

fn burn(time: Duration) {
    let began = Instant::now();
    let mut x = 1_u64;
    while began.elapsed() < time {
        x = (0..100_000).fold(x, |x, _| std::hint::black_box(x.wrapping_mul(6364136223846793005).wrapping_add(1)));
    }
}

enum Reply {
    Text(Option<Bytes>),
    Pieces { left: u64, size: usize, sized: bool },
    Echo(Incoming),
}

impl Reply {
    fn text(text: &'static [u8]) -> Self {
        Self::Text(Some(Bytes::from_static(text)))
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Pieces { left: 0, .. } => Poll::Ready(None),
            Self::Pieces { left, size, .. } => {
                let length = (*size as u64).min(*left);
                *left -= length;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PATTERN[..length as usize])))))
            }
            Self::Echo(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Pieces { left, .. } => *left == 0,
            Self::Echo(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Pieces { left, sized: true, .. } => SizeHint::with_exact(*left),
            Self::Pieces { .. } => SizeHint::default(),
            // As the guest's, whose answer begins before its length is known.
            Self::Echo(_) => SizeHint::default(),
        }
    }
}

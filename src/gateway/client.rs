//! Connections to the servers of the apps, kept for further requests.

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tower_service::Service;
use wasmtime_wasi_http::WasiBody;

pub type AppClient = Client<Connector, WasiBody>;

/// An idle connection is closed after this, well before an idle app closes it itself.
const IDLE: Duration = Duration::from_secs(5);
const KEPT: usize = 256;

/// Connects to the app that a URI names as its host.
pub fn new(folder: PathBuf) -> AppClient {
    legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(KEPT)
        .build(Connector { folder: folder.into() })
}

#[derive(Clone)]
pub struct Connector {
    folder: Arc<std::path::Path>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let path = self.folder.join(format!("{}.sock", to.host().unwrap_or_default()));
        Box::pin(async move {
            let unix = UnixStream::connect(path).await?;
            Ok(TokioIo::new(Stream { unix, used: Used::default() }))
        })
    }
}

pub struct Stream {
    unix: UnixStream,
    used: Used,
}

/// Whether a connection has had a request.
#[derive(Clone, Default)]
pub struct Used(Arc<AtomicBool>);

impl Used {
    /// Whether it had one before this one.
    pub fn mark(connected: &Connected) -> bool {
        let mut extras = http::Extensions::new();
        connected.get_extras(&mut extras);
        extras.get::<Used>().is_some_and(|used| used.0.swap(true, Relaxed))
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.used.clone())
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.unix).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.unix).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.unix).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.unix).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.unix).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.unix.is_write_vectored()
    }
}

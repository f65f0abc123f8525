//! The one HTTP client of a worker, whose connections are kept for further requests. It connects to addresses that were
//! checked after the name was resolved, and to nothing else: nobody resolves the name again.

use crate::capability::reach::{Names, NoAddress};
use crate::capability::resolver::Unresolved;
use crate::config::Grants;
use crate::exit::Failure;
use http::{Extensions, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower_service::Service;

pub type Client = legacy::Client<Limited, super::body::Upload>;

/// A connection that nobody uses is kept for so long.
const IDLE: Duration = Duration::from_secs(30);
/// Connections open at a time that are kept after their request; further ones are closed.
const KEPT: usize = 64;
/// Bytes of a response's head.
const HEAD: usize = 64 << 10;
/// Bytes of a response that wait for a slow guest, in HTTP/2; a connection has four times as many, and hyper's own are
/// too large for as many connections as there may be.
const WINDOW: u32 = 256 << 10;
/// Addresses of a name that are tried.
const TRIED: usize = 8;

/// Reads the certificates of the authorities that are trusted (rustls-native-certs: `SSL_CERT_FILE`, `SSL_CERT_DIR`,
/// the system's).
pub fn new(grants: &Grants, names: Arc<Names>) -> Result<Client, Failure> {
    let direct = Direct { names, limit: grants.timeout_connect, open: Arc::default() };
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls(!grants.http.is_empty())?)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(direct);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(KEPT)
        .http1_max_buf_size(HEAD)
        .http2_max_header_list_size(HEAD as u32)
        .http2_initial_stream_window_size(WINDOW)
        .http2_initial_connection_window_size(4 * WINDOW)
        .http2_max_send_buf_size(WINDOW as usize)
        .build(Limited { https, limit: grants.timeout_connect }))
}

fn tls(is_needed: bool) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    if is_needed {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
            tracing::warn!("guests cannot send requests over https: no certificate of an authority is trusted: {why}");
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::internal(format!("TLS for guests: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Unconnected {
    #[error("{0:?}")]
    NoAddress(NoAddress),
    #[error("it took too long")]
    Timeout,
    #[error("refused")]
    Refused,
    #[error("unreachable")]
    Unreachable,
}

/// A connector with a limit for all that it does: the look-up, TCP and TLS. The client may go on connecting for later
/// requests when the one that wanted the connection has found another, or has been given up.
#[derive(Clone)]
pub struct Limited {
    https: HttpsConnector<Direct>,
    limit: Duration,
}

impl Service<Uri> for Limited {
    type Response = MaybeHttpsStream<TokioIo<Stream>>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connected = tokio::time::timeout(self.limit, self.https.call(to));
        Box::pin(async move { connected.await.unwrap_or_else(|_| Err(Unconnected::Timeout.into())) })
    }
}

/// Connects to a checked address of a URI's host.
#[derive(Clone)]
pub struct Direct {
    names: Arc<Names>,
    limit: Duration,
    /// Connections there are.
    open: Arc<AtomicUsize>,
}

impl Service<Uri> for Direct {
    type Response = TokioIo<Stream>;
    type Error = Unconnected;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Unconnected>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unconnected>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let (host, port) = super::target::host_and_port(&to).ok_or(Unconnected::Unreachable)?;
            let addresses = this.names.find(host).await.map_err(Unconnected::NoAddress)?;
            this.connect(&addresses, port).await.map(TokioIo::new)
        })
    }
}

impl Direct {
    /// One address after the other; none may take the time of all.
    async fn connect(&self, addresses: &[IpAddr], port: u16) -> Result<Stream, Unconnected> {
        let tried = addresses.len().min(TRIED);
        let mut last = Unconnected::Unreachable;
        for address in &addresses[..tried] {
            let connecting = TcpStream::connect(SocketAddr::new(*address, port));
            last = match tokio::time::timeout(self.limit / tried as u32, connecting).await {
                Ok(Ok(tcp)) => {
                    let _ = tcp.set_nodelay(true);
                    self.open.fetch_add(1, Relaxed);
                    return Ok(Stream { tcp, open: self.open.clone(), used: Used::default() });
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Unconnected::Refused,
                Ok(Err(_)) => Unconnected::Unreachable,
                Err(_) => Unconnected::Timeout,
            };
        }
        Err(last)
    }
}

/// A connection that is counted while it is open: a guest may name any number of hosts, and descriptors are few.
pub struct Stream {
    tcp: TcpStream,
    open: Arc<AtomicUsize>,
    used: Used,
}

/// Whether a connection has had a request.
#[derive(Clone, Default)]
struct Used(Arc<AtomicBool>);

/// Whether a connection that is about to be used has been used before.
pub fn was_used(connected: &Connected) -> bool {
    let mut extras = Extensions::new();
    connected.get_extras(&mut extras);
    extras.get::<Used>().is_some_and(|used| used.0.swap(true, Relaxed))
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(self.used.clone());
        if self.open.load(Relaxed) > KEPT {
            connected.poison();
        }
        connected
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Relaxed);
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}

impl Unconnected {
    pub fn code(self) -> wasmtime_wasi_http::Error {
        use wasmtime_wasi_http::Error;
        match self {
            Self::NoAddress(NoAddress::Prohibited) => Error::DestinationIpProhibited,
            Self::NoAddress(NoAddress::Unresolved(Unresolved::Unknown)) => Error::DestinationNotFound,
            Self::NoAddress(NoAddress::Unresolved(Unresolved::Timeout)) => Error::DnsTimeout,
            Self::NoAddress(NoAddress::Unresolved(Unresolved::Failed)) => {
                Error::DnsError { rcode: None, info_code: None }
            }
            Self::Timeout => Error::ConnectionTimeout,
            Self::Refused => Error::ConnectionRefused,
            Self::Unreachable => Error::DestinationUnavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::address::Addresses;
    use crate::capability::resolver::tests::Zone;
    use std::net::TcpListener;

    fn connector(zone: &Zone) -> Direct {
        let named = vec!["127.0.0.1/32".parse().unwrap()];
        let names = Arc::new(Names::new(Addresses::new(named), zone.resolver()));
        Direct { names, limit: Duration::from_secs(30), open: Arc::default() }
    }

    fn listener(address: &str) -> TcpListener {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    }

    #[tokio::test]
    async fn a_name_that_changes_between_check_and_connection_gains_nothing() {
        let (allowed, trap) = (listener("127.0.0.1:0"), listener("127.0.0.2:0"));
        let zone = Zone::default();
        let mut connector = connector(&zone);
        let uri = |port| Uri::try_from(format!("http://changing.test:{port}/")).unwrap();
        zone.set("changing.test", &["127.0.0.1"]);
        let connected = connector.call(uri(allowed.local_addr().unwrap().port())).await.map(drop);
        assert_eq!((connected, zone.questions()), (Ok(()), 2), "one question for each kind of address");
        allowed.accept().unwrap();
        zone.set("changing.test", &["127.0.0.2"]);
        let refused = connector.call(uri(trap.local_addr().unwrap().port())).await.map(drop);
        assert_eq!(refused, Err(Unconnected::NoAddress(NoAddress::Prohibited)));
        assert!(trap.accept().is_err(), "nobody connected");
    }

    #[tokio::test]
    async fn addresses_that_are_refused_are_left_out() {
        let (allowed, trap) = (listener("127.0.0.1:0"), listener("127.0.0.2:0"));
        let zone = Zone::default();
        let others = ["127.0.0.2", "10.0.0.1", "::1", "::ffff:127.0.0.1", "fd00::1", "127.0.0.1"];
        zone.set("mixed.test", &others);
        let port = allowed.local_addr().unwrap().port();
        let uri = Uri::try_from(format!("http://mixed.test:{port}/")).unwrap();
        let connection = connector(&zone).call(uri).await.map_err(|error| error.to_string()).unwrap();
        assert_eq!(connection.inner().tcp.peer_addr().unwrap(), allowed.local_addr().unwrap());
        zone.set("mixed.test", &others[..5]);
        let refused = connector(&zone).call(Uri::from_static("http://mixed.test/")).await.map(drop);
        assert_eq!(refused, Err(Unconnected::NoAddress(NoAddress::Prohibited)));
        assert!(trap.accept().is_err());
    }

    #[tokio::test]
    async fn connections_beyond_those_that_are_kept_end_with_their_request() {
        let listener = listener("127.0.0.1:0");
        let zone = Zone::default();
        let connector = connector(&zone);
        let port = listener.local_addr().unwrap().port();
        let address = [IpAddr::from([127, 0, 0, 1])];
        let mut open = Vec::new();
        for _ in 0..=KEPT {
            open.push(connector.connect(&address, port).await.unwrap());
        }
        let is_kept = |stream: &Stream| !format!("{:?}", stream.connected()).contains("poisoned: true");
        assert!(!is_kept(&open[0]), "one too many are open");
        open.pop();
        assert!(is_kept(&open[0]));
        assert_eq!(connector.open.load(Relaxed), KEPT);
    }
}

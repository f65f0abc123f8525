//! Servers that guests send requests to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::PATIENCE;

/// An HTTP/1 server of a few lines: what it is asked, and over how many connections, is what tests want to know.
pub struct Upstream {
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: Mutex<Vec<Received>>,
    now: AtomicUsize,
}

#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The first line.
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl Upstream {
    /// Answers each request by what `answer` writes.
    pub fn start(answer: impl Fn(&Received, &mut TcpStream) + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer)
    }

    pub fn start_at(address: &str, answer: impl Fn(&Received, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let (answer, shared) = (Arc::new(answer), seen.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answer, seen) = (answer.clone(), shared.clone());
                seen.connections.fetch_add(1, SeqCst);
                thread::spawn(move || serve(stream, &seen, &*answer));
            }
        });
        Self { address, seen }
    }

    /// Answers everything with a short text.
    pub fn greeting() -> Self {
        Self::start(|_, stream| reply(stream, "200 OK", &[], b"greetings"))
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn connections(&self) -> usize {
        self.seen.connections.load(SeqCst)
    }

    pub fn requests(&self) -> Vec<Received> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// The only request so far.
    #[track_caller]
    pub fn request(&self) -> Received {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }

    /// Requests under way.
    pub fn under_way(&self) -> usize {
        self.seen.now.load(SeqCst)
    }
}

/// Writes a whole response.
pub fn reply(stream: &mut TcpStream, status: &str, headers: &[(&str, &str)], body: &[u8]) {
    let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{fields}\r\n", body.len());
    // Whoever asked may be gone.
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
}

fn serve(mut stream: TcpStream, seen: &Seen, answer: &dyn Fn(&Received, &mut TcpStream)) {
    let mut input = BufReader::new(stream.try_clone().unwrap());
    while let Some(received) = read(&mut input) {
        seen.now.fetch_add(1, SeqCst);
        seen.requests.lock().unwrap().push(received.clone());
        answer(&received, &mut stream);
        seen.now.fetch_sub(1, SeqCst);
    }
}

fn read(input: &mut impl BufRead) -> Option<Received> {
    let mut received = Received { line: line(input)?, ..Received::default() };
    received.headers = fields(input)?;
    if let Some(length) = received.header("content-length") {
        received.body = vec![0; length.parse().ok()?];
        input.read_exact(&mut received.body).ok()?;
    } else if received.header("transfer-encoding").is_some() {
        loop {
            let length = usize::from_str_radix(line(input)?.trim(), 16).ok()?;
            if length == 0 {
                break;
            }
            input.take(length as u64).read_to_end(&mut received.body).ok()?;
            line(input)?;
        }
        received.trailers = fields(input)?;
    }
    Some(received)
}

fn line(input: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    input.read_line(&mut line).ok().filter(|length| *length > 0)?;
    Some(line.trim_end().to_owned())
}

fn fields(input: &mut impl BufRead) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let line = line(input)?;
        let Some((name, value)) = line.split_once(':') else { return line.is_empty().then_some(fields) };
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// A server that answers over TLS with what it was asked, in HTTP/2 or HTTP/1 as the client wants it.
pub struct TlsUpstream {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl TlsUpstream {
    pub fn start(host: &str, protocols: &[&str]) -> Self {
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(include_bytes!("../tls/server.pem")).unwrap()],
                PrivateKeyDer::from_pem_slice(include_bytes!("../tls/server.key")).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(accept(listener, acceptor, counted));
        });
        Self { address, connections }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, connections: Arc<AtomicUsize>) {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        connections.fetch_add(1, SeqCst);
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A client that does not trust us goes away.
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(describe);
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn describe(request: hyper::Request<Incoming>) -> hyper::Result<hyper::Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let host = head.headers.get("host").map(|value| value.to_str().unwrap().to_owned());
    let length = body.collect().await?.to_bytes().len();
    let text = format!("{:?} {} {} host {host:?} body {length}", head.version, head.method, head.uri);
    Ok(hyper::Response::new(Full::new(text.into())))
}

/// A listener at which nobody may ever arrive.
pub struct Trap(TcpListener);

impl Trap {
    pub fn set(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    pub fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    #[track_caller]
    pub fn is_untouched(&self) {
        assert!(self.0.accept().is_err(), "somebody connected");
    }
}

/// A connection that says nothing for longer than any test takes.
pub fn silence(stream: &mut TcpStream) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = stream.read(&mut [0]);
}

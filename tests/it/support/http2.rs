//! An HTTP/2 client with prior knowledge, on a runtime thread of its own, so that tests stay plain
//! functions that block.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt, Either, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Head, PATIENCE, Response};

type RequestBody = Either<Channel<Bytes>, Empty<Bytes>>;

pub struct Http2 {
    runtime: Arc<Runtime>,
    sender: SendRequest<RequestBody>,
    connection: JoinHandle<hyper::Result<()>>,
}

impl Http2 {
    #[track_caller]
    pub fn open(address: SocketAddr) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (sender, connection) = within_patience(&runtime, async {
            let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
            handshake(TokioExecutor::new(), stream).await.unwrap()
        });
        let connection = runtime.spawn(connection);
        Self { runtime: Arc::new(runtime), sender, connection }
    }

    /// Begins a request whose body the test sends as it goes on.
    #[track_caller]
    pub fn begin(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Exchange {
        let (sender, body) = Channel::new(16);
        self.start(method, target, headers, Some(sender), Either::Left(body))
    }

    fn start(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body_sender: Option<Sender<Bytes>>,
        body: RequestBody,
    ) -> Exchange {
        let target = match target.starts_with('/') {
            true => format!("http://test.example{target}"),
            false => target.to_owned(),
        };
        let mut request = Request::builder().method(method).uri(target).version(Version::HTTP_2);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).unwrap();
        let mut sender = self.sender.clone();
        let response = self.runtime.spawn(async move { sender.send_request(request).await });
        let runtime = self.runtime.clone();
        let body = body_sender.map(|sender| Upload { runtime: runtime.clone(), sender });
        Exchange { runtime, body, response }
    }

    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        self.exchange("GET", target, &[], b"")
    }

    #[track_caller]
    pub fn exchange(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        if body.is_empty() {
            let empty = Either::Right(Empty::new());
            return self.start(method, target, headers, None, empty).receive();
        }
        let mut exchange = self.begin(method, target, headers);
        exchange.send(body);
        exchange.finish();
        exchange.receive()
    }

    /// Waits until the server has ended the connection, and says whether in good order.
    #[track_caller]
    pub fn ended(self) -> hyper::Result<()> {
        within_patience(&self.runtime, self.connection).unwrap()
    }
}

/// A request under way.
pub struct Exchange {
    runtime: Arc<Runtime>,
    body: Option<Upload>,
    response: JoinHandle<hyper::Result<hyper::Response<Incoming>>>,
}

impl Exchange {
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.body.as_mut().expect("an unfinished request").send(bytes);
    }

    /// The request's body, for a thread of its own; dropping it ends the request.
    pub fn take_body(&mut self) -> Upload {
        self.body.take().expect("an unfinished request")
    }

    /// Ends the request with trailers.
    #[track_caller]
    pub fn send_trailers(&mut self, trailers: &[(&str, &str)]) {
        let mut body = self.take_body();
        let trailers = trailers
            .iter()
            .map(|(name, value)| (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap()));
        let trailers: HeaderMap = trailers.collect();
        within_patience(&self.runtime, body.sender.send_trailers(trailers)).expect("the server reads on");
    }

    pub fn finish(&mut self) {
        self.body = None;
    }

    /// Leaves before the response is there: the stream is reset.
    pub fn abandon(self) {
        self.response.abort();
    }

    /// The head of the response, and its body as it arrives.
    #[track_caller]
    pub fn receive_head(self) -> (Head, Reply) {
        let response = within_patience(&self.runtime, self.response).unwrap();
        let response = response.unwrap_or_else(|error| panic!("no response: {error:?}"));
        let head = Head {
            version: format!("{:?}", response.version()),
            status: response.status().as_u16(),
            headers: list(response.headers()),
        };
        let reply = Reply { runtime: self.runtime, incoming: response.into_body(), _body: self.body };
        (head, reply)
    }

    #[track_caller]
    pub fn receive(self) -> Response {
        let (head, mut reply) = self.receive_head();
        let mut body = Vec::new();
        let mut trailers = Vec::new();
        while let Some(frame) = reply.frame() {
            match frame.unwrap_or_else(|error| panic!("no whole response: {error:?}")).into_data() {
                Ok(data) => body.extend(data),
                Err(frame) => trailers = list(frame.trailers_ref().unwrap()),
            }
        }
        Response { head, body, trailers }
    }
}

/// A request's body as the test sends it.
pub struct Upload {
    runtime: Arc<Runtime>,
    sender: Sender<Bytes>,
}

impl Upload {
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        within_patience(&self.runtime, self.sender.send_data(bytes)).expect("the server reads on");
    }
}

/// A response's body as it arrives.
pub struct Reply {
    runtime: Arc<Runtime>,
    incoming: Incoming,
    /// The request's body stays open as long as its sender lives.
    _body: Option<Upload>,
}

impl Reply {
    #[track_caller]
    pub fn frame(&mut self) -> Option<hyper::Result<hyper::body::Frame<Bytes>>> {
        within_patience(&self.runtime, self.incoming.frame())
    }
}

fn list(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect()
}

#[track_caller]
fn within_patience<F: Future>(runtime: &Runtime, work: F) -> F::Output {
    let result = runtime.block_on(async { timeout(PATIENCE, work).await });
    result.unwrap_or_else(|_| panic!("the HTTP/2 server does not answer"))
}

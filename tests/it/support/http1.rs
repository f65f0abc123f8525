//! An HTTP/1.1 client that sends the bytes it is told to and hides nothing of what comes back.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::response::Headers;
use super::{Head, PATIENCE, Response};

/// The bytes of a request. `Content-Length` goes with a body, unless the headers frame it.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    let given = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    if !given("host") {
        bytes.extend(b"Host: test.example\r\n");
    }
    if !body.is_empty() && !given("content-length") && !given("transfer-encoding") {
        bytes.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
    }
    for (name, value) in headers {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}

/// A whole body in the chunked coding.
pub fn chunked(parts: &[&[u8]], trailers: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend(format!("{:x}\r\n", part.len()).bytes());
        bytes.extend(*part);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n");
    for (name, value) in trailers {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    bytes.extend(b"\r\n");
    bytes
}

pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    #[track_caller]
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address).unwrap_or_else(|error| panic!("cannot connect: {error}"))
    }

    pub fn try_open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(1 << 16, stream) })
    }

    /// The sending half, for a thread of its own.
    pub fn writer(&self) -> TcpStream {
        self.stream.get_ref().try_clone().unwrap()
    }

    #[track_caller]
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_write(bytes).unwrap_or_else(|error| panic!("cannot send: {error}"));
    }

    pub fn local_address(&self) -> SocketAddr {
        self.stream.get_ref().local_addr().unwrap()
    }

    /// Sends a request with a body of this length, still to be sent, and returns when the server asks for it.
    #[track_caller]
    pub fn begin_upload(&mut self, target: &str, length: usize) {
        let length = length.to_string();
        let headers = [("Expect", "100-continue"), ("Content-Length", &length)];
        self.write(request("POST", target, &headers, b""));
        assert_eq!(self.receive_head().status, 100);
    }

    /// What comes back, as bytes.
    pub fn stream(&mut self) -> &mut impl Read {
        &mut self.stream
    }

    pub fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Says that no more will be sent.
    pub fn finish_writing(&mut self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    #[track_caller]
    pub fn get(&mut self, target: &str) -> Response {
        self.exchange("GET", target, &[], b"")
    }

    #[track_caller]
    pub fn exchange(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        self.write(request(method, target, headers, body));
        if method == "HEAD" {
            let head = self.receive_head();
            return Response { head, body: Vec::new(), trailers: Vec::new() };
        }
        self.receive()
    }

    /// The response to anything but HEAD.
    #[track_caller]
    pub fn receive(&mut self) -> Response {
        self.try_receive().unwrap_or_else(|error| panic!("no whole response: {error}"))
    }

    pub fn try_receive(&mut self) -> io::Result<Response> {
        let head = self.try_receive_head()?;
        let mut body = Vec::new();
        let mut reader = self.body(&head);
        reader.read_to_end(&mut body)?;
        let trailers = reader.trailers;
        Ok(Response { head, body, trailers })
    }

    #[track_caller]
    pub fn receive_head(&mut self) -> Head {
        self.try_receive_head().unwrap_or_else(|error| panic!("no response: {error}"))
    }

    pub fn try_receive_head(&mut self) -> io::Result<Head> {
        let status_line = read_line(&mut self.stream)?;
        let (version, rest) = status_line.split_once(' ').unwrap_or_default();
        let status = rest.get(..3).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| bad(format!("status line {status_line:?}")))?;
        let version = version.to_owned();
        let headers = read_headers(&mut self.stream)?;
        Ok(Head { version, status, headers })
    }

    /// The body that follows the head of a response, which did not answer HEAD.
    pub fn body(&mut self, head: &Head) -> Body<'_> {
        let length = head.header("content-length").map(|length| length.parse().unwrap());
        let framing = match length {
            _ if head.status < 200 || matches!(head.status, 204 | 304) => Framing::Ended,
            _ if head.header("transfer-encoding") == Some("chunked") => Framing::Chunk(0),
            Some(length) => Framing::Length(length),
            None => Framing::UntilClosed,
        };
        Body { stream: &mut self.stream, framing, trailers: Vec::new() }
    }

    /// Whether anything comes back within this time.
    pub fn answers_within(&mut self, time: Duration) -> bool {
        let socket = self.stream.get_ref();
        socket.set_read_timeout(Some(time)).unwrap();
        let answers = self.stream.fill_buf().is_ok();
        self.stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        answers
    }

    /// Whether the server has closed the connection, with nothing more sent. Waits for either.
    pub fn is_at_end(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// Closes so that the server sees a reset, not just the end of what is sent.
    pub fn reset(self) {
        // Closing with unread bytes, or with linger 0, resets; the latter needs no bytes.
        let socket = nix::sys::socket::sockopt::Linger;
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        nix::sys::socket::setsockopt(self.stream.get_ref(), socket, &linger).unwrap();
    }
}

enum Framing {
    Length(u64),
    /// What is left of this chunk.
    Chunk(u64),
    UntilClosed,
    Ended,
}

/// A response's body as it arrives.
pub struct Body<'a> {
    stream: &'a mut BufReader<TcpStream>,
    framing: Framing,
    pub trailers: Headers,
}

impl Body<'_> {
    /// Reads the next `length` bytes.
    #[track_caller]
    pub fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.read_exact(&mut bytes).unwrap_or_else(|error| panic!("no {length} bytes: {error}"));
        bytes
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Framing::Chunk(0) = self.framing {
            let size = read_line(self.stream)?;
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| bad(format!("chunk {size:?}")))?;
            self.framing = Framing::Chunk(size);
            if size == 0 {
                self.trailers = read_headers(self.stream)?;
                self.framing = Framing::Ended;
            }
        }
        let left = match self.framing {
            Framing::Ended | Framing::Length(0) => return Ok(0),
            Framing::Length(left) | Framing::Chunk(left) => left,
            Framing::UntilClosed => u64::MAX,
        };
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.stream.read(&mut buffer[..wanted])?;
        match &mut self.framing {
            Framing::UntilClosed | Framing::Ended => return Ok(read),
            _ if read == 0 && wanted > 0 => return Err(ErrorKind::UnexpectedEof.into()),
            Framing::Length(left) => *left -= read as u64,
            Framing::Chunk(left) => {
                *left -= read as u64;
                if *left == 0 && !read_line(self.stream)?.is_empty() {
                    return Err(bad("no line end after a chunk".into()));
                }
            }
        }
        Ok(read)
    }
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    let Some(line) = line.strip_suffix(b"\r\n") else {
        return Err(ErrorKind::UnexpectedEof.into());
    };
    Ok(String::from_utf8_lossy(line).into_owned())
}

fn read_headers(stream: &mut impl BufRead) -> io::Result<Headers> {
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| bad(format!("header {line:?}")))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn bad(what: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

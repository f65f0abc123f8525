//! HTTP/2 frame by frame, for clients that no library would be.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::PATIENCE;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const ACK: u8 = 1;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field that goes into no table.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0][..], &text(name), &text(value)].concat()
}

/// Length and characters, without Huffman's code.
fn text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    match text.len() {
        length @ 0..127 => bytes.push(length as u8),
        length => {
            bytes.push(127);
            let mut rest = length - 127;
            while rest >= 128 {
                bytes.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            bytes.push(rest as u8);
        }
    }
    bytes.extend(text.bytes());
    bytes
}

/// The pseudo-fields of a request.
pub fn head(method: &str, target: &str) -> Vec<u8> {
    let fields = [(":method", method), (":scheme", "http"), (":authority", "test.example"), (":path", target)];
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// A whole request without a body.
pub fn get(stream: u32, target: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET", target))
}

/// The value of a setting, for SETTINGS.
pub fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

pub struct RawHttp2 {
    stream: TcpStream,
}

impl RawHttp2 {
    /// Connects, says the preface and these settings.
    #[track_caller]
    pub fn open(address: SocketAddr, settings: &[u8]) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut raw = Self { stream };
        raw.write([PREFACE, &frame(SETTINGS, 0, 0, settings)].concat());
        raw
    }

    #[track_caller]
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_write(bytes).unwrap_or_else(|error| panic!("cannot send: {error}"));
    }

    pub fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// The next frame; None if the server has closed.
    pub fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.fill(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length as usize];
        self.fill(&mut payload)?;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    #[track_caller]
    fn fill(&mut self, bytes: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(bytes) {
            Ok(()) => Some(()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the HTTP/2 server does not answer")
            }
            Err(_) => None,
        }
    }

    /// Reads on until there is such a frame.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str, is_it: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.read().unwrap_or_else(|| panic!("closed before {what}"));
            if is_it(&frame) {
                return frame;
            }
        }
    }

    /// Reads on until the server says GOAWAY or closes, which it has to.
    #[track_caller]
    pub fn wait_for_end(&mut self) {
        while self.read().is_some_and(|frame| frame.kind != GOAWAY) {}
    }

    /// Closes both directions, whoever else has the socket.
    pub fn close(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// The sending half, for a thread of its own.
    pub fn writer(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }
}

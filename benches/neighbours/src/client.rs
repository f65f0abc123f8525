//! The neighbour's clients: kept connections that ask at a fixed rate, and what they waited.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// What some seconds of load were like.
pub struct Outcome {
    pub requests: usize,
    pub rate: f64,
    pub p99: Duration,
}

/// As many requests as there are answers for.
pub fn at_full_load(address: SocketAddr, connections: usize, time: Duration) -> io::Result<Outcome> {
    load(address, connections, time, None)
}

/// So many requests a second, over all connections.
pub fn at_rate(address: SocketAddr, connections: usize, time: Duration, rate: f64) -> io::Result<Outcome> {
    load(address, connections, time, Some(Duration::from_secs_f64(connections as f64 / rate)))
}

fn load(address: SocketAddr, connections: usize, time: Duration, pause: Option<Duration>) -> io::Result<Outcome> {
    let began = Instant::now();
    let times: Vec<io::Result<Vec<Duration>>> = thread::scope(|scope| {
        let client = |n: usize| {
            // Not all in step.
            let offset = pause.unwrap_or_default() * n as u32 / connections as u32;
            scope.spawn(move || ask(address, began + offset, began + time, pause))
        };
        let clients: Vec<_> = (0..connections).map(client).collect();
        clients.into_iter().map(|client| client.join().unwrap_or_else(|_| Err(ErrorKind::Other.into()))).collect()
    });
    let mut all = Vec::new();
    for times in times {
        all.extend(times?);
    }
    all.sort_unstable();
    let at = (all.len() * 99 / 100).min(all.len().saturating_sub(1));
    let p99 = *all.get(at).ok_or(ErrorKind::UnexpectedEof)?;
    Ok(Outcome { requests: all.len(), rate: all.len() as f64 / began.elapsed().as_secs_f64(), p99 })
}

/// One connection's requests: when one is due, or as soon as the one before is answered. What is late because the one
/// before took long has waited since it was due; what is late because this thread was has not.
fn ask(address: SocketAddr, mut due: Instant, end: Instant, pause: Option<Duration>) -> io::Result<Vec<Duration>> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(Duration::from_secs(30)))?;
    let request = format!("GET / HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let mut buffer = Vec::with_capacity(1024);
    let mut times = Vec::new();
    let mut free = Instant::now();
    while due.max(free) < end {
        if pause.is_some() {
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let from = if pause.is_some() && free > due { due } else { Instant::now() };
        connection.write_all(request.as_bytes())?;
        answer(&mut connection, &mut buffer)?;
        free = Instant::now();
        times.push(free - from);
        due += pause.unwrap_or_default();
    }
    Ok(times)
}

fn answer(connection: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.clear();
    let mut part = [0; 1024];
    while !is_whole(buffer) {
        match connection.read(&mut part)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => buffer.extend_from_slice(&part[..read]),
        }
    }
    if buffer.starts_with(b"HTTP/1.1 200 ") { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
}

/// A hello that took its time is chunked, any other has a length.
fn is_whole(answer: &[u8]) -> bool {
    let has_length = answer.windows(15).any(|part| part.eq_ignore_ascii_case(b"content-length:"));
    if has_length { answer.ends_with(b"Hello, world!") } else { answer.ends_with(b"\r\n0\r\n\r\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_as_its_head_says() {
        assert!(is_whole(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world!"));
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nHello"));
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nD\r\nHello, world!\r\n0\r\n\r\n";
        assert!(is_whole(chunked) && !is_whole(&chunked[..chunked.len() - 7]));
    }
}

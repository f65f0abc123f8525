//! Clients: a request over a connection of its own, or as many as there are answers for.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

pub fn once(address: SocketAddr, host: &str) -> io::Result<Duration> {
    let began = Instant::now();
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(Duration::from_secs(60)))?;
    ask(&mut connection, host)?;
    Ok(began.elapsed())
}

/// The times of all requests of so many connections.
pub fn load(address: SocketAddr, host: &str, connections: usize, time: Duration) -> io::Result<Vec<Duration>> {
    let over = AtomicBool::new(false);
    let client = || -> io::Result<Vec<Duration>> {
        let mut connection = TcpStream::connect(address)?;
        connection.set_nodelay(true)?;
        let mut times = Vec::new();
        while !over.load(Relaxed) {
            let began = Instant::now();
            ask(&mut connection, host)?;
            times.push(began.elapsed());
        }
        Ok(times)
    };
    let all = thread::scope(|scope| {
        let clients: Vec<_> = (0..connections).map(|_| scope.spawn(client)).collect();
        thread::sleep(time);
        over.store(true, Relaxed);
        let ended = clients.into_iter().map(|client| client.join().unwrap_or_else(|_| Err(ErrorKind::Other.into())));
        ended.collect::<io::Result<Vec<_>>>()
    })?;
    Ok(all.concat())
}

fn ask(connection: &mut TcpStream, host: &str) -> io::Result<()> {
    connection.write_all(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes())?;
    let mut buffer = [0; 2048];
    let mut length = 0;
    loop {
        match connection.read(&mut buffer[length..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            n => length += n,
        }
        let text = &buffer[..length];
        // With a length, or in chunks.
        if text.ends_with(b"Hello, world!") || text.ends_with(b"\r\n0\r\n\r\n") {
            return Ok(());
        }
        if length > 12 && !text.starts_with(b"HTTP/1.1 200") {
            return Err(io::Error::other(String::from_utf8_lossy(&text[..15]).into_owned()));
        }
    }
}

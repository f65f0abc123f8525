//! A client of our own, for what is no load: is it serving, is the answer right, when does its first byte come.

use anyhow::{Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Between two attempts to connect. It blocks this thread: tokio's timer is no finer than a millisecond.
const PAUSE: Duration = Duration::from_micros(200);

/// Status and length of the answer to a GET, or to a POST with a body.
pub async fn fetch(address: SocketAddr, path: &str, body: Option<Bytes>) -> Result<(u16, u64)> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    let driver = tokio::spawn(connection);
    let method = if body.is_some() { Method::POST } else { Method::GET };
    let request = Request::builder().method(method).uri(path).header("host", address.to_string());
    let response = sender.send_request(request.body(Full::new(body.unwrap_or_default()))?).await?;
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, Bytes::len) as u64;
    }
    driver.abort();
    Ok((status, length))
}

/// Sends a GET as soon as someone listens, and waits for the first byte of the answer.
/// `alive` fails once there is no use in waiting.
pub async fn first_byte(address: SocketAddr, mut alive: impl FnMut() -> Result<()>, limit: Duration) -> Result<()> {
    let began = Instant::now();
    loop {
        alive()?;
        if began.elapsed() > limit {
            bail!("it did not answer within {} s", limit.as_secs());
        }
        match ask(address, limit).await {
            Ok(()) => return Ok(()),
            Err(_) => {
                std::thread::sleep(PAUSE);
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn ask(address: SocketAddr, limit: Duration) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET / HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).await?;
    let mut start = [0; 12];
    tokio::time::timeout(limit, stream.read_exact(&mut start)).await??;
    if &start[9..] != b"200" {
        bail!("it answered {}", String::from_utf8_lossy(&start));
    }
    Ok(())
}

/// A connection that has served one hello and stays open.
pub async fn idle_connection(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET / HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::with_capacity(512);
    while !answer.windows(13).any(|part| part == b"Hello, world!") {
        if tokio::time::timeout(Duration::from_secs(10), stream.read_buf(&mut answer)).await?? == 0 {
            bail!("the connection was closed after {:?}", String::from_utf8_lossy(&answer));
        }
    }
    Ok(stream)
}

//! Unix sockets: HTTP over one, and the one that a service manager listens on.

use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use super::{PATIENCE, eventually, request};

/// GET over a new connection to a Unix socket; the status and the body.
pub fn get_over_unix(path: &Path, target: &str) -> io::Result<(u16, String)> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&request("GET", target, &[("Connection", "close")], b""))?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (head, body) = response.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if is_chunked { unchunk(body).ok_or(io::ErrorKind::UnexpectedEof)? } else { body.to_owned() };
    Ok((status, body))
}

/// A body's chunks put together; None if it has no proper end.
fn unchunk(mut text: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, rest) = text.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(rest.get(..size)?);
        text = rest.get(size..)?.strip_prefix("\r\n")?;
    }
}

/// What systemd listens on: each datagram has lines such as `READY=1`.
pub struct NotifySocket {
    datagrams: Arc<Mutex<Vec<String>>>,
}

impl NotifySocket {
    pub fn bind(path: &Path) -> Self {
        Self::listen(UnixDatagram::bind(path).unwrap())
    }

    /// In the abstract namespace, where the name in NOTIFY_SOCKET begins with an @.
    pub fn bind_abstract(name: &str) -> Self {
        let address = SocketAddr::from_abstract_name(name).unwrap();
        Self::listen(UnixDatagram::bind_addr(&address).unwrap())
    }

    fn listen(socket: UnixDatagram) -> Self {
        let datagrams = Arc::new(Mutex::new(Vec::new()));
        let received = datagrams.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                received.lock().unwrap().push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
        });
        Self { datagrams }
    }

    /// Every line so far.
    pub fn lines(&self) -> Vec<String> {
        let datagrams = self.datagrams.lock().unwrap();
        datagrams.iter().flat_map(|datagram| datagram.lines().map(str::to_owned)).collect()
    }

    pub fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|other| *other == line).count()
    }

    /// Waits for a line that begins so, and returns all of its datagram.
    #[track_caller]
    pub fn wait_for(&self, start: &str) -> String {
        eventually(start, || {
            let datagrams = self.datagrams.lock().unwrap();
            datagrams.iter().find(|datagram| datagram.lines().any(|line| line.starts_with(start))).cloned()
        })
    }
}

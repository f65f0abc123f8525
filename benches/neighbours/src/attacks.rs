//! The attacks: which guest, which route, and what is to be expected of the neighbour.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub struct Attack {
    pub name: &'static str,
    pub guest: &'static str,
    /// None for a control: nothing happens, and what is measured is the noise.
    pub path: Option<&'static str>,
    /// Takes all the processor time that it gets, so the attacked server is started with a lower priority.
    pub burns: bool,
    /// Whether its answers are read.
    reads: bool,
}

impl Attack {
    /// The neighbour's p99 over its quiet one, at most.
    pub fn goal(&self) -> f64 {
        if self.burns { 2.0 } else { 1.2 }
    }
}

const fn burns(name: &'static str, guest: &'static str, path: &'static str) -> Attack {
    Attack { name, guest, path: Some(path), burns: true, reads: true }
}

const fn waits(name: &'static str, guest: &'static str, path: &'static str) -> Attack {
    Attack { name, guest, path: Some(path), burns: false, reads: true }
}

const SYNC: &str = "hostile-sync";
const ASYNC: &str = "hostile-async";

pub const ALL: &[Attack] = &[
    Attack { name: "none", guest: SYNC, path: None, burns: false, reads: true },
    waits("silent", SYNC, "/silent"),
    waits("silent-async", ASYNC, "/silent"),
    waits("stall", SYNC, "/stall"),
    waits("drip", ASYNC, "/endless?bytes=1&ms=100"),
    Attack { name: "endless-unread", guest: SYNC, path: Some("/endless"), burns: false, reads: false },
    burns("loop", SYNC, "/loop"),
    burns("loop-async", ASYNC, "/loop"),
    burns("loop-clock", SYNC, "/loop-clock"),
    burns("loop-random", SYNC, "/loop-random"),
    burns("loop-poll", SYNC, "/loop-poll"),
    burns("loop-poll-async", ASYNC, "/loop-poll"),
    burns("grow", SYNC, "/grow?mb=400"),
    burns("fill", SYNC, "/fill?mb=64&times=100000"),
    burns("recurse", SYNC, "/recurse"),
    burns("overflow", ASYNC, "/overflow"),
    burns("panic", SYNC, "/panic?ms=5"),
    burns("endless", SYNC, "/endless"),
    burns("endless-async", ASYNC, "/endless"),
    burns("headers", SYNC, "/headers?count=200&bytes=1000"),
    burns("trailers", ASYNC, "/trailers?count=200&bytes=1000"),
    burns("handles", SYNC, "/take?what=fields"),
    burns("leak", ASYNC, "/take?what=fields&count=100&keep=1"),
    burns("print", SYNC, "/print?bytes=10000000"),
    burns("escape", SYNC, "/escape?outside=/etc&file=passwd"),
];

/// More clients than cores, and than threads of the attacked server.
const CLIENTS: usize = 12;

/// Clients that ask for an attack again and again, until this is dropped.
pub struct Attackers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

impl Attackers {
    pub fn begin(attack: &Attack, address: SocketAddr) -> Self {
        let shared = Arc::new(Shared::default());
        let clients = if attack.path.is_some() { CLIENTS } else { 0 };
        let client = |_| {
            let (shared, path, reads) = (shared.clone(), attack.path.unwrap_or_default(), attack.reads);
            thread::spawn(move || shared.ask(address, path, reads))
        };
        let threads = (0..clients).map(client).collect();
        Self { shared, threads }
    }
}

impl Drop for Attackers {
    fn drop(&mut self) {
        self.shared.over.store(true, Relaxed);
        for connection in self.shared.connections.lock().iter().flat_map(|list| list.iter()) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn ask(&self, address: SocketAddr, path: &str, reads: bool) {
        let mut buffer = vec![0; 1 << 16];
        while !self.over.load(Relaxed) {
            // Refused or cut off: once more, but no storm of connections.
            if self.ask_once(address, path, reads, &mut buffer).is_none() {
                thread::sleep(Duration::from_millis(5));
            }
        }
    }

    fn ask_once(&self, address: SocketAddr, path: &str, reads: bool, buffer: &mut [u8]) -> Option<()> {
        let mut connection = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nte: trailers\r\n\r\n");
        connection.write_all(request.as_bytes()).ok()?;
        self.connections.lock().ok()?.push(connection.try_clone().ok()?);
        // Between the two the end may have come, which would not find this connection.
        while !reads && !self.over.load(Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
        connection.set_read_timeout(Some(Duration::from_millis(200))).ok()?;
        while !self.over.load(Relaxed) {
            match connection.read(buffer) {
                Ok(0) => break,
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => break,
                _ => {}
            }
        }
        self.connections.lock().ok()?.retain(|other| other.peer_addr().is_ok());
        Some(())
    }
}

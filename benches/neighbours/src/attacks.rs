//! The attacks: which guest, which route, and what is to be expected of the neighbour.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
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

/// Asks for an attack again and again, until this process is killed.
pub fn carry_out(attack: &Attack, address: SocketAddr) {
    let clients = if attack.path.is_some() { CLIENTS } else { 0 };
    let (path, reads) = (attack.path.unwrap_or_default(), attack.reads);
    let threads: Vec<_> = (0..clients).map(|_| thread::spawn(move || ask(address, path, reads))).collect();
    for thread in threads {
        let _ = thread.join();
    }
}

/// The attackers, in a process of their own and behind everything else: they would be on other machines, and what is
/// measured is what they make the server do.
pub struct Attackers(Child);

impl Attackers {
    pub fn begin(attack: &Attack, address: SocketAddr) -> io::Result<Self> {
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(std::env::current_exe()?).args(["--attack", attack.name, &address.to_string()]);
        Ok(Self(command.stdin(Stdio::null()).spawn()?))
    }
}

impl Drop for Attackers {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ask(address: SocketAddr, path: &str, reads: bool) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        // Refused or cut off: once more, but no storm of connections.
        if ask_once(address, path, reads, &mut buffer).is_none() {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn ask_once(address: SocketAddr, path: &str, reads: bool, buffer: &mut [u8]) -> Option<()> {
    let mut connection = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nte: trailers\r\n\r\n");
    connection.write_all(request.as_bytes()).ok()?;
    while !reads {
        thread::sleep(Duration::from_secs(60));
    }
    while connection.read(buffer).ok()? > 0 {}
    Some(())
}

//! Routes that use the guest's own memory, or the host through the standard library.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};
use std::{env, fs};

use crate::query::Query;
use crate::{Reply, json};

const MIB: usize = 1024 * 1024;

pub fn count() -> Reply {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed) + 1;
    Reply::text(count.to_string())
}

pub fn grow(query: &Query) -> Result<Reply, Reply> {
    static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
    let mut kept = KEPT.lock().expect("a single thread");
    for _ in 0..query.number("mb", 0)? {
        // Not zeroes, which the host might give without memory behind them.
        kept.push(vec![1; MIB]);
    }
    if query.flag("drop") {
        kept.clear();
    }
    Ok(Reply::text(kept.len().to_string()))
}

pub fn print(query: &Query) -> Result<Reply, Reply> {
    let mut sink: Box<dyn Write> = if query.flag("err") {
        Box::new(io::stderr())
    } else {
        Box::new(io::stdout())
    };
    // A server that takes no output is no reason to fail.
    let _ = match query.text("bytes") {
        Some(_) => {
            let bytes = query.number("bytes", 0)?;
            io::copy(&mut io::Read::take(io::repeat(b'x'), bytes), &mut sink).map(drop)
        }
        None => {
            let text = query.text("text").unwrap_or("printed");
            let end = if query.text("nl") == Some("0") {
                ""
            } else {
                "\n"
            };
            let line = format!("{text}{end}");
            (0..query.number("count", 1)?).try_for_each(|_| sink.write_all(line.as_bytes()))
        }
    };
    let _ = sink.flush();
    Ok(Reply::text("printed"))
}

pub fn environment() -> Reply {
    Reply::json(json::object(
        env::vars().map(|(name, value)| (name, json::string(&value))),
    ))
}

pub fn arguments() -> Reply {
    Reply::json(json::list(env::args().map(|arg| json::string(&arg))))
}

pub fn status(query: &Query) -> Result<Reply, Reply> {
    let code = query.number("code", 200)?;
    let code = u16::try_from(code).map_err(|error| Reply::refused("code", error))?;
    Ok(Reply::status(code, query.text("body").unwrap_or_default()))
}

pub fn respond(query: &Query) -> Result<Reply, Reply> {
    let mut reply = Reply::text("ok");
    for header in query.all("header") {
        let Some((name, value)) = header.split_once(':') else {
            return Err(Reply::status(400, format!("no colon in {header:?}")));
        };
        if name.eq_ignore_ascii_case("content-type") {
            reply.headers.clear();
        }
        reply.headers.push((name.into(), value.into()));
    }
    Ok(reply)
}

pub fn read(path: &str) -> Reply {
    match fs::read(path) {
        Ok(content) => Reply::text(content),
        Err(error) => failed(error),
    }
}

pub fn list(path: &str) -> Reply {
    let names = fs::read_dir(path).and_then(|entries| {
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect::<io::Result<Vec<String>>>()
    });
    match names {
        Ok(mut names) => {
            names.sort();
            Reply::json(json::list(names.iter().map(|name| json::string(name))))
        }
        Err(error) => failed(error),
    }
}

fn failed(error: io::Error) -> Reply {
    Reply::status(500, error.to_string())
}

pub fn connect(address: &str) -> Reply {
    match TcpStream::connect(address) {
        Ok(_) => Reply::text("connected"),
        Err(error) => Reply::status(502, error.to_string()),
    }
}

/// Sends a datagram and answers what comes back.
pub fn datagram(address: &str) -> Reply {
    let exchange = || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.send_to(b"ping", address)?;
        let mut buffer = [0; 100];
        let (length, from) = socket.recv_from(&mut buffer)?;
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        io::Result::Ok(format!("{text} from {from}"))
    };
    match exchange() {
        Ok(text) => Reply::text(text),
        Err(error) => Reply::status(502, error.to_string()),
    }
}

pub fn listen(address: &str) -> Reply {
    match TcpListener::bind(address) {
        Ok(_) => Reply::text("listening"),
        Err(error) => Reply::status(502, error.to_string()),
    }
}

/// The steps, in nanoseconds, that both clocks were seen to go in.
pub fn clocks() -> Reply {
    let (began, wall) = (Instant::now(), SystemTime::now());
    let (mut step, mut wall_step) = (0, 0);
    while step == 0 || wall_step == 0 {
        if step == 0 {
            step = began.elapsed().as_nanos();
        }
        if wall_step == 0 {
            wall_step = wall.elapsed().map_or(0, |elapsed| elapsed.as_nanos());
        }
    }
    let pair = [
        ("monotonic", step.to_string()),
        ("wall", wall_step.to_string()),
    ];
    Reply::json(json::object(
        pair.map(|(name, value)| (name.into(), value)).into_iter(),
    ))
}

pub fn resolve(name: &str) -> Reply {
    match (name, 0).to_socket_addrs() {
        Ok(addresses) => {
            let addresses = addresses.map(|address| address.ip().to_string());
            Reply::text(Vec::from_iter(addresses).join("\n"))
        }
        Err(error) => Reply::status(502, error.to_string()),
    }
}

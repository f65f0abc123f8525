//! Who listens at an address, for messages: what /proc tells about processes that we may look at.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// State of a listening socket in /proc/net/tcp (TCP_LISTEN).
const LISTEN: &str = "0A";

/// The process that listens at an address, or at all addresses with its port.
pub fn of_address(address: SocketAddr) -> Option<String> {
    let sockets: Vec<PathBuf> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| table.lines().filter_map(|line| listener(line, address)).map(link).collect::<Vec<_>>())
        .collect();
    // A server's supervisor is older than its workers, which have the socket too.
    processes().into_iter().find(|pid| has_any(*pid, &sockets)).map(describe)
}

/// The socket's inode, if this line of /proc/net/tcp is about one that listens where `address` is.
fn listener(line: &str, address: SocketAddr) -> Option<&str> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    let (ip, port) = local.split_once(':')?;
    let ip = parse_ip(ip)?;
    let same_port = u16::from_str_radix(port, 16) == Ok(address.port());
    let same_ip = ip == address.ip() || ip.is_unspecified() || address.ip().is_unspecified();
    (*state == LISTEN && same_port && same_ip).then_some(inode)
}

/// An address as /proc/net/tcp writes it: words of 32 bits in this machine's byte order.
fn parse_ip(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let bytes = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical())
        }
        _ => None,
    }
}

fn processes() -> Vec<i32> {
    let mut pids: Vec<i32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids
}

/// What a descriptor of a socket is a link to in /proc.
fn link(inode: &str) -> PathBuf {
    format!("socket:[{inode}]").into()
}

fn has_any(pid: i32, sockets: &[PathBuf]) -> bool {
    let mut descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().filter_map(Result::ok);
    descriptors.any(|entry| fs::read_link(entry.path()).is_ok_and(|to| sockets.contains(&to)))
}

/// A process by its name and number.
pub fn describe(pid: i32) -> String {
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("{} (process {pid})", name.trim_end()),
        Err(_) => format!("process {pid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_about_a_listener_at_the_address_or_at_all() {
        let one = "0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 1 0 100 0 0 10 0";
        let all = one.replace("0100007F", "00000000");
        let connected = one.replace(" 0A ", " 01 ");
        let address = |text: &str| text.parse().unwrap();
        assert_eq!(listener(one, address("127.0.0.1:8080")), Some("4711"));
        assert_eq!(listener(one, address("0.0.0.0:8080")), Some("4711"));
        assert_eq!(listener(&all, address("10.0.0.1:8080")), Some("4711"));
        for (line, other) in [(one, "127.0.0.1:80"), (one, "127.0.0.2:8080"), (&connected, "127.0.0.1:8080")] {
            assert_eq!(listener(line, address(other)), None);
        }
        assert_eq!(parse_ip("00000000000000000000000001000000"), Some("::1".parse().unwrap()));
    }
}

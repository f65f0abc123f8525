//! Single values: each parser tells its mistake to `keep` and goes on with a harmless stand-in, so that all
//! mistakes of a command line come out together.

use super::Dir;
use crate::cli::ServeArgs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// A year: longer waits are mistakes.
const MAX_SECONDS: f64 = 366.0 * 24.0 * 3600.0;

pub fn binds(args: &ServeArgs, keep: &mut impl FnMut(String)) -> Vec<SocketAddr> {
    let default = [join_host(&args.host, args.port)];
    let texts = if args.bind.is_empty() { default.as_slice() } else { args.bind.as_slice() };
    let mut binds = Vec::new();
    for text in texts {
        let Some((host, port)) = text.rsplit_once(':') else {
            keep(format!("--bind {text}: write ADDR:PORT, such as 127.0.0.1:8000 or [::1]:8000"));
            continue;
        };
        let Ok(port) = port.parse::<u16>() else {
            keep(format!("--bind {text}: {port} is not a port from 0 to 65535"));
            continue;
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match (bare, port).to_socket_addrs().map(|mut addresses| addresses.next()) {
            Ok(Some(address)) if binds.contains(&address) && port != 0 => keep(format!("--bind {text}: given twice")),
            Ok(Some(address)) => binds.push(address),
            Ok(None) => keep(format!("--bind {text}: {host} has no address")),
            Err(error) => keep(format!("--bind {text}: {host} is not an address of this machine: {error}")),
        }
    }
    binds
}

fn join_host(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

pub fn workers(text: Option<&str>, keep: &mut impl FnMut(String)) -> usize {
    let (origin, text) = match text {
        Some(text) => ("--workers", text.to_owned()),
        None => ("WEB_CONCURRENCY", std::env::var("WEB_CONCURRENCY").unwrap_or_default()),
    };
    match text.trim() {
        "" => 1,
        // Counts the cores that affinity and the container's CPU quota leave to this process.
        "auto" => std::thread::available_parallelism().map_or(1, usize::from),
        number => number.parse().unwrap_or_else(|_| {
            keep(format!("{origin} {number}: write a number of worker processes, or auto"));
            1
        }),
    }
}

pub fn env(text: &str, keep: &mut impl FnMut(String)) -> Option<(String, String)> {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (text, None),
    };
    if key.is_empty() || key.contains('\0') {
        keep(format!("--env {text}: write KEY=VALUE, or KEY to pass on our own variable"));
        return None;
    }
    if key.starts_with("WASMSERVE_") && value.is_some() {
        keep(format!("--env {text}: names that begin with WASMSERVE_ are set by wasmserve itself"));
        return None;
    }
    let value = value.or_else(|| {
        let own = std::env::var(key);
        if let Err(error) = &own {
            keep(format!("--env {key}: cannot pass it on: {error}; write {key}=VALUE"));
        }
        own.ok()
    })?;
    Some((key.to_owned(), value))
}

pub fn dir(text: &str, keep: &mut impl FnMut(String)) -> Option<Dir> {
    let Some((host, guest)) = text.split_once("::") else {
        keep(format!("--dir {text}: write HOST::GUEST, such as ./data::/data or ./data::/data:ro"));
        return None;
    };
    let (guest, read_only) = match guest.strip_suffix(":ro") {
        Some(guest) => (guest, true),
        None => (guest, false),
    };
    if host.is_empty() || guest.is_empty() {
        keep(format!("--dir {text}: both the folder here and its name for the guest are needed"));
        return None;
    }
    match std::fs::metadata(host) {
        Ok(metadata) if metadata.is_dir() => Some(Dir { host: host.into(), guest: guest.to_owned(), read_only }),
        Ok(_) => {
            keep(format!("--dir {text}: {host} is not a folder"));
            None
        }
        Err(error) => {
            keep(format!("--dir {text}: {host}: {error}"));
            None
        }
    }
}

pub fn seconds(flag: &str, text: &str, keep: &mut impl FnMut(String)) -> Duration {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=MAX_SECONDS).contains(&seconds) => Duration::from_secs_f64(seconds),
        _ => {
            keep(format!("{flag} {text}: write a number of seconds, such as 30 or 0.5"));
            Duration::ZERO
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes<T>(parse: impl FnOnce(&mut dyn FnMut(String)) -> T) -> (T, Vec<String>) {
        let mut list = Vec::new();
        let value = parse(&mut |mistake| list.push(mistake));
        (value, list)
    }

    #[test]
    fn a_folder_may_be_read_only_and_must_exist() {
        let (dir, list) = mistakes(|mut keep| dir("/tmp::/data:ro", &mut keep));
        assert_eq!(dir, Some(Dir { host: "/tmp".into(), guest: "/data".into(), read_only: true }));
        assert!(list.is_empty());
        for wrong in ["/tmp", "/tmp::", "::/data", "/proc/no-such::/data", "/etc/passwd::/data"] {
            let (dir, list) = mistakes(|mut keep| super::dir(wrong, &mut keep));
            assert!(dir.is_none() && list.len() == 1, "{wrong}: {list:?}");
        }
    }

    #[test]
    fn a_variable_has_a_name_that_is_not_ours() {
        assert_eq!(mistakes(|mut keep| env("A=b=c", &mut keep)).0, Some(("A".into(), "b=c".into())));
        for wrong in ["", "=x", "WASMSERVE_WORKER=1", "SURELY_NOT_SET_ANYWHERE"] {
            assert_eq!(mistakes(|mut keep| env(wrong, &mut keep)).1.len(), 1, "{wrong}");
        }
    }

    #[test]
    fn seconds_are_finite_and_not_negative() {
        assert_eq!(mistakes(|mut keep| seconds("--t", "0.5", &mut keep)).0, Duration::from_millis(500));
        for wrong in ["-1", "x", "", "inf", "NaN", "1e99"] {
            assert_eq!(mistakes(|mut keep| seconds("--t", wrong, &mut keep)).1.len(), 1, "{wrong}");
        }
    }

    #[test]
    fn an_ipv6_address_needs_no_brackets_as_host() {
        assert_eq!(join_host("::1", 80), "[::1]:80");
        assert_eq!(join_host("127.0.0.1", 80), "127.0.0.1:80");
    }
}

//! Single values: each parser tells its mistake to `keep` and goes on with a harmless stand-in, so that all
//! mistakes of a command line come out together.

use super::{Bind, Dir, Identity};
use crate::cli::ServeArgs;
use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

/// A year: longer waits are mistakes.
const MAX_SECONDS: f64 = 366.0 * 24.0 * 3600.0;
/// The first descriptor that systemd hands over (SD_LISTEN_FDS_START), and how many we take.
const FIRST_ACTIVATED: RawFd = 3;
const MAX_ACTIVATED: i32 = 253;

pub fn binds(args: &ServeArgs, keep: &mut impl FnMut(String)) -> Vec<Bind> {
    let default = [join_host(&args.host, args.port)];
    // What is asked for goes before what we were activated with, and that before the default.
    let inherited = if args.bind.is_empty() && args.fd.is_empty() { activated(keep) } else { args.fd.clone() };
    let texts = match () {
        () if !args.bind.is_empty() => args.bind.as_slice(),
        () if !inherited.is_empty() => &[],
        () => default.as_slice(),
    };
    let mut binds = Vec::new();
    for bind in inherited.into_iter().map(Bind::Inherited) {
        match binds.contains(&bind) {
            true => keep("--fd: a descriptor is given twice".to_owned()),
            false => binds.push(bind),
        }
    }
    for text in texts {
        if let Some(path) = text.strip_prefix("unix:") {
            match path {
                "" => keep(format!("--bind {text}: write unix:PATH, such as unix:/run/app.sock")),
                path if binds.contains(&Bind::Unix(path.into())) => keep(format!("--bind {text}: given twice")),
                path => binds.push(Bind::Unix(path.into())),
            }
            continue;
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            keep(format!("--bind {text}: write ADDR:PORT, such as 127.0.0.1:8000 or [::1]:8000, or unix:PATH"));
            continue;
        };
        let Ok(port) = port.parse::<u16>() else {
            keep(format!("--bind {text}: {port} is not a port from 0 to 65535"));
            continue;
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match (bare, port).to_socket_addrs().map(|mut addresses| addresses.next()) {
            Ok(Some(address)) if binds.contains(&Bind::Tcp(address)) && port != 0 => {
                keep(format!("--bind {text}: given twice"))
            }
            Ok(Some(address)) => binds.push(Bind::Tcp(address)),
            Ok(None) => keep(format!("--bind {text}: {host} has no address")),
            Err(error) => keep(format!("--bind {text}: {host} is not an address of this machine: {error}")),
        }
    }
    binds
}

/// Descriptors that systemd hands to a service it activates by socket (sd_listen_fds(3)). The variables are meant for
/// the process with this id; those that it starts leave them alone.
fn activated(keep: &mut impl FnMut(String)) -> Vec<RawFd> {
    let variable = |name: &str| std::env::var(name).ok();
    if variable("LISTEN_PID").and_then(|id| id.parse().ok()) != Some(std::process::id()) {
        return Vec::new();
    }
    let Some(count) = variable("LISTEN_FDS") else { return Vec::new() };
    match count.parse() {
        Ok(count @ 0..=MAX_ACTIVATED) => (FIRST_ACTIVATED..FIRST_ACTIVATED + count).collect(),
        _ => {
            keep(format!("LISTEN_FDS {count}: must be a number of sockets from 0 to {MAX_ACTIVATED}"));
            Vec::new()
        }
    }
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

/// A variable and the file that holds its value. Only the worker reads that.
pub fn env_file(text: &str, keep: &mut impl FnMut(String)) -> Option<(String, PathBuf)> {
    let parsed = text.split_once('=').filter(|(key, path)| {
        !key.is_empty() && !key.contains('\0') && !key.starts_with("WASMSERVE_") && !path.is_empty()
    });
    let Some((key, path)) = parsed else {
        keep(format!("--env-from-file {text}: write KEY=FILE, such as DB_PASSWORD=/run/secrets/db"));
        return None;
    };
    if let Err(error) = std::fs::metadata(path) {
        keep(format!("--env-from-file {text}: {path}: {error}"));
        return None;
    }
    Some((key.to_owned(), path.into()))
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

/// A number of bytes: plain, or with a unit of 1,000s (kB, MB, GB) or 1,024s (KiB, MiB, GiB).
pub fn size(flag: &str, text: &str, keep: &mut impl FnMut(String)) -> u64 {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "kb" => Some(1000),
        "mb" => Some(1_000_000),
        "gb" => Some(1_000_000_000),
        "k" | "kib" => Some(1 << 10),
        "m" | "mib" => Some(1 << 20),
        "g" | "gib" => Some(1 << 30),
        _ => None,
    };
    let bytes = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    bytes.unwrap_or_else(|| {
        keep(format!("{flag} {text}: write a number of bytes, such as 67108864 or 64MiB"));
        0
    })
}

/// Permissions in octal.
pub fn mode(flag: &str, text: &str, keep: &mut impl FnMut(String)) -> u32 {
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777).unwrap_or_else(|| {
        keep(format!("{flag} {text}: write permissions in octal, such as 660"));
        0
    })
}

/// Who workers run as: the user's id, and its own group unless another is given.
pub fn identity(args: &ServeArgs, keep: &mut impl FnMut(String)) -> Option<Identity> {
    let user = args.user.as_deref().map(|text| {
        let found = match text.parse() {
            Ok(number) => User::from_uid(Uid::from_raw(number)).ok().flatten().or_else(|| Some(nameless(number))),
            Err(_) => User::from_name(text).ok().flatten(),
        };
        found.ok_or_else(|| format!("--user {text}: there is no such user"))
    });
    let group = args.group.as_deref().map(|text| match text.parse() {
        Ok(number) => Ok(Gid::from_raw(number)),
        Err(_) => Group::from_name(text)
            .ok()
            .flatten()
            .map(|group| group.gid)
            .ok_or_else(|| format!("--group {text}: there is no such group")),
    });
    if user.is_none() && group.is_none() {
        return None;
    }
    if !geteuid().is_root() {
        keep(
            "--user, --group: only root may run workers as somebody else: start as root, or leave them out".to_owned(),
        );
    }
    match (user.transpose(), group.transpose()) {
        (Ok(user), Ok(group)) => Some(Identity {
            user: user.as_ref().map_or(geteuid(), |user| user.uid),
            group: group.or(user.map(|user| user.gid)).unwrap_or(getegid()),
        }),
        (user, group) => {
            user.err().into_iter().chain(group.err()).for_each(keep);
            None
        }
    }
}

/// A user id without an entry, as containers have them: its group has the same number.
fn nameless(number: u32) -> User {
    let uid = Uid::from_raw(number);
    let (name, dir, shell) = (number.to_string(), "/".into(), "/".into());
    User { name, passwd: c"".into(), uid, gid: Gid::from_raw(number), gecos: c"".into(), dir, shell }
}

/// Address of the admin listener; a port alone is on the loopback.
pub fn admin(text: &str, keep: &mut impl FnMut(String)) -> Option<SocketAddr> {
    let address = match text.parse::<u16>() {
        Ok(port) => Some(SocketAddr::from(([127, 0, 0, 1], port))),
        Err(_) => text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next()),
    };
    if address.is_none() {
        keep(format!("--admin {text}: write ADDR:PORT or PORT, such as 127.0.0.1:9090"));
    }
    address
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
    fn sizes_have_units() {
        for (text, bytes) in [("0", 0), ("10", 10), ("64MiB", 64 << 20), ("2 kB", 2000), ("1g", 1 << 30)] {
            assert_eq!(mistakes(|mut keep| size("--m", text, &mut keep)), (bytes, vec![]), "{text}");
        }
        for wrong in ["", "-1", "1.5MiB", "x", "1 parsec", "99999999999GiB"] {
            assert_eq!(mistakes(|mut keep| size("--m", wrong, &mut keep)).1.len(), 1, "{wrong}");
        }
    }

    #[test]
    fn permissions_are_octal() {
        assert_eq!(mistakes(|mut keep| mode("--umask", "027", &mut keep)), (0o27, vec![]));
        for wrong in ["", "8", "1777", "rw"] {
            assert_eq!(mistakes(|mut keep| mode("--umask", wrong, &mut keep)).1.len(), 1, "{wrong}");
        }
    }

    #[test]
    fn an_ipv6_address_needs_no_brackets_as_host() {
        assert_eq!(join_host("::1", 80), "[::1]:80");
        assert_eq!(join_host("127.0.0.1", 80), "127.0.0.1:80");
    }
}

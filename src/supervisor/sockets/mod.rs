//! Listening sockets. A TCP address has one per worker slot, in one SO_REUSEPORT group: the kernel spreads new
//! connections over them, and what waits at a slot outlives its worker. A Unix socket, or one that we were started
//! with, is shared by all slots.

mod holder;
mod inherited;
mod tcp;
mod unix;

use super::upgrade::predecessor;
use crate::config::{Bind, Settings};
use crate::exit::Failure;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

pub struct Sockets {
    listeners: Vec<Listener>,
    backlog: i32,
    /// Whether another process listens on the same sockets: one that takes over from us, or that we take over from.
    shared: bool,
    /// The process that they belong to: a forked one that fails must not remove files.
    owner: u32,
}

/// What listens at one address.
enum Listener {
    /// A socket per slot.
    Tcp {
        address: SocketAddr,
        slots: Vec<OwnedFd>,
    },
    Unix {
        file: unix::File,
        socket: OwnedFd,
    },
    /// Bound by whoever started us.
    Inherited {
        address: String,
        socket: OwnedFd,
    },
}

/// The same for the process that an upgrade executes: descriptors stay open and keep their numbers.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
enum Described {
    Tcp { address: SocketAddr, slots: Vec<RawFd> },
    Unix { file: unix::File, socket: RawFd },
    Inherited { address: String, socket: RawFd },
}

/// Listens wherever the settings say.
pub fn bind(settings: &Settings) -> Result<Sockets, Failure> {
    let mut sockets = Sockets::new(Vec::new(), settings.backlog);
    for bind in &settings.binds {
        sockets.listeners.push(Listener::bind(bind, settings)?);
    }
    Ok(sockets)
}

/// The same in place of others: what is in both goes on, so that nobody who waits there is lost. If it fails they stay.
pub fn rebind(old: &mut Option<Sockets>, settings: &Settings) -> Result<Sockets, Failure> {
    let mut kept = old.as_mut().map(|old| &mut old.listeners);
    let mut listeners = Vec::new();
    for bind in &settings.binds {
        let is_kept = kept.as_ref().is_some_and(|kept| kept.iter().any(|listener| listener.is_at(bind)));
        listeners.push(if is_kept { None } else { Some(Listener::bind(bind, settings)?) });
    }
    let listeners = listeners.into_iter().zip(&settings.binds).filter_map(|(listener, bind)| {
        let at = |kept: &Vec<Listener>| kept.iter().position(|listener| listener.is_at(bind));
        listener.or_else(|| kept.as_mut().and_then(|kept| at(kept).map(|at| kept.swap_remove(at))))
    });
    Ok(Sockets::new(listeners.collect(), settings.backlog))
}

impl Sockets {
    fn new(listeners: Vec<Listener>, backlog: i32) -> Self {
        Self { listeners, backlog, shared: false, owner: std::process::id() }
    }

    /// Takes over what the process before us has described (`describe`).
    pub fn inherit(description: &str, settings: &Settings) -> Result<Self, Failure> {
        let described: Vec<Described> = serde_json::from_str(description)
            .map_err(|error| Failure::internal(format!("the description of inherited sockets is invalid: {error}")))?;
        let listeners = described.into_iter().map(Listener::inherit).collect::<Result<_, _>>()?;
        let mut sockets = Self::new(listeners, settings.backlog);
        sockets.set_shared(true);
        Ok(sockets)
    }

    /// For the environment of a process that gets these descriptors by exec.
    pub fn describe(&self) -> String {
        let described: Vec<Described> = self.listeners.iter().map(Listener::describe).collect();
        serde_json::to_string(&described).expect("addresses, paths and numbers can be written as JSON")
    }

    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.listeners.iter().flat_map(Listener::sockets).map(AsFd::as_fd).collect()
    }

    /// Where it listens, with the real ports: URLs, or `unix:PATH`.
    pub fn addresses(&self) -> Vec<String> {
        self.listeners.iter().map(Listener::address).collect()
    }

    /// Slots that have sockets of their own, in which connections may wait whether or not there is a worker: in a
    /// process that took over from another, maybe more than it has workers.
    pub fn slots(&self) -> usize {
        self.listeners.iter().map(Listener::slots).max().unwrap_or(0)
    }

    /// The sockets that a slot's worker accepts from. Its own are made on first use and stay for ever: whatever
    /// waits in the queue of a socket is lost when that is closed.
    pub fn slot(&mut self, index: usize) -> Result<Vec<BorrowedFd<'_>>, Failure> {
        for listener in &mut self.listeners {
            if let Listener::Tcp { address, slots } = listener {
                while slots.len() <= index {
                    slots.push(tcp::join(*address, self.backlog)?);
                }
            }
        }
        Ok(self.listeners.iter().map(|listener| listener.of_slot(index).as_fd()).collect())
    }

    pub fn set_shared(&mut self, shared: bool) {
        self.shared = shared;
    }

    /// Stops listening for good: closes all, and removes the socket files that we have made unless they are shared.
    pub fn close(&mut self) {
        let remove = !self.shared && self.owner == std::process::id();
        for listener in self.listeners.drain(..) {
            if let Listener::Unix { file, .. } = listener
                && remove
            {
                file.remove();
            }
        }
    }
}

/// A start that fails leaves no socket files behind.
impl Drop for Sockets {
    fn drop(&mut self) {
        self.close();
    }
}

impl Listener {
    fn bind(bind: &Bind, settings: &Settings) -> Result<Self, Failure> {
        match bind {
            Bind::Tcp(address) => {
                let listened = tcp::listen(*address, settings.backlog);
                // An app's own address, at which its server before the upgrade still listens.
                let (address, socket) = match listened {
                    Err(_) if predecessor().is_some() => (*address, tcp::join(*address, settings.backlog)?),
                    listened => listened?,
                };
                Ok(Self::Tcp { address, slots: vec![socket] })
            }
            Bind::Unix(path) => {
                let (file, socket) = unix::listen(path, settings.uds_mode, settings.backlog)?;
                Ok(Self::Unix { file, socket })
            }
            Bind::Inherited(fd) => {
                let (address, socket) = inherited::take(*fd)?;
                Ok(Self::Inherited { address, socket })
            }
        }
    }

    fn is_at(&self, bind: &Bind) -> bool {
        match (self, bind) {
            (Self::Tcp { address, .. }, Bind::Tcp(wanted)) => address == wanted,
            (Self::Unix { file, .. }, Bind::Unix(wanted)) => {
                std::path::absolute(wanted).is_ok_and(|wanted| wanted.as_os_str() == file.path.as_str())
            }
            _ => false,
        }
    }

    fn inherit(described: Described) -> Result<Self, Failure> {
        let take = |fd| inherited::take(fd).map(|(_, socket)| socket);
        Ok(match described {
            Described::Tcp { address, slots } => {
                Self::Tcp { address, slots: slots.into_iter().map(take).collect::<Result<_, _>>()? }
            }
            Described::Unix { file, socket } => Self::Unix { file, socket: take(socket)? },
            Described::Inherited { address, socket } => Self::Inherited { address, socket: take(socket)? },
        })
    }

    fn describe(&self) -> Described {
        match self {
            Self::Tcp { address, slots } => {
                Described::Tcp { address: *address, slots: slots.iter().map(AsRawFd::as_raw_fd).collect() }
            }
            Self::Unix { file, socket } => Described::Unix { file: file.clone(), socket: socket.as_raw_fd() },
            Self::Inherited { address, socket } => {
                Described::Inherited { address: address.clone(), socket: socket.as_raw_fd() }
            }
        }
    }

    fn address(&self) -> String {
        match self {
            Self::Tcp { address, .. } => format!("http://{address}"),
            Self::Unix { file, .. } => format!("unix:{}", file.path),
            Self::Inherited { address, .. } => address.clone(),
        }
    }

    fn slots(&self) -> usize {
        match self {
            Self::Tcp { slots, .. } => slots.len(),
            Self::Unix { .. } | Self::Inherited { .. } => 0,
        }
    }

    fn sockets(&self) -> &[OwnedFd] {
        match self {
            Self::Tcp { slots, .. } => slots,
            Self::Unix { socket, .. } | Self::Inherited { socket, .. } => std::slice::from_ref(socket),
        }
    }

    /// The slot's own socket, or the one that it shares with all.
    fn of_slot(&self, index: usize) -> &OwnedFd {
        match self {
            Self::Tcp { slots, .. } => &slots[index],
            Self::Unix { socket, .. } | Self::Inherited { socket, .. } => socket,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    fn both_kinds(path: &std::path::Path) -> Sockets {
        let (address, socket) = tcp::listen("127.0.0.1:0".parse().unwrap(), 8).unwrap();
        let tcp = Listener::Tcp { address, slots: vec![socket] };
        let (file, socket) = unix::listen(path, 0o600, 8).unwrap();
        Sockets::new(vec![tcp, Listener::Unix { file, socket }], 8)
    }

    fn numbers(sockets: Vec<BorrowedFd<'_>>) -> Vec<RawFd> {
        sockets.iter().map(AsRawFd::as_raw_fd).collect()
    }

    #[test]
    fn a_slot_gets_its_socket_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut sockets = both_kinds(&folder.path().join("app.sock"));
        assert_eq!(sockets.slots(), 1, "the port is held from the beginning");
        let (first, third) = (numbers(sockets.slot(0).unwrap()), numbers(sockets.slot(2).unwrap()));
        assert_ne!(first[0], third[0], "one per slot");
        assert_eq!(first[1], third[1], "one for all");
        assert_eq!(numbers(sockets.slot(2).unwrap()), third);
        assert_eq!((sockets.slots(), sockets.descriptors().len()), (3, 4));
        sockets.close();
        assert!(sockets.addresses().is_empty() && !folder.path().join("app.sock").exists());
    }

    #[test]
    fn what_is_described_can_be_inherited() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        let mut before = both_kinds(&path);
        before.slot(1).unwrap();
        let description = before.describe();
        for socket in before.descriptors() {
            fcntl(socket, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        }
        let (addresses, descriptors) = (before.addresses(), numbers(before.descriptors()));
        // As over exec: nobody owns the descriptors any more.
        std::mem::forget(before);
        let described = serde_json::from_str::<Vec<Described>>(&description).unwrap();
        let listeners = described.into_iter().map(|one| Listener::inherit(one).unwrap()).collect();
        let mut after = Sockets::new(listeners, 8);
        assert_eq!((after.addresses(), numbers(after.descriptors())), (addresses, descriptors));
        assert_eq!(after.slots(), 2);
        for socket in after.descriptors() {
            assert_eq!(fcntl(socket, FcntlArg::F_GETFD), Ok(FdFlag::FD_CLOEXEC.bits()));
        }
        after.set_shared(true);
        after.close();
        assert!(path.exists(), "whoever listens there still needs it");
    }
}

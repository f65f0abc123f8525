//! Listening sockets: for each address one per worker slot, in one SO_REUSEPORT group, so that the kernel
//! spreads new connections and what waits at a slot outlives its worker.

use crate::exit::{Exit, Failure};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// Connections that may wait at one slot.
const BACKLOG: i32 = 2048;

pub struct Sockets {
    /// The addresses, with the real ports.
    pub addresses: Vec<SocketAddr>,
    /// For each slot its sockets, one per address.
    pub slots: Vec<Vec<OwnedFd>>,
}

pub fn bind(addresses: &[SocketAddr], slots: usize) -> Result<Sockets, Failure> {
    let mut sockets = Sockets { addresses: Vec::new(), slots: (0..slots).map(|_| Vec::new()).collect() };
    for address in addresses {
        let mut address = *address;
        // SO_REUSEPORT would let us join another server's group: first see whether the address is free at all.
        let probe = open(address, false).map_err(|error| refused(address, &error))?;
        address.set_port(probe.local_addr()?.as_socket().map_or(0, |bound| bound.port()));
        drop(probe);
        for slot in &mut sockets.slots {
            let socket = open(address, true).and_then(|socket| socket.listen(BACKLOG).map(|()| socket));
            slot.push(socket.map_err(|error| refused(address, &error))?.into());
        }
        sockets.addresses.push(address);
    }
    Ok(sockets)
}

fn open(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn refused(address: SocketAddr, error: &io::Error) -> Failure {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "another process listens there: stop it, or choose another --port",
        io::ErrorKind::AddrNotAvailable => "it is no address of this machine: choose another --host",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose another --port",
        _ => "choose another --host or --port",
    };
    Failure::new(Exit::Usage, format!("cannot listen on {address}: {error}; {advice}"))
}

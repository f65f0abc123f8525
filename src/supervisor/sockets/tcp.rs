//! TCP: one group of SO_REUSEPORT sockets for each address.

use super::holder;
use crate::exit::Failure;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// Listens on an address that nobody else listens on: the first socket of its group, and the address with its port.
pub fn listen(address: SocketAddr, backlog: i32) -> Result<(SocketAddr, OwnedFd), Failure> {
    let listening = || {
        let socket = open(address, false)?;
        socket.listen(backlog)?;
        // Only now: from the beginning it would let us join another server's group.
        socket.set_reuse_port(true)?;
        let bound = socket.local_addr()?.as_socket().unwrap_or(address);
        Ok((bound, socket.into()))
    };
    listening().map_err(|error| refused(address, &error))
}

/// Another socket of the group at an address of ours.
pub fn join(address: SocketAddr, backlog: i32) -> Result<OwnedFd, Failure> {
    let socket = open(address, true).and_then(|socket| socket.listen(backlog).map(|()| socket));
    socket.map(OwnedFd::from).map_err(|error| refused(address, &error))
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
        io::ErrorKind::AddrInUse => {
            let holder = holder::of_address(address).unwrap_or_else(|| "another process".to_owned());
            format!("{holder} listens there: stop it, or choose another --port")
        }
        io::ErrorKind::AddrNotAvailable => "it is no address of this machine: choose another --host".to_owned(),
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose another --port".to_owned(),
        _ => "choose another --host or --port".to_owned(),
    };
    Failure::usage(format!("cannot listen on {address}: {error}; {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_refused_and_its_holder_named() {
        let (address, _first) = listen("127.0.0.1:0".parse().unwrap(), 8).unwrap();
        let _second = join(address, 8).unwrap();
        let refused = listen(address, 8).unwrap_err();
        assert_eq!(refused.exit, crate::exit::Exit::Usage);
        let holder = format!("(process {})", std::process::id());
        assert!(refused.message.contains(&holder) && refused.message.contains(&address.to_string()), "{refused}");
    }

    #[test]
    fn ipv6_gets_a_port_too() {
        let (address, _socket) = listen("[::1]:0".parse().unwrap(), 8).unwrap();
        assert_ne!(address.port(), 0);
        assert!(listen(address, 8).is_err());
    }
}

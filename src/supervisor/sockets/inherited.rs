//! Sockets that we were started with: by --fd, by systemd, or by the executable that we replace.

use crate::exit::Failure;
use crate::sys;
use nix::sys::socket::{getsockopt, sockopt::AcceptConn};
use socket2::{Domain, SockRef, Type};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt;

/// Takes ownership of a listening socket: where it listens, and the socket.
pub fn take(fd: RawFd) -> Result<(String, OwnedFd), Failure> {
    let refused = |why: String| Failure::usage(format!("descriptor {fd} cannot be listened on: {why}"));
    if !fs::metadata(format!("/proc/self/fd/{fd}")).is_ok_and(|file| file.file_type().is_socket()) {
        return Err(refused("it is no open socket; pass one on to wasmserve".to_owned()));
    }
    let failed = |error: io::Error| refused(error.to_string());
    let socket = own(fd).map_err(failed)?;
    let reference = SockRef::from(&socket);
    let domain = reference.domain().map_err(failed)?;
    let is_stream = reference.r#type().map_err(failed)? == Type::STREAM;
    if !is_stream || ![Domain::IPV4, Domain::IPV6, Domain::UNIX].contains(&domain) {
        return Err(refused("it is neither a TCP nor a Unix stream socket".to_owned()));
    }
    if getsockopt(&socket, AcceptConn) != Ok(true) {
        return Err(refused("it does not listen (with systemd: ListenStream= and Accept=no)".to_owned()));
    }
    reference.set_nonblocking(true).map_err(failed)?;
    reference.set_cloexec(true).map_err(failed)?;
    let address = reference.local_addr().map_err(failed)?;
    let address = match (address.as_socket(), address.as_pathname()) {
        (Some(address), _) => format!("http://{address}"),
        (_, Some(path)) => format!("unix:{}", path.display()),
        (None, None) => format!("unix: (descriptor {fd})"),
    };
    Ok((address, socket))
}

/// A socket passed on as stdin leaves that to /dev/null: standard streams are open in every process.
fn own(fd: RawFd) -> io::Result<OwnedFd> {
    match fd {
        0 => {
            let socket = io::stdin().as_fd().try_clone_to_owned()?;
            nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
            Ok(socket)
        }
        1 | 2 => Err(io::Error::other("it is an output of wasmserve")),
        _ => Ok(sys::inherited(fd)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    #[test]
    fn only_a_socket_that_listens_is_taken() {
        let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listening.local_addr().unwrap();
        let (taken, _socket) = take(listening.into_raw_fd()).unwrap();
        assert_eq!(taken, format!("http://{address}"));

        let connected = std::net::TcpStream::connect(address).unwrap();
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let file = File::open("/dev/null").unwrap();
        for fd in [connected.into_raw_fd(), datagrams.into_raw_fd(), file.into_raw_fd(), -1, RawFd::MAX] {
            assert_eq!(take(fd).unwrap_err().exit, crate::exit::Exit::Usage);
        }
    }
}

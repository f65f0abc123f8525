//! A listening socket, of whichever kind: connections on their way to the front.

use crate::http::connection::{Front, Peer};
use socket2::{Domain, SockRef, Socket};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Poll, ready};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// Connections taken from a queue at the end of a worker at most: others may go on filling it.
const MOST_WAITING: usize = 4096;

pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(match SockRef::from(&socket).domain()? {
            Domain::UNIX => Self::Unix(UnixListener::from_std(socket.into())?),
            _ => Self::Tcp(TcpListener::from_std(socket.into())?),
        })
    }

    /// Takes the next connection, when there is one and room for it: until then it waits in the kernel's queue.
    pub async fn accept(&self, front: &Arc<Front>) -> io::Result<()> {
        poll_fn(|cx| {
            ready!(front.crowd.poll_room(cx));
            match self {
                Self::Tcp(listener) => {
                    let (stream, client) = ready!(listener.poll_accept(cx))?;
                    take(stream, client, front);
                }
                Self::Unix(listener) => front.accept(ready!(listener.poll_accept(cx))?.0, Peer::Unix),
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Takes what waits in a socket's queue, and closes it.
    pub fn take_waiting(socket: OwnedFd, front: &Arc<Front>) {
        let socket = Socket::from(socket);
        for _ in 0..MOST_WAITING {
            let Ok((stream, client)) = socket.accept() else { return };
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            match client.as_socket() {
                Some(client) => {
                    if let Ok(stream) = TcpStream::from_std(stream.into()) {
                        take(stream, client, front);
                    }
                }
                None => {
                    if let Ok(stream) = UnixStream::from_std(stream.into()) {
                        front.accept(stream, Peer::Unix);
                    }
                }
            }
        }
    }
}

fn take(stream: TcpStream, client: SocketAddr, front: &Arc<Front>) {
    let _ = stream.set_nodelay(true);
    // Without an address it has been closed already.
    if let Ok(local) = stream.local_addr() {
        front.accept(stream, Peer::Tcp { client, local });
    }
}

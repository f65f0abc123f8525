//! A worker at work: it accepts on its slot's sockets, listens to the supervisor, shows signs of life.

use super::drain;
use crate::exit::Failure;
use crate::http::connection::Front;
use crate::lane::Lane;
use crate::message::{FromWorker, MAX_LEN, Received, ToWorker, parse, send_message};
use crate::scoreboard::Row;
use std::collections::HashMap;
use std::io;
use std::net::TcpListener as StdListener;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::{TcpListener, UnixDatagram};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

/// Pause before accepting again when the process or the machine has run out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Shows that the loop runs: by a task on it, so that a loop that is held is seen.
pub fn start_heartbeat(row: &'static Row, limit: Duration) {
    let every = (limit / 4).clamp(Duration::from_millis(50), Duration::from_millis(500));
    row.beat();
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(every);
        loop {
            interval.tick().await;
            row.beat();
            row.dropped_records.store(crate::log::dropped(), Relaxed);
        }
    });
}

/// The sockets that this worker inherited, and the tasks that accept on some of them.
pub struct Listeners {
    front: Arc<Front>,
    slots: Vec<Vec<OwnedFd>>,
    accepting: HashMap<usize, Vec<JoinHandle<()>>>,
}

impl Listeners {
    /// Accepts on a slot's sockets from now on.
    fn accept(&mut self, slot: usize) -> io::Result<()> {
        let Some(sockets) = self.slots.get(slot).filter(|_| !self.accepting.contains_key(&slot)) else {
            return Ok(());
        };
        let mut tasks = Vec::new();
        for socket in sockets {
            let listener = TcpListener::from_std(StdListener::from(socket.try_clone()?))?;
            let front = self.front.clone();
            tasks.push(tokio::spawn(async move {
                loop {
                    take_one(&front, listener.accept().await).await;
                }
            }));
        }
        self.accepting.insert(slot, tasks);
        Ok(())
    }

    fn release(&mut self, slot: usize) {
        for task in self.accepting.remove(&slot).unwrap_or_default() {
            task.abort();
        }
    }

    /// Takes what already waits in the queues that this worker accepts from, then closes every socket.
    pub async fn close(mut self) {
        for slot in self.accepting.keys().copied().collect::<Vec<_>>() {
            self.release(slot);
            // The aborted tasks go away at the next turn of the loop, and with them their registrations.
            tokio::task::yield_now().await;
            for socket in &self.slots[slot] {
                let Ok(listener) = socket.try_clone().map(StdListener::from) else { continue };
                while let Ok((stream, client)) = listener.accept() {
                    let stream = stream.set_nonblocking(true).and_then(|()| tokio::net::TcpStream::from_std(stream));
                    if let Ok(stream) = stream {
                        self.front.accept(stream, client);
                    }
                }
            }
        }
    }
}

async fn take_one(front: &Arc<Front>, accepted: io::Result<(tokio::net::TcpStream, std::net::SocketAddr)>) {
    match accepted {
        Ok((stream, client)) => front.accept(stream, client),
        Err(error) => {
            use nix::libc::{ECONNABORTED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM};
            match error.raw_os_error() {
                // The client has left before we came.
                Some(ECONNABORTED | EINTR) => {}
                code => {
                    if !matches!(code, Some(EMFILE | ENFILE | ENOBUFS | ENOMEM)) {
                        tracing::warn!("cannot accept a connection: {error}");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Serves until the supervisor or a signal ends it, then drains.
pub async fn serve(
    front: &Arc<Front>,
    lane: &Lane,
    channel: OwnedFd,
    slots: Vec<Vec<OwnedFd>>,
    slot: usize,
) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut listeners = Listeners { front: front.clone(), slots, accepting: HashMap::new() };
    listeners.accept(slot)?;
    // Like a datagram socket, a SOCK_SEQPACKET one keeps the borders of messages; closed, it yields empty ones.
    let channel = UnixDatagram::from_std(channel.into())?;
    let mut buffer = [0; MAX_LEN + 1];
    send_message(channel.as_fd(), &FromWorker::Ready)?;
    loop {
        tokio::select! {
            _ = terminate.recv() => {
                // Told directly: the supervisor puts another worker into our slot meanwhile.
                let _ = send_message(channel.as_fd(), &FromWorker::Draining);
                break;
            }
            length = channel.recv(&mut buffer) => match parse(&buffer[..length.unwrap_or(0)]) {
                Received::Message(ToWorker::Adopt { slot }) => {
                    if let Err(error) = listeners.accept(slot) {
                        tracing::warn!("cannot accept for slot {slot}: {error}");
                    }
                }
                Received::Message(ToWorker::Release { slot }) => listeners.release(slot),
                Received::Message(ToWorker::Drain) => break,
                Received::Garbage => tracing::warn!("the supervisor said something unknown"),
                Received::Nothing | Received::Closed => return Err(Failure::internal("the supervisor is gone")),
            },
        }
    }
    drain::drain(front, lane, listeners).await;
    Ok(())
}

//! A worker at work: it accepts on its slot's sockets, listens to the supervisor, shows signs of life.

use super::listener::Listener;
use crate::exit::Failure;
use crate::http::connection::Front;
use crate::log;
use crate::message::{FromWorker, Received, ToWorker, receive_with, send_message};
use crate::scoreboard::Row;
use nix::sys::stat::fstat;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UnixDatagram;
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

/// The listening sockets that this worker has, and the tasks that accept on them.
pub struct Listeners {
    front: Arc<Front>,
    slots: HashMap<usize, Vec<Accepting>>,
}

struct Accepting {
    socket: OwnedFd,
    task: JoinHandle<()>,
}

impl Listeners {
    /// Accepts on a slot's sockets from now on.
    fn accept(&mut self, slot: usize, sockets: Vec<OwnedFd>) -> io::Result<()> {
        for socket in sockets {
            // A Unix socket or an inherited one belongs to all slots alike.
            if self.has(&socket)? {
                continue;
            }
            let listener = Listener::new(socket.try_clone()?)?;
            let front = self.front.clone();
            let task = tokio::spawn(async move {
                loop {
                    if let Err(error) = listener.accept(&front).await {
                        recover(error).await;
                    }
                }
            });
            self.slots.entry(slot).or_default().push(Accepting { socket, task });
        }
        Ok(())
    }

    fn has(&self, socket: &OwnedFd) -> io::Result<bool> {
        let number = fstat(socket)?.st_ino;
        let ours = self.slots.values().flatten();
        Ok(ours.filter_map(|one| fstat(&one.socket).ok()).any(|stat| stat.st_ino == number))
    }

    fn release(&mut self, slot: usize) {
        for one in self.slots.remove(&slot).unwrap_or_default() {
            one.task.abort();
        }
    }

    /// Takes what already waits in the queues that this worker accepts from, then closes every socket.
    pub async fn close(self) {
        let all: Vec<Accepting> = self.slots.into_values().flatten().collect();
        all.iter().for_each(|one| one.task.abort());
        // The aborted tasks go away at the next turn of the loop, and with them their registrations.
        tokio::task::yield_now().await;
        for one in all {
            Listener::take_waiting(one.socket, &self.front);
        }
    }
}

/// What to do about an error of accept(2).
async fn recover(error: io::Error) {
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

/// Serves until the supervisor or a signal ends it. What is left is to drain.
pub async fn serve(
    front: &Arc<Front>,
    row: &'static Row,
    channel: OwnedFd,
    sockets: Vec<OwnedFd>,
    slot: usize,
) -> Result<Listeners, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut listeners = Listeners { front: front.clone(), slots: HashMap::new() };
    listeners.accept(slot, sockets)?;
    // Like a datagram socket, a SOCK_SEQPACKET one keeps the borders of messages; closed, it yields empty ones.
    let channel = UnixDatagram::from_std(channel.into())?;
    // From here on silence means something, and starting up may have held the loop.
    row.beat();
    send_message(channel.as_fd(), &FromWorker::Ready)?;
    loop {
        let (message, descriptors) = tokio::select! {
            _ = terminate.recv() => {
                // Told directly: the supervisor puts another worker into our slot meanwhile.
                let _ = send_message(channel.as_fd(), &FromWorker::Draining);
                break;
            }
            received = channel.async_io(Interest::READABLE, || Ok(receive_with(channel.as_fd())?)) => {
                received.unwrap_or((Received::Closed, Vec::new()))
            }
        };
        match message {
            Received::Message(ToWorker::Adopt { slot }) => {
                if let Err(error) = listeners.accept(slot, descriptors) {
                    tracing::warn!("cannot accept for slot {slot}: {error}");
                }
            }
            Received::Message(ToWorker::Release { slot }) => listeners.release(slot),
            Received::Message(ToWorker::LogFiles { log, access }) => {
                let mut descriptors = descriptors.into_iter();
                let log = log.then(|| descriptors.next()).flatten();
                log::replace(log, access.then(|| descriptors.next()).flatten());
            }
            Received::Message(ToWorker::Relay { generation }) => {
                for table in descriptors {
                    front.relay_as(&table.into())?;
                }
                send_message(channel.as_fd(), &FromWorker::Relays { generation })?;
            }
            Received::Message(ToWorker::Drain) => break,
            Received::Garbage => tracing::warn!("the supervisor said something unknown"),
            Received::Nothing | Received::Closed => return Err(Failure::internal("the supervisor is gone")),
        }
    }
    Ok(listeners)
}

//! What the supervisor and its workers say to each other: what a worker is given at its start, then small typed
//! messages, one per datagram of a SOCK_SEQPACKET pair. A worker that says anything else is ended; the supervisor
//! never trusts it further.

use crate::config::{Plan, Settings};
use crate::scoreboard::Row;
use nix::sys::socket::{MsgFlags, recv, send};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

/// Longest message; a longer text in one is shortened by its sender.
pub const MAX_LEN: usize = 8192;
/// Longest text (an error of the guest's) that a message carries.
pub const MAX_TEXT: usize = 4096;

/// What the supervisor gives a worker that it forks. Descriptors are the worker's own copies by number.
pub struct Start {
    pub settings: Arc<Settings>,
    pub plan: Plan,
    /// The compiled component.
    pub artefact: RawFd,
    /// Listening sockets of every slot, this worker's own and its neighbours'.
    pub listeners: Vec<Vec<RawFd>>,
    pub slot: usize,
    pub generation: u64,
    pub row: &'static Row,
    /// Messages to and from the supervisor.
    pub channel: RawFd,
    pub supervisor: nix::unistd::Pid,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum FromWorker {
    /// The first instance has started up and the worker accepts connections.
    Ready,
    /// It was told to end by a signal of its own and takes no more connections.
    Draining,
    /// The first instance did not start up: the guest's own message.
    StartupFailed { message: String },
    /// The component could not be mapped, linked or instantiated.
    LoadFailed { message: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum ToWorker {
    /// Accept connections for this slot too: it has no worker that does.
    Adopt { slot: usize },
    /// Stop accepting for this slot: its own worker is back.
    Release { slot: usize },
    /// Stop accepting, finish what is in flight, shut the instances down, exit.
    Drain,
}

#[derive(Debug)]
pub enum Received<M> {
    Message(M),
    /// Nothing there at the moment.
    Nothing,
    /// The other side has closed its end.
    Closed,
    /// Something that is no message of ours.
    Garbage,
}

/// Sends without blocking: a full socket means that the other side no longer reads, which its heartbeat tells.
pub fn send_message(fd: BorrowedFd<'_>, message: &impl Serialize) -> nix::Result<()> {
    let bytes = serde_json::to_vec(message).map_err(|_| nix::Error::EINVAL)?;
    if bytes.len() > MAX_LEN {
        return Err(nix::Error::EMSGSIZE);
    }
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    send(fd.as_raw_fd(), &bytes, flags).map(drop)
}

pub fn receive_message<M: DeserializeOwned>(fd: BorrowedFd<'_>) -> Received<M> {
    let mut buffer = [0; MAX_LEN + 1];
    match recv(fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
        Ok(n) => parse(&buffer[..n]),
        Err(nix::Error::EAGAIN | nix::Error::EINTR) => Received::Nothing,
        Err(_) => Received::Closed,
    }
}

/// What one datagram says; an empty one is the end.
pub fn parse<M: DeserializeOwned>(datagram: &[u8]) -> Received<M> {
    if datagram.is_empty() {
        return Received::Closed;
    }
    serde_json::from_slice(datagram).map_or(Received::Garbage, Received::Message)
}

/// Shortens a text to what a message may carry, at a character boundary.
pub fn shorten(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let mut end = MAX_TEXT;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortened_text_stays_text() {
        assert_eq!(shorten("short"), "short");
        let long = "ä".repeat(MAX_TEXT);
        let short = shorten(&long);
        assert!(short.len() <= MAX_TEXT + '…'.len_utf8() && short.ends_with('…'));
    }
}

//! What the supervisor and its workers say to each other: what a worker is given at its start, then small typed
//! messages, one per datagram of a SOCK_SEQPACKET pair. A worker that says anything else is ended; the supervisor
//! never trusts it further.

use crate::cli::Sandbox;
use crate::config::{Identity, Plan, Settings, file};
use crate::scoreboard::{Board, Row};
use crate::sys;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recv, recvmsg, sendmsg};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;

/// Longest message; a longer text in one is shortened by its sender.
pub const MAX_LEN: usize = 8192;
/// Longest text (an error of the guest's) that a message carries.
pub const MAX_TEXT: usize = 4096;
/// Most descriptors that come with a message: the kernel's own limit (SCM_MAX_FD).
const MAX_DESCRIPTORS: usize = 253;

/// What the supervisor gives a worker that it forks. Descriptors are the worker's own copies by number.
pub struct Start {
    pub settings: Arc<Settings>,
    /// Listening sockets of this worker's slot; those of its neighbours come with `ToWorker::Adopt`.
    pub listeners: Vec<RawFd>,
    pub slot: usize,
    pub generation: u64,
    pub row: &'static Row,
    /// Of all workers.
    pub board: Board,
    /// Messages to and from the supervisor.
    pub channel: RawFd,
    pub supervisor: nix::unistd::Pid,
}

/// What a worker is to do.
pub enum Task {
    /// Run the compiled component.
    App { artefact: RawFd, plan: Plan },
    /// Pass requests on to the apps, whose sockets are in this folder.
    Gateway { config: Arc<file::Config>, folder: PathBuf },
}

/// What the supervisor gives the admin process. Descriptors are its own copies by number.
pub struct AdminStart {
    /// Bound and listening.
    pub listener: RawFd,
    /// A SOCK_STREAM pair to the supervisor that carries the lines of `control::protocol`.
    pub channel: RawFd,
    pub identity: Option<Identity>,
    pub sandbox: Sandbox,
    pub supervisor: nix::unistd::Pid,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum FromWorker {
    /// The first instance has started up and the worker accepts connections.
    Ready,
    /// It serves what it was given with `ToWorker::Relay`.
    Relays { generation: u64 },
    /// It was told to end by a signal of its own and takes no more connections.
    Draining,
    /// The first instance did not start up: the guest's own message.
    StartupFailed { message: String },
    /// The component could not be mapped, linked or instantiated.
    LoadFailed { message: String },
    /// A file that the options name cannot be read.
    FileFailed { message: String },
    /// A layer of the sandbox that has to be there cannot be applied.
    SandboxFailed { message: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum ToWorker {
    /// Accept connections for this slot too: it has no worker that does. Its sockets come along.
    Adopt { slot: usize },
    /// Stop accepting for this slot: its own worker is back.
    Release { slot: usize },
    /// Write records to these newly opened files from now on. They come along, in this order.
    LogFiles { log: bool, access: bool },
    /// For a gateway: pass requests on as this file says (`config::file::RelayTable`), which comes along.
    Relay { generation: u64 },
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
    send_with(fd, message, &[])
}

/// The same with descriptors, of which the other side gets copies.
pub fn send_with(fd: BorrowedFd<'_>, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> nix::Result<()> {
    let bytes = serde_json::to_vec(message).map_err(|_| nix::Error::EINVAL)?;
    if bytes.len() > MAX_LEN {
        return Err(nix::Error::EMSGSIZE);
    }
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let control = if numbers.is_empty() { &[][..] } else { &rights[..] };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(fd.as_raw_fd(), &[IoSlice::new(&bytes)], control, flags, None).map(drop)
}

/// For a worker, which trusts its supervisor: the next message with the descriptors that came with it. The
/// supervisor takes none (`receive_message`): the kernel drops what a worker might send along.
pub fn receive_with<M: DeserializeOwned>(fd: BorrowedFd<'_>) -> nix::Result<(Received<M>, Vec<OwnedFd>)> {
    let mut buffer = [0; MAX_LEN + 1];
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let mut control = nix::cmsg_space!([RawFd; MAX_DESCRIPTORS]);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let received = recvmsg::<()>(fd.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let length = received.bytes;
    // An error means that some did not fit into our table of descriptors: the message is worth nothing without.
    let Ok(control) = received.cmsgs() else { return Ok((Received::Garbage, Vec::new())) };
    let numbers = control.filter_map(|one| match one {
        ControlMessageOwned::ScmRights(numbers) => Some(numbers),
        _ => None,
    });
    let descriptors = numbers.flatten().map(sys::inherited).collect();
    Ok((parse(&buffer[..length]), descriptors))
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
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use std::os::fd::AsFd;

    #[test]
    fn a_shortened_text_stays_text() {
        assert_eq!(shorten("short"), "short");
        let long = "ä".repeat(MAX_TEXT);
        let short = shorten(&long);
        assert!(short.len() <= MAX_TEXT + '…'.len_utf8() && short.ends_with('…'));
    }
    #[test]
    fn descriptors_come_with_their_message() {
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::empty()).unwrap();
        let (read, write) = nix::unistd::pipe().unwrap();
        send_with(ours.as_fd(), &ToWorker::Adopt { slot: 1 }, &[read.as_fd()]).unwrap();
        send_message(ours.as_fd(), &ToWorker::Drain).unwrap();
        drop(read);
        let (message, descriptors) = receive_with::<ToWorker>(theirs.as_fd()).unwrap();
        assert!(matches!(message, Received::Message(ToWorker::Adopt { slot: 1 })), "{message:?}");
        let [copy] = <[OwnedFd; 1]>::try_from(descriptors).unwrap();
        nix::unistd::write(&write, b"x").unwrap();
        assert_eq!(nix::unistd::read(&copy, &mut [0; 2]), Ok(1));
        let (message, descriptors) = receive_with::<ToWorker>(theirs.as_fd()).unwrap();
        assert!(matches!(message, Received::Message(ToWorker::Drain)) && descriptors.is_empty());
        assert_eq!(receive_with::<ToWorker>(theirs.as_fd()).err(), Some(nix::Error::EAGAIN));
    }
}

//! The supervisor's end of the control socket, and of the admin process's channel, which speaks the same lines.
//! Nothing here waits: what a client does not send or take has no effect on the loop.

use super::run::Supervisor;
use crate::control::client::runtime_folder;
use crate::control::protocol::{Answer, Command, MAX_REQUEST, Outcome, Request};
use crate::exit::{Exit, Failure};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, geteuid, getpid};
use std::fs::{self, DirBuilder, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Connections at a time; a further one takes the place of the one that was silent for the longest time.
const MOST_CONNECTIONS: usize = 64;
/// A connection that says nothing is closed after this.
const IDLE: Duration = Duration::from_secs(60);
/// Answers that a client may leave unread, in bytes.
const MOST_UNREAD: usize = 4 << 20;

/// Somebody who waits for the answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter(u64);

pub struct Control {
    listener: Option<(UnixListener, PathBuf)>,
    connections: Vec<Connection>,
    last_number: u64,
}

struct Connection {
    number: u64,
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// An answer is due, and the next request is not read before it is given.
    waits: bool,
    /// Our own admin process's: never closed for being silent.
    is_admin: bool,
    /// The client has said all it will say.
    ended: bool,
    used: Instant,
}

impl Control {
    /// Listens where the settings say: nowhere for `off`, in the runtime folder if they say nothing.
    pub fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let listener = match path {
            Some(path) if path.as_os_str() == "off" => None,
            Some(path) => Some(listen(path)?),
            None => match default_path().and_then(|path| listen(&path)) {
                Ok(listener) => Some(listener),
                // Nobody asked for it: a server on a read-only system serves all the same.
                Err(failure) => {
                    tracing::warn!(event = "control-unused", "there is no control socket: {failure}");
                    None
                }
            },
        };
        if let Some((_, path)) = &listener {
            let path = path.display().to_string();
            tracing::debug!(event = "control", path, "wasmserve status and others reach this server at {path}");
        }
        Ok(Self { listener, connections: Vec::new(), last_number: 0 })
    }

    /// Whether who connects gets to us.
    pub fn is_reachable(&self) -> bool {
        self.listener.as_ref().is_some_and(|(_, path)| is_ours(path))
    }

    /// Listens as `other` does and keeps its own connections.
    pub fn replace_listener(&mut self, mut other: Self) {
        self.listener = other.listener.take();
    }

    /// A connection that is there already.
    pub fn adopt(&mut self, stream: UnixStream) -> std::io::Result<()> {
        self.add(stream, true)
    }

    fn add(&mut self, stream: UnixStream, is_admin: bool) -> std::io::Result<()> {
        stream.set_nonblocking(true)?;
        self.last_number += 1;
        let (number, used) = (self.last_number, Instant::now());
        let (input, output) = (Vec::new(), Vec::new());
        self.connections.push(Connection { number, stream, input, output, waits: false, is_admin, ended: false, used });
        Ok(())
    }

    pub fn descriptors(&self) -> impl Iterator<Item = (BorrowedFd<'_>, bool)> {
        let listener = self.listener.iter().map(|(listener, _)| (listener.as_fd(), false));
        let connections = self.connections.iter().filter(|one| !one.waits && !one.ended || !one.output.is_empty());
        listener.chain(connections.map(|one| (one.stream.as_fd(), !one.output.is_empty())))
    }

    fn accept(&mut self) {
        let Some((listener, _)) = &self.listener else { return };
        let Ok((stream, _)) = listener.accept() else { return };
        if self.connections.len() >= MOST_CONNECTIONS {
            let silent = self.connections.iter().enumerate().filter(|(_, one)| !one.is_admin && !one.waits);
            let Some((at, _)) = silent.min_by_key(|(_, one)| one.used) else { return };
            self.connections.swap_remove(at);
        }
        let _ = self.add(stream, false);
    }

    /// The next request that has come in, with who waits for its answer.
    fn next(&mut self) -> Option<(Waiter, Result<Command, String>)> {
        let connection = self.connections.iter_mut().find(|one| !one.waits && one.has_line())?;
        connection.waits = true;
        let command = connection.take_line();
        Some((Waiter(connection.number), command))
    }

    fn answer(&mut self, waiter: Waiter, outcome: Outcome) {
        let Some(connection) = self.connections.iter_mut().find(|one| one.number == waiter.0) else { return };
        connection.waits = false;
        connection.used = Instant::now();
        if let Ok(mut line) = serde_json::to_vec(&Answer::new(outcome)) {
            line.push(b'\n');
            connection.output.append(&mut line);
        }
        connection.write();
    }

    fn read_and_write(&mut self) {
        for connection in &mut self.connections {
            connection.read();
            connection.write();
        }
        self.connections.retain(|one| {
            let over = one.ended && !one.waits && one.output.is_empty() && !one.has_line();
            let idle = !one.is_admin && !one.waits && one.used.elapsed() > IDLE;
            !over && !idle && one.output.len() <= MOST_UNREAD
        });
    }
}

/// Removes the socket file where it is ours; in a forked child it is not.
impl Drop for Control {
    fn drop(&mut self) {
        if let Some((_listener, path)) = &self.listener
            && is_ours(path)
        {
            let _ = fs::remove_file(path);
        }
    }
}

impl Connection {
    fn read(&mut self) {
        let mut buffer = [0; MAX_REQUEST];
        while !self.ended && self.input.len() <= MAX_REQUEST {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(n) => {
                    self.used = Instant::now();
                    self.input.extend_from_slice(&buffer[..n]);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended |= error.kind() != ErrorKind::WouldBlock;
                    return;
                }
            }
        }
    }

    fn write(&mut self) {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(n) => drop(self.output.drain(..n)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.ended = true;
                    self.output.clear();
                }
            }
        }
    }

    /// A whole line, or more than any line may have.
    fn has_line(&self) -> bool {
        self.input.contains(&b'\n') || self.input.len() > MAX_REQUEST
    }

    fn take_line(&mut self) -> Result<Command, String> {
        let Some(end) = self.input.iter().position(|byte| *byte == b'\n').filter(|end| *end <= MAX_REQUEST) else {
            // Where the next request would begin cannot be told.
            self.input.clear();
            self.ended = true;
            return Err(format!("the request is longer than {MAX_REQUEST} bytes"));
        };
        let line: Vec<u8> = self.input.drain(..=end).collect();
        Request::parse(&line)
    }
}

fn default_path() -> Result<PathBuf, Failure> {
    let folder = runtime_folder();
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| refused(&folder, &error))?;
    let made = fs::symlink_metadata(&folder).map_err(|error| refused(&folder, &error))?;
    if !made.is_dir() || made.uid() != geteuid().as_raw() || made.mode() & 0o022 != 0 {
        let why = std::io::Error::other("its folder belongs to somebody else, or others can write it");
        return Err(refused(&folder, &why));
    }
    // Left behind by servers that were killed.
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let pid = path.file_stem().and_then(|stem| stem.to_str()?.parse::<i32>().ok());
        if pid.is_some_and(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)) {
            let _ = fs::remove_file(path);
        }
    }
    Ok(folder.join(format!("{}.sock", getpid())))
}

/// Listens at a path, in place of a socket that nobody listens at any more.
fn listen(path: &Path) -> Result<(UnixListener, PathBuf), Failure> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        // Also a live one's, if it is the server whose place we are taking.
        if UnixStream::connect(path).is_ok() && !super::upgrade::is_upgrade() {
            let what = "another server listens there: stop it, or choose another --control";
            return Err(Failure::new(Exit::Usage, format!("{}: {what}", path.display())));
        }
        fs::remove_file(path).map_err(|error| refused(path, &error))?;
    }
    let old = umask(Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    umask(old);
    let listener = listener.map_err(|error| refused(path, &error))?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(|error| refused(path, &error))?;
    listener.set_nonblocking(true)?;
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    Ok((listener, path))
}

fn refused(path: &Path, error: &std::io::Error) -> Failure {
    let advice = "choose another --control, or --control off";
    Failure::new(Exit::Usage, format!("the control socket {} cannot be made: {error}; {advice}", path.display()))
}

/// Whether we are who listens at this path: a successor may have taken our place.
fn is_ours(path: &Path) -> bool {
    let peer = UnixStream::connect(path).ok().and_then(|stream| getsockopt(&stream, PeerCredentials).ok());
    peer.is_some_and(|peer| peer.pid() == getpid().as_raw())
}

impl Supervisor {
    pub fn answer(&mut self, waiter: Option<Waiter>, outcome: Outcome) {
        if let Some(waiter) = waiter {
            self.control.answer(waiter, outcome);
        }
    }

    pub fn listen_to_control(&mut self) {
        self.control.accept();
        self.control.read_and_write();
        while let Some((waiter, command)) = self.control.next() {
            match command {
                Ok(command) => self.obey(waiter, command),
                Err(message) => self.fail(waiter, Exit::Usage, message),
            }
        }
    }

    fn obey(&mut self, waiter: Waiter, command: Command) {
        match command {
            Command::Status => {
                let status = Box::new(self.status());
                self.control.answer(waiter, Outcome::Status { status });
            }
            Command::Reload => self.reload("asked for", Some(waiter)),
            Command::Rollback => self.rollback(Some(waiter)),
            Command::Scale { workers } => {
                let done = self.scale(workers);
                self.tell(waiter, done);
            }
            Command::Recycle { worker } => {
                let done = self.recycle(worker);
                self.tell(waiter, done);
            }
            Command::Stop => {
                tracing::info!(event = "stopping", "asked to stop: finishing what is in flight");
                let message = "finishing what is in flight".to_owned();
                self.control.answer(waiter, Outcome::Done { message });
                self.end(Ok(()));
            }
        }
    }

    fn tell(&mut self, waiter: Waiter, done: Result<String, String>) {
        match done {
            Ok(message) => self.control.answer(waiter, Outcome::Done { message }),
            Err(message) => self.fail(waiter, Exit::Usage, message),
        }
    }

    fn fail(&mut self, waiter: Waiter, exit: Exit, message: String) {
        self.control.answer(waiter, Outcome::Failed { message, exit_code: exit as u8 });
    }
}

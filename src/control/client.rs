//! The other end of the control socket: finding a running server and talking to it, for the commands that do.

use super::protocol::{Answer, Command, Outcome, Request, VERSION};
use crate::exit::Failure;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{Uid, geteuid};
use socket2::{Domain, SockAddr, Socket, Type};
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the server may take for what it answers at once. A reload takes as long as it takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where servers have their control sockets, each named PID.sock.
pub fn runtime_folder() -> PathBuf {
    match env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute()) {
        Some(folder) => folder.join("wasmserve"),
        None if geteuid().is_root() => "/run/wasmserve".into(),
        None => format!("/tmp/wasmserve-{}", geteuid()).into(),
    }
}

/// A connection to a running server.
pub struct Client {
    stream: BufReader<UnixStream>,
    path: PathBuf,
}

/// Connects to the server with this control socket, else to the only one in the runtime folder.
pub fn connect(path: Option<&Path>) -> Result<Client, Failure> {
    match path {
        Some(path) => Client::connect(path).map_err(|error| Failure::usage(unreachable(path, &error))),
        None => only_one_in(&runtime_folder()),
    }
}

fn unreachable(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound => format!("{path}: there is no such socket: is the server running?"),
        ErrorKind::ConnectionRefused => format!("{path}: no server listens there any more"),
        ErrorKind::WouldBlock => format!("{path}: the server does not accept connections: it may be stopped or stuck"),
        _ => format!("{path}: cannot be used as a control socket: {error}"),
    }
}

fn only_one_in(folder: &Path) -> Result<Client, Failure> {
    let mut clients = live(folder);
    let only = clients.pop().ok_or_else(|| {
        let folder = folder.display();
        Failure::usage(format!("no running server found in {folder}: name its socket with --control"))
    })?;
    if clients.is_empty() {
        return Ok(only);
    }
    let mut message = String::from("several servers are running: name one's socket with --control");
    for Client { path, .. } in clients.iter().chain([&only]) {
        let pid = path.file_stem().unwrap_or_default().to_string_lossy();
        let _ = write!(message, "\npid {pid}: {}", path.display());
    }
    Err(Failure::usage(message))
}

/// Servers that listen in this folder, in the order of their names. What cannot be connected to was left behind, or is
/// not for us.
fn live(folder: &Path) -> Vec<Client> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sockets = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "sock"));
    let mut clients: Vec<_> = sockets.filter_map(|path| Client::connect(&path).ok()).collect();
    clients.sort_by(|a, b| a.path.cmp(&b.path));
    clients
}

impl Client {
    fn connect(path: &Path) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // It bounds connect() too, which waits while the server's queue is full.
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.connect(&SockAddr::unix(path)?)?;
        // Anybody can listen in /tmp.
        let owner = Uid::from_raw(getsockopt(&socket, PeerCredentials)?.uid());
        if owner != geteuid() && !owner.is_root() && !geteuid().is_root() {
            return Err(io::Error::other(format!("it is user {owner}'s: become that user to talk to that server")));
        }
        let stream = BufReader::new(UnixStream::from(OwnedFd::from(socket)));
        Ok(Self { stream, path: path.to_owned() })
    }

    /// Asks for one thing and waits for the answer.
    pub fn ask(&mut self, command: Command) -> Result<Outcome, Failure> {
        let patience = match command {
            Command::Reload | Command::Rollback => None,
            _ => Some(PATIENCE),
        };
        let answer = self.exchange(&Request { version: VERSION, command }, patience);
        let answer = answer.and_then(|line| Ok(serde_json::from_str::<Answer>(&line)?));
        Ok(answer.map_err(|error| Failure::internal(format!("{}: {}", self.path.display(), silence(&error))))?.result)
    }

    fn exchange(&mut self, request: &Request, patience: Option<Duration>) -> io::Result<String> {
        let mut line = serde_json::to_string(request)? + "\n";
        self.stream.get_ref().set_read_timeout(patience)?;
        self.stream.get_mut().write_all(line.as_bytes())?;
        line.clear();
        match self.stream.read_line(&mut line)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(line),
        }
    }
}

/// Why there is no answer.
fn silence(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock => {
            format!("no answer within {} s: the server may be stopped or stuck", PATIENCE.as_secs())
        }
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
            "the server has closed the connection: it may have ended".to_owned()
        }
        ErrorKind::InvalidData => format!("the server's answer is not understood: {error}"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::thread;

    fn message(result: Result<Client, Failure>) -> String {
        let failure = result.err().expect("nothing to connect to");
        assert_eq!(failure.exit, crate::exit::Exit::Usage);
        failure.message
    }

    #[test]
    fn the_only_live_server_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        let none = format!("no running server found in {}: name its socket", folder.path().display());
        assert!(message(only_one_in(&path("missing"))).starts_with("no running server"));
        // A listener that is gone leaves its socket behind.
        drop(UnixListener::bind(path("10.sock")).unwrap());
        let _other = UnixListener::bind(path("11.other")).unwrap();
        assert!(message(only_one_in(folder.path())).starts_with(&none));
        let _live = UnixListener::bind(path("12.sock")).unwrap();
        assert_eq!(only_one_in(folder.path()).ok().unwrap().path, path("12.sock"));
        let _second = UnixListener::bind(path("13.sock")).unwrap();
        let several = message(only_one_in(folder.path()));
        let list = format!("\npid 12: {}\npid 13: {}", path("12.sock").display(), path("13.sock").display());
        assert!(several.ends_with(&list), "{several}");
    }

    #[test]
    fn a_socket_that_is_named_says_what_is_wrong_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        assert!(message(connect(Some(&path))).ends_with("there is no such socket: is the server running?"));
        drop(UnixListener::bind(&path).unwrap());
        assert!(message(connect(Some(&path))).ends_with("no server listens there any more"));
    }

    #[test]
    fn questions_are_answered_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let mut lines = String::new();
            for answer in [r#"{"version":1,"result":"done","message":"4 workers"}"#, "nonsense"] {
                stream.read_line(&mut lines).unwrap();
                writeln!(stream.get_mut(), "{answer}").unwrap();
            }
            lines
        });
        let mut client = connect(Some(&path)).unwrap();
        let outcome = client.ask(Command::Scale { workers: 4 }).unwrap();
        assert_eq!(outcome, Outcome::Done { message: "4 workers".into() });
        assert!(client.ask(Command::Recycle { worker: None }).unwrap_err().message.contains("not understood"));
        let asked = "{\"version\":1,\"command\":\"scale\",\"workers\":4}\n{\"version\":1,\"command\":\"recycle\",\"worker\":null}\n";
        assert_eq!(server.join().unwrap(), asked);
        assert!(client.ask(Command::Stop).unwrap_err().message.contains("closed the connection"));
    }
}

//! Where records go: stderr or a file, written without ever blocking.

use crate::exit::Failure;
use crate::sys;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open as open_file};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{Mode, SFlag, fstat};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a pipe that we log to should hold: the most that Linux allows unprivileged by default.
const PIPE_SIZE: i32 = 1 << 20;

/// Records that this process has dropped because nobody took them.
pub static DROPPED: AtomicU64 = AtomicU64::new(0);

pub struct Output {
    descriptor: OwnedFd,
    kind: Kind,
    /// What a program should be told if records were dropped.
    trouble: &'static str,
    /// Records dropped and not told of yet.
    untold: AtomicU64,
}

enum Kind {
    /// A file, or an open file description of our own, so that O_NONBLOCK is not forced on whoever shares stderr.
    NonBlocking,
    Socket,
    /// It could not be opened again (another user's terminal): ask before writing.
    Polled,
}

/// Opens a log file, or whatever else has a path: a pipe that nobody reads is a failure, it is not waited for.
pub fn open(path: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let descriptor = open_file(path, flags | OFlag::O_NOCTTY, Mode::from_bits_truncate(0o640)).map_err(|error| {
        let why = if error == Errno::ENXIO { "nobody reads from it" } else { error.desc() };
        Failure::usage(format!("the log file {} cannot be opened: {why}", path.display()))
    })?;
    make_room(&descriptor);
    Ok(descriptor)
}

/// Room for bursts, if it is a pipe and we may.
fn make_room(descriptor: &OwnedFd) {
    let _ = fcntl(descriptor, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE));
}

impl Output {
    fn new(descriptor: OwnedFd, kind: Kind, trouble: &'static str) -> Self {
        Self { descriptor, kind, trouble, untold: AtomicU64::new(0) }
    }

    /// A file that `open` has opened.
    pub fn file(descriptor: OwnedFd) -> Self {
        Self::new(descriptor, Kind::NonBlocking, "the log file took nothing")
    }

    pub fn stderr() -> Self {
        const TROUBLE: &str = "stderr was not read";
        // A file never blocks, and whoever else writes it shares this place in it.
        let is_file = fstat(io::stderr())
            .is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG);
        if is_file && let Ok(descriptor) = io::stderr().as_fd().try_clone_to_owned() {
            return Self::new(descriptor, Kind::NonBlocking, TROUBLE);
        }
        let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        match open_file("/proc/self/fd/2", flags, Mode::empty()) {
            Ok(descriptor) => {
                make_room(&descriptor);
                Self::new(descriptor, Kind::NonBlocking, TROUBLE)
            }
            Err(error) => {
                let kind = if error == Errno::ENXIO { Kind::Socket } else { Kind::Polled };
                // Only a process without stderr cannot duplicate it: then there is nobody to log to.
                Self::new(io::stderr().as_fd().try_clone_to_owned().unwrap_or_else(|_| null()), kind, TROUBLE)
            }
        }
    }

    pub fn descriptor(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }

    /// Goes on in another file. The descriptor keeps its number, so that writers need no lock.
    pub fn replace(&self, file: &OwnedFd) -> nix::Result<()> {
        sys::redirect(self.descriptor.as_fd(), file.as_fd())
    }

    /// Writes one record, as a whole or not at all.
    fn write_record(&self, record: &[u8]) -> nix::Result<()> {
        let written = match self.kind {
            Kind::NonBlocking => nix::unistd::write(&self.descriptor, record),
            Kind::Socket => send(self.descriptor.as_raw_fd(), record, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL),
            Kind::Polled => {
                let mut ready = [PollFd::new(self.descriptor.as_fd(), PollFlags::POLLOUT)];
                match poll(&mut ready, PollTimeout::ZERO)? {
                    0 => Err(Errno::EAGAIN),
                    _ => nix::unistd::write(&self.descriptor, record),
                }
            }
        }?;
        // A disk that is full may have taken the beginning.
        if written < record.len() { Err(Errno::ENOSPC) } else { Ok(()) }
    }

    fn tell_of_dropped(&self) {
        let untold = self.untold.swap(0, Relaxed);
        if untold > 0 && self.write_record(format!("{}\n", notice(untold, self.trouble)).as_bytes()).is_err() {
            self.untold.fetch_add(untold, Relaxed);
        }
    }
}

/// A record of JSON with the app's name, unless it has that.
fn named(record: &[u8], app: &str) -> Option<Vec<u8>> {
    let fields = record.strip_prefix(b"{")?;
    let has_name = memchr::memmem::find(fields, b"\"app\":").is_some();
    (!has_name).then(|| [format!("{{\"app\":\"{app}\",").as_bytes(), fields].concat())
}

fn null() -> OwnedFd {
    open_file("/dev/null", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty()).expect("/dev/null opens")
}

fn notice(dropped: u64, trouble: &str) -> String {
    let pid = std::process::id();
    if super::is_text() {
        format!("WARN {dropped} log records of process {pid} were dropped: {trouble}")
    } else {
        let message = format!("log records were dropped: {trouble}");
        format!(r#"{{"level":"WARN","event":"records-dropped","message":"{message}","dropped":{dropped},"pid":{pid}}}"#)
    }
}

/// Writes one record, which the subscriber hands over whole; None for one that nobody wants.
pub struct Record<'a>(pub Option<&'a Output>);

impl Write for Record<'_> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let Some(output) = self.0 else {
            return Ok(record.len());
        };
        let length = record.len();
        output.tell_of_dropped();
        let named = super::APP.get().and_then(|app| named(record, app));
        let record = named.as_deref().unwrap_or(record);
        let written = if record.len() <= super::MAX_RECORD {
            output.write_record(record)
        } else {
            let mut cut = record[..super::MAX_RECORD - 1].to_vec();
            cut.push(b'\n');
            output.write_record(&cut)
        };
        if written.is_err() {
            output.untold.fetch_add(1, Relaxed);
            DROPPED.fetch_add(1, Relaxed);
        }
        // Never an error: there is nobody to tell it to.
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn log(output: &Output, text: &str) {
        Record(Some(output)).write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_file_is_appended_to_and_not_for_everybody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        log(&Output::file(open(&path).unwrap()), "one\n");
        log(&Output::file(open(&path).unwrap()), "two\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_a_failure_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/log");
        let failure = open(&path).unwrap_err();
        assert_eq!(failure.exit, crate::exit::Exit::Usage);
        assert!(failure.message.contains(path.to_str().unwrap()), "{failure}");
    }

    #[test]
    fn a_pipe_without_a_reader_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        assert!(open(&path).is_err());
    }

    #[test]
    fn a_new_file_takes_the_place_of_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        let output = Output::file(open(&old).unwrap());
        let number = output.descriptor();
        log(&output, "one\n");
        output.replace(&open(&new).unwrap()).unwrap();
        log(&output, "two\n");
        assert_eq!(output.descriptor(), number);
        assert_eq!(fs::read_to_string(&old).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(&new).unwrap(), "two\n");
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_dropped_and_counted() {
        let output = Output::file(open(Path::new("/dev/full")).unwrap());
        let before = DROPPED.load(Relaxed);
        log(&output, "one\n");
        assert!(DROPPED.load(Relaxed) > before);
        assert_eq!(output.untold.load(Relaxed), 1);
    }
}

//! The log: records on stderr, each one write of at most 4,096 bytes, so that the lines of several processes
//! never tear. Nobody who reads our stderr slowly can block us: what does not fit is dropped and counted.

use crate::exit::Failure;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{Mode, SFlag, fstat};
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::debug_fn;

/// Longest record: PIPE_BUF, what a pipe takes whole or not at all (POSIX write(2)).
pub const MAX_RECORD: usize = 4096;
/// What a pipe that we log to should hold: the most that Linux allows unprivileged by default.
const PIPE_SIZE: i32 = 1 << 20;
/// Longest text of a record, counted as JSON would escape it: the rest of `MAX_RECORD` is for the fields.
pub const MAX_TEXT: usize = 3400;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "lower")]
pub enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "lower")]
pub enum Format {
    Text,
    Json,
}

impl Format {
    /// What to use if nothing is said: text for a person at a terminal, JSON for a collector.
    pub fn for_stderr() -> Self {
        if io::stderr().is_terminal() { Self::Text } else { Self::Json }
    }
}

static DESCRIPTOR: OnceLock<RawFd> = OnceLock::new();
static FORMAT: OnceLock<Format> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Starts the log of this process and of all that it will fork.
pub fn start(level: Level, format: Format) {
    let filter = match level {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let _ = FORMAT.set(format);
    let stderr = Stderr::open();
    let _ = DESCRIPTOR.set(stderr.descriptor.as_raw_fd());
    let builder = tracing_subscriber::fmt().with_max_level(filter).with_writer(stderr);
    let started = match format {
        // People read the message, which says it all; the other fields are for programs.
        Format::Text => builder
            .with_target(false)
            .with_ansi(wants_color())
            .fmt_fields(debug_fn(|writer, field, value| match field.name() {
                "message" => write!(writer, "{}", printable(&format!("{value:?}"))),
                _ => Ok(()),
            }))
            .try_init(),
        Format::Json => builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
    };
    debug_assert!(started.is_ok(), "the log starts once");
}

/// Colors are for terminals, unless they are not wanted (https://no-color.org).
fn wants_color() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The descriptor that the log writes to: what a forked child must not close.
pub fn descriptor() -> Option<RawFd> {
    DESCRIPTOR.get().copied()
}

/// Whether records are for people: fields that a message already tells are then left out.
pub fn is_text() -> bool {
    FORMAT.get() == Some(&Format::Text)
}

/// The last word of a process that ends with an error: for a person as it is, for a program as a record.
pub fn tell_failure(failure: &Failure) {
    if failure.message.is_empty() {
        return;
    }
    if FORMAT.get() == Some(&Format::Json) {
        let text = &failure.message[..fitting(&failure.message, MAX_TEXT)];
        tracing::error!(event = "failed", exit_code = failure.exit as u8, "{text}");
    } else {
        eprintln!("wasmserve: {}", printable(&failure.message));
    }
}

/// Text that can neither steer a terminal nor pass for a record of its own: what guests and components say is
/// shown to people, too. Lines after the first are indented.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\n    "),
            '\t' => out.push(character),
            _ if character.is_control() => out.extend(character.escape_default()),
            _ => out.push(character),
        }
    }
    out
}

/// Records that this process has dropped because nobody took them.
pub fn dropped() -> u64 {
    DROPPED.load(Relaxed)
}

/// Our stderr, written without ever blocking.
struct Stderr {
    descriptor: OwnedFd,
    kind: Kind,
}

enum Kind {
    /// A file, or an open file description of our own, so that O_NONBLOCK is not forced on whoever shares stderr.
    NonBlocking,
    Socket,
    /// It could not be opened again (another user's terminal): ask before writing.
    Polled,
}

impl Stderr {
    fn open() -> Self {
        // A file never blocks, and whoever else writes it shares this place in it.
        let is_file = fstat(io::stderr())
            .is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG);
        if is_file && let Ok(descriptor) = io::stderr().as_fd().try_clone_to_owned() {
            return Self { descriptor, kind: Kind::NonBlocking };
        }
        let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        match open("/proc/self/fd/2", flags, Mode::empty()) {
            Ok(descriptor) => {
                // Room for bursts, if it is a pipe and we may.
                let _ = fcntl(&descriptor, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE));
                Self { descriptor, kind: Kind::NonBlocking }
            }
            Err(error) => Self {
                // Only a process without stderr cannot duplicate it: then there is nobody to log to.
                descriptor: io::stderr().as_fd().try_clone_to_owned().unwrap_or_else(|_| null()),
                kind: if error == Errno::ENXIO { Kind::Socket } else { Kind::Polled },
            },
        }
    }

    fn write_record(&self, record: &[u8]) -> nix::Result<usize> {
        match self.kind {
            Kind::NonBlocking => nix::unistd::write(&self.descriptor, record),
            Kind::Socket => send(self.descriptor.as_raw_fd(), record, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL),
            Kind::Polled => {
                let mut ready = [PollFd::new(self.descriptor.as_fd(), PollFlags::POLLOUT)];
                match poll(&mut ready, PollTimeout::ZERO)? {
                    0 => Err(Errno::EAGAIN),
                    _ => nix::unistd::write(&self.descriptor, record),
                }
            }
        }
    }
}

fn null() -> OwnedFd {
    open("/dev/null", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty()).expect("/dev/null opens")
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Record<'a>;

    fn make_writer(&'a self) -> Record<'a> {
        Record(self)
    }
}

/// Writes one record; the subscriber hands each over whole.
struct Record<'a>(&'a Stderr);

/// Records dropped and not told of yet.
static UNTOLD: AtomicU64 = AtomicU64::new(0);

impl Write for Record<'_> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let untold = UNTOLD.swap(0, Relaxed);
        if untold > 0 {
            let told = format!("{}\n", notice(untold));
            if self.0.write_record(told.as_bytes()).is_err() {
                UNTOLD.fetch_add(untold, Relaxed);
            }
        }
        let written = if record.len() <= MAX_RECORD {
            self.0.write_record(record)
        } else {
            let mut cut = record[..MAX_RECORD - 1].to_vec();
            cut.push(b'\n');
            self.0.write_record(&cut)
        };
        if written.is_err() {
            UNTOLD.fetch_add(1, Relaxed);
            DROPPED.fetch_add(1, Relaxed);
        }
        // Never an error: there is nobody to tell it to.
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn notice(dropped: u64) -> String {
    let pid = std::process::id();
    if is_text() {
        format!("WARN {dropped} log records of process {pid} were dropped: stderr was not read")
    } else {
        let message = "log records were dropped: stderr was not read";
        format!(r#"{{"level":"WARN","event":"records-dropped","message":"{message}","dropped":{dropped},"pid":{pid}}}"#)
    }
}

/// How many bytes of `text` fit into a record's text: at most `room` bytes once escaped as JSON, ending at a
/// character boundary, and never none unless the text is empty.
pub fn fitting(text: &str, room: usize) -> usize {
    let mut used = 0;
    for (at, character) in text.char_indices() {
        used += match character {
            '"' | '\\' | '\n' | '\r' | '\t' => 2,
            '\0'..='\x1f' | '\x7f' => 6,
            _ => character.len_utf8(),
        };
        if used > room && at > 0 {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_its_escaped_form_would_be_too_long() {
        assert_eq!(fitting("hello", 10), 5);
        assert_eq!(fitting("hello", 3), 3);
        assert_eq!(fitting("\"\"\"\"", 4), 2);
        assert_eq!(fitting("\u{1}\u{1}", 6), 1);
        assert_eq!(fitting("äöü", 4), 4);
        assert_eq!(fitting("äöü", 1), 2, "at least one character");
    }
}

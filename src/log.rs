//! The log: records on stderr or in files, each one write of at most 4,096 bytes, so that the lines of several
//! processes never tear. Nobody who reads slowly can block us: what does not fit is dropped and counted.

mod output;

use crate::exit::Failure;
use output::{DROPPED, Output, Record};
use std::io::{self, IsTerminal};
use std::os::fd::{OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::debug_fn;

pub use output::open;

/// Longest record: PIPE_BUF, what a pipe takes whole or not at all (POSIX write(2)).
pub const MAX_RECORD: usize = 4096;
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
    pub fn fitting(to_file: bool) -> Self {
        if !to_file && io::stderr().is_terminal() { Self::Text } else { Self::Json }
    }
}

/// Opened files to log to.
#[derive(Default)]
pub struct Files {
    /// For all records, instead of stderr.
    pub log: Option<OwnedFd>,
    /// For access records, instead of the log.
    pub access: Option<OwnedFd>,
}

/// Target of access records.
const ACCESS: &str = "access";

struct Outputs {
    log: Output,
    access: Option<Output>,
    level: LevelFilter,
    format: Format,
    /// Whether the log is a file, and not stderr.
    to_file: bool,
}

static OUTPUTS: OnceLock<Outputs> = OnceLock::new();
/// The app that this process serves, where it is one of many.
static APP: OnceLock<String> = OnceLock::new();

/// From now on every record says which app it is of. A name of letters, digits, - and _.
pub fn name_app(name: &str) {
    let _ = APP.set(name.to_owned());
}

/// Starts the log of this process and of all that it will fork.
pub fn start(level: Level, format: Format, files: Files) {
    let level = match level {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let to_file = files.log.is_some();
    let access = files.access.map(Output::file);
    // A file for access records is there for them, whatever else is logged.
    let most = if access.is_some() { level.max(LevelFilter::INFO) } else { level };
    let log = files.log.map_or_else(Output::stderr, Output::file);
    let outputs = OUTPUTS.get_or_init(|| Outputs { log, access, level, format, to_file });
    let builder = tracing_subscriber::fmt().with_max_level(most).with_writer(Writers(outputs));
    let started = match format {
        // People read the message, which says it all; the other fields are for programs.
        Format::Text => builder
            .with_target(false)
            .with_ansi(!to_file && wants_color())
            .fmt_fields(debug_fn(|writer, field, value| match field.name() {
                "message" => {
                    let message = printable(&format!("{value:?}"));
                    match APP.get().filter(|_| !message.starts_with('[')) {
                        Some(app) => write!(writer, "{app}: {message}"),
                        None => write!(writer, "{message}"),
                    }
                }
                _ => Ok(()),
            }))
            .try_init(),
        Format::Json => builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
    };
    debug_assert!(started.is_ok(), "the log starts once");
}

/// Goes on in files that were opened anew; those that there were none of before are not begun.
pub fn replace(log: Option<OwnedFd>, access: Option<OwnedFd>) {
    let Some(outputs) = OUTPUTS.get() else { return };
    let log_file = Some(&outputs.log).filter(|_| outputs.to_file);
    for (output, file) in [(log_file, log), (outputs.access.as_ref(), access)] {
        if let (Some(output), Some(file)) = (output, file)
            && let Err(error) = output.replace(&file)
        {
            tracing::error!("the log does not go on in its new file: {error}");
        }
    }
}

/// Colors are for terminals, unless they are not wanted (https://no-color.org).
fn wants_color() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The descriptors that the log writes to: what a forked child must not close.
pub fn descriptors() -> Vec<RawFd> {
    let outputs = OUTPUTS.get().into_iter();
    outputs
        .flat_map(|outputs| [Some(&outputs.log), outputs.access.as_ref()])
        .flatten()
        .map(Output::descriptor)
        .collect()
}

/// Whether records are for people: fields that a message already tells are then left out.
pub fn is_text() -> bool {
    OUTPUTS.get().is_some_and(|outputs| outputs.format == Format::Text)
}

/// The last word of a process that ends with an error: for a person as it is, for a program as a record. If the
/// log is a file, both, as whoever started us should not have to look there.
pub fn tell_failure(failure: &Failure) {
    if failure.message.is_empty() {
        return;
    }
    let to_file = OUTPUTS.get().is_some_and(|outputs| outputs.to_file);
    let is_json = OUTPUTS.get().is_some_and(|outputs| outputs.format == Format::Json);
    if to_file || is_json {
        let text = &failure.message[..fitting(&failure.message, MAX_TEXT)];
        tracing::error!(event = "failed", exit_code = failure.exit as u8, "{text}");
    }
    if to_file || !is_json {
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

/// Chooses an output for each record.
struct Writers(&'static Outputs);

impl<'a> MakeWriter<'a> for Writers {
    type Writer = Record<'a>;

    fn make_writer(&'a self) -> Record<'a> {
        Record(Some(&self.0.log))
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Record<'a> {
        let access = self.0.access.as_ref().filter(|_| metadata.target() == ACCESS);
        // Of names that guests look up anybody may say odd things, and each is a record: for debugging only.
        let is_noise = metadata.target().starts_with("hickory") && self.0.level < LevelFilter::DEBUG;
        let log = Some(&self.0.log).filter(|_| *metadata.level() <= self.0.level && !is_noise);
        Record(access.or(log))
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

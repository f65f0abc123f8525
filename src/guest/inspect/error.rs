//! Why a file cannot be served: one message each, that says what is wrong, where, and what to do.
//!
//! The messages are printed behind the file's name, so none of them repeats it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::guest::provided::{self, Found, WASI_0_2, WASI_0_3};

#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InspectError {
    #[error("the file is empty; build the component again, or copy it again")]
    Empty,

    #[error("not WebAssembly but {what}; {hint}")]
    NotWasm { what: String, hint: String },

    #[error("{}", core_module(*.typed))]
    CoreModule {
        /// It carries a component type, as a bindings generator puts it there.
        typed: bool,
    },

    #[error(
        "the component is truncated: the part that begins at byte {offset} ends at byte {end}, but the file ends at byte \
         {size}; \
         rebuild it, or copy it again"
    )]
    Truncated { offset: usize, end: usize, size: usize },

    #[error("the component is corrupted at byte {offset}: {message}; rebuild it, or copy it again")]
    Corrupt { offset: usize, message: String },

    #[error("the component text does not parse: {message}{}; correct it there", place(*.line, *.column))]
    Text { message: String, line: usize, column: usize },

    #[error("{}", no_handler(.exports))]
    NoHandler { exports: Vec<String> },

    #[error(
        "it exports {}, a version of the HTTP handler that is not served; served are wasi:http/handler@0.3.x (async) \
         and wasi:http/incoming-handler@0.2.x (sync), no pre-releases: rebuild it against {WASI_0_3} or {WASI_0_2}",
        list(.found)
    )]
    HandlerVersion { found: Vec<String> },

    #[error("{}", imports(.0))]
    Imports(Vec<String>),
}

impl InspectError {
    pub(super) fn corrupt(error: &wasmparser::Error) -> Self {
        InspectError::Corrupt { offset: error.offset(), message: one_line(error.message(), ": ") }
    }

    /// `wat` gives the place only inside its message: "what\n     --> <anon>:line:column\n" and the line itself.
    pub(super) fn text(error: &wat::Error) -> Self {
        let full = error.to_string();
        let split = full.split_once("\n     --> ").or_else(|| full.rsplit_once(" at <anon>:"));
        let (message, place) = split.unwrap_or((&full, ""));
        let place = place.lines().next().unwrap_or_default();
        let mut numbers = place.rsplit(':').map(|number| number.trim().parse().unwrap_or(0));
        let column = numbers.next().unwrap_or(0);
        let line = numbers.next().unwrap_or(0);
        InspectError::Text { message: one_line(message, " "), line, column }
    }
}

/// A library's message, which may have been laid out over several lines.
fn one_line(message: &str, between: &str) -> String {
    let line = |line: &str| printable(&line.split_whitespace().collect::<Vec<_>>().join(" "));
    message.lines().map(line).collect::<Vec<_>>().join(between)
}

/// Text from a hostile file, safe to print on a terminal and not longer than a reader bears.
pub(super) fn printable(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut shown: String = text.chars().take(LONGEST).flat_map(visible).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

fn visible(c: char) -> impl Iterator<Item = char> {
    // Besides control characters, those that turn the direction of writing can hide what is there.
    let hidden =
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let (plain, escaped) = if hidden { (None, Some(c.escape_unicode())) } else { (Some(c), None) };
    plain.into_iter().chain(escaped.into_iter().flatten())
}

fn place(line: usize, column: usize) -> String {
    if line == 0 { String::new() } else { format!(", at line {line}, column {column}") }
}

fn core_module(typed: bool) -> String {
    let options = if typed { "" } else { " --wit DIR --world WORLD" };
    format!(
        "a core WebAssembly module, not a component; turn it into one with `wasmserve componentize FILE{options}`, or build \
         it for your language's own component target, such as --target wasm32-wasip2 in Rust"
    )
}

fn no_handler(exports: &[String]) -> String {
    let mut text = match exports {
        [] => "no HTTP handler: the component exports nothing".to_string(),
        some => format!("no HTTP handler: the component exports only {}", list(some)),
    };
    if exports.iter().any(|name| name.starts_with("wasi:cli/run@")) {
        text.push_str(", which makes it a command for `wasmtime run`");
    }
    let _ = write!(
        text,
        "; to be served it must export wasi:http/handler@{WASI_0_3} (async) or \
         wasi:http/incoming-handler@{WASI_0_2} (sync)"
    );
    text
}

fn imports(names: &[String]) -> String {
    let mut text = match names {
        [_] => "it needs an import that nobody provides:".to_string(),
        more => format!("it needs {} imports that nobody provides:", more.len()),
    };
    for name in names.iter().take(LISTED) {
        let _ = write!(text, "\n  {}: {}", printable(name), explain(name));
    }
    if let Some(more) = names.len().checked_sub(LISTED).filter(|more| *more > 0) {
        let _ = write!(text, "\n  … and {more} more");
    }
    text.push_str(
        "\nRebuild it against what is provided, or compose it with a component that exports them (`wac plug`).",
    );
    text
}

fn explain(name: &str) -> String {
    if !name.contains('/') {
        return "not an interface, and only interfaces are provided".to_string();
    }
    let (base, version) = provided::split(name);
    // A middleware imports what it wraps; nothing near that name would help its author.
    if matches!(base, "wasi:http/handler" | "wasi:http/incoming-handler") {
        return "the handler that a middleware wraps; compose the two first".to_string();
    }
    match provided::find(name) {
        Found::OtherVersion(ours) if version.is_some_and(|version| version.contains('-')) => {
            format!("a pre-release, which no other version stands in for; provided is {}", ours.join(" and "))
        }
        Found::OtherVersion(ours) => format!("provided is {}", ours.join(" and ")),
        Found::Newer(near) => {
            let near = near.map(|name| format!("; the nearest is {name}")).unwrap_or_default();
            format!("needs a newer WASI than this wasmserve provides ({WASI_0_3}){near}")
        }
        Found::Nearest(name) => format!("unknown here; the nearest is {name}"),
        Found::Provided(_) => "provided as an interface, but asked for as something else".to_string(),
        Found::Nothing => "unknown here, and nothing provided resembles it".to_string(),
    }
}

/// How many names a message lists before it only counts.
const LISTED: usize = 16;

fn list(names: &[String]) -> String {
    let mut shown: Vec<String> = names.iter().take(LISTED).map(|name| printable(name)).collect();
    if let Some(more) = names.len().checked_sub(LISTED).filter(|more| *more > 0) {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}

//! What `wasmserve inspect` prints about a component: for a reader on a terminal, or as JSON for a program.
//!
//! Everything but `run`, which reads the file, keeps to texts.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::config;
use crate::exit::{Exit, Failure};
use crate::guest::inspect::{self, HandlerKind, Import, Lifespan, Report};
use crate::guest::provided::{self, Capability};

/// Labels take this much of a line, so that what they label begins in one column.
const LABEL: usize = 11;
/// The same among the producers, whose labels are the longer "processed-by".
const FIELD: usize = 14;
const WIDTH: usize = 80;

/// Reads the component and prints what it is.
pub fn run(path: &Path, as_json: bool) -> Result<(), Failure> {
    let name = path.display().to_string();
    let bytes = config::read_component(path)?;
    let size = bytes.len() as u64;
    let report = inspect::to_binary(bytes).and_then(|binary| inspect::inspect(&binary));
    let report = report.map_err(|error| Failure::new(Exit::Load, format!("{name}: {error}")))?;
    let shown = if as_json { format!("{:#}\n", json(&report, &name, size)) } else { text(&report, &name, size) };
    // Whoever reads may have seen enough, as head(1) has.
    let _ = std::io::stdout().write_all(shown.as_bytes());
    Ok(())
}

/// The report for a reader. `size` is that of the file, which is not the binary's if it holds text.
pub fn text(report: &Report, name: &str, size: u64) -> String {
    let mut out = format!("{name}\n\n");
    row(&mut out, LABEL, "handler", &handler(report));
    row(&mut out, LABEL, "lifespan", &lifespan(report));
    let (isolation, reason) = isolation(report);
    row(&mut out, LABEL, "isolation", &format!("auto means {isolation}: {reason}"));
    row(&mut out, LABEL, "size", &sizes(report, size));

    section(&mut out, "Imports", report.imports.is_empty());
    // Wide enough for the longest name, so that the counts stand below each other.
    let width = report.imports.iter().map(|import| import.name.len()).max().unwrap_or(0).min(56);
    for (capability, imports) in by_capability(&report.imports) {
        let _ = writeln!(out, "  {}", title(capability));
        for import in imports {
            let _ = writeln!(out, "    {:<width$}  {}", import.name, functions(import));
        }
    }

    let mut others = other_exports(report).peekable();
    if others.peek().is_some() {
        section(&mut out, "Other exports", false);
    }
    for export in others {
        let _ = writeln!(out, "  {export}");
    }
    if !report.producers.is_empty() {
        section(&mut out, "Made with", false);
    }
    for (field, tools) in by_field(&report.producers) {
        row(&mut out, FIELD, field, &tools.join(", "));
    }
    // Names come from the component, and a terminal would obey what some of them could hold.
    out.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

/// The report for a program: the same facts, with every function's name.
pub fn json(report: &Report, name: &str, size: u64) -> Value {
    let (isolation, reason) = isolation(report);
    json!({
        "component": name,
        "file-size": size,
        "handler": report.handler,
        "lifespan": report.lifespan,
        "isolation": { "auto": isolation, "reason": reason },
        "serves-once": report.serves_once,
        "imports": report.imports,
        "exports": report.exports,
        "producers": report.producers,
        "sizes": report.sizes,
    })
}

pub(super) fn handler(report: &Report) -> String {
    let meaning = match report.handler.kind {
        HandlerKind::Sync => "sync: one request at a time",
        HandlerKind::Async => "async: many requests at a time",
    };
    format!("{} ({meaning})", report.handler.interface)
}

pub(super) fn lifespan(report: &Report) -> String {
    let unserved = || other_exports(report).find(|name| name.starts_with("wasmserve:lifespan/"));
    match (report.lifespan, unserved()) {
        (Some(Lifespan::Sync), _) => "sync: startup and shutdown are called".to_string(),
        (Some(Lifespan::Async), _) => "async: startup and shutdown are called".to_string(),
        (None, Some(name)) => {
            format!("none that is called: {name} is exported, but 0.1.0 is the version known here")
        }
        (None, None) => "none".to_string(),
    }
}

/// What `--isolation auto` will choose, and why.
fn isolation(report: &Report) -> (&'static str, &str) {
    match &report.serves_once {
        Some(reason) => ("request", reason),
        None => ("worker", "instances are kept from request to request"),
    }
}

fn sizes(report: &Report, file: u64) -> String {
    let sizes = &report.sizes;
    let part = |bytes: usize| human(bytes as u64);
    let modules = plural(sizes.modules, "core module");
    format!(
        "{} (code {}, data {}, custom {}; {modules})",
        human(file),
        part(sizes.code),
        part(sizes.data),
        part(sizes.custom)
    )
}

fn functions(import: &Import) -> String {
    match import.functions.len() {
        0 => "types only".to_string(),
        count => plural(count, "function"),
    }
}

/// Imports by what they let the component reach, in the order of [`Capability`]; within one, as the component lists
/// them.
fn by_capability(imports: &[Import]) -> Vec<(Capability, Vec<&Import>)> {
    let mut sorted: Vec<&Import> = imports.iter().collect();
    sorted.sort_by_key(|import| import.capability);
    let groups = sorted.chunk_by(|a, b| a.capability == b.capability);
    groups.filter_map(|group| Some((group.first()?.capability, group.to_vec()))).collect()
}

/// Producers by the field in which they stand, in the order in which each is first seen.
fn by_field(producers: &[String]) -> Vec<(&str, Vec<&str>)> {
    let mut fields: Vec<(&str, Vec<&str>)> = Vec::new();
    for producer in producers {
        let (field, tool) = producer.split_once(": ").unwrap_or(("", producer));
        match fields.iter_mut().find(|(known, _)| *known == field) {
            Some((_, tools)) => tools.push(tool),
            None => fields.push((field, vec![tool])),
        }
    }
    fields
}

fn title(capability: Capability) -> &'static str {
    match capability {
        Capability::Http => "HTTP (the request and its response)",
        Capability::OutboundHttp => "outbound HTTP (requests of its own)",
        Capability::Files => "files",
        Capability::Sockets => "sockets",
        Capability::Clocks => "clocks",
        Capability::Random => "random numbers",
        Capability::Cli => "environment, arguments, exit",
        Capability::Stdio => "standard input and output",
        Capability::Io => "streams and polling",
        Capability::Unknown => "others",
    }
}

/// Exports that no other line of the report is about.
fn other_exports(report: &Report) -> impl Iterator<Item = &str> {
    let called = |name: &str| {
        let served = report.lifespan.is_some() && provided::split(name).0.starts_with("wasmserve:lifespan/");
        served || name == report.handler.interface
    };
    report.exports.iter().map(String::as_str).filter(move |name| !called(name))
}

fn section(out: &mut String, title: &str, empty: bool) {
    let _ = writeln!(out, "\n{title}{}", if empty { ": none" } else { "" });
}

/// A label and its text, which goes on below itself where the line is full.
fn row(out: &mut String, width: usize, label: &str, text: &str) {
    let mut line = format!("  {label:<width$}");
    let mut fresh = true;
    for word in text.split(' ') {
        if !fresh && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(out, "{line}");
            line = " ".repeat(2 + width);
            fresh = true;
        }
        if !fresh {
            line.push(' ');
        }
        line.push_str(word);
        fresh = false;
    }
    let _ = writeln!(out, "{line}");
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Three digits and a unit are all that one wants to know about a size.
pub(super) fn human(bytes: u64) -> String {
    const UNITS: [&str; 3] = ["KB", "MB", "GB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    // 999.5 would be printed as 1000.
    while value >= 999.5
        && let Some(next) = units.next()
    {
        value /= 1000.0;
        unit = Some(next);
    }
    let decimals = if value < 99.95 { 1 } else { 0 };
    format!("{value:.decimals$} {}", unit.unwrap_or(&"KB"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::inspect::inspect;

    const APP: &str = r#"(component
        (import "wasi:cli/environment@0.2.3" (instance (export "get-arguments" (func))))
        (import "wasi:http/types@0.2.3" (instance (export "a" (func)) (export "b" (func))))
        (import "wasi:cli/exit@0.2.0" (instance (export "exit" (func))))
        (import "acme:app/names@1.0.0" (instance))
        (instance $i)
        (export "wasi:http/incoming-handler@0.2.3" (instance $i))
        (export "acme:app/admin@1.0.0" (instance $i)))"#;

    fn report(text: &str) -> Report {
        inspect(&wat::parse_str(text).unwrap()).unwrap()
    }

    #[test]
    fn text_groups_imports_by_capability() {
        let text = text(&report(APP), "app.wasm", 126_000);
        let expected = "
Imports
  HTTP (the request and its response)
    wasi:http/types@0.2.3       2 functions
  environment, arguments, exit
    wasi:cli/environment@0.2.3  1 function
    wasi:cli/exit@0.2.0         1 function
  others
    acme:app/names@1.0.0        types only

Other exports
  acme:app/admin@1.0.0
";
        assert!(text.contains(expected), "{text}");
        assert!(text.starts_with("app.wasm\n\n  handler    wasi:http/incoming-handler@0.2.3 (sync: "), "{text}");
        assert!(text.contains("\n  lifespan   none\n"), "{text}");
        assert!(text.contains("\n  isolation  auto means worker: "), "{text}");
        assert!(text.contains("\n  size       126 KB (code "), "{text}");
    }

    #[test]
    fn text_says_why_instances_are_not_kept() {
        let mut report = report(APP);
        report.serves_once = Some("because of a reason that is long enough to need a second line".to_string());
        let text = text(&report, "app.wasm", 1);
        assert!(text.contains("isolation  auto means request: because of"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn text_lists_producers_by_field() {
        let mut report = report(APP);
        let producers = ["language: Rust", "processed-by: a 1", "language: C\u{1b}11", "processed-by: b"];
        report.producers = producers.map(str::to_string).to_vec();
        let text = text(&report, "app.wasm", 1);
        let expected = "\nMade with\n  language      Rust, C\u{fffd}11\n  processed-by  a 1, b\n";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn json_holds_the_same_facts() {
        let mut report = report(APP);
        report.lifespan = Some(Lifespan::Async);
        let value = json(&report, "app.wasm", 7);
        assert_eq!(value["component"], "app.wasm");
        assert_eq!(value["file-size"], 7);
        assert_eq!(value["handler"]["kind"], "sync");
        assert_eq!(value["lifespan"], "async");
        assert_eq!(value["isolation"]["auto"], "worker");
        assert_eq!(value["imports"][0]["capability"], "cli");
        assert_eq!(value["imports"][0]["functions"][0], "get-arguments");
    }

    #[test]
    fn sizes_have_three_digits_and_a_unit() {
        let cases = [
            (999, "999 B"),
            (1_000, "1.0 KB"),
            (126_400, "126 KB"),
            (999_600, "1.0 MB"),
            (21_600_000, "21.6 MB"),
            (7_000_000_000_000, "7000 GB"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(human(bytes), expected);
        }
    }
}

//! The hosted apps: a line for each, with what the servers of those that run say of themselves, in 80 columns.

use super::units::{bytes, count, latency};
use crate::control::client;
use crate::status::{App, AppState, Counters, Status};
use std::fmt::Write;

const WIDTH: usize = 80;
/// What is left of a name.
const NAME: usize = 24;

/// Empty where nothing is hosted.
pub fn table(status: &Status) -> String {
    let mut out = String::new();
    if status.apps.is_empty() {
        return out;
    }
    let head = ["app", "state", "pid", "workers", "reqs", "p99", "starts", "memory"].map(str::to_owned);
    let _ = writeln!(out, "\n{}", line(&head));
    for app in &status.apps {
        let own = app.control.as_deref().and_then(|path| super::ask(&mut client::connect(Some(path)).ok()?).ok());
        let _ = writeln!(out, "{}", line(&cells(app, own.as_ref())));
        if !app.why.is_empty() {
            let why: String = format!("  {}", app.why.replace('\n', " ")).chars().take(WIDTH).collect();
            let _ = writeln!(out, "{why}");
        }
    }
    out.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

fn cells(app: &App, own: Option<&Status>) -> [String; 8] {
    let state = match app.state {
        AppState::Idle => "idle",
        AppState::Starting => "starting",
        AppState::Ready => "ready",
        AppState::Failing => "failing",
        AppState::Leaving => "leaving",
    };
    let mut sum = Counters::default();
    let mut memory = 0u64;
    let slots = own.map_or(&[][..], |own| &own.slots);
    for slot in slots {
        sum.add(&slot.counters);
        memory = slot.processes.iter().fold(memory, |sum, process| sum.saturating_add(process.rss));
    }
    let running = |text: String| if own.is_some() { text } else { "-".to_owned() };
    let ready = slots.iter().filter(|slot| slot.is_ready()).count();
    [
        app.name.chars().take(NAME).collect(),
        state.to_owned(),
        app.pid.map_or("-".to_owned(), |pid| pid.to_string()),
        running(ready.to_string()),
        running(count(sum.requests)),
        sum.quantile(0.99).map_or("-".to_owned(), latency),
        count(app.starts),
        running(bytes(memory)),
    ]
}

fn line(cells: &[String; 8]) -> String {
    let [name, state, pid, workers, requests, p99, starts, memory] = cells;
    let line = format!("{name:<NAME$} {state:<8} {pid:>7} {workers:>7} {requests:>6} {p99:>6} {starts:>6} {memory:>7}");
    line.trim_end().to_owned()
}

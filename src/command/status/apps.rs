//! The hosted apps: a line for each, in 80 columns.

use super::table::wrap;
use super::units::{bytes, count, latency};
use crate::status::{App, Status};
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
        let _ = writeln!(out, "{}", line(&cells(app)));
        if !app.why.is_empty() {
            // It begins with the component's path, which may fill a line alone.
            let why: String = app.why.chars().take(4 * WIDTH).collect();
            wrap(&mut out, 2, &format!("  {why}"));
        }
    }
    out.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

fn cells(app: &App) -> [String; 8] {
    let running = |text: String| if app.pid.is_some() { text } else { "-".to_owned() };
    [
        app.name.chars().take(NAME).collect(),
        app.state.to_string(),
        app.pid.map_or("-".to_owned(), |pid| pid.to_string()),
        running(app.workers.to_string()),
        count(app.counters.requests),
        app.counters.quantile(0.99).map_or("-".to_owned(), latency),
        count(app.starts),
        running(bytes(app.memory)),
    ]
}

fn line(cells: &[String; 8]) -> String {
    let [name, state, pid, workers, requests, p99, starts, memory] = cells;
    let line = format!("{name:<NAME$} {state:<8} {pid:>7} {workers:>7} {requests:>6} {p99:>6} {starts:>6} {memory:>7}");
    line.trim_end().to_owned()
}

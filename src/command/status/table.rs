//! Status for people: a head about the server, a line for each process, and what has gone wrong, in 80 columns.

use super::units::{bytes, count, duration, latency, rate};
use crate::status::{Counters, LastReload, Process, ProcessState, Slot, SlotState, State, Status};
use std::fmt::Write;

const WIDTH: usize = 80;
/// Labels take this much of a line, so that what they label begins in one column.
const LABEL: usize = 13;
/// The columns: width and name, in two lines. They do not move with what is in them, so that a table that is drawn
/// again and again stays where it is; all numbers but the largest generations fit in.
const COLUMNS: [(usize, &str, &str); 12] = [
    (6, "", "worker"),
    (8, "", "state"),
    (7, "", "pid"),
    (4, "", "gen"),
    (5, "", "reqs"),
    (5, "", "req/s"),
    (6, "in", "flight"),
    (5, "", "queue"),
    (5, "", "p50"),
    (5, "", "p99"),
    (6, "re-", "starts"),
    (6, "", "memory"),
];
const STATE: usize = 1;

type Row = [String; COLUMNS.len()];

/// Rates and latencies are those since the last look if there was one, else since the start.
pub fn table(status: &Status, last: Option<&Status>) -> String {
    // A server that is younger than at the last look is another one.
    let last = last.filter(|last| last.pid == status.pid && last.uptime_seconds < status.uptime_seconds);
    let mut out = head(status);
    out.push('\n');
    rows_of(status, last).iter().for_each(|line| {
        let _ = writeln!(out, "{line}");
    });
    let notes = notes(status);
    if !notes.is_empty() {
        let _ = write!(out, "\n{notes}");
    }
    // What components and guests have said is among it, and a terminal would obey.
    out.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

fn head(status: &Status) -> String {
    let state = match status.state {
        State::Starting => "starting",
        State::Ready => "ready",
        State::Reloading => "reloading",
        State::Stopping => "stopping",
    };
    let ready = status.slots.iter().filter(|slot| slot.is_ready()).count();
    let mut out = String::new();
    let (pid, up) = (status.pid, duration(status.uptime_seconds));
    wrap(&mut out, 0, &format!("{}: {state}, {ready} of {} workers ready", status.app, status.workers));
    row(&mut out, "component", &status.component);
    row(&mut out, "addresses", &status.addresses.join(" "));
    let rollback = status.previous_generation.map(|previous| format!(" (rollback goes to {previous})"));
    row(&mut out, "generation", &format!("{}{}", status.generation, rollback.unwrap_or_default()));
    if let Some(last) = &status.last_reload {
        row(&mut out, "last reload", &last_reload(last));
    }
    if status.sandbox.starts_with("incomplete") {
        row(&mut out, "sandbox", &status.sandbox);
    }
    row(&mut out, "up", &format!("{up}, pid {pid}, wasmserve {}", status.version));
    out
}

fn last_reload(last: &LastReload) -> String {
    let LastReload { generation, message, .. } = last;
    let ago = duration(last.seconds_ago);
    match last.succeeded {
        true => format!("{ago} ago: generation {generation} took over"),
        false => format!("{ago} ago: generation {generation} failed: {message}"),
    }
}

/// The table, line by line.
fn rows_of(status: &Status, last: Option<&Status>) -> Vec<String> {
    let seconds = status.uptime_seconds - last.map_or(0.0, |last| last.uptime_seconds);
    let mut rows = vec![COLUMNS.map(|(_, first, _)| first.to_owned()), COLUMNS.map(|(_, _, second)| second.to_owned())];
    let mut sum = Counters::default();
    let mut recent_sum = Counters::default();
    for slot in status.slots.iter().filter(|slot| slot.state != SlotState::Removed) {
        let before = last.and_then(|last| last.slots.iter().find(|before| before.worker == slot.worker));
        let recent = since(&slot.counters, before.map(|before| &before.counters));
        rows.push(of_slot(slot, &recent, seconds));
        rows.extend(slot.processes.iter().rev().skip(1).map(of_predecessor));
        sum.add(&slot.counters);
        recent_sum.add(&recent);
    }
    if status.slots.len() > 1 {
        rows.push(of_all(status, &sum, &recent_sum, seconds));
    }
    rows.iter().map(line).collect()
}

/// What was counted since then.
fn since(now: &Counters, before: Option<&Counters>) -> Counters {
    let Some(before) = before else { return now.clone() };
    let mut recent = now.clone();
    recent.requests = now.requests.saturating_sub(before.requests);
    recent.latency.iter_mut().zip(&before.latency).for_each(|(to, less)| *to = to.saturating_sub(*less));
    recent
}

fn of_slot(slot: &Slot, recent: &Counters, seconds: f64) -> Row {
    let state = match slot.state {
        SlotState::Starting => "starting",
        SlotState::Ready => "ready",
        SlotState::BackingOff => "back-off",
        SlotState::Unresponsive => "silent",
        SlotState::Leaving => "leaving",
        SlotState::Removed => "removed",
    };
    let mut row = numbers(&slot.counters, recent, seconds);
    row[0] = slot.worker.to_string();
    row[STATE] = state.to_owned();
    row[10] = count(slot.restarts);
    if let Some(process) = slot.processes.last() {
        of_process(&mut row, process);
    }
    row
}

/// A process that is on its way out while the newest of its slot takes over.
fn of_predecessor(process: &Process) -> Row {
    let mut row = Row::default();
    let state = match process.state {
        ProcessState::Starting => "starting",
        ProcessState::Ready => "ready",
        ProcessState::Draining => "draining",
        ProcessState::Ending => "ending",
    };
    row[STATE] = state.to_owned();
    of_process(&mut row, process);
    row
}

fn of_process(row: &mut Row, process: &Process) {
    row[2] = process.pid.to_string();
    row[3] = count(process.generation);
    row[11] = bytes(process.rss);
}

fn of_all(status: &Status, sum: &Counters, recent: &Counters, seconds: f64) -> Row {
    let mut row = numbers(sum, recent, seconds);
    row[0] = "all".to_owned();
    row[10] = count(status.slots.iter().fold(0, |sum, slot| sum.saturating_add(slot.restarts)));
    let processes = status.slots.iter().flat_map(|slot| &slot.processes);
    row[11] = bytes(processes.fold(0, |sum, process| sum.saturating_add(process.rss)));
    row
}

fn numbers(now: &Counters, recent: &Counters, seconds: f64) -> Row {
    let mut row = Row::default();
    let quantile = |share| recent.quantile(share).map_or("-".to_owned(), latency);
    row[4] = count(now.requests);
    row[5] = rate(if seconds > 0.0 { recent.requests as f64 / seconds } else { 0.0 });
    row[6] = count(now.in_flight);
    row[7] = count(now.queued);
    row[8] = quantile(0.5);
    row[9] = quantile(0.99);
    row
}

/// Numbers stand below each other by their last digit.
fn line(row: &Row) -> String {
    let cells = row.iter().zip(COLUMNS).enumerate().map(|(column, (text, (width, ..)))| match column {
        STATE => format!("{text:<width$}"),
        _ => format!("{text:>width$}"),
    });
    let line = cells.collect::<Vec<_>>().join(" ");
    line.chars().take(WIDTH).collect::<String>().trim_end().to_owned()
}

/// Why workers are not what they should be.
fn notes(status: &Status) -> String {
    let mut out = String::new();
    for slot in &status.slots {
        let again = slot.starts_in_seconds.map(|seconds| format!("starts again in {}", duration(seconds)));
        let death = Some(&slot.last_death).filter(|why| !why.is_empty()).map(|why| format!("last ended: {why}"));
        let note: Vec<_> = death.into_iter().chain(again).collect();
        if !note.is_empty() {
            wrap(&mut out, 4, &format!("  worker {} {}", slot.worker, note.join("; ")));
        }
    }
    out
}

fn row(out: &mut String, label: &str, text: &str) {
    wrap(out, 2 + LABEL, &format!("  {label:<LABEL$}{text}"));
}

/// A line that goes on below itself, indented, where it is full. What has no space in it is cut anywhere.
pub fn wrap(out: &mut String, indent: usize, text: &str) {
    let mut rest: Vec<char> = text.replace('\n', " ").chars().collect();
    while rest.len() > WIDTH {
        let space = rest[..=WIDTH].iter().rposition(|c| *c == ' ').filter(|at| *at > indent);
        let line: String = rest.drain(..space.unwrap_or(WIDTH)).collect();
        let _ = writeln!(out, "{}", line.trim_end());
        let begin = rest.iter().position(|c| *c != ' ').unwrap_or(rest.len());
        rest.splice(..begin, std::iter::repeat_n(' ', indent));
    }
    let _ = writeln!(out, "{}", rest.iter().collect::<String>().trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::example;

    fn is_narrow(text: &str) {
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn the_table_is_easy_to_read() {
        let mut status = example();
        status.last_reload =
            Some(LastReload { generation: 2, succeeded: true, message: String::new(), seconds_ago: 75.0 });
        let expected = "\
shop: reloading, 1 of 2 workers ready
  component    /srv/shop.wasm
  addresses    http://127.0.0.1:8000
  generation   2 (rollback goes to 1)
  last reload  1 min 15 s ago: generation 2 took over
  up           1 h 2 min, pid 4000, wasmserve 0.1.0

                                             in                      re-
worker state        pid  gen  reqs req/s flight queue   p50   p99 starts memory
     0 ready       4003    2    12   0.0      3     0   1ms   70s      0   21MB
       draining    4001    1                                               21MB
     1 back-off                  0     0      0     0     -     -      7
   all                          12   0.0      3     0   1ms   70s      7   42MB

  worker 1 last ended: killed by SIGSEGV; starts again in 3.2 s
";
        let text = table(&status, None);
        assert_eq!(text, expected);
    }

    #[test]
    fn the_largest_numbers_fit_in() {
        let mut status = example();
        let slot = &mut status.slots[0];
        slot.worker = 1023;
        slot.state = SlotState::Starting;
        slot.restarts = u64::MAX;
        slot.processes[1].pid = 4_194_304;
        slot.processes[1].generation = 9_999;
        slot.processes[1].rss = u64::MAX;
        let counters = &mut slot.counters;
        counters.latency = vec![0; 43];
        counters.latency[25] = 1;
        for number in [&mut counters.requests, &mut counters.in_flight, &mut counters.queued] {
            *number = 99_999;
        }
        slot.last_death = "x".repeat(200) + &" y".repeat(100);
        status.app = "a".repeat(100);
        status.component = "/component".repeat(20);
        status.addresses = vec!["http://127.0.0.1:8000".into(); 9];
        let text = table(&status, None);
        is_narrow(&text);
        assert!(text.contains(" 150ms "), "{text}");
        assert!(
            text.lines().any(|line| line.starts_with("  1023 starting 4194304 9999 ") && line.ends_with(" 18EB")),
            "{text}"
        );
    }

    #[test]
    fn what_has_changed_since_the_last_look_is_shown() {
        let before = example();
        let mut status = example();
        status.uptime_seconds += 2.0;
        let line =
            |status: &Status, last| rows_of(status, last)[2].split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(line(&status, Some(&before))[4..10], ["12", "0", "3", "0", "-", "-"]);
        status.slots[0].counters.requests += 100;
        status.slots[0].counters.latency[0] += 100;
        assert_eq!(line(&status, Some(&before))[4..10], ["112", "50", "3", "0", "10µs", "10µs"]);
        assert_eq!(line(&status, None)[4..10], ["112", "0.0", "3", "0", "10µs", "1ms"]);
    }

    #[test]
    fn a_terminal_is_told_nothing_by_guests() {
        let mut status = example();
        status.slots[1].last_death = "trap: \u{1b}[2J\nworse".into();
        let text = table(&status, None);
        assert!(text.ends_with("\n  worker 1 last ended: trap: \u{fffd}[2J worse; starts again in 3.2 s\n"), "{text}");
    }
}

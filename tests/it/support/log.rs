//! The server's stderr, read record by record while the server runs.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use super::PATIENCE;

/// One line of stderr, which is one JSON object.
#[derive(Clone, Debug)]
pub struct Record {
    pub line: String,
    fields: Value,
}

impl Record {
    pub fn parse(line: String) -> Self {
        let fields = serde_json::from_str(&line).unwrap_or(Value::Null);
        Self { line, fields }
    }

    pub fn is_json(&self) -> bool {
        self.fields.is_object()
    }

    pub fn field(&self, name: &str) -> &Value {
        &self.fields[name]
    }

    /// A text field; empty where there is none.
    pub fn text(&self, name: &str) -> &str {
        self.fields[name].as_str().unwrap_or_default()
    }

    #[track_caller]
    pub fn number(&self, name: &str) -> u64 {
        self.fields[name].as_u64().unwrap_or_else(|| panic!("no number `{name}` in {}", self.line))
    }

    pub fn message(&self) -> &str {
        self.text("message")
    }

    pub fn level(&self) -> String {
        self.text("level").to_lowercase()
    }

    pub fn is_event(&self, event: &str) -> bool {
        self.text("event") == event
    }

    pub fn is_access(&self) -> bool {
        self.text("target") == "access"
    }

    /// Whether this is output of the guest.
    pub fn is_guest(&self) -> bool {
        self.text("target") == "guest"
    }

    /// Whether the guest printed this line.
    pub fn is_guest_line(&self, line: &str) -> bool {
        self.is_guest() && self.message() == line
    }
}

#[derive(Default)]
struct State {
    records: Vec<Record>,
    /// What has come of the line that goes on: on a terminal, what moves in it.
    unfinished: String,
    closed: bool,
    paused: bool,
    /// Ends the collecting thread, which closes our end of the pipe.
    abandoned: bool,
}

/// Collects records in a thread of its own.
#[derive(Clone, Default)]
pub struct Log {
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Log {
    pub fn collect(source: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let collector = log.clone();
        thread::spawn(move || collector.read(BufReader::new(source)));
        log
    }

    fn read(&self, mut source: impl BufRead) {
        let (state, changed) = &*self.shared;
        let mut line = Vec::new();
        loop {
            let part = source.fill_buf().unwrap_or_default();
            let end = part.iter().position(|byte| *byte == b'\n');
            let length = end.map_or(part.len(), |end| end + 1);
            line.extend_from_slice(&part[..length]);
            source.consume(length);
            let mut state = changed.wait_while(state.lock().unwrap(), |state| state.paused).unwrap();
            if length == 0 || state.abandoned {
                state.closed = true;
                changed.notify_all();
                return;
            }
            let text = String::from_utf8_lossy(&line);
            if end.is_some() {
                let text = text.strip_suffix('\n').unwrap_or(&text);
                let text = text.strip_suffix('\r').unwrap_or(text);
                state.records.push(Record::parse(text.to_owned()));
                state.unfinished.clear();
                line.clear();
            } else {
                state.unfinished = text.into_owned();
            }
            changed.notify_all();
        }
    }

    /// Stops reading stderr until `resume`: the pipe fills up.
    pub fn pause(&self) {
        self.shared.0.lock().unwrap().paused = true;
    }

    /// Closes our end once the next record comes.
    pub fn abandon(&self) {
        self.shared.0.lock().unwrap().abandoned = true;
    }

    pub fn resume(&self) {
        self.shared.0.lock().unwrap().paused = false;
        self.shared.1.notify_all();
    }

    pub fn records(&self) -> Vec<Record> {
        self.shared.0.lock().unwrap().records.clone()
    }

    /// The records so far that `matches` accepts.
    pub fn all(&self, matches: impl Fn(&Record) -> bool) -> Vec<Record> {
        let records = self.records();
        records.into_iter().filter(|r| matches(r)).collect()
    }

    pub fn count(&self, matches: impl Fn(&Record) -> bool) -> usize {
        self.all(matches).len()
    }

    /// How many records there are: a place in the log to wait from.
    pub fn len(&self) -> usize {
        self.shared.0.lock().unwrap().records.len()
    }

    /// The first record that `matches` accepts, waiting for it if need be.
    #[track_caller]
    pub fn wait_for(&self, what: &str, matches: impl Fn(&Record) -> bool) -> Record {
        self.wait_from(0, what, matches)
    }

    /// The same among the records from number `start` on.
    #[track_caller]
    pub fn wait_from(&self, start: usize, what: &str, matches: impl Fn(&Record) -> bool) -> Record {
        match self.find_from(start, matches) {
            Some(record) => record,
            None => panic!("no record: {what}\nlog:\n{self}"),
        }
    }

    /// None when stderr ended or patience did.
    pub fn find_from(&self, start: usize, matches: impl Fn(&Record) -> bool) -> Option<Record> {
        let (state, changed) = &*self.shared;
        let deadline = Instant::now() + PATIENCE;
        let mut seen = start;
        let mut state = state.lock().unwrap();
        loop {
            let fresh = state.records.get(seen..).unwrap_or_default();
            if let Some(record) = fresh.iter().find(|r| matches(r)) {
                return Some(record.clone());
            }
            seen = seen.max(state.records.len());
            let left = deadline.saturating_duration_since(Instant::now());
            if state.closed || left.is_zero() {
                return None;
            }
            state = changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits for text in a line that has no end yet.
    #[track_caller]
    pub fn wait_for_unfinished(&self, text: &str) {
        let (state, changed) = &*self.shared;
        let waits = |state: &mut State| !state.unfinished.contains(text) && !state.closed;
        let (state, _) = changed.wait_timeout_while(state.lock().unwrap(), PATIENCE, waits).unwrap();
        let found = state.unfinished.contains(text);
        drop(state);
        assert!(found, "no line that goes on with {text:?}\nlog:\n{self}");
    }

    /// Waits until `count` records match.
    #[track_caller]
    pub fn wait_for_count(&self, count: usize, what: &str, matches: impl Fn(&Record) -> bool) {
        let (state, changed) = &*self.shared;
        let deadline = Instant::now() + PATIENCE;
        let mut state = state.lock().unwrap();
        loop {
            let found = state.records.iter().filter(|r| matches(r)).count();
            if found >= count {
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.closed || left.is_zero() {
                drop(state);
                panic!("{found} of {count} records: {what}\nlog:\n{self}");
            }
            state = changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits until every process that held stderr has closed it.
    #[track_caller]
    pub fn wait_for_end(&self) {
        let (state, changed) = &*self.shared;
        let (state, timeout) =
            changed.wait_timeout_while(state.lock().unwrap(), PATIENCE, |state| !state.closed).unwrap();
        drop(state);
        assert!(!timeout.timed_out(), "stderr is still open\nlog:\n{self}");
    }
}

/// The last records, for a failed test's message.
impl std::fmt::Display for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let records = self.records();
        for record in &records[records.len().saturating_sub(40)..] {
            let end = record.line.floor_char_boundary(600);
            writeln!(f, "{}", &record.line[..end])?;
        }
        Ok(())
    }
}

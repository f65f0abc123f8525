//! A guest's stdout and stderr: lines become log records that name app, worker and instance. What has no
//! newline is cut, so that a guest cannot make us keep more than one record's text.

use super::state::Place;
use crate::log;
use crate::scoreboard::Row;
use bytes::Bytes;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

#[derive(Clone, Copy, Debug)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// One of the two streams of one instance; all handles that a guest opens share it.
#[derive(Clone)]
pub struct Output(Arc<Mutex<Lines>>);

struct Lines {
    place: Place,
    stream: Stream,
    budget: Arc<Budget>,
    /// What came after the last newline: at most a record's text.
    rest: Vec<u8>,
}

/// How much the guests of a worker may have logged in a second; what is beyond that is counted.
pub struct Budget {
    most: u64,
    row: &'static Row,
    second: Mutex<Second>,
}

struct Second {
    began: Instant,
    used: u64,
    told: bool,
}

impl Budget {
    pub fn new(most: u64, row: &'static Row) -> Self {
        Self { most, row, second: Mutex::new(Second { began: Instant::now(), used: 0, told: false }) }
    }

    /// Whether so many bytes are still within the budget.
    fn take(&self, bytes: usize) -> bool {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.began.elapsed() >= Duration::from_secs(1) {
            *second = Second { began: Instant::now(), used: 0, told: false };
        }
        let bytes = bytes as u64;
        if second.used + bytes <= self.most {
            second.used += bytes;
            return true;
        }
        let dropped = self.row.dropped_output.fetch_add(bytes, Relaxed) + bytes;
        if !std::mem::replace(&mut second.told, true) {
            let most = self.most;
            tracing::warn!(
                event = "guest-output-dropped",
                dropped,
                "guests write more than the {most} bytes a second that are logged (--limit-guest-log): {dropped} bytes dropped so far"
            );
        }
        false
    }
}

/// Bytes that a record takes beside its text, roughly.
const RECORD: usize = 100;
/// How much a guest may write at once in the 0.2 interface.
const WRITE_BUDGET: usize = 64 * 1024;

impl Output {
    pub fn new(place: &Place, stream: Stream, budget: Arc<Budget>) -> Self {
        Self(Arc::new(Mutex::new(Lines { place: place.clone(), stream, budget, rest: Vec::new() })))
    }

    fn take(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(bytes);
    }
}

impl Lines {
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = log::MAX_TEXT.saturating_sub(self.rest.len());
            let newline = bytes.iter().take(room + 1).position(|byte| *byte == b'\n');
            let end = newline.unwrap_or(bytes.len().min(room));
            self.rest.extend_from_slice(&bytes[..end]);
            bytes = &bytes[newline.map_or(end, |at| at + 1)..];
            if newline.is_some() {
                self.emit(true);
            } else if self.rest.len() >= log::MAX_TEXT {
                self.emit(false);
            }
        }
    }

    /// Logs what is there: all of it if `complete`, else as much as fits one record.
    fn emit(&mut self, complete: bool) {
        let rest = std::mem::take(&mut self.rest);
        // A character cut in two by the record's end goes on in the next record.
        let whole = if complete { rest.len() } else { whole_characters(&rest) };
        let text = String::from_utf8_lossy(&rest[..whole]);
        let mut text = text.strip_suffix('\r').unwrap_or(&text);
        loop {
            let fitting = log::fitting(text, log::MAX_TEXT);
            let last = fitting == text.len();
            self.record(&text[..fitting], !(last && complete));
            text = &text[fitting..];
            if text.is_empty() {
                break;
            }
        }
        self.rest.extend_from_slice(&rest[whole..]);
    }

    fn record(&self, text: &str, continued: bool) {
        // A record takes more than its text.
        if !self.budget.take(text.len() + RECORD) {
            return;
        }
        let Place { app, worker, instance, .. } = &self.place;
        let stream = self.stream.name();
        if log::is_text() {
            let mark = if continued { "…" } else { "" };
            tracing::info!(target: "guest", "[{app} {worker}/{instance} {stream}] {text}{mark}");
        } else if continued {
            tracing::info!(target: "guest", app = &**app, worker, instance, stream, continued, "{text}");
        } else {
            tracing::info!(target: "guest", app = &**app, worker, instance, stream, "{text}");
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.rest.is_empty() {
            self.emit(true);
        }
    }
}

/// Length of `bytes` without an unfinished UTF-8 character at its end.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => error.valid_up_to(),
        _ => bytes.len(),
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BUDGET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Lines {
        let place = Place { app: "app".into(), worker: 0, instance: 1, generation: 1 };
        let budget = Budget::new(u64::MAX, &crate::scoreboard::new(1).unwrap()[0]);
        Lines { place, stream: Stream::Stdout, budget: Arc::new(budget), rest: Vec::new() }
    }

    #[test]
    fn what_is_beyond_the_budget_is_counted() {
        let row = &crate::scoreboard::new(1).unwrap()[0];
        let budget = Budget::new(100, row);
        assert!(budget.take(60) && !budget.take(60) && budget.take(40) && !budget.take(1));
        assert_eq!(row.dropped_output.load(Relaxed), 61);
        budget.second.lock().unwrap().began -= Duration::from_secs(1);
        assert!(budget.take(100));
    }

    #[test]
    fn output_without_newlines_is_kept_up_to_one_record() {
        let mut lines = lines();
        for _ in 0..10_000 {
            lines.take(b"xxxxxxxxxx");
            assert!(lines.rest.len() <= log::MAX_TEXT);
        }
    }

    #[test]
    fn a_character_is_not_cut_in_two() {
        assert_eq!(whole_characters("aä".as_bytes()), 3);
        assert_eq!(whole_characters(&"aä".as_bytes()[..2]), 1);
        assert_eq!(whole_characters(&[0xff, 0xff]), 2, "what is no text at all is taken as it is");
    }

    #[test]
    fn lines_leave_nothing_behind() {
        let mut lines = lines();
        lines.take(b"one\ntwo\nthr");
        assert_eq!(lines.rest, b"thr");
        lines.take(b"ee\n\n");
        assert!(lines.rest.is_empty());
    }
}

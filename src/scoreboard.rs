//! The scoreboard: counters that a worker writes and the supervisor reads, in memory both have mapped.
//!
//! A row belongs to a process, not to a slot: during a hand-over a slot has two. A worker is not trusted:
//! readers take the numbers as numbers, never as a length, an index or a pointer.

use crate::sys;
use std::num::NonZeroU64;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// One worker process.
#[repr(C, align(64))]
pub struct Row {
    /// Milliseconds of the monotonic clock when the worker's loop last ran its heartbeat; 0 before that.
    pub heartbeat: AtomicU64,
    /// Requests answered so far.
    pub requests: AtomicU64,
    /// The same by the class of their status: 1xx (never used) to 5xx.
    pub responses: [AtomicU64; 5],
    /// The same by how long they took, from their head to the end of their response: see `BUCKETS`.
    pub latency: [AtomicU64; BUCKETS.len() + 1],
    /// What they took together, in microseconds.
    pub latency_sum: AtomicU64,
    /// Requests from their head to the end of their response, those that wait included.
    pub in_flight: AtomicU64,
    /// Requests waiting for an instance.
    pub queued: AtomicU64,
    /// Instances alive.
    pub instances: AtomicU64,
    /// Bytes of memory that they have.
    pub memory: AtomicU64,
    /// Instances that ended by a trap, by its kind: see `TRAPS`.
    pub traps: [AtomicU64; TRAPS.len()],
    /// Requests that were too late, and instances that were ended because they took too long for anything else.
    pub timeouts: AtomicU64,
    /// Instances that were replaced for their age, requests or memory.
    pub recycles: AtomicU64,
    /// Log records dropped because nobody read them.
    pub dropped_records: AtomicU64,
    /// Bytes of guests' output dropped because they wrote too much of it.
    pub dropped_output: AtomicU64,
    /// Requests of the guests' own that are under way.
    pub outbound: AtomicU64,
    /// All that were ever sent.
    pub outbound_requests: AtomicU64,
}

// Every field is an atomic integer, for which all bit patterns are valid.
impl sys::AllBitsValid for Row {}

impl Row {
    /// For a new process in this row.
    pub fn reset(&self) {
        let Self { heartbeat, requests, responses, latency, latency_sum, in_flight, queued, .. } = self;
        let Self { instances, memory, traps, timeouts, recycles, dropped_records, dropped_output, outbound, .. } = self;
        let single = [heartbeat, requests, latency_sum, in_flight, queued, instances, memory, timeouts];
        let others = [recycles, dropped_records, dropped_output, outbound, &self.outbound_requests];
        let counters = single.into_iter().chain(others).chain(responses).chain(latency).chain(traps);
        counters.for_each(|counter| counter.store(0, Relaxed));
    }

    /// Counts a trap with this name; none has an error of a host function.
    pub fn count_trap(&self, name: Option<&str>) {
        let name = name.unwrap_or("host");
        let kind = TRAPS.iter().position(|known| *known == name).unwrap_or(TRAPS.len() - 1);
        self.traps[kind].fetch_add(1, Relaxed);
    }

    pub fn beat(&self) {
        self.heartbeat.store(monotonic_ms().max(1), Relaxed);
    }
}

/// Kinds of traps that are counted: wasmtime's names of the common ones, our limits, errors of the host's functions, the
/// rest.
pub const TRAPS: [&str; 8] = [
    "unreachable",
    "out-of-bounds",
    "stack-overflow",
    "integer-division-by-zero",
    "memory-limit",
    "table-limit",
    "host",
    "other",
];

/// Upper bounds of the latency histogram, in microseconds; what took longer than the last is counted beyond it.
pub const BUCKETS: [u64; 42] = {
    const STEPS: [u64; 6] = [10, 15, 20, 30, 50, 70];
    let mut bounds = [0; 42];
    let mut at = 0;
    while at < bounds.len() {
        bounds[at] = STEPS[at % 6] * 10u64.pow((at / 6) as u32);
        at += 1;
    }
    bounds
};

/// Maps `rows` new rows, shared with every process forked from now on.
pub fn new(rows: usize) -> std::io::Result<&'static [Row]> {
    sys::map_shared(rows)
}

/// All rows, for the supervisor and for workers that add up what is limited over all of them.
#[derive(Clone, Copy)]
pub struct Board {
    rows: &'static [Row],
    header: &'static Header,
}

#[repr(C)]
struct Header {
    /// Rows beyond this many were never used.
    used: AtomicUsize,
    /// When the requests so far would all have come at the rate that is allowed, in nanoseconds of the monotonic clock.
    due: AtomicU64,
}

// Its fields are atomic integers.
impl sys::AllBitsValid for Header {}

impl Board {
    pub fn new(rows: usize) -> std::io::Result<Self> {
        Ok(Self { rows: new(rows)?, header: &sys::map_shared(1)?[0] })
    }

    /// Gives a row to a new process.
    pub fn begin(&self, row: usize) -> &'static Row {
        self.rows[row].reset();
        self.header.used.fetch_max(row + 1, Relaxed);
        &self.rows[row]
    }

    /// Whether another request may come now, at so many in a second and a second's worth at once: a token bucket, kept as
    /// the time until which its tokens are spent (the generic cell rate algorithm, ITU-T I.371). A worker that writes
    /// what it likes there changes the limit of its own app.
    pub fn admit(&self, per_second: NonZeroU64) -> bool {
        let interval = SECOND / per_second;
        let now = monotonic_ns();
        let admitted = self.header.due.fetch_update(Relaxed, Relaxed, |due| {
            // Beyond what can be, it was not written by `admit`.
            let due = if due > now + 2 * SECOND { now } else { due.max(now) };
            (due - now < SECOND).then_some(due + interval)
        });
        admitted.is_ok()
    }

    /// Outbound requests that are under way in all workers. A worker that writes too much there keeps its own app from
    /// sending any, and nobody else.
    pub fn outbound(&self) -> u64 {
        self.sum(|row| &row.outbound)
    }

    /// Requests that are in flight in all workers, as far as they tell the truth, which concerns their own app alone.
    pub fn in_flight(&self) -> u64 {
        self.sum(|row| &row.in_flight)
    }

    fn sum(&self, counter: fn(&Row) -> &AtomicU64) -> u64 {
        let used = self.header.used.load(Relaxed);
        self.rows.iter().take(used).fold(0, |sum, row| sum.saturating_add(counter(row).load(Relaxed)))
    }
}

impl Deref for Board {
    type Target = [Row];

    fn deref(&self) -> &[Row] {
        self.rows
    }
}

const SECOND: u64 = 1_000_000_000;

/// Milliseconds of CLOCK_MONOTONIC, which all processes of this machine share.
pub fn monotonic_ms() -> u64 {
    monotonic_ns() / 1_000_000
}

fn monotonic_ns() -> u64 {
    let now =
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("the monotonic clock is always there");
    now.tv_sec() as u64 * SECOND + now.tv_nsec() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seconds_worth_is_admitted_at_once_and_no_more() {
        let board = Board::new(1).unwrap();
        let rate = NonZeroU64::new(50).unwrap();
        let admitted = (0..200).filter(|_| board.admit(rate)).count();
        // A slow machine may take as long as some more are due.
        assert!((50..150).contains(&admitted), "{admitted}");
        board.header.due.store(u64::MAX - 1, Relaxed);
        assert!(board.admit(rate), "nonsense is not believed");
    }
}

//! The scoreboard: counters that a worker writes and the supervisor reads, in memory both have mapped.
//!
//! A row belongs to a process, not to a slot: during a hand-over a slot has two. A worker is not trusted:
//! readers take the numbers as numbers, never as a length, an index or a pointer.

use crate::sys;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One worker process.
#[repr(C, align(64))]
#[derive(Default)]
pub struct Row {
    /// Milliseconds of the monotonic clock when the worker's loop last ran its heartbeat; 0 before that.
    pub heartbeat: AtomicU64,
    /// Requests answered so far.
    pub requests: AtomicU64,
    /// Requests a guest is working on.
    pub in_flight: AtomicU64,
    /// Requests waiting for an instance.
    pub queued: AtomicU64,
    /// Instances alive.
    pub instances: AtomicU64,
    /// Instances that ended by a trap.
    pub traps: AtomicU64,
    /// Log records dropped because nobody read them.
    pub dropped_records: AtomicU64,
}

// Every field is an atomic integer, for which all bit patterns are valid.
impl sys::AllBitsValid for Row {}

impl Row {
    /// For a new process in this row.
    pub fn reset(&self) {
        for counter in [
            &self.heartbeat,
            &self.requests,
            &self.in_flight,
            &self.queued,
            &self.instances,
            &self.traps,
            &self.dropped_records,
        ] {
            counter.store(0, Relaxed);
        }
    }

    pub fn beat(&self) {
        self.heartbeat.store(monotonic_ms().max(1), Relaxed);
    }
}

/// Maps a new scoreboard of `rows` rows, shared with every process forked from now on.
pub fn new(rows: usize) -> std::io::Result<&'static [Row]> {
    sys::map_shared(rows)
}

/// Milliseconds of CLOCK_MONOTONIC, which all processes of this machine share.
pub fn monotonic_ms() -> u64 {
    let now =
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("the monotonic clock is always there");
    now.tv_sec() as u64 * 1000 + now.tv_nsec() as u64 / 1_000_000
}

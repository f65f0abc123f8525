//! Time slices: how long a guest may compute on the loop before its actor moves to the pool, and the way to
//! end one that never yields.
//!
//! wasmtime's epochs are wall clock and belong to the engine; the ticker advances them while some guest runs, and the
//! store's callback then asks its actor's slice what to do.

use super::cpu::Cpu;
use crate::config::{GuestLimits, Plan};
use crate::sys::Ticker;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

/// How long a guest may compute on the loop in one go.
pub const SLICE: Duration = Duration::from_micros(500);

/// One actor's slice, shared by its guest's epoch callback, by whoever polls the actor and by whoever ends it.
pub struct Slice {
    ticker: &'static Ticker,
    /// When the present piece of work on the loop began, in microseconds of the ticker's clock; 0: not on the loop.
    began: AtomicU64,
    /// When the present poll on the loop began.
    turn: AtomicU64,
    overran: AtomicBool,
    killed: OnceLock<Why>,
    cpu: Cpu,
}

/// Why an instance is ended from outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// It took longer than it may for `phase`.
    Limit { phase: &'static str, text: String },
    /// The client of the only request it will ever serve has left.
    Abandoned,
}

impl Slice {
    pub fn new(ticker: &'static Ticker, plan: &Plan, limits: &GuestLimits) -> Self {
        Self {
            ticker,
            cpu: Cpu::new(plan, limits),
            began: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            overran: AtomicBool::new(false),
            killed: OnceLock::new(),
        }
    }

    /// A poll on the loop begins.
    pub fn begin(&self) {
        let now = self.ticker.now();
        self.began.store(now, Relaxed);
        self.turn.store(now, Relaxed);
    }

    /// Within a poll the next request begins, with a slice of its own.
    pub fn begin_request(&self) {
        let on_loop = self.is_on_loop();
        if on_loop {
            self.began.store(self.ticker.now(), Relaxed);
        }
        self.cpu.begin_request(on_loop);
    }

    pub fn end_request(&self) {
        self.cpu.end_request();
    }

    /// Counts the processor time of a poll until the guard is dropped, where it matters.
    pub fn count(&self) -> Counted<'_> {
        self.cpu.begin();
        Counted(self)
    }

    /// Until when the guest has had its share of the processor.
    pub fn pause(&self) -> Option<Instant> {
        self.cpu.pause()
    }

    /// Whether the present poll has lasted this long.
    pub fn turn_lasted(&self, limit: Duration) -> bool {
        u128::from(self.ticker.now().saturating_sub(self.turn.load(Relaxed))) >= limit.as_micros()
    }

    /// The poll is over, or goes on where it may last.
    pub fn end(&self) {
        self.began.store(0, Relaxed);
    }

    /// Asks to be polled on the pool from now on: see `offload`.
    pub fn ask_for_pool(&self) {
        self.overran.store(true, Relaxed);
    }

    /// Whether the actor has to move; asking clears it.
    pub fn take_overran(&self) -> bool {
        self.overran.load(Relaxed) && self.overran.swap(false, Relaxed)
    }

    pub fn is_on_loop(&self) -> bool {
        self.began.load(Relaxed) != 0
    }

    /// Asked by the epoch callback: whether the guest has to yield now.
    pub fn overrun(&self) -> bool {
        if let Some(why) = self.cpu.exceeded() {
            self.kill(why);
        }
        if self.cpu.has_had_share() {
            return true;
        }
        let began = self.began.load(Relaxed);
        let over = began != 0 && self.ticker.now().saturating_sub(began) >= SLICE.as_micros() as u64;
        if over {
            self.overran.store(true, Relaxed);
        }
        over
    }

    /// Ends the instance: at the next epoch if its guest computes; whoever waits for it has to drop it otherwise.
    pub fn kill(&self, why: Why) {
        let _ = self.killed.set(why);
    }

    pub fn killed(&self) -> Option<&Why> {
        self.killed.get()
    }
}

/// A poll whose processor time is counted.
pub struct Counted<'a>(&'a Slice);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if let Some(why) = self.0.cpu.end() {
            self.0.kill(why);
        }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Why::Limit { text, .. } => f.write_str(text),
            Why::Abandoned => f.write_str("its client has left"),
        }
    }
}

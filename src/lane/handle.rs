//! What an actor shares with the queue and with the task that looks after it, and when its instance has had its time.

use super::exchange::{Exchange, Refusal};
use super::queue::Shop;
use super::slice::{Slice, Why};
use crate::guest::limits::Memory;
use crate::guest::state::Place;
use futures::task::AtomicWaker;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Finished requests on the list of those in flight that are no reason to tidy it.
const KEPT: usize = 16;

pub struct Handle {
    pub waker: AtomicWaker,
    /// Told to take a request and not polled since.
    pub woken: AtomicBool,
    /// On the queue's list of those that want a request, where neither a request nor the end of the lane can come
    /// without taking it off.
    pub waiting: AtomicBool,
    pub slice: Arc<Slice>,
    pub served: AtomicU64,
    pub place: Place,
    pub memory: Arc<Memory>,
    phase: AtomicU8,
    /// Requests in flight have been told why the instance ended, and log it.
    told: AtomicBool,
    /// Requests taken and not finished, the guest still works on them or their bodies are on their way; and some that
    /// are finished.
    in_flight: Mutex<Vec<Arc<Exchange>>>,
    /// How many are not.
    unfinished: AtomicUsize,
    /// Wakes the actor, if it waits for that, when one is finished.
    pub finished: AtomicWaker,
    /// Requests that were in flight when the instance died.
    lost: AtomicU64,
    /// It is recycled after this many requests, above this memory.
    most_requests: u64,
    most_memory: u64,
    /// It has lived as long as it may.
    aged: AtomicBool,
    recycled: OnceLock<Reason>,
    /// It lives for one request.
    once: bool,
    /// The option that a response went beyond, and was cut off for.
    cut_by: OnceLock<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    Starting,
    Serving,
    Stopping,
}

/// Why an instance is recycled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Requests,
    Age,
    Memory,
    /// A request took longer than it may.
    Deadline,
}

impl Reason {
    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Age => "age",
            Self::Memory => "memory",
            Self::Deadline => "deadline",
        }
    }
}

impl Handle {
    pub fn new(shop: &Shop, instance: u64, slice: Arc<Slice>) -> Self {
        let settings = &shop.settings;
        // An instance that lives for one request is not recycled.
        let or_never = |limit: u64| if limit == 0 || shop.plan.fresh { u64::MAX } else { limit };
        let most_requests = or_never(settings.max_requests);
        Self {
            waker: AtomicWaker::new(),
            woken: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            slice,
            served: AtomicU64::new(0),
            place: Place { app: shop.app.clone(), worker: shop.worker, instance, generation: shop.generation },
            memory: Arc::new(Memory::new(shop.row)),
            phase: AtomicU8::new(Phase::Starting as u8),
            told: AtomicBool::new(false),
            in_flight: Mutex::default(),
            unfinished: AtomicUsize::new(0),
            finished: AtomicWaker::new(),
            lost: AtomicU64::new(0),
            most_requests: most_requests.saturating_add(random(settings.max_requests_jitter, instance)),
            most_memory: or_never(settings.max_instance_memory),
            aged: AtomicBool::new(false),
            recycled: OnceLock::new(),
            once: shop.plan.fresh,
            cut_by: OnceLock::new(),
        }
    }

    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
        // Whoever looks after us sets the phase's time limit.
        self.waker.wake();
    }

    pub fn is_in(&self, phase: Phase) -> bool {
        self.phase.load(Relaxed) == phase as u8
    }

    pub fn with_in_flight<R>(&self, with: impl FnOnce(&mut Vec<Arc<Exchange>>) -> R) -> R {
        with(&mut self.in_flight.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a request.
    pub fn begin(self: &Arc<Self>, exchange: &Arc<Exchange>) {
        let unfinished = self.unfinished.fetch_add(1, Relaxed);
        exchange.taken_by(self.clone());
        self.with_in_flight(|list| {
            // Not each time: there may be hundreds.
            if list.len() > 2 * unfinished + KEPT {
                list.retain(|exchange| !exchange.is_finished());
            }
            list.push(exchange.clone());
        });
    }

    pub fn has_finished_one(&self) {
        self.unfinished.fetch_sub(1, AcqRel);
        self.finished.wake();
    }

    pub fn unfinished(&self) -> usize {
        self.unfinished.load(Acquire)
    }

    /// Nothing that is in flight will be answered.
    pub fn abort_all(&self, why: &Refusal) {
        for exchange in self.with_in_flight(std::mem::take) {
            if !exchange.is_finished() {
                self.lost.fetch_add(1, Relaxed);
            }
            if exchange.abort(why.clone()) {
                self.told.store(true, Relaxed);
            }
        }
    }

    /// Whether somebody who waits for an answer was told why there is none.
    pub fn has_told(&self) -> bool {
        self.told.load(Relaxed)
    }

    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Nothing more comes from the instance at the moment.
    pub fn settle_all(&self) {
        self.with_in_flight(|list| list.iter().for_each(|exchange| exchange.settle()));
    }

    /// Ends the instance: nobody waits for what it does.
    pub fn abandon(&self) {
        self.slice.kill(Why::Abandoned);
        self.waker.wake();
    }

    pub fn serves_once(&self) -> bool {
        self.once
    }

    /// One of its responses went beyond this option: whoever looks after the actor has to end it.
    pub fn set_cut(&self, option: &'static str) {
        let _ = self.cut_by.set(option);
        self.waker.wake();
    }

    pub fn cut_by(&self) -> Option<&'static str> {
        self.cut_by.get().copied()
    }

    pub fn set_aged(&self) {
        self.aged.store(true, Relaxed);
    }

    /// Whether the instance has had its time, and why. Asked before each request: a few loads, no lock, no clock.
    pub fn due(&self) -> Option<Reason> {
        let served = self.served.load(Relaxed);
        if served >= self.most_requests {
            Some(Reason::Requests)
        } else if self.aged.load(Relaxed) {
            Some(Reason::Age)
        } else if served > 0 && self.memory.bytes() > self.most_memory {
            // One that starts with more than it may have still serves a request.
            Some(Reason::Memory)
        } else {
            None
        }
    }

    /// It takes no more requests from now on.
    pub fn recycle(&self, reason: Reason) {
        let _ = self.recycled.set(reason);
    }

    pub fn is_recycled(&self) -> bool {
        self.recycled.get().is_some()
    }
}

/// From 0 to `most`, differently for each instance of each worker.
fn random(most: u64, instance: u64) -> u64 {
    if most == 0 {
        return 0;
    }
    // The keys of the hash are random; but forked workers may have them in common.
    let random = RandomState::new().hash_one((std::process::id(), instance));
    random % most.saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn random_numbers_are_in_their_range_and_differ() {
        assert_eq!(random(0, 1), 0);
        assert!((0..1000).all(|instance| random(3, instance) <= 3));
        let drawn: HashSet<_> = (0..1000).map(|instance| random(3, instance)).collect();
        assert_eq!(drawn.len(), 4, "all of 0 to 3");
        let drawn: HashSet<_> = (0..100).map(|instance| random(u64::MAX, instance)).collect();
        assert!(drawn.len() > 90);
    }
}

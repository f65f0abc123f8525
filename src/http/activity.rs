//! What a connection is doing, as its parts see it: its stream, its requests and the watch over their deadlines.

use futures::task::AtomicWaker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::Waker;

/// All of it belongs to one task or to those of its streams, on one thread; atomic because futures have to be `Send`.
#[derive(Default)]
pub struct Activity {
    /// Requests taken.
    requests: AtomicU64,
    /// Requests whose answers are not over.
    active: AtomicU64,
    /// Requests that their client gave up before they were answered.
    cancelled: AtomicU64,
    /// Part of a head has come.
    in_head: AtomicBool,
    /// There is something to write that the client does not take.
    blocked: AtomicBool,
    /// How often it took something after all.
    unblocked: AtomicU64,
    /// The request line is longer than it may be; the rest of it was not read.
    line_too_long: AtomicBool,
    /// The client sent too many frames that carry nothing.
    flood: AtomicBool,
    /// The client sent what was not read: it was refused first.
    refused: AtomicBool,
    /// Wakes the connection's task when a request has ended.
    owner: AtomicWaker,
}

/// What a connection is waiting for its client to do; the numbers tell one time from the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Waiting {
    /// To take what is written.
    Write(u64),
    /// To complete a request's head.
    Head(u64),
    /// To send another request.
    Idle(u64),
    /// For nothing: a request is being worked on, or its body's own deadline holds.
    Nothing,
}

impl Activity {
    pub fn waiting(&self) -> Waiting {
        if self.blocked.load(Relaxed) {
            Waiting::Write(self.unblocked.load(Relaxed))
        } else if self.active.load(Relaxed) > 0 {
            Waiting::Nothing
        } else if self.in_head.load(Relaxed) {
            Waiting::Head(self.requests.load(Relaxed))
        } else {
            Waiting::Idle(self.requests.load(Relaxed))
        }
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    pub fn set_flood(&self) {
        self.flood.store(true, Relaxed);
    }

    pub fn is_flood(&self) -> bool {
        self.flood.load(Relaxed)
    }

    pub fn cancelled(&self) -> u64 {
        self.cancelled.load(Relaxed)
    }

    /// Whether the bytes that were read end within a head.
    pub fn set_in_head(&self, in_head: bool) {
        self.in_head.store(in_head, Relaxed);
    }

    pub fn write_blocked(&self) {
        self.blocked.store(true, Relaxed);
    }

    pub fn written(&self) {
        if self.blocked.load(Relaxed) {
            self.blocked.store(false, Relaxed);
            self.unblocked.fetch_add(1, Relaxed);
        }
    }

    pub fn set_line_too_long(&self) {
        self.line_too_long.store(true, Relaxed);
    }

    pub fn is_line_too_long(&self) -> bool {
        self.line_too_long.load(Relaxed)
    }

    pub fn set_refused(&self) {
        self.refused.store(true, Relaxed);
    }

    pub fn is_refused(&self) -> bool {
        self.refused.load(Relaxed)
    }

    pub fn register_owner(&self, waker: &Waker) {
        self.owner.register(waker);
    }
}

/// A request's time on its connection, from its head to the end of its answer.
pub struct Turn {
    activity: Arc<Activity>,
    answered: bool,
}

impl Turn {
    pub fn begin(activity: Arc<Activity>) -> Self {
        activity.requests.fetch_add(1, Relaxed);
        activity.active.fetch_add(1, Relaxed);
        Self { activity, answered: false }
    }

    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    pub fn set_answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.activity.active.fetch_sub(1, Relaxed);
        if !self.answered {
            self.activity.cancelled.fetch_add(1, Relaxed);
        }
        self.activity.owner.wake();
    }
}

//! One request's way through the lane: what its connection and the actor that works on it share.

use super::handle::Handle;
use super::queue::Lane;
use futures::task::AtomicWaker;
use http::Response;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use wasmtime_wasi_http::WasiBody;

/// The answer of a guest, or why there is none.
pub type Outcome = Result<Response<WasiBody>, Refusal>;

#[derive(Clone, Debug)]
pub enum Refusal {
    /// The guest returned an error instead of a response, or the request could not be put to it.
    Error(String),
    /// The instance ended before it answered; the guest's backtrace, if it trapped.
    Died(Arc<str>),
    /// Too many requests wait already.
    QueueFull,
    /// No instance can be started at the moment.
    NoInstance { retry_after: Duration },
}

#[derive(Default)]
enum Answer {
    #[default]
    Open,
    Awaited(Waker),
    Given(Outcome),
    /// Delivered, or nobody waits any more.
    Closed,
}

/// Shared by the connection, which waits for the answer and then passes the body on, and the actor.
#[derive(Default)]
pub struct Exchange {
    answer: Mutex<Answer>,
    /// The response's body has been passed on, or nobody wants it.
    delivered: AtomicBool,
    /// The instance ended while this was in flight: a body that just stops is not complete.
    broken: AtomicBool,
    /// The guest may have more to say at once: what it said so far is better sent together with that.
    more_to_come: AtomicBool,
    /// Wakes the connection when that is over.
    reader: AtomicWaker,
    /// The guest's handler has returned.
    returned: AtomicBool,
    /// Number of the instance that took the request; 0 before.
    instance: AtomicU64,
    /// The actor whose instance lives for this request alone, if it does.
    devoted: OnceLock<Arc<Handle>>,
    /// Wakes the actor when the body has been delivered, if the actor waits for that.
    pub watcher: AtomicWaker,
}

impl Exchange {
    /// Gives the answer; the first one counts. False if there was one already.
    pub fn answer(&self, outcome: Outcome) -> bool {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::take(&mut *answer) {
            Answer::Open => *answer = Answer::Given(outcome),
            Answer::Awaited(waker) => {
                *answer = Answer::Given(outcome);
                drop(answer);
                waker.wake();
            }
            other => {
                *answer = other;
                return false;
            }
        }
        true
    }

    /// Gives a response. On the loop its body is likely to follow in the same turn of the instance.
    pub fn respond(&self, response: Response<WasiBody>, on_loop: bool) {
        self.more_to_come.store(on_loop, Relaxed);
        self.answer(Ok(response));
    }

    /// Tells that this request failed, unless it has been answered.
    pub fn refuse(&self, why: String) {
        self.answer(Err(Refusal::Error(why)));
    }

    /// The instance has nothing more to do at the moment, or computes on elsewhere.
    pub fn settle(&self) {
        if self.more_to_come.load(Relaxed) {
            self.more_to_come.store(false, Relaxed);
            self.reader.wake();
        }
    }

    /// Whether the body may go on at once; if so, the connection is woken when it no longer may.
    pub fn is_more_to_come(&self, waker: &Waker) -> bool {
        if !self.more_to_come.load(Relaxed) {
            return false;
        }
        self.reader.register(waker);
        self.more_to_come.load(Relaxed)
    }

    /// The instance is gone: no answer will come, and the body ends where it is. False if there is an answer.
    pub fn abort(&self, why: Refusal) -> bool {
        self.broken.store(true, Relaxed);
        self.settle();
        self.answer(Err(why))
    }

    pub fn is_broken(&self) -> bool {
        self.broken.load(Relaxed)
    }

    pub fn taken_by(&self, instance: u64, devoted: Option<Arc<Handle>>) {
        self.instance.store(instance, Relaxed);
        if let Some(handle) = devoted {
            let _ = self.devoted.set(handle);
        }
    }

    /// The client has left: an instance that lives for this request alone goes too, any other goes on.
    pub fn abandon(&self) {
        self.set_delivered();
        if let Some(handle) = self.devoted.get() {
            handle.abandon();
        }
    }

    pub fn instance(&self) -> u64 {
        self.instance.load(Relaxed)
    }

    pub fn set_returned(&self) {
        self.returned.store(true, Relaxed);
    }

    /// Whether an asynchronous call is over and the body that its guest goes on producing has been passed on too.
    pub fn is_finished(&self) -> bool {
        self.returned.load(Relaxed) && self.delivered.load(Relaxed)
    }

    /// The body has been passed on to its end, or was given up.
    pub fn set_delivered(&self) {
        self.delivered.store(true, Relaxed);
        self.watcher.wake();
    }
}

/// The connection's end: resolves to the answer. Dropped before, it takes the request out of the queue.
pub struct Reply {
    exchange: Arc<Exchange>,
    lane: Lane,
    answered: bool,
}

impl Reply {
    pub fn new(exchange: Arc<Exchange>, lane: Lane) -> Self {
        Self { exchange, lane, answered: false }
    }

    pub fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }
}

impl Future for Reply {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let outcome = {
            let mut answer = self.exchange.answer.lock().unwrap_or_else(PoisonError::into_inner);
            match std::mem::take(&mut *answer) {
                Answer::Given(outcome) => {
                    *answer = Answer::Closed;
                    outcome
                }
                Answer::Awaited(waker) if waker.will_wake(cx.waker()) => {
                    *answer = Answer::Awaited(waker);
                    return Poll::Pending;
                }
                _ => {
                    *answer = Answer::Awaited(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        };
        self.answered = true;
        Poll::Ready(outcome)
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        *self.exchange.answer.lock().unwrap_or_else(PoisonError::into_inner) = Answer::Closed;
        self.exchange.abandon();
        self.lane.forget(&self.exchange);
    }
}

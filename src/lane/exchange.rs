//! One request's way through the lane: what its connection and the actor that works on it share.

use super::handle::Handle;
use super::queue::Lane;
use futures::task::AtomicWaker;
use http::Response;
use std::pin::Pin;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicU8};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use wasmtime_wasi_http::WasiBody;

/// The answer of a guest, or why there is none.
pub type Outcome = Result<Response<WasiBody>, Refusal>;

#[derive(Clone, Debug)]
pub enum Refusal {
    /// The guest returned an error instead of a response, or the request could not be put to it.
    Error(String),
    /// The instance ended before it answered; the guest's backtrace, if it trapped.
    Died(Arc<str>),
    /// It took longer than it may.
    Late(String),
    /// Too many requests wait already.
    QueueFull,
    /// No instance can be started at the moment.
    NoInstance { retry_after: Duration },
}

impl Refusal {
    pub fn late(limit: Duration) -> Self {
        Self::Late(format!("there was no response within {} s (--timeout-request)", limit.as_secs_f64()))
    }
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

/// When a request is to be looked at for its time limit.
#[derive(Clone, Copy)]
pub enum Due {
    /// It is late from then on.
    Late(Instant),
    /// Its body is on its way, which has limits of its own.
    Again(Instant),
}

impl Due {
    pub fn when(self) -> Instant {
        match self {
            Due::Late(when) | Due::Again(when) => when,
        }
    }

    pub fn is_past(self, now: Instant) -> bool {
        matches!(self, Due::Late(when) if when <= now)
    }
}

/// How often a request whose body is on its way is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Shared by the connection, which waits for the answer and then passes the body on, and the actor.
pub struct Exchange {
    began: Instant,
    /// When it was seen that the response has been passed on and only the guest goes on.
    finishing: OnceLock<Instant>,
    /// Its time is up.
    expired: AtomicBool,
    answer: Mutex<Answer>,
    /// The guest has given a response.
    responded: AtomicBool,
    /// `RETURNED` and `DELIVERED`.
    ends: AtomicU8,
    /// The instance ended while this was in flight: a body that just stops is not complete.
    broken: AtomicBool,
    /// The guest may have more to say at once: what it said so far is better sent together with that.
    more_to_come: AtomicBool,
    /// Wakes the connection when that is over.
    reader: AtomicWaker,
    /// The actor that took the request.
    taker: OnceLock<Arc<Handle>>,
    /// The response was ended because it took too long.
    cut: AtomicBool,
}

/// The guest's handler has returned.
const RETURNED: u8 = 1;
/// The response's body has been passed on, or nobody wants it.
const DELIVERED: u8 = 2;

impl Default for Exchange {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            finishing: OnceLock::new(),
            expired: AtomicBool::new(false),
            answer: Mutex::default(),
            responded: AtomicBool::new(false),
            ends: AtomicU8::new(0),
            broken: AtomicBool::new(false),
            more_to_come: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            taker: OnceLock::new(),
            cut: AtomicBool::new(false),
        }
    }
}

impl Exchange {
    /// When its time is up: `limit` after it was put into the queue if it has no response then, and `limit` after its
    /// response has been passed on if the guest is not done with it then. None if it has ended in one way or other.
    pub fn due(&self, limit: Duration, now: Instant) -> Option<Due> {
        if self.is_finished() || self.expired.load(Relaxed) {
            return None;
        }
        Some(if self.cut.load(Relaxed) {
            Due::Late(self.began)
        } else if !self.responded.load(Relaxed) {
            Due::Late(self.began + limit)
        } else if self.ends.load(Relaxed) & DELIVERED != 0 {
            Due::Late(*self.finishing.get_or_init(|| now) + limit)
        } else {
            Due::Again(now + limit.min(LOOK))
        })
    }

    pub fn began(&self) -> Instant {
        self.began
    }

    /// Nobody waits for it any longer.
    pub fn expire(&self) {
        self.expired.store(true, Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Answer> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the answer; the first one counts. False if there was one already.
    pub fn answer(&self, outcome: Outcome) -> bool {
        let mut answer = self.lock();
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
        self.responded.store(true, Relaxed);
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

    pub fn taken_by(&self, handle: Arc<Handle>) {
        let _ = self.taker.set(handle);
    }

    /// The client has left: an instance that lives for this request alone goes too, any other goes on.
    pub fn abandon(&self) {
        self.set_delivered();
        if let Some(handle) = self.taker.get().filter(|handle| handle.serves_once()) {
            handle.abandon();
        }
    }

    /// The response goes beyond this option and ends here.
    pub fn cut(&self, option: &'static str) {
        self.cut.store(true, Relaxed);
        if let Some(handle) = self.taker.get() {
            handle.set_cut(option);
        }
    }

    /// Number of the instance that took the request; 0 before.
    pub fn instance(&self) -> u64 {
        self.taker.get().map_or(0, |handle| handle.place.instance)
    }

    pub fn set_returned(&self) {
        self.end(RETURNED);
    }

    /// Whether the call is over and the body that its guest may go on producing has been passed on too.
    pub fn is_finished(&self) -> bool {
        self.ends.load(Relaxed) == RETURNED | DELIVERED
    }

    /// The body has been passed on to its end, or was given up.
    pub fn set_delivered(&self) {
        self.end(DELIVERED);
    }

    fn end(&self, end: u8) {
        let before = self.ends.fetch_or(end, AcqRel);
        if before & end == 0
            && before | end == RETURNED | DELIVERED
            && let Some(handle) = self.taker.get()
        {
            handle.has_finished_one();
        }
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
            let mut answer = self.exchange.lock();
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
        *self.exchange.lock() = Answer::Closed;
        self.exchange.abandon();
        self.lane.forget(&self.exchange);
    }
}

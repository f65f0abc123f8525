//! Run on the loop, move when slow: an actor is polled on the worker's loop until its guest has computed for
//! a time slice; then the whole future moves to a thread of the pool, is polled there until it waits for
//! something, and comes back. A thread is held only while a guest computes.
//!
//! Sound because the actor's future is `Send`, also in the middle of a guest call: wasmtime runs guests on
//! fibers, which any thread may resume.

use super::pool::Pool;
use super::slice::Slice;
use crate::sys::Ticker;
use futures::channel::oneshot;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::Sleep;

/// Why an actor ended other than by itself.
#[derive(Debug)]
pub enum Ended {
    /// `Slice::kill` was called.
    Killed,
    /// A fault of the host's code.
    Panicked(String),
}

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum Whereabouts<T> {
    Here(Work<T>),
    Away(oneshot::Receiver<(Work<T>, Polled<T>)>),
    Gone,
}

type Polled<T> = Result<Poll<T>, Ended>;

pub struct Offloaded<T> {
    work: Whereabouts<T>,
    slice: Arc<Slice>,
    ticker: &'static Ticker,
    pool: Pool,
    /// How often it has gone to the pool.
    stints: u64,
    /// Wakes one that has had its share of the processor.
    pause: Option<Pin<Box<Sleep>>>,
}

impl<T: Send + 'static> Offloaded<T> {
    pub fn new(work: Work<T>, slice: Arc<Slice>, ticker: &'static Ticker, pool: Pool) -> Self {
        Self { work: Whereabouts::Here(work), slice, ticker, pool, stints: 0, pause: None }
    }

    /// The number of its present stay in the pool, if it is there.
    pub fn stint(&self) -> Option<u64> {
        self.is_away().then_some(self.stints)
    }

    /// Whether it is in the pool: its guest computes.
    pub fn is_away(&self) -> bool {
        matches!(self.work, Whereabouts::Away(_))
    }

    fn poll_here(&mut self, cx: &mut Context<'_>, mut work: Work<T>) -> Poll<Result<T, Ended>> {
        if self.slice.killed().is_some() {
            return self.dispose(work);
        }
        if self.pauses(cx) {
            self.work = Whereabouts::Here(work);
            return Poll::Pending;
        }
        self.slice.begin();
        let polled = guarded(self.ticker, &self.slice, &mut work, cx);
        self.slice.end();
        match polled {
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(ended) => {
                self.work = Whereabouts::Here(work);
                Poll::Ready(Err(ended))
            }
            Ok(Poll::Pending) if self.slice.take_overran() => {
                self.send_away(cx, work);
                Poll::Pending
            }
            Ok(Poll::Pending) => {
                self.work = Whereabouts::Here(work);
                Poll::Pending
            }
        }
    }

    /// Whether it has had its share of the processor and waits for the next one.
    fn pauses(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(until) = self.slice.pause() else { return false };
        let pause = self.pause.insert(Box::pin(tokio::time::sleep_until(until.into())));
        pause.as_mut().poll(cx).is_pending()
    }

    fn send_away(&mut self, cx: &mut Context<'_>, mut work: Work<T>) {
        let (back, receiver) = oneshot::channel();
        let (ticker, slice, waker) = (self.ticker, self.slice.clone(), cx.waker().clone());
        self.stints += 1;
        self.pool.run(move || {
            let polled = guarded(ticker, &slice, &mut work, &mut Context::from_waker(&waker));
            // Nobody waits for it at the worker's end only.
            let _ = back.send((work, polled));
            waker.wake();
        });
        self.work = Whereabouts::Away(receiver);
    }

    /// Leaves the work in place for whoever has to tell those that wait for it, before it is dropped.
    fn dispose(&mut self, work: Work<T>) -> Poll<Result<T, Ended>> {
        self.work = Whereabouts::Here(work);
        Poll::Ready(Err(Ended::Killed))
    }
}

fn guarded<T>(ticker: &Ticker, slice: &Slice, work: &mut Work<T>, cx: &mut Context<'_>) -> Polled<T> {
    let _running = ticker.run();
    let _counted = slice.count();
    catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
        Ended::Panicked(text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default())
    })
}

impl<T: Send + 'static> Future for Offloaded<T> {
    type Output = Result<T, Ended>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match std::mem::replace(&mut self.work, Whereabouts::Gone) {
            Whereabouts::Here(work) => self.poll_here(cx, work),
            Whereabouts::Away(mut receiver) => match Pin::new(&mut receiver).poll(cx) {
                Poll::Pending => {
                    self.work = Whereabouts::Away(receiver);
                    Poll::Pending
                }
                Poll::Ready(Err(_)) => Poll::Ready(Err(Ended::Panicked("a thread of the pool ended".into()))),
                Poll::Ready(Ok((_, Ok(Poll::Ready(value))))) => Poll::Ready(Ok(value)),
                Poll::Ready(Ok((work, Err(ended)))) => {
                    self.work = Whereabouts::Here(work);
                    Poll::Ready(Err(ended))
                }
                // What woke it while it was away only woke us, so it is always polled once more.
                Poll::Ready(Ok((work, Ok(Poll::Pending)))) => {
                    if self.slice.take_overran() {
                        self.send_away(cx, work);
                        return Poll::Pending;
                    }
                    self.poll_here(cx, work)
                }
            },
            Whereabouts::Gone => Poll::Pending,
        }
    }
}

//! Streams of HTTP/2 whose client takes nothing: it may read all else and yet give one stream no room to send in.
//! hyper waits for that room in the stream's own future, without a limit, so that is where the limit is.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What a turn of a stream's future came to.
#[derive(Clone, Copy, PartialEq)]
enum Turn {
    /// It did not ask for more to send: it has something that it cannot send.
    Stuck,
    /// It has the next part of its response.
    Moved,
    /// It waits for the guest.
    WaitsForGuest,
}

thread_local! {
    /// Of the stream that is polled now.
    static TURN: Cell<Turn> = const { Cell::new(Turn::Stuck) };
}

/// Notes how it went to ask for a response, or for its next part.
pub fn note<T>(polled: Poll<T>) -> Poll<T> {
    TURN.set(if polled.is_pending() { Turn::WaitsForGuest } else { Turn::Moved });
    polled
}

/// Spawns streams, each with a limit of time without progress while there is something to send.
#[derive(Clone)]
pub struct Streams {
    pub limit: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        tokio::spawn(bounded(stream, self.limit));
    }
}

/// A stream that is dropped is reset.
async fn bounded(stream: impl Future<Output = ()>, limit: Duration) {
    let mut stream = pin!(stream);
    let mut late = pin!(sleep(limit));
    let mut stuck = false;
    let bounded = poll_fn(|cx| {
        TURN.set(Turn::Stuck);
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let turn = TURN.get();
        if turn == Turn::WaitsForGuest {
            stuck = false;
            return Poll::Pending;
        }
        if turn == Turn::Moved || !stuck {
            stuck = true;
            late.as_mut().reset(Instant::now() + limit);
        }
        late.as_mut().poll(cx)
    });
    bounded.await
}

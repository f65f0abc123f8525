//! What a guest may do with the body of a response that it streams: how long it may let the client wait, how long the
//! whole may take, how much it may be.

use crate::config::GuestLimits;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

pub struct Flow {
    left: u64,
    progress: Duration,
    /// When the response has to be complete.
    end: Option<Instant>,
    /// Since when the client waits for the guest.
    waiting: Option<Instant>,
    /// For the earlier of both limits; made when the guest first lets the client wait.
    timer: Option<Pin<Box<Sleep>>>,
}

/// The limit that a body has gone beyond.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Excess {
    Progress,
    Total,
    Size,
}

impl Excess {
    pub fn option(self) -> &'static str {
        match self {
            Excess::Progress => "--timeout-response-progress",
            Excess::Total => "--timeout-response",
            Excess::Size => "--limit-response-body",
        }
    }
}

impl Flow {
    pub fn new(limits: &GuestLimits, began: Instant) -> Self {
        Self {
            left: limits.response_body,
            progress: limits.response_progress,
            end: limits.response.map(|total| began + total),
            waiting: None,
            timer: None,
        }
    }

    /// The guest has produced this many bytes.
    pub fn passed(&mut self, bytes: usize) -> Result<(), Excess> {
        self.waiting = None;
        self.left = self.left.checked_sub(bytes as u64).ok_or(Excess::Size)?;
        match self.end {
            Some(end) if end <= Instant::now() => Err(Excess::Total),
            _ => Ok(()),
        }
    }

    /// The guest has nothing at the moment: ready once it should have had something.
    pub fn poll_excess(&mut self, cx: &mut Context<'_>) -> Poll<Excess> {
        let waiting = *self.waiting.get_or_insert_with(Instant::now);
        loop {
            let (when, excess) = match self.end {
                Some(end) if end < waiting + self.progress => (end, Excess::Total),
                _ => (waiting + self.progress, Excess::Progress),
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(when.into())));
            if timer.as_mut().poll(cx).is_pending() {
                // It may be set for an earlier wait, and then finds when it is over that this one is not.
                return Poll::Pending;
            }
            if when <= Instant::now() {
                return Poll::Ready(excess);
            }
            timer.as_mut().reset(when.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    fn flow(progress: u64, end: Option<u64>, left: u64) -> Flow {
        let end = end.map(|after| Instant::now() + Duration::from_millis(after));
        Flow { left, progress: Duration::from_millis(progress), end, waiting: None, timer: None }
    }

    fn wait(flow: &mut Flow) -> Excess {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(poll_fn(|cx| flow.poll_excess(cx)))
    }

    #[test]
    fn a_body_may_be_as_large_as_allowed() {
        let mut flow = flow(1000, None, 10);
        assert_eq!((flow.passed(4), flow.passed(6), flow.passed(1)), (Ok(()), Ok(()), Err(Excess::Size)));
    }

    #[test]
    fn the_earlier_limit_ends_a_wait() {
        assert_eq!(wait(&mut flow(5, Some(60_000), 0)), Excess::Progress);
        assert_eq!(wait(&mut flow(60_000, Some(5), 0)), Excess::Total);
    }

    #[test]
    fn progress_begins_a_new_wait() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut flow = flow(40, None, 100);
        let began = Instant::now();
        runtime.block_on(async {
            assert_eq!(
                tokio::time::timeout(Duration::from_millis(20), poll_fn(|cx| flow.poll_excess(cx))).await.ok(),
                None
            );
            let passed = began.elapsed();
            flow.passed(1).unwrap();
            poll_fn(|cx| flow.poll_excess(cx)).await;
            assert!(began.elapsed() >= passed + Duration::from_millis(40));
        });
    }
}

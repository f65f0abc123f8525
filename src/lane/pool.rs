//! The blocking pool: at most M threads, made when first needed, on which actors are polled whose guest
//! computes or that are to be kept off the loop.

use crate::sys::{self, Share};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// Guests that compute must not delay the loop, so their threads yield to it.
const SHARE: Share = Share { nice: 10, slice: Duration::ZERO };
/// For host code between the guest's own stack (a fiber) and ours.
const STACK: usize = 1 << 20;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    jobs: Mutex<Jobs>,
    ready: Condvar,
    limit: usize,
    /// Timers and sockets of guests stay with the loop's runtime wherever they are polled.
    runtime: Handle,
}

#[derive(Default)]
struct Jobs {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

impl Pool {
    pub fn new(limit: usize, runtime: Handle) -> Self {
        Self(Arc::new(Shared { jobs: Mutex::default(), ready: Condvar::new(), limit, runtime }))
    }

    /// Runs `job` on a thread of the pool, as soon as one is free.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) {
        let mut jobs = self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.queue.push_back(Box::new(job));
        if jobs.idle >= jobs.queue.len() {
            self.0.ready.notify_one();
        } else if jobs.threads < self.0.limit {
            let shared = self.0.clone();
            let thread = std::thread::Builder::new().name("pool".into()).stack_size(STACK);
            match thread.spawn(move || shared.work()) {
                Ok(_) => jobs.threads += 1,
                // With no thread at all nothing would ever run: that is worth a worker's life.
                Err(error) if jobs.threads == 0 => panic!("no thread for the pool: {error}"),
                Err(error) => tracing::warn!("no further thread for the pool: {error}"),
            }
        }
    }
}

impl Shared {
    fn work(&self) {
        sys::share_processor(&SHARE);
        let _runtime = self.runtime.enter();
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(job) = jobs.queue.pop_front() {
                drop(jobs);
                job();
                jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            } else {
                jobs.idle += 1;
                jobs = self.ready.wait(jobs).unwrap_or_else(PoisonError::into_inner);
                jobs.idle -= 1;
            }
        }
    }
}

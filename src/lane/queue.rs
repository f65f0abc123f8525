//! The bounded queue between connections and instances, and how many instances there are.
//!
//! Requests are pushed on the worker's loop only. Actors take them there too, so that between two polls each
//! actor is either waiting (on the stack below), woken (and about to take a request) or busy; a new instance
//! is made only when a request is left that none of the others will take.

use super::actor;
use super::exchange::{Exchange, Refusal, Reply};
use super::handle::{Handle, Reason};
use super::pool::Pool;
use super::report;
use crate::config::{Plan, Settings};
use crate::guest::template::Template;
use crate::scoreboard::Row;
use crate::sys::Ticker;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};
use wasmtime_wasi_http::WasiBody;

/// A request on its way to an instance.
pub struct Job {
    pub request: http::Request<WasiBody>,
    pub exchange: Arc<Exchange>,
}

/// Everything that the actors of one worker share.
pub struct Shop {
    pub template: Template,
    pub plan: Plan,
    pub settings: Arc<Settings>,
    pub app: Arc<str>,
    pub worker: usize,
    pub generation: u64,
    pub ticker: &'static Ticker,
    pub pool: Pool,
    /// The longest that an actor held the loop in one go, in nanoseconds of processor time; measured only where debug
    /// records are wanted, as asking for it costs system calls.
    pub longest_poll: AtomicU64,
    pub row: &'static Row,
}

/// Why the first instance did not start.
#[derive(Debug)]
pub enum StartError {
    /// The guest's `startup` said no, trapped or took too long.
    Startup(String),
    /// There is no instance to start up.
    Instance(String),
}

#[derive(Clone)]
pub struct Lane(Arc<Shared>);

struct Shared {
    shop: Arc<Shop>,
    inner: Mutex<Inner>,
    /// Length of the queue, to be looked at without the lock.
    queued: AtomicUsize,
    ended: Notify,
}

#[derive(Default)]
struct Inner {
    queue: VecDeque<Job>,
    /// Actors that want a request; the last one is the one whose memory is warm.
    waiting: Vec<Arc<Handle>>,
    woken: usize,
    starting: usize,
    /// Actors there are, the starting and the retiring ones included.
    alive: usize,
    /// Those whose instances are recycled: they finish what they have, and take no more.
    retiring: usize,
    draining: bool,
    /// Soon it is looked whether a further instance is needed.
    growing: bool,
    /// Requests that wait too long are looked for.
    sweeping: bool,
    made: u64,
    failures: u32,
    /// No instance is started before this time.
    failing_until: Option<Instant>,
}

impl Inner {
    /// Actors that take requests, or will once they have started.
    fn serving(&self) -> usize {
        self.alive - self.retiring
    }

    fn stop_waiting(&mut self, handle: &Arc<Handle>) {
        self.waiting.retain(|waiting| !Arc::ptr_eq(waiting, handle));
        handle.waiting.store(false, Relaxed);
    }
}

/// How long a request waits for instances that are busy before a further one is made.
const PATIENCE: Duration = Duration::from_millis(1);
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MOST: Duration = Duration::from_secs(30);

impl Lane {
    pub fn new(shop: Shop) -> Self {
        let inner = Mutex::default();
        Self(Arc::new(Shared { shop: Arc::new(shop), inner, queued: AtomicUsize::new(0), ended: Notify::new() }))
    }

    pub fn shop(&self) -> &Arc<Shop> {
        &self.0.shop
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the first instance and waits until it has started up.
    pub async fn start_first(&self) -> Result<(), StartError> {
        let (told, started) = oneshot::channel();
        self.spawn(&mut self.lock(), Some(told));
        started.await.unwrap_or_else(|_| Err(StartError::Instance("its actor ended".to_owned())))
    }

    /// Puts a request into the queue, or says at once why not. On the worker's loop only.
    pub fn push(&self, request: http::Request<WasiBody>) -> Result<Reply, Refusal> {
        let exchange = Arc::new(Exchange::default());
        let mut inner = self.lock();
        if inner.serving() == 0
            && let Some(until) = inner.failing_until
        {
            let retry_after = until.saturating_duration_since(Instant::now());
            if !retry_after.is_zero() {
                return Err(Refusal::NoInstance { retry_after });
            }
        }
        let free = inner.waiting.len() + inner.woken + inner.starting + self.may_grow(&inner) as usize;
        if inner.queue.len() >= self.0.shop.settings.queue + free {
            return Err(Refusal::QueueFull);
        }
        if inner.waiting.is_empty() && !inner.sweeping {
            inner.sweeping = true;
            tokio::spawn(self.clone().sweep());
        }
        inner.queue.push_back(Job { request, exchange: exchange.clone() });
        self.publish(&inner);
        self.call_one(&mut inner);
        drop(inner);
        Ok(Reply::new(exchange, self.clone()))
    }

    /// Answers requests that no instance has taken in time, for as long as some wait.
    async fn sweep(self) {
        let limit = self.0.shop.settings.guest.request;
        loop {
            let next = {
                let mut inner = self.lock();
                let now = Instant::now();
                while let Some(job) = inner.queue.pop_front_if(|job| job.exchange.began() + limit <= now) {
                    self.0.shop.row.timeouts.fetch_add(1, Relaxed);
                    job.exchange.answer(Err(Refusal::late(limit)));
                }
                self.publish(&inner);
                let next = inner.queue.front().map(|job| job.exchange.began() + limit);
                inner.sweeping = next.is_some();
                next
            };
            let Some(next) = next else { return };
            tokio::time::sleep_until(next.into()).await;
        }
    }

    /// Somebody has to take a request: one that waits for it, otherwise there may be too few.
    fn call_one(&self, inner: &mut Inner) {
        match inner.waiting.pop() {
            Some(handle) => {
                handle.waiting.store(false, Relaxed);
                self.wake(inner, &handle);
            }
            None => self.grow(inner),
        }
    }

    fn publish(&self, inner: &Inner) {
        self.0.queued.store(inner.queue.len(), Relaxed);
        self.0.shop.row.queued.store(inner.queue.len() as u64, Relaxed);
    }

    fn wake(&self, inner: &mut Inner, handle: &Arc<Handle>) {
        if !handle.woken.swap(true, Relaxed) {
            inner.woken += 1;
        }
        handle.waker.wake();
    }

    /// Whether a further instance may be made.
    fn may_grow(&self, inner: &Inner) -> bool {
        inner.serving() < self.0.shop.plan.instances && inner.failing_until.is_none_or(|until| until <= Instant::now())
    }

    /// Sees to it that there are enough instances. Where each serves one request only, every request that nobody
    /// is about to take needs one; where they are kept, those that are busy get a moment to become free first.
    fn grow(&self, inner: &mut Inner) {
        if self.0.shop.plan.fresh || inner.serving() == 0 {
            if inner.queue.len() > inner.woken + inner.starting && self.may_grow(inner) {
                self.spawn(inner, None);
            }
        } else if self.is_stuck(inner) && !inner.growing {
            inner.growing = true;
            let lane = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(PATIENCE).await;
                let mut inner = lane.lock();
                inner.growing = false;
                if lane.is_stuck(&inner) {
                    lane.spawn(&mut inner, None);
                }
            });
        }
    }

    /// Whether requests wait, nobody is about to take one, and a further instance would help.
    fn is_stuck(&self, inner: &Inner) -> bool {
        !inner.queue.is_empty() && inner.woken == 0 && inner.starting == 0 && self.may_grow(inner)
    }

    fn spawn(&self, inner: &mut Inner, told: Option<oneshot::Sender<Result<(), StartError>>>) {
        inner.alive += 1;
        inner.starting += 1;
        inner.made += 1;
        self.0.shop.row.instances.store(inner.alive as u64, Relaxed);
        tokio::spawn(actor::live(self.clone(), inner.made, told));
    }

    /// Takes the next request for an actor that has room, or notes that it waits for one.
    pub fn pop(&self, handle: &Arc<Handle>) -> Option<Job> {
        let mut inner = self.lock();
        let job = inner.queue.pop_front();
        if job.is_some() {
            self.publish(&inner);
        } else if !handle.waiting.swap(true, Relaxed) {
            inner.waiting.push(handle.clone());
        }
        job
    }

    /// Takes the next request on a thread of the pool, where nothing is awaited.
    pub fn pop_now(&self) -> Option<Job> {
        let mut inner = self.lock();
        let job = inner.queue.pop_front();
        self.publish(&inner);
        job
    }

    pub fn is_empty(&self) -> bool {
        self.0.queued.load(Relaxed) == 0
    }

    /// An actor goes on at once, but lets others of the loop go first.
    pub fn yield_now(&self, handle: &Arc<Handle>) {
        self.wake(&mut self.lock(), handle);
    }

    /// Called by an actor's task before and after each of its polls.
    pub fn before_poll(&self, handle: &Handle) {
        if handle.woken.load(Relaxed) && handle.woken.swap(false, Relaxed) {
            self.lock().woken -= 1;
        }
    }

    pub fn after_poll(&self) {
        if !self.is_empty() {
            self.grow(&mut self.lock());
        }
    }

    /// An actor whose instance is due takes no more requests from now on, unless too many are on their way out already.
    /// What it still works on may take long, so that it does not wait for that: if none is left, the next one starts.
    pub fn retire(&self, handle: &Arc<Handle>, reason: Reason) -> bool {
        let mut inner = self.lock();
        if inner.draining || inner.retiring >= self.0.shop.plan.instances || handle.is_recycled() {
            return false;
        }
        handle.recycle(reason);
        inner.retiring += 1;
        inner.stop_waiting(handle);
        if inner.serving() == 0 {
            self.spawn(&mut inner, None);
        } else if !inner.queue.is_empty() {
            // It may have been woken for this one.
            self.call_one(&mut inner);
        }
        true
    }

    /// An instance with a late request takes no more, but may finish the others. False if it cannot wait for those.
    pub fn retire_late(&self, handle: &Arc<Handle>) -> bool {
        let retires = self.retire(handle, Reason::Deadline);
        if retires {
            report::recycled(handle, Reason::Deadline, self.0.shop.row);
        }
        retires || handle.is_recycled()
    }

    /// A request whose client left before an instance took it.
    pub fn forget(&self, exchange: &Arc<Exchange>) {
        let mut inner = self.lock();
        inner.queue.retain(|job| !Arc::ptr_eq(&job.exchange, exchange));
        self.publish(&inner);
    }

    /// An actor's guest computes: until it is back, others have to take what comes.
    pub fn leave(&self, handle: &Arc<Handle>) {
        if handle.waiting.load(Relaxed) {
            self.lock().stop_waiting(handle);
        }
    }

    pub fn started(&self) {
        let mut inner = self.lock();
        inner.starting -= 1;
        inner.failures = 0;
        inner.failing_until = None;
    }

    /// An actor's instance is gone. `failed`: it never started up.
    pub fn ended(&self, handle: &Arc<Handle>, failed: bool) {
        let mut inner = self.lock();
        inner.alive -= 1;
        inner.stop_waiting(handle);
        if handle.woken.swap(false, Relaxed) {
            inner.woken -= 1;
        }
        self.0.shop.row.instances.store(inner.alive as u64, Relaxed);
        if failed {
            inner.starting -= 1;
            self.back_off(&mut inner);
        } else if handle.is_recycled() {
            inner.retiring -= 1;
            self.call_due(&mut inner);
        } else if inner.serving() == 0 && !inner.draining && !self.0.shop.plan.fresh {
            self.spawn(&mut inner, None);
        }
        self.grow(&mut inner);
        drop(inner);
        self.0.ended.notify_waiters();
    }

    /// One of those that wait may have been due for long, and now there is room for it to retire.
    fn call_due(&self, inner: &mut Inner) {
        if let Some(due) = inner.waiting.iter().position(|handle| handle.due().is_some()) {
            let handle = inner.waiting.remove(due);
            handle.waiting.store(false, Relaxed);
            self.wake(inner, &handle);
        }
    }

    /// After a failed start the next one waits, ever longer; who waits for an instance is told so.
    fn back_off(&self, inner: &mut Inner) {
        let pause = (BACKOFF_FIRST * 2u32.saturating_pow(inner.failures.min(16))).min(BACKOFF_MOST);
        inner.failures += 1;
        inner.failing_until = Some(Instant::now() + pause);
        if inner.serving() > 0 || inner.draining {
            return;
        }
        for job in inner.queue.drain(..) {
            job.exchange.answer(Err(Refusal::NoInstance { retry_after: pause }));
        }
        self.publish(inner);
        let lane = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let mut inner = lane.lock();
            if inner.serving() == 0 && !inner.draining {
                lane.spawn(&mut inner, None);
            }
        });
    }

    pub fn is_draining(&self) -> bool {
        self.lock().draining
    }

    /// Shuts every instance down once it has nothing left to do; resolves when all are gone.
    pub async fn drain(&self) {
        {
            let mut inner = self.lock();
            inner.draining = true;
            for handle in std::mem::take(&mut inner.waiting) {
                handle.waiting.store(false, Relaxed);
                handle.waker.wake();
            }
        }
        loop {
            let ended = self.0.ended.notified();
            if self.lock().alive == 0 {
                return;
            }
            ended.await;
        }
    }
}

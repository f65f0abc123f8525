//! Time limits, enforced from the task that looks after an actor: timers of the instance's own loop stand still
//! while its guest computes.

use super::exchange::{Due, Exchange, Refusal};
use super::handle::{Handle, Phase};
use super::queue::{Lane, Shop};
use super::report;
use super::slice::Why;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// A guest that computes gets so much longer for the sake of other requests in its instance.
const GRACE: Duration = Duration::from_millis(10);

/// Time limits of an instance's phases (while it serves, that is how old it may become) and of its requests.
pub struct Limits {
    startup: Duration,
    lifetime: Option<Duration>,
    shutdown: Duration,
    /// The phase that the timer is for; None if there is nothing to wait for.
    phase: Option<Phase>,
    timer: Pin<Box<Sleep>>,
    requests: Requests,
}

impl Limits {
    pub fn new(shop: &Shop) -> Self {
        let settings = &shop.settings;
        Self {
            startup: settings.timeout_startup,
            lifetime: Some(settings.max_lifetime).filter(|lifetime| !lifetime.is_zero() && !shop.plan.fresh),
            shutdown: settings.timeout_graceful_shutdown,
            phase: Some(Phase::Starting),
            timer: Box::pin(tokio::time::sleep(settings.timeout_startup)),
            requests: Requests::new(settings.guest.request),
        }
    }

    /// Before each poll of the actor. `stint` is that of its guest in the pool.
    pub fn poll(&mut self, cx: &mut Context<'_>, lane: &Lane, handle: &Arc<Handle>, stint: Option<u64>) {
        self.requests.poll(cx, lane, handle, stint);
        if self.phase == Some(Phase::Starting) && !handle.is_in(Phase::Starting) {
            self.phase = None;
            if let Some(lifetime) = self.lifetime {
                self.begin(Phase::Serving, lifetime);
            }
        }
        if self.phase != Some(Phase::Stopping) && handle.is_in(Phase::Stopping) {
            self.begin(Phase::Stopping, self.shutdown);
        }
        if self.phase.is_none() || self.timer.as_mut().poll(cx).is_pending() {
            return;
        }
        let (phase, limit, option) = match self.phase.take() {
            Some(Phase::Starting) => ("startup", self.startup, "--timeout-startup"),
            Some(Phase::Stopping) => ("shutdown", self.shutdown, "--timeout-graceful-shutdown"),
            _ => return handle.set_aged(),
        };
        let text = format!("{phase} took longer than {} s ({option})", limit.as_secs_f64());
        handle.slice.kill(Why::Limit { phase, text });
    }

    /// After each poll, in which the actor may have taken requests.
    pub fn watch(&mut self, cx: &mut Context<'_>, handle: &Handle) {
        self.requests.watch(cx, handle);
    }

    fn begin(&mut self, phase: Phase, limit: Duration) {
        self.phase = Some(phase);
        self.timer.as_mut().reset((Instant::now() + limit).into());
    }
}

/// When a request's time is up it is answered and its instance takes no more of them. The others in it finish within
/// their own time, unless its guest does not yield to them.
struct Requests {
    limit: Duration,
    /// Set for the first request that the actor takes, and again when it has passed: not for each of them.
    timer: Option<Pin<Box<Sleep>>>,
    armed: bool,
    /// Requests that had been taken when the timer was last set.
    seen: u64,
    /// A request is late, and the instance is to go.
    late: bool,
    /// The guest's stay in the pool when that was found.
    stint: Option<u64>,
    /// Until when the guest may do something after its last response.
    lingers: Option<Instant>,
}

impl Requests {
    fn new(limit: Duration) -> Self {
        Self { limit, timer: None, armed: false, seen: 0, late: false, stint: None, lingers: None }
    }

    fn watch(&mut self, cx: &mut Context<'_>, handle: &Handle) {
        let served = handle.served.load(Relaxed);
        if self.armed || served == self.seen {
            return;
        }
        self.seen = served;
        if let Some(next) = self.next(handle, Instant::now()) {
            self.arm(cx, next);
        }
    }

    /// When the next request is due.
    fn next(&self, handle: &Handle, now: Instant) -> Option<Instant> {
        let due = |exchange: &Arc<Exchange>| exchange.due(self.limit, now).map(Due::when);
        handle.with_in_flight(|list| list.iter().filter_map(due).min())
    }

    fn arm(&mut self, cx: &mut Context<'_>, when: Instant) {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(when.into())));
        timer.as_mut().reset(when.into());
        self.armed = timer.as_mut().poll(cx).is_pending();
        if !self.armed {
            cx.waker().wake_by_ref();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, lane: &Lane, handle: &Arc<Handle>, stint: Option<u64>) {
        let fired = self.armed && self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
        // A response that was cut off is late whatever its request's timer says.
        self.late |= handle.cut_by().is_some();
        if !(fired || self.late || handle.is_recycled()) {
            return;
        }
        self.armed &= !fired;
        let now = Instant::now();
        for exchange in self.overdue(handle, now) {
            self.late = true;
            self.expire(&exchange, lane, handle);
        }
        if !handle.is_in(Phase::Serving) || handle.slice.killed().is_some() {
            return;
        }
        let next = self.next(handle, now);
        if !self.late && !handle.is_recycled() {
            next.into_iter().for_each(|next| self.arm(cx, next));
            return;
        }
        let unfinished = handle.with_in_flight(|list| list.iter().any(|exchange| !exchange.is_finished()));
        let stuck = fired && stint.is_some() && stint == self.stint;
        if self.late && (stuck || (unfinished && next.is_none()) || !lane.retire_late(handle)) {
            return self.kill(handle);
        }
        let Some(next) = next else {
            return self.linger(cx, handle, now);
        };
        if !self.armed {
            self.stint = stint;
            self.arm(cx, if stint.is_some() { next.min(now + GRACE) } else { next });
        }
    }

    /// Nothing is left but what the guest does after its responses.
    fn linger(&mut self, cx: &mut Context<'_>, handle: &Handle, now: Instant) {
        match self.lingers {
            None => {
                let until = now + if self.late { GRACE } else { self.limit };
                self.lingers = Some(until);
                self.arm(cx, until);
            }
            Some(until) if until <= now => self.kill(handle),
            Some(until) if !self.armed => self.arm(cx, until),
            Some(_) => {}
        }
    }

    fn kill(&self, handle: &Handle) {
        let text = match handle.cut_by() {
            Some(option) => format!("a response went beyond {option}"),
            None => format!("a request took longer than {} s (--timeout-request)", self.limit.as_secs_f64()),
        };
        handle.slice.kill(Why::Limit { phase: "request", text });
    }

    fn overdue(&self, handle: &Handle, now: Instant) -> Vec<Arc<Exchange>> {
        let is_late = |exchange: &&Arc<Exchange>| exchange.due(self.limit, now).is_some_and(|due| due.is_past(now));
        handle.with_in_flight(|list| list.iter().filter(is_late).cloned().collect())
    }

    fn expire(&self, exchange: &Exchange, lane: &Lane, handle: &Handle) {
        exchange.expire();
        report::late(handle, lane.shop().row);
        exchange.answer(Err(Refusal::late(self.limit)));
    }
}

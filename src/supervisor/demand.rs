//! What requests ask for: more workers while they wait, an end of it all when there are none.

use super::run::Supervisor;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Requests that wait this long make another worker start.
const WAITED: Duration = Duration::from_millis(200);
/// After so long without any that wait one worker leaves again.
const CALM: Duration = Duration::from_secs(30);

pub struct Demand {
    /// Requests answered when it was last looked, and when that changed.
    requests: u64,
    active: Instant,
    /// Since when requests wait, or since when none do.
    waiting: bool,
    since: Instant,
}

impl Demand {
    pub fn new() -> Self {
        let now = Instant::now();
        Self { requests: 0, active: now, waiting: false, since: now }
    }
}

impl Supervisor {
    pub fn follow_demand(&mut self) {
        if !self.is_serving() {
            return;
        }
        let now = Instant::now();
        let sum = |counter: fn(&crate::scoreboard::Row) -> u64| {
            self.children().fold(0u64, |sum, child| sum.wrapping_add(counter(&self.rows[child.row])))
        };
        let requests = sum(|row| row.requests.load(Relaxed));
        let in_flight = sum(|row| row.in_flight.load(Relaxed));
        let waiting = sum(|row| row.queued.load(Relaxed)) > 0;
        if requests != self.demand.requests || in_flight > 0 || self.generations.is_rolling() {
            self.demand.requests = requests;
            self.demand.active = now;
        }
        if waiting != self.demand.waiting {
            self.demand.waiting = waiting;
            self.demand.since = now;
        }
        self.scale_to_demand(now);
        let limit = self.settings.idle_timeout;
        if !limit.is_zero() && now.duration_since(self.demand.active) >= limit && self.upgrade.is_none() {
            tracing::info!(event = "idle", "no request for {} s (--idle-timeout): ending", limit.as_secs_f64());
            self.end(Ok(()));
        }
    }

    /// One worker more or fewer at a time, and only once those there are have shown what they can do.
    fn scale_to_demand(&mut self, now: Instant) {
        let (least, most) = (self.settings.workers, self.settings.max_workers);
        let since = now.duration_since(self.demand.since);
        let all_ready = self.slots[..self.wanted].iter().all(super::slot::Slot::is_ready);
        if most <= least || !all_ready || self.generations.is_rolling() {
            return;
        }
        let wanted = match self.demand.waiting {
            true if since >= WAITED && self.wanted < most => self.wanted + 1,
            false if since >= CALM && self.wanted > least => self.wanted - 1,
            _ => return,
        };
        self.demand.since = now;
        if let Err(message) = self.scale(wanted) {
            tracing::warn!("cannot have {wanted} workers: {message}");
        }
    }

    /// When something here is due, so that the loop does not sleep longer.
    pub fn demand_due(&self) -> Option<Instant> {
        let limit = self.settings.idle_timeout;
        (!limit.is_zero() && self.is_serving()).then(|| self.demand.active + limit)
    }
}

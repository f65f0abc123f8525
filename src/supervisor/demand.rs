//! What requests ask for: more workers while they wait, an end of it all when there are none.

use super::host::Report;
use super::run::Supervisor;
use super::status::own_memory;
use crate::status::Counters;
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
            // Starting is no idleness.
            self.demand.active = Instant::now();
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
        self.report(false);
        let limit = self.settings.idle_timeout;
        let is_idle = !limit.is_zero() && now.duration_since(self.demand.active) >= limit;
        if is_idle && self.generations.are_kept() {
            tracing::debug!(event = "idle-kept", "no request, but a new start would not serve what this one does");
            self.demand.active = now;
        } else if is_idle && self.upgrade.is_none() {
            tracing::info!(event = "idle", "no request for {} s (--idle-timeout): ending", limit.as_secs_f64());
            self.end(Ok(()));
        }
    }

    /// One worker more or fewer at a time, and only once those there are have shown what they can do.
    fn scale_to_demand(&mut self, now: Instant) {
        let allowed = self.notify.allowed();
        let (least, most) = (self.settings.workers, self.settings.max_workers.min(allowed).max(1));
        let since = now.duration_since(self.demand.since);
        let all_ready = self.slots[..self.wanted].iter().all(super::slot::Slot::is_ready);
        let is_too_many = self.wanted > allowed.max(1);
        if (!all_ready && !is_too_many) || self.generations.is_rolling() {
            return;
        }
        let wanted = match self.demand.waiting {
            _ if is_too_many => self.wanted - 1,
            true if since >= WAITED && self.wanted < most => self.wanted + 1,
            false if since >= CALM && self.wanted > least => self.wanted - 1,
            _ => return,
        };
        self.demand.since = now;
        if let Err(message) = self.scale(wanted) {
            tracing::warn!("cannot have {wanted} workers: {message}");
        }
    }

    /// Tells the host, if there is one, how things are.
    pub fn report(&mut self, is_last: bool) {
        if !self.notify.has_host() {
            return;
        }
        let mut report = Report {
            is_ready: self.served,
            wanted: self.wanted,
            workers: self.slots[..self.wanted].iter().filter(|slot| slot.is_ready()).count(),
            is_waiting: self.demand.waiting && self.demand.since.elapsed() >= WAITED,
            is_kept: self.generations.are_kept(),
            ..Report::default()
        };
        for slot in &self.slots {
            report.counters.add(&slot.past);
            for child in &slot.children {
                report.processes += 1;
                report.memory = report.memory.saturating_add(own_memory(child.pid).unwrap_or(0));
                report.counters.add(&Counters::of(&self.rows[child.row]));
            }
        }
        self.notify.report(report, is_last);
    }

    /// When something here is due, so that the loop does not sleep longer.
    pub fn demand_due(&self) -> Option<Instant> {
        let limit = self.settings.idle_timeout;
        (!limit.is_zero() && self.is_serving()).then(|| self.demand.active + limit)
    }
}

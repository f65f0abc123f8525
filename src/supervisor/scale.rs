//! How many workers there are, and their replacement on demand.

use super::run::{GRACE, Supervisor};
use super::slot::{Slot, State};
use crate::config::MAX_WORKERS;
use nix::sys::signal::Signal;
use std::time::Instant;

impl Supervisor {
    /// TTIN, TTOU: one more, one fewer, never none.
    pub fn scale_by(&mut self, step: isize) {
        let signal = if step > 0 { Signal::SIGTTIN } else { Signal::SIGTTOU };
        match self.scale(self.wanted.saturating_add_signed(step)) {
            Ok(_) => {}
            Err(message) => tracing::warn!("{signal}: {message}"),
        }
    }

    pub fn scale(&mut self, workers: usize) -> Result<String, String> {
        if !(1..=MAX_WORKERS).contains(&workers) {
            return Err(format!("{workers} workers: there can be from 1 to {MAX_WORKERS}"));
        }
        if !self.is_serving() {
            return Err("the server is starting or ending".to_owned());
        }
        let allowed = self.notify.allowed();
        if workers > self.wanted.max(allowed) {
            return Err(format!(
                "{workers} workers: the server that hosts this app allows {allowed} now (max-workers)"
            ));
        }
        if workers == self.wanted {
            return Ok(format!("workers wanted: {workers}, as before"));
        }
        for index in self.slots.len()..workers {
            self.sockets.slot(index).map_err(|failure| failure.message)?;
            self.slots.push(Slot::default());
        }
        for slot in &mut self.slots[self.wanted.min(workers)..workers] {
            slot.start_at = Some(Instant::now());
        }
        let deadline = Instant::now() + self.settings.timeout_graceful_shutdown + GRACE;
        for slot in &mut self.slots[workers..] {
            slot.start_at = None;
            slot.children.iter_mut().for_each(|child| child.drain(deadline));
        }
        self.wanted = workers;
        tracing::info!(event = "scaled", workers, "workers wanted: {workers}");
        Ok(format!("workers wanted: {workers}"))
    }

    /// Replaces the process of one worker or of all.
    pub fn recycle(&mut self, worker: Option<usize>) -> Result<String, String> {
        if !self.is_serving() {
            return Err("the server is starting or ending".to_owned());
        }
        if let Some(worker) = worker.filter(|worker| *worker >= self.wanted) {
            return Err(format!("there is no worker {worker}: they are numbered from 0 to {}", self.wanted - 1));
        }
        let (first, last) = worker.map_or((0, self.wanted - 1), |worker| (worker, worker));
        for child in self.slots[first..=last].iter_mut().flat_map(|slot| &mut slot.children) {
            child.outdated |= child.state == State::Ready;
        }
        Ok(match worker {
            Some(worker) => format!("worker {worker} is being replaced"),
            None => "all workers are being replaced".to_owned(),
        })
    }
}

//! What the supervisor knows, put together for whoever asks.

use super::run::Supervisor;
use super::slot::{Child, Slot, State};
use crate::sandbox;
use crate::status::{self, Counters, Process, ProcessState, SlotState, Status};
use nix::unistd::Pid;
use std::fs;
use std::time::Instant;

impl Supervisor {
    pub fn status(&self) -> Status {
        let state = match () {
            () if self.ending.is_some() => status::State::Stopping,
            () if !self.served => status::State::Starting,
            () if self.generations.is_rolling() => status::State::Reloading,
            () => status::State::Ready,
        };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: nix::unistd::getpid().as_raw(),
            uptime_seconds: self.began.elapsed().as_secs_f64(),
            state,
            app: self.settings.app.clone(),
            component: self.settings.source.name(),
            addresses: self.sockets.addresses(),
            sandbox: sandbox::describe(self.settings.sandbox),
            generation: self.generations.current.number,
            previous_generation: self.generations.previous.as_ref().map(|previous| previous.number),
            last_reload: self.generations.last(),
            workers: self.wanted,
            compile_seconds: self.generations.compile_seconds,
            slots: (0..self.slots.len()).map(|index| self.slot_status(index)).collect(),
            apps: self.apps.status(),
        }
    }

    fn slot_status(&self, index: usize) -> status::Slot {
        let slot = &self.slots[index];
        let mut counters = slot.past.clone();
        for child in &slot.children {
            counters.add(&Counters::of(&self.rows[child.row]));
        }
        let waits = slot.start_at.and_then(|at| at.checked_duration_since(Instant::now()));
        status::Slot {
            worker: index,
            state: state(slot, index < self.wanted),
            restarts: slot.restarts,
            last_death: slot.last_death.clone(),
            starts_in_seconds: waits.map(|pause| pause.as_secs_f64()),
            processes: slot.children.iter().map(process).collect(),
            counters,
        }
    }

    /// Whether it has started and does not end: only then anything changes.
    pub fn is_serving(&self) -> bool {
        self.served && self.ending.is_none()
    }

    /// In a line, for service managers.
    pub fn summary(&self) -> String {
        let ready = self.slots[..self.wanted].iter().filter(|slot| slot.is_ready()).count();
        let generation = self.generations.current.number;
        format!("generation {generation}: {ready} of {} workers are ready", self.wanted)
    }
}

fn state(slot: &Slot, is_wanted: bool) -> SlotState {
    match slot.newest() {
        _ if !is_wanted && slot.children.is_empty() => SlotState::Removed,
        _ if !is_wanted => SlotState::Leaving,
        _ if slot.is_ready() => SlotState::Ready,
        Some(_) => SlotState::Starting,
        None if slot.children.iter().any(|child| matches!(child.state, State::Aborted { .. })) => {
            SlotState::Unresponsive
        }
        None if slot.start_at.is_some() => SlotState::BackingOff,
        None => SlotState::Starting,
    }
}

fn process(child: &Child) -> Process {
    Process {
        pid: child.pid.as_raw(),
        generation: child.generation.number,
        state: match child.state {
            State::Booting { .. } => ProcessState::Starting,
            State::Ready => ProcessState::Ready,
            State::Draining { .. } => ProcessState::Draining,
            State::Aborted { .. } | State::Killed => ProcessState::Ending,
        },
        uptime_seconds: child.started.elapsed().as_secs_f64(),
        rss: resident(child.pid).unwrap_or(0),
    }
}

/// Resident memory in bytes.
pub fn resident(pid: Pid) -> Option<u64> {
    pages(pid).map(|[resident, _]| resident)
}

/// The same without what is of files or shared memory, such as machine code.
pub fn own_memory(pid: Pid) -> Option<u64> {
    pages(pid).map(|[resident, shared]| resident.saturating_sub(shared))
}

/// Resident and shared memory in bytes (proc(5), /proc/PID/statm).
fn pages(pid: Pid) -> Option<[u64; 2]> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut counts = statm.split(' ').skip(1).map(str::parse::<u64>);
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten()? as u64;
    Some([counts.next()?.ok()? * size, counts.next()?.ok()? * size])
}

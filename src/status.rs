//! What a server tells of itself: the supervisor puts it together, the control socket, the admin listener and
//! `wasmserve status` show it. Serialised as it is, so fields are only ever added.

use crate::scoreboard::{BUCKETS, Row, TRAPS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Status {
    /// Version of wasmserve.
    pub version: String,
    pub pid: i32,
    pub uptime_seconds: f64,
    pub state: State,
    pub app: String,
    pub component: String,
    /// Where it listens: URLs, or `unix:PATH`.
    pub addresses: Vec<String>,
    /// The process sandbox around workers: `off`, `complete`, or `incomplete` with what is missing.
    #[serde(default)]
    pub sandbox: String,
    /// The generation that new workers belong to.
    pub generation: u64,
    /// The one that `rollback` goes back to, if there is one.
    pub previous_generation: Option<u64>,
    /// How the last reload or rollback ended, if there was one.
    pub last_reload: Option<LastReload>,
    /// Workers wanted.
    pub workers: usize,
    /// Seconds that compiling took in all; 0 if everything came from the cache.
    pub compile_seconds: f64,
    pub slots: Vec<Slot>,
    /// Those that it hosts (`--config`); its own workers are gateways then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<App>,
}

/// A hosted app. What its workers do is told by its own server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct App {
    pub name: String,
    pub state: AppState,
    /// Why the last server failed; empty if it did not.
    pub why: String,
    /// Its server, while there is one.
    pub pid: Option<i32>,
    /// Servers started so far.
    pub starts: u64,
    /// The control socket of its server.
    pub control: Option<PathBuf>,
    /// Where it listens besides being reached through the gateways.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Workers that are ready.
    #[serde(default)]
    pub workers: usize,
    /// Bytes that are its processes' own.
    #[serde(default)]
    pub memory: u64,
    /// Of all its servers, those that have ended included.
    #[serde(default)]
    pub counters: Counters,
    /// The folder of its control group, if it has one.
    pub cgroup: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppState {
    /// The next request starts its server.
    Idle,
    /// It has been asked for, and waits until other apps make room.
    Waiting,
    Starting,
    Ready,
    /// Its server does not start: requests are answered with 503, and it is tried again after a pause.
    Failing,
    /// It is hosted no more and finishes what it has.
    Leaving,
}

impl fmt::Display for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Failing => "failing",
            Self::Leaving => "leaving",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Starting,
    Ready,
    Reloading,
    Stopping,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct LastReload {
    pub generation: u64,
    pub succeeded: bool,
    /// Why it failed; empty if it did not.
    pub message: String,
    pub seconds_ago: f64,
}

/// One worker slot: its numbers are those of all processes that were ever in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Slot {
    pub worker: usize,
    pub state: SlotState,
    /// Times that its process was replaced after it had ended unexpectedly.
    pub restarts: u64,
    /// Why the last process ended unexpectedly; empty if none did.
    pub last_death: String,
    /// Seconds until the next process starts, while it is backing off.
    pub starts_in_seconds: Option<f64>,
    /// The newest process last; those before it are on their way out.
    pub processes: Vec<Process>,
    pub counters: Counters,
}

impl Slot {
    /// Whether it serves requests, be it with a process that is about to be replaced.
    pub fn is_ready(&self) -> bool {
        match self.state {
            SlotState::Ready => true,
            SlotState::Unresponsive => false,
            _ => self.processes.iter().any(|process| process.state == ProcessState::Ready),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotState {
    Starting,
    Ready,
    /// Its processes keep ending; the next one waits.
    BackingOff,
    /// Found not to be alive and about to be replaced.
    Unresponsive,
    /// Not wanted any more: its last process drains.
    Leaving,
    /// Not wanted any more and without a process; what it counted stays.
    Removed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Process {
    pub pid: i32,
    pub generation: u64,
    pub state: ProcessState,
    pub uptime_seconds: f64,
    /// Resident memory in bytes.
    pub rss: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessState {
    Starting,
    Ready,
    Draining,
    Ending,
}

/// Sums over processes; `in_flight`, `queued`, `instances`, `memory` and `outbound` are of now, all others only grow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", default)]
pub struct Counters {
    pub requests: u64,
    /// By the class of the status: 1xx to 5xx.
    pub responses: [u64; 5],
    /// Requests by time: how many took up to each of `scoreboard::BUCKETS` microseconds but longer than the one
    /// before, and how many longer than all of them.
    pub latency: Vec<u64>,
    pub latency_sum_seconds: f64,
    pub in_flight: u64,
    pub queued: u64,
    pub instances: u64,
    /// Bytes of the instances' memories.
    pub memory: u64,
    pub traps: u64,
    /// The same by kind: see `scoreboard::TRAPS`.
    pub traps_by_kind: BTreeMap<String, u64>,
    pub timeouts: u64,
    pub recycles: u64,
    pub dropped_log_records: u64,
    /// Bytes.
    #[serde(default)]
    pub dropped_guest_output: u64,
    /// The guests' own requests that are under way.
    pub outbound: u64,
    /// All that were sent.
    pub outbound_requests: u64,
}

impl Counters {
    pub fn of(row: &Row) -> Self {
        Self {
            requests: row.requests.load(Relaxed),
            responses: std::array::from_fn(|class| row.responses[class].load(Relaxed)),
            latency: row.latency.iter().map(|bucket| bucket.load(Relaxed)).collect(),
            latency_sum_seconds: row.latency_sum.load(Relaxed) as f64 / 1e6,
            in_flight: row.in_flight.load(Relaxed),
            queued: row.queued.load(Relaxed),
            instances: row.instances.load(Relaxed),
            memory: row.memory.load(Relaxed),
            traps: row.traps.iter().fold(0, |sum, kind| sum.wrapping_add(kind.load(Relaxed))),
            traps_by_kind: TRAPS.iter().zip(&row.traps).map(|(kind, n)| (kind.to_string(), n.load(Relaxed))).collect(),
            timeouts: row.timeouts.load(Relaxed),
            recycles: row.recycles.load(Relaxed),
            dropped_log_records: row.dropped_records.load(Relaxed),
            dropped_guest_output: row.dropped_output.load(Relaxed),
            outbound: row.outbound.load(Relaxed),
            outbound_requests: row.outbound_requests.load(Relaxed),
        }
    }

    /// What stays of a process that is gone.
    pub fn without_gauges(self) -> Self {
        Self { in_flight: 0, queued: 0, instances: 0, memory: 0, outbound: 0, ..self }
    }

    /// Adds another process. Numbers come from workers, which are not trusted: no sum may panic.
    pub fn add(&mut self, other: &Self) {
        let add = |to: &mut u64, more: u64| *to = to.wrapping_add(more);
        add(&mut self.requests, other.requests);
        self.responses.iter_mut().zip(other.responses).for_each(|(to, more)| add(to, more));
        self.latency.resize(BUCKETS.len() + 1, 0);
        self.latency.iter_mut().zip(&other.latency).for_each(|(to, more)| add(to, *more));
        self.latency_sum_seconds += other.latency_sum_seconds;
        add(&mut self.in_flight, other.in_flight);
        add(&mut self.queued, other.queued);
        add(&mut self.instances, other.instances);
        add(&mut self.memory, other.memory);
        add(&mut self.traps, other.traps);
        for (kind, more) in &other.traps_by_kind {
            add(self.traps_by_kind.entry(kind.clone()).or_default(), *more);
        }
        add(&mut self.timeouts, other.timeouts);
        add(&mut self.recycles, other.recycles);
        add(&mut self.dropped_log_records, other.dropped_log_records);
        add(&mut self.dropped_guest_output, other.dropped_guest_output);
        add(&mut self.outbound, other.outbound);
        add(&mut self.outbound_requests, other.outbound_requests);
    }

    /// The time within which this share of requests was answered (0.99: p99), in seconds: the upper bound of the
    /// bucket it falls into. None without requests.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let total: u64 = self.latency.iter().fold(0, |sum, bucket| sum.wrapping_add(*bucket));
        let rank = (total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0u64;
        let at = self.latency.iter().position(|bucket| {
            seen = seen.wrapping_add(*bucket);
            total > 0 && seen >= rank
        })?;
        Some(BUCKETS.get(at).or(BUCKETS.last()).map_or(0.0, |bound| *bound as f64 / 1e6))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A server of two workers in the middle of a reload, for tests of what shows it.
    pub fn example() -> Status {
        let process = |pid, generation, state| Process { pid, generation, state, uptime_seconds: 1.5, rss: 20 << 20 };
        let mut counters = Counters { requests: 12, responses: [0, 9, 0, 2, 1], in_flight: 3, ..Counters::default() };
        counters.latency = vec![0; BUCKETS.len() + 1];
        counters.latency[12] = 11;
        counters.latency[BUCKETS.len()] = 1;
        counters.latency_sum_seconds = 80.25;
        Status {
            version: "0.1.0".into(),
            pid: 4000,
            uptime_seconds: 3723.4,
            state: State::Reloading,
            app: "shop".into(),
            component: "/srv/shop.wasm".into(),
            addresses: vec!["http://127.0.0.1:8000".into()],
            sandbox: "complete".into(),
            generation: 2,
            previous_generation: Some(1),
            last_reload: None,
            workers: 2,
            compile_seconds: 2.5,
            apps: Vec::new(),
            slots: vec![
                Slot {
                    worker: 0,
                    state: SlotState::Ready,
                    restarts: 0,
                    last_death: String::new(),
                    starts_in_seconds: None,
                    processes: vec![process(4001, 1, ProcessState::Draining), process(4003, 2, ProcessState::Ready)],
                    counters,
                },
                Slot {
                    worker: 1,
                    state: SlotState::BackingOff,
                    restarts: 7,
                    last_death: "killed by SIGSEGV".into(),
                    starts_in_seconds: Some(3.2),
                    processes: vec![],
                    counters: Counters::default(),
                },
            ],
        }
    }

    /// A hosted app that has done nothing yet.
    pub fn app(name: &str, state: AppState) -> App {
        App {
            name: name.into(),
            state,
            why: String::new(),
            pid: None,
            starts: 0,
            control: None,
            cgroup: None,
            addresses: Vec::new(),
            workers: 0,
            memory: 0,
            counters: Counters::default(),
        }
    }

    fn latency(buckets: &[(usize, u64)]) -> Counters {
        let mut latency = vec![0; BUCKETS.len() + 1];
        buckets.iter().for_each(|(bucket, count)| latency[*bucket] = *count);
        Counters { latency, ..Counters::default() }
    }

    #[test]
    fn a_status_survives_its_serialisation() {
        let json = serde_json::to_string(&example()).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), example());
        assert!(json.contains(r#""state":"backing_off""#), "{json}");
    }

    #[test]
    fn a_quantile_is_the_upper_bound_of_its_bucket() {
        assert_eq!(latency(&[]).quantile(0.5), None);
        assert_eq!(Counters::default().quantile(0.5), None);
        let counters = latency(&[(12, 98), (18, 1), (24, 1)]);
        assert_eq!(BUCKETS[12], 1_000);
        assert_eq!(counters.quantile(0.0), Some(0.001));
        assert_eq!(counters.quantile(0.5), Some(0.001));
        assert_eq!(counters.quantile(0.98), Some(0.001));
        assert_eq!(counters.quantile(0.99), Some(0.01));
        assert_eq!(counters.quantile(1.0), Some(0.1));
        assert_eq!(latency(&[(BUCKETS.len(), 1)]).quantile(0.5), Some(70.0), "no bound is known beyond the last");
    }

    #[test]
    fn sums_cover_every_counter_and_wrap() {
        let mut sum = Counters::default();
        sum.add(&example().slots[0].counters);
        sum.add(&example().slots[0].counters);
        assert_eq!((sum.requests, sum.responses, sum.in_flight), (24, [0, 18, 0, 4, 2], 6));
        assert_eq!((sum.latency[12], sum.latency_sum_seconds), (22, 160.5));
        sum.add(&Counters { requests: u64::MAX, ..Counters::default() });
        assert_eq!(sum.requests, 23);
    }

    #[test]
    fn gauges_end_with_their_process() {
        let counters = example().slots[0].counters.clone();
        let left = counters.clone().without_gauges();
        assert_eq!((left.in_flight, left.queued, left.instances, left.memory), (0, 0, 0, 0));
        assert_eq!((left.requests, left.latency), (counters.requests, counters.latency));
    }

    #[test]
    fn a_slot_in_the_middle_of_a_hand_over_serves() {
        let mut slot = example().slots[0].clone();
        slot.state = SlotState::Starting;
        assert!(slot.is_ready());
        slot.processes.pop();
        assert!(!slot.is_ready());
        assert!(!example().slots[1].is_ready());
    }
}

//! The figures that the project wants to reach, set against what was measured.

use crate::results::{Table, median};

/// Which side of the figure is good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reach {
    AtMost(f64),
    AtLeast(f64),
    Below(f64),
}

pub struct Goal {
    pub title: &'static str,
    workload: &'static str,
    candidate: &'static str,
    key: &'static str,
    /// Whose figure of the same round it is divided by.
    against: Option<&'static str>,
    pub reach: Reach,
}

use Reach::{AtLeast, AtMost, Below};

/// In `hello-32`, against another candidate.
const fn hello(
    title: &'static str,
    candidate: &'static str,
    key: &'static str,
    against: &'static str,
    reach: Reach,
) -> Goal {
    Goal { title, workload: "hello-32", candidate, key, against: Some(against), reach }
}

const fn alone(
    title: &'static str,
    workload: &'static str,
    candidate: &'static str,
    key: &'static str,
    most: f64,
) -> Goal {
    Goal { title, workload, candidate, key, against: None, reach: AtMost(most) }
}

const fn limit(
    title: &'static str,
    workload: &'static str,
    candidate: &'static str,
    key: &'static str,
    reach: Reach,
) -> Goal {
    Goal { title, workload, candidate, key, against: Some("native"), reach }
}

pub const ALL: &[Goal] = &[
    hello("sync hello, CPU per request / native hyper", "sync", "cpu_us", "native", AtMost(1.8)),
    hello("sync hello, requests/s / native hyper", "sync", "rps", "native", AtLeast(0.6)),
    hello("async hello, CPU per request / native hyper", "async", "cpu_us", "native", AtMost(2.2)),
    hello("async hello, requests/s / native hyper", "async", "rps", "native", AtLeast(0.5)),
    hello("sync hello, CPU per request / wasmtime serve", "sync", "cpu_us", "wasmtime-sync", AtMost(0.08)),
    hello(
        "sync, fresh, 2 workers, CPU per request / wasmtime serve",
        "sync-fresh-2",
        "cpu_us",
        "wasmtime-sync",
        AtMost(0.25),
    ),
    hello("async hello, CPU per request / wasmtime serve", "async", "cpu_us", "wasmtime-async", AtMost(0.52)),
    hello("sync hello, CPU per request / granian", "sync", "cpu_us", "granian", Below(1.0)),
    hello("async hello, CPU per request / granian", "async", "cpu_us", "granian", Below(1.0)),
    alone("hello's p50 beside two computing clients, µs", "mixed", "sync", "p50_us", 200.0),
    alone("hello's p99 beside two computing clients, µs", "mixed", "sync", "p99_us", 4000.0),
    limit("sync, 100 MiB streams, requests/s / native hyper", "stream-100m", "sync", "rps", AtLeast(0.6)),
    limit("async, 100 MiB streams, requests/s / native hyper", "stream-100m", "async", "rps", AtLeast(0.6)),
    alone("sync, extra idle worker, private MB", "worker-memory", "sync", "private_mb", 0.8),
    alone("async, extra idle worker, private MB", "worker-memory", "async", "private_mb", 0.8),
    alone("sync, worker's fork to ready, ms", "respawn", "sync", "fork_to_ready_ms", 4.0),
    alone("async, worker's fork to ready, ms", "respawn", "async", "fork_to_ready_ms", 4.0),
    alone("big component, worker's fork to ready, ms", "respawn", "big", "fork_to_ready_ms", 20.0),
    alone("sync, start to first byte, compiled before, ms", "start-up", "sync", "first_byte_ms", 40.0),
    alone("async, start to first byte, compiled before, ms", "start-up", "async", "first_byte_ms", 40.0),
    limit("sync, private memory per idle connection / native hyper", "idle-memory", "sync", "private_kib", AtMost(1.2)),
    limit(
        "async, private memory per idle connection / native hyper",
        "idle-memory",
        "async",
        "private_kib",
        AtMost(1.2),
    ),
];

impl Goal {
    /// Where this run stands, if it measured that.
    pub fn measured(&self, tables: &[Table]) -> Option<f64> {
        let table = tables.iter().find(|table| table.workload.name == self.workload)?;
        let row = table.row(self.candidate)?;
        match self.against {
            Some(other) => median(&row.ratios(table.row(other)?, self.key)),
            None => row.median(self.key),
        }
    }

    pub fn is_reached(&self, measured: f64) -> bool {
        match self.reach {
            AtMost(figure) => measured <= figure,
            AtLeast(figure) => measured >= figure,
            Below(figure) => measured < figure,
        }
    }
}

impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AtMost(figure) => write!(f, "≤ {figure}"),
            AtLeast(figure) => write!(f, "≥ {figure}"),
            Below(figure) => write!(f, "< {figure}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads;

    #[test]
    fn every_goal_is_about_something_that_is_measured() {
        for goal in ALL {
            let workload = workloads::ALL.iter().find(|workload| workload.name == goal.workload).unwrap();
            assert!(workload.candidates.contains(&goal.candidate), "{}", goal.title);
            assert!(goal.against.is_none_or(|other| workload.candidates.contains(&other)), "{}", goal.title);
            assert!(workload.columns.iter().any(|column| column.key == goal.key), "{}", goal.title);
        }
    }
}

//! What is measured: which candidates do what, and which figures come of it.

use crate::candidates::App;
use crate::load::Target;

pub struct Workload {
    pub name: &'static str,
    pub title: &'static str,
    pub app: App,
    pub measure: Measure,
    pub candidates: &'static [&'static str],
    pub columns: &'static [Column],
}

#[derive(Clone, Copy)]
pub enum Measure {
    /// One load.
    Load(Target),
    /// A load beside clients that compute all the time.
    Beside { load: Target, burn: Target },
    /// From the start of the process to the first byte of an answer.
    StartUp { compiled: bool },
    /// From the end of a worker to the next.
    Respawn,
    /// What a worker more costs that has nothing to do.
    WorkerMemory,
    /// What a connection costs that waits for its next request.
    IdleConnections,
}

/// A figure of each sample.
pub struct Column {
    pub key: &'static str,
    pub title: &'static str,
    pub decimals: usize,
    /// Whether its ratio to the limit means something.
    pub ratio: bool,
}

const fn figure(key: &'static str, title: &'static str, decimals: usize) -> Column {
    Column { key, title, decimals, ratio: false }
}

const fn compared(key: &'static str, title: &'static str, decimals: usize) -> Column {
    Column { key, title, decimals, ratio: true }
}

const RATE: Column = compared("rps", "req/s", 0);
const P50: Column = figure("p50_us", "p50 µs", 0);
const P99: Column = figure("p99_us", "p99 µs", 0);
const CPU: Column = compared("cpu_us", "CPU µs/req", 1);
const PRIVATE: Column = figure("private_mb", "private MB", 1);
const PROPORTIONAL: Column = figure("proportional_mb", "prop. MB", 1);

const LOAD: &[Column] = &[RATE, P50, P99, CPU, PRIVATE, PROPORTIONAL];
const LARGE: &[Column] = &[RATE, figure("mb_s", "MB/s", 0), P50, P99, CPU, PRIVATE, PROPORTIONAL];
const BESIDE: &[Column] =
    &[RATE, compared("p50_us", "p50 µs", 0), compared("p99_us", "p99 µs", 0), figure("burns_s", "burns/s", 1)];
const START: &[Column] = &[compared("first_byte_ms", "first byte ms", 1)];
const RESPAWN: &[Column] =
    &[figure("fork_to_ready_ms", "fork to ready ms", 0), figure("kill_to_byte_ms", "kill to next byte ms", 1)];
const WORKERS: &[Column] = &[
    figure("private_mb", "private MB, (4 − 2) / 2", 2),
    figure("proportional_mb", "prop. MB, (4 − 2) / 2", 2),
    figure("worker_private_mb", "private MB of one of 4", 2),
];
const IDLE: &[Column] =
    &[compared("private_kib", "private KiB/connection", 2), compared("proportional_kib", "prop. KiB/connection", 2)];

const EVERYONE: &[&str] = &[
    "native",
    "native-2",
    "sync",
    "sync-always",
    "sync-fresh",
    "sync-fresh-2",
    "async",
    "wasmtime-sync",
    "wasmtime-async",
    "granian",
    "uvicorn",
    "workerd",
];
const ONE_EACH: &[&str] =
    &["native", "sync", "async", "wasmtime-sync", "wasmtime-async", "granian", "uvicorn", "workerd"];
const OF_WASM: &[&str] = &["native", "sync", "async", "wasmtime-sync", "wasmtime-async"];
const COMPUTING: &[&str] = &["native", "sync", "sync-always", "async", "wasmtime-sync", "wasmtime-async"];

const fn load(
    name: &'static str,
    title: &'static str,
    app: App,
    target: Target,
    candidates: &'static [&'static str],
) -> Workload {
    let columns = if target.answer >= 1 << 20 { LARGE } else { LOAD };
    Workload { name, title, app, measure: Measure::Load(target), candidates, columns }
}

const fn hello(connections: usize) -> Target {
    Target::get("/", connections, 13)
}

pub const ALL: &[Workload] = &[
    load("hello-32", "hello (13 bytes), 32 connections", App::Hello, hello(32), EVERYONE),
    load("hello-1", "hello, 1 connection", App::Hello, hello(1), ONE_EACH),
    load("hello-256", "hello, 256 connections", App::Hello, hello(256), ONE_EACH),
    load(
        "access-log",
        "hello, 32 connections: what the access log costs",
        App::Hello,
        hello(32),
        &["native", "sync-no-access-log", "sync-access-log"],
    ),
    load(
        "connect",
        "hello, a new connection for each request, 32 at a time",
        App::Hello,
        Target { close: true, ..hello(32) },
        ONE_EACH,
    ),
    load(
        "body-10k",
        "10 KiB bodies, 32 connections",
        App::Testbed,
        Target::get("/big?bytes=10240", 32, 10 << 10),
        OF_WASM,
    ),
    load(
        "body-1m",
        "1 MiB bodies, 8 connections",
        App::Testbed,
        Target::get("/big?bytes=1048576", 8, 1 << 20),
        OF_WASM,
    ),
    load(
        "echo-64k",
        "POST echo of 64 KiB, 32 connections",
        App::Testbed,
        Target { post: 64 << 10, ..Target::get("/echo", 32, 64 << 10) },
        OF_WASM,
    ),
    load(
        "stream-100m",
        "streaming of 100 MiB, 4 connections",
        App::Testbed,
        Target::get("/stream?chunks=1600&bytes=65536", 4, 100 << 20),
        OF_WASM,
    ),
    Workload {
        name: "mixed",
        title: "hello, 8 connections, beside 2 clients that compute 50 ms all the time",
        app: App::Testbed,
        measure: Measure::Beside { load: Target::get("/hello", 8, 13), burn: Target::get("/burn?ms=50", 2, 6) },
        candidates: COMPUTING,
        columns: BESIDE,
    },
    Workload {
        name: "start-up",
        title: "process start to first byte, compiled before",
        app: App::Hello,
        measure: Measure::StartUp { compiled: true },
        candidates: ONE_EACH,
        columns: START,
    },
    Workload {
        name: "start-up-compiling",
        title: "process start to first byte, compiling first",
        app: App::Hello,
        measure: Measure::StartUp { compiled: false },
        candidates: &["native", "sync", "async"],
        columns: START,
    },
    Workload {
        name: "respawn",
        title: "a worker is killed: its successor",
        app: App::Hello,
        measure: Measure::Respawn,
        candidates: &["sync", "async", "big"],
        columns: RESPAWN,
    },
    Workload {
        name: "worker-memory",
        title: "memory per extra idle worker",
        app: App::Hello,
        measure: Measure::WorkerMemory,
        candidates: &["sync", "async"],
        columns: WORKERS,
    },
    Workload {
        name: "idle-memory",
        title: "memory per idle keep-alive connection, 10,000 of them",
        app: App::Hello,
        measure: Measure::IdleConnections,
        candidates: &["native", "sync", "async"],
        columns: IDLE,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidates;

    #[test]
    fn every_candidate_named_exists_and_takes_part_somewhere() {
        let named: Vec<&str> = ALL.iter().flat_map(|workload| workload.candidates).copied().collect();
        assert!(named.iter().all(|name| candidates::find(name).is_some()));
        assert!(candidates::ALL.iter().all(|candidate| named.contains(&candidate.name)));
    }

    #[test]
    fn what_compares_has_the_limit_as_its_first_candidate() {
        for workload in ALL.iter().filter(|workload| workload.columns.iter().any(|column| column.ratio)) {
            assert_eq!(workload.candidates[0], candidates::LIMIT, "{}", workload.name);
        }
    }
}

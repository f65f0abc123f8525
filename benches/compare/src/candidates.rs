//! Who is compared.

/// The generation of wasi:http that a guest is made for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Handler {
    Sync,
    Async,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Program {
    Native,
    Wasmserve(Handler),
    /// wasmserve with the component of `--big-component`.
    Big,
    Wasmtime(Handler),
    Granian,
    Uvicorn,
    Workerd,
}

/// What the candidates serve in a workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum App {
    Hello,
    /// Everything else: the Python and JavaScript servers have no such app.
    Testbed,
}

pub struct Candidate {
    pub name: &'static str,
    pub title: &'static str,
    pub program: Program,
    pub workers: usize,
    /// Further options of wasmserve.
    pub options: &'static [&'static str],
    pub log: Log,
}

/// What wasmserve logs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Log {
    /// Warnings only, into a file.
    Warnings,
    /// The life of its workers too, into a file.
    Events,
    /// The same to /dev/null.
    EventsToNull,
    /// The same and a record per request to /dev/null.
    RequestsToNull,
}

const fn candidate(name: &'static str, title: &'static str, program: Program) -> Candidate {
    Candidate { name, title, program, workers: 1, options: &[], log: Log::Warnings }
}

const SYNC: Program = Program::Wasmserve(Handler::Sync);
const FRESH: &[&str] = &["--isolation", "request"];

/// What everything is compared with.
pub const LIMIT: &str = "native";

pub const ALL: &[Candidate] = &[
    candidate(LIMIT, "native hyper", Program::Native),
    Candidate { workers: 2, ..candidate("native-2", "native hyper, 2 workers", Program::Native) },
    candidate("sync", "wasmserve sync", SYNC),
    Candidate {
        options: &["--offload", "always"],
        ..candidate("sync-always", "wasmserve sync, --offload always", SYNC)
    },
    Candidate { options: FRESH, ..candidate("sync-fresh", "wasmserve sync, fresh instances", SYNC) },
    Candidate { options: FRESH, workers: 2, ..candidate("sync-fresh-2", "wasmserve sync, fresh, 2 workers", SYNC) },
    candidate("async", "wasmserve async", Program::Wasmserve(Handler::Async)),
    Candidate { log: Log::EventsToNull, ..candidate("sync-no-access-log", "wasmserve sync, --no-access-log", SYNC) },
    Candidate {
        log: Log::RequestsToNull,
        ..candidate("sync-access-log", "wasmserve sync, access log to /dev/null", SYNC)
    },
    candidate("big", "wasmserve, the big component", Program::Big),
    candidate("wasmtime-sync", "wasmtime serve, sync", Program::Wasmtime(Handler::Sync)),
    candidate("wasmtime-async", "wasmtime serve, async", Program::Wasmtime(Handler::Async)),
    candidate("granian", "granian, Python ASGI", Program::Granian),
    candidate("uvicorn", "uvicorn, Python ASGI", Program::Uvicorn),
    candidate("workerd", "workerd, JavaScript", Program::Workerd),
];

pub fn find(name: &str) -> Option<&'static Candidate> {
    ALL.iter().find(|candidate| candidate.name == name)
}

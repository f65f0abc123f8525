//! What benchmarks share: clients at a fixed rate, servers to measure, and processes of little weight.

pub mod client;
pub mod process;
pub mod server;
pub mod stats;
pub mod weight;

use std::fs;
use std::path::{Path, PathBuf};

/// The top of wasmserve's sources, where its build and its guests are.
pub fn repository() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_owned()
}

/// A component that the repository has.
pub fn guest(name: &str) -> PathBuf {
    repository().join(format!("guests/prebuilt/{name}.wasm"))
}

/// Has the sleeps of this thread, and of those that it starts, end in time and not 50 us later (proc(5)).
pub fn wake_in_time() {
    let _ = fs::write("/proc/self/timerslack_ns", "1000");
}

/// Says what the machine is like, and what spoils a measurement.
pub fn describe_machine() -> String {
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build, so its figures say nothing: use --release");
    }
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    if load.parse().unwrap_or(0.0) > 0.5 {
        eprintln!("the load average is {load}: somebody else is at work here, and p99 is theirs");
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores, load average {load} at the start")
}

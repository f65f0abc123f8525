//! What the tests share: starting the executable, reading its log, talking to it over sockets.
//!
//! Nothing in here knows the server's code. A test waits for a condition, with a deadline; it never
//! sleeps for a fixed time in the hope that something has happened by then.

mod command;
mod components;
mod control;
pub mod frames;
mod http1;
mod http2;
mod load;
mod log;
mod metrics;
mod process;
mod response;
mod server;
mod syscalls;
mod unix;
mod upstream;

use std::thread;
use std::time::{Duration, Instant};

pub use command::{Finished, Wasmserve, executable, unshare_options};
pub use components::{
    AppFile, app_of_both, async_app, code_to_compile, guest, prebuilt, sync_app, with, write_component,
};
pub use control::Control;
pub use http1::{Connection, chunked, request};
pub use http2::Http2;
pub use load::{Load, Tally};
pub use log::{Log, Record};
pub use metrics::Metrics;
pub use process::{MemoryWatch, Process};
pub use response::{Head, Response};
pub use server::Server;
pub use syscalls::{block_loop, syscalls_during};
pub use unix::{NotifySocket, get_over_unix};
pub use upstream::{Received, TlsUpstream, Trap, Upstream, reply, silence};

/// Each guest in both generations: wasi:http 0.2 is sync, 0.3 async.
pub const HELLOS: [&str; 2] = ["hello-sync", "hello-async"];
pub const COUNTERS: [&str; 2] = ["counter-sync", "counter-async"];
pub const TESTBEDS: [&str; 2] = ["testbed-sync", "testbed-async"];
pub const HOSTILES: [&str; 2] = ["hostile-sync", "hostile-async"];

/// How long anything may take before a test gives up. Far more than the server needs: this bounds a
/// hang, it does not measure.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Probes until there is a result, and panics with `what` when patience ends.
#[track_caller]
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(result) = probe() {
            return result;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        thread::park_timeout(Duration::from_millis(3));
    }
}

/// Takes the time of one call.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let result = work();
    (result, begin.elapsed())
}

/// The median of several tries. A promise about time is tested with it where one try may be slowed
/// down by whatever else the machine does at that moment, which says nothing about the server.
pub fn median(tries: usize, mut one: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<_> = (0..tries).map(|_| one()).collect();
    times.sort_unstable();
    times[tries / 2]
}

/// Does the same `count` times at the same time.
pub fn parallel<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..count).map(|n| scope.spawn(move || work(n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Waits for so long, where what is tested is that something does not happen or goes on, and nothing tells when.
pub fn for_a_while(time: Duration, mut meanwhile: impl FnMut()) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        meanwhile();
        thread::park_timeout(Duration::from_millis(3));
    }
}

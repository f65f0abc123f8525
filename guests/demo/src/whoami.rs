//! What an instance knows about itself: its place on the server, and its own memory.

use std::env;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A plain global, and the point of the demo: every instance has its own.
static COUNTER: AtomicU64 = AtomicU64::new(0);
static STARTED: OnceLock<Instant> = OnceLock::new();

pub fn start() {
    STARTED.get_or_init(Instant::now);
}

pub fn count_and_tell() -> String {
    COUNTER.fetch_add(1, Ordering::Relaxed);
    tell()
}

pub fn tell() -> String {
    let uptime = STARTED.get_or_init(Instant::now).elapsed();
    format!(
        concat!(
            r#"{{"worker":{},"instance":{},"generation":{},"pid":{},"#,
            r#""count":{},"app":"{}","uptime_ms":{}}}"#
        ),
        number("WORKER"),
        number("INSTANCE"),
        number("GENERATION"),
        number("PID"),
        COUNTER.load(Ordering::Relaxed),
        app(),
        uptime.as_millis(),
    )
}

/// Whether `worker=0&instance=1` and the like name this instance. The page cannot choose who
/// gets its request, so it says whom it means and tries again.
pub fn is_meant(query: &str) -> bool {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(_, value)| !value.is_empty())
        .all(|(name, value)| number(&name.to_ascii_uppercase()) == value)
}

fn place(name: &str) -> Option<String> {
    env::var(format!("WASMSERVE_{name}")).ok()
}

/// As the inside of a JSON string: without what would need escaping there.
fn app() -> String {
    let app = place("APP").unwrap_or_else(|| "demo".into());
    app.replace(|c: char| c.is_control() || c == '"' || c == '\\', "")
}

/// As JSON. Other servers than wasmserve say nothing of an instance's place.
fn number(name: &str) -> String {
    place(name)
        .filter(|text| text.parse::<u64>().is_ok())
        .unwrap_or_else(|| "null".into())
}

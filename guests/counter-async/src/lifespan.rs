//! Runs once per instance: before its first request and after its last.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{COUNTER, Counter};

wit_bindgen::generate!({ path: "../../wit/deps/wasmserve-lifespan", world: "hooks-async" });

export!(Counter);

/// Where the counter started.
static START: AtomicU64 = AtomicU64::new(0);

impl exports::wasmserve::lifespan::lifespan_async::Guest for Counter {
    async fn startup() -> Result<(), String> {
        if let Ok(start) = env::var("COUNTER_START") {
            let start = start.parse().map_err(|_| {
                format!("COUNTER_START must be a whole number from 0 up, but it is {start:?}")
            })?;
            START.store(start, Ordering::Relaxed);
            COUNTER.store(start, Ordering::Relaxed);
        }
        println!("counter: startup");
        Ok(())
    }

    async fn shutdown() {
        let count = COUNTER.load(Ordering::Relaxed) - START.load(Ordering::Relaxed);
        println!("counter: shutdown after {count} requests");
    }
}

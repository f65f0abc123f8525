//! `startup` and `shutdown`: wasmserve calls each once per instance.

use std::env;
use std::fs;
use std::sync::atomic::Ordering;

use crate::{GREETINGS, Greeter, SERVED};

wit_bindgen::generate!({ path: "wit", world: "app", generate_all });

export!(Greeter);

impl exports::wasmserve::lifespan::lifespan_async::Guest for Greeter {
    /// Before the first request. An error here means that this instance never serves.
    async fn startup() -> Result<(), String> {
        let path = env::var("GREETINGS").unwrap_or_else(|_| "/data/greetings.txt".into());
        let text =
            fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
        let greetings = text
            .lines()
            .map(|line| {
                line.split_once(' ')
                    .ok_or_else(|| format!("{path}: not a greeting: {line:?}"))
            })
            .map(|pair| pair.map(|(language, greeting)| (language.into(), greeting.into())))
            .collect::<Result<_, _>>()?;
        let greetings = GREETINGS.get_or_init(|| greetings);
        println!("startup: {} greetings from {path}", greetings.len());
        Ok(())
    }

    /// After the last request.
    async fn shutdown() {
        println!(
            "shutdown: after {} requests",
            SERVED.load(Ordering::Relaxed)
        );
    }
}

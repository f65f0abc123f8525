//! Runs once per instance; what it does is in the environment.

use std::time::Duration;

use testbed_common::lifespan;
use wasip3::spawn_local;

use crate::{Testbed, sleep};

wit_bindgen::generate!({ path: "../../wit/deps/wasmserve-lifespan", world: "hooks-async" });

export!(Testbed);

impl exports::wasmserve::lifespan::lifespan_async::Guest for Testbed {
    async fn startup() -> Result<(), String> {
        for step in lifespan::startup_steps() {
            if step == "background" {
                spawn_local(sleep(Duration::MAX / 1_000_000));
                continue;
            }
            sleep(lifespan::take(&step)?).await;
        }
        println!("testbed: startup");
        Ok(())
    }

    async fn shutdown() {
        for step in lifespan::shutdown_steps() {
            match lifespan::take(&step) {
                Ok(time) => sleep(time).await,
                Err(error) => eprintln!("testbed: shutdown: {error}"),
            }
        }
        lifespan::say_goodbye();
    }
}

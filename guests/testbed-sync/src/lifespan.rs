//! Runs once per instance; what it does is in the environment.

use testbed_common::lifespan;

use crate::{Testbed, sleep};

wit_bindgen::generate!({ path: "../../wit/deps/wasmserve-lifespan", world: "hooks" });

export!(Testbed);

impl exports::wasmserve::lifespan::lifespan::Guest for Testbed {
    fn startup() -> Result<(), String> {
        for step in lifespan::startup_steps() {
            sleep(lifespan::take(&step)?);
        }
        println!("testbed: startup");
        Ok(())
    }

    fn shutdown() {
        for step in lifespan::shutdown_steps() {
            match lifespan::take(&step) {
                Ok(time) => sleep(time),
                Err(error) => eprintln!("testbed: shutdown: {error}"),
            }
        }
        lifespan::say_goodbye();
    }
}

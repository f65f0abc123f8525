//! Runs once per instance: before its first request and after its last.

use crate::{Demo, whoami};

wit_bindgen::generate!({ path: "../../wit", world: "async-app" });

export!(Demo);

impl exports::wasmserve::lifespan::lifespan_async::Guest for Demo {
    async fn startup() -> Result<(), String> {
        whoami::start();
        Ok(())
    }

    async fn shutdown() {}
}

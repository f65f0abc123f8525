//! Runs once per instance: before its first request and after its last.

use crate::{Demo, whoami};

wit_bindgen::generate!({ path: "../../wit/deps/wasmserve-lifespan", world: "hooks-async" });

export!(Demo);

impl exports::wasmserve::lifespan::lifespan_async::Guest for Demo {
    async fn startup() -> Result<(), String> {
        whoami::start();
        Ok(())
    }

    async fn shutdown() {}
}

//! What wasmserve calls once for each instance of the app.

wit_bindgen::generate!({ path: "wit/deps/wasmserve-lifespan", world: "hooks-async" });

struct Hooks;

export!(Hooks);

impl exports::wasmserve::lifespan::lifespan_async::Guest for Hooks {
    /// Before the first request. An error means that the app cannot serve, and says why.
    async fn startup() -> Result<(), String> {
        println!("{{name}}: startup");
        Ok(())
    }

    /// After the last request.
    async fn shutdown() {
        println!("{{name}}: shutdown");
    }
}

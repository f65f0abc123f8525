//! What wasmserve calls once for each instance of the app.

wit_bindgen::generate!({ path: "wit/deps/wasmserve-lifespan", world: "hooks" });

struct Hooks;

export!(Hooks);

impl exports::wasmserve::lifespan::lifespan::Guest for Hooks {
    /// Before the first request. An error means that the app cannot serve, and says why.
    fn startup() -> Result<(), String> {
        println!("{{name}}: startup");
        Ok(())
    }

    /// After the last request.
    fn shutdown() {
        println!("{{name}}: shutdown");
    }
}

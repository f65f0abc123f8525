//! wasmtime's settings: one set for compiling, which the running side must repeat exactly.

use wasmtime::{Config, Engine, Result};

/// The settings that shape machine code. Whatever changes here changes `key`.
fn config() -> Config {
    let mut config = Config::new();
    // The only way to interrupt a guest that computes: see `lane::offload`.
    config.epoch_interruption(true);
    config.wasm_component_model_async(true);
    config
}

/// The engine of the compiler process.
pub fn for_compiling() -> Result<Engine> {
    Engine::new(&config())
}

/// The engine of a worker: it maps machine code and never compiles.
pub fn for_running() -> Result<Engine> {
    Engine::new(&config())
}

/// What compiled code is valid for and of: the component's bytes, wasmtime's version and settings, this
/// processor's features, our own version.
pub fn key(component: &[u8]) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    let mut settings = Collect(blake3::Hasher::new());
    std::hash::Hash::hash(&for_compiling()?.precompile_compatibility_hash(), &mut settings);
    hasher.update(settings.0.finalize().as_bytes());
    hasher.update(component);
    Ok(hasher.finalize().to_hex().to_string())
}

/// Feeds what is hashed to a cryptographic hash: 64 bits would not do for a name that stands for code.
struct Collect(blake3::Hasher);

impl std::hash::Hasher for Collect {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

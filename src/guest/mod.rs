//! The Wasm side: what a component is, how it becomes machine code, and instances of it.

pub mod compile;
pub mod componentize;
pub mod engine;
pub mod inspect;
pub mod limits;
pub mod output;
pub mod plan;
pub mod provided;
pub mod state;
pub mod template;

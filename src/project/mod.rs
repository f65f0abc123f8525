//! A guest's project: a folder with a `wasmserve.toml`, what it is made from, and the WIT files in it.
//!
//! The commands `new`, `wit` and `dev` call it. It knows nothing of servers.

pub mod embedded;
pub mod folder;
pub mod manifest;
pub mod template;
pub mod tool;
pub mod wit;

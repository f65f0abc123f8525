//! wasmserve: a server that hosts WebAssembly components in worker processes.
//!
//! `docs/design.md` tells how the rooms below fit together.

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("wasmserve runs on Linux on x86-64 and aarch64");

pub mod admin;
pub mod capability;
pub mod cli;
pub mod command;
pub mod config;
pub mod control;
pub mod exit;
pub mod gateway;
pub mod guest;
pub mod http;
pub mod lane;
pub mod log;
pub mod message;
pub mod project;
pub mod sandbox;
pub mod scoreboard;
pub mod status;
pub mod supervisor;
pub mod sys;
pub mod worker;

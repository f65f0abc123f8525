//! The only room with `unsafe`: the few calls for which neither the standard library nor nix has a safe form.
#![allow(unsafe_code)]

mod allocator;
mod component;
mod descriptor;
mod memory;
mod process;
mod sandbox;
mod ticker;

pub use component::{load_component, map_component};
pub use descriptor::redirect;
pub use memory::{AllBitsValid, map_shared, release_read_only};
pub use process::{Share, close_all_except, fork, fork_into, inherited, share_processor, unblock_signals_in};
pub use sandbox::can_filter_system_calls;
#[cfg(test)]
pub use sandbox::try_call;
pub use ticker::Ticker;

//! What a guest may reach.

pub mod address;
pub mod clocks;
pub mod lookup;
pub mod outbound;
pub mod reach;
pub mod resolver;
pub mod sockets;

//! What a guest may reach.

pub mod outbound;

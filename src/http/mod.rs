//! Connections: what clients send, screened and made fit for a guest, and what they get back.

pub mod access;
mod activity;
pub mod body;
mod bounds;
pub mod connection;
mod crowd;
mod delivery;
mod drive;
mod flow;
mod frames;
mod protocol;
pub mod request;
pub mod response;
mod screen;
mod stall;
mod stream;
mod upload;

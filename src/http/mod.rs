//! Connections: what clients send, screened and made fit for a guest, and what they get back.

pub mod access;
pub mod body;
pub mod connection;
mod flow;
pub mod request;
pub mod response;

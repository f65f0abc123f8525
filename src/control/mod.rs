//! The control socket: how a running server is asked and told things. A connection carries JSON lines: one request,
//! one answer, as often as the client likes. docs/operations.md describes it for other programs.

pub mod client;
pub mod protocol;

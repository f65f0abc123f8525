//! How requests reach instances: a bounded queue, actors that own an instance each, and a pool of threads
//! for those whose guest computes. Everything here belongs to one worker.

pub mod actor;
pub mod call;
pub mod cpu;
pub mod deadline;
pub mod exchange;
pub mod handle;
pub mod offload;
pub mod pool;
pub mod queue;
pub mod report;
pub mod slice;

pub use exchange::{Outcome, Refusal, Reply};
pub use queue::Lane;

//! What comes over the control socket, and what a worker says: understood or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wasmserve::control::protocol::Request;
use wasmserve::message::{FromWorker, parse};

fuzz_target!(|bytes: &[u8]| {
    if let Err(message) = Request::parse(bytes) {
        assert!(!message.is_empty());
    }
    let _ = parse::<FromWorker>(bytes);
});

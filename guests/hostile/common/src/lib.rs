//! What the two hostile guests share: which path is which attack, and those that need no HTTP of the host's.

mod escape;
// Two files that the testbeds keep to themselves.
#[expect(dead_code, reason = "not all of it is an attack")]
#[path = "../../../testbed-common/src/faults.rs"]
mod faults;
mod memory;
mod peek;
#[expect(dead_code, reason = "not all of it is needed")]
#[path = "../../../testbed-common/src/query.rs"]
mod query;
mod race;
mod readonly;
mod route;

use std::mem;

use testbed_common::Reply;

pub use route::{Call, Ending, Route, route};

/// Makes `count` things of the host's, all at once; for ever if that is 0. They are given back in the end,
/// or kept by the instance until it ends.
pub fn take<T>(count: u64, keep: bool, mut make: impl FnMut() -> T) -> u64 {
    let mut held = Vec::new();
    let mut made = 0;
    while count == 0 || made < count {
        let thing = make();
        match keep || count == 0 {
            true => mem::forget(thing),
            false => held.push(thing),
        }
        made += 1;
    }
    made
}

//! The prebuilt guests, which spare everybody a WebAssembly toolchain.

use std::fs;

use crate::support::{COUNTERS, HELLOS, HOSTILES, TESTBEDS, guest};

#[test]
fn they_hold_no_path_of_the_machine_that_built_them() {
    for name in HELLOS.into_iter().chain(COUNTERS).chain(TESTBEDS).chain(HOSTILES).chain(["demo"]) {
        let bytes = fs::read(guest(name)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let registry = text.contains(".cargo/registry") || text.contains("registry/src");
        assert!(!registry && !text.contains("/home/") && !text.contains("/root/"), "{name}");
    }
}

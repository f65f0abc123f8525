//! Loading as a start does, in the real executable (WASMSERVE_BIN): whatever the bytes are, the compiler process may
//! end as it likes, and the process that started it says what is wrong.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::process::Command;

fuzz_target!(|bytes: &[u8]| {
    let executable = std::env::var_os("WASMSERVE_BIN").expect("WASMSERVE_BIN names the executable");
    let folder = tempfile::tempdir().expect("there is room for a file");
    let component = folder.path().join("component.wasm");
    std::fs::write(&component, bytes).expect("there is room for a file");
    let output = Command::new(executable)
        .args(["check".as_ref(), component.as_os_str(), "--cache-dir".as_ref(), folder.path().as_os_str()])
        .args(["--max-compile-time", "2", "--log-format", "json"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 4)), "{}: {said}", output.status);
    assert!(!said.contains("panicked"), "{said}");
});

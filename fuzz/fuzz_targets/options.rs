//! The command line, an option in each line of the input: it is understood or refused with a message.
#![no_main]

use clap::Parser;
use libfuzzer_sys::fuzz_target;
use wasmserve::cli::Cli;
use wasmserve::config::{Settings, Source};

fuzz_target!(|text: &str| {
    let options = text.lines().filter(|line| !line.contains('\0'));
    // A name would have to be looked up, on the network.
    if text.contains("bind") || text.contains("host") || text.contains("admin") {
        return;
    }
    let Ok(cli) = Cli::try_parse_from(["wasmserve", "component.wasm"].into_iter().chain(options)) else { return };
    if let Err(failure) = Settings::check(Source::BuiltIn(&[]), &cli.serve) {
        assert!(!failure.message.is_empty());
    }
});

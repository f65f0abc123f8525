//! What a component is: reading hostile bytes gives a report or an error, and the report survives its way from the
//! compiler process to the supervisor, which makes a plan of it.
#![no_main]

use clap::Parser;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use wasmserve::cli::Cli;
use wasmserve::config::{Settings, Source};
use wasmserve::guest::inspect::{self, Report};
use wasmserve::guest::plan;

static SETTINGS: LazyLock<Settings> = LazyLock::new(|| {
    let cli = Cli::parse_from(["wasmserve", "component.wasm"]);
    Settings::check(Source::BuiltIn(&[]), &cli.serve).expect("the defaults are valid")
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(binary) = inspect::to_binary(bytes.to_vec()) else { return };
    let report = match inspect::inspect(&binary) {
        Ok(report) => report,
        Err(error) => return drop(error.to_string()),
    };
    let json = serde_json::to_string(&report).expect("a report is text");
    let report: Report = serde_json::from_str(&json).expect("and can be read again");
    let _ = plan::plan(&SETTINGS, &report);
});

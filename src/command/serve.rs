//! `wasmserve COMPONENT` and `wasmserve demo`.

use super::roles::ROLES;
use crate::cli::ServeArgs;
use crate::config::{Settings, Source};
use crate::exit::Failure;
use crate::{log, supervisor};

/// The component that `wasmserve demo` serves; its source is in guests/demo.
static DEMO: &[u8] = include_bytes!("../../guests/prebuilt/demo.wasm");

pub fn serve(source: Source, args: &ServeArgs) -> Result<(), Failure> {
    start(Settings::check(source, args)?)
}

pub fn demo(args: &ServeArgs) -> Result<(), Failure> {
    let settings = Settings::check(Source::BuiltIn(DEMO), args)?;
    start(Settings { demo: true, ..settings })
}

fn start(settings: Settings) -> Result<(), Failure> {
    log::start(settings.log_level, settings.log_format);
    supervisor::supervise(settings, ROLES)
}

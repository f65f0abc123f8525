//! `wasmserve check`: what a start would check, without serving.

use super::roles::ROLES;
use crate::cli::ServeArgs;
use crate::config::{Settings, Source};
use crate::exit::Failure;
use crate::log::Files;
use crate::{log, sandbox, supervisor};

pub fn check(source: Source, args: &ServeArgs) -> Result<(), Failure> {
    let settings = Settings::check(source, args)?;
    log::start(settings.log_level, settings.log_format, Files::default());
    sandbox::check(settings.sandbox)?;
    let loaded = supervisor::load(&settings, ROLES, None)?;
    println!("{}: ok, {}", settings.source.name(), loaded.plan.interface);
    Ok(())
}

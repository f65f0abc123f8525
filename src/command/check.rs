//! `wasmserve check`: what a start would check, without serving.

use super::roles::ROLES;
use crate::cli::ServeArgs;
use crate::config::{Settings, Source, Work, file};
use crate::exit::{Exit, Failure};
use crate::log::Files;
use crate::{log, sandbox, supervisor};
use std::path::Path;

pub fn check(source: Source, args: &ServeArgs) -> Result<(), Failure> {
    let settings = Settings::check(source, args)?;
    log::start(settings.log_level, settings.log_format, Files::default());
    sandbox::check(settings.sandbox)?;
    let loaded = supervisor::load(&settings, ROLES, None)?;
    if let Work::App { plan, .. } = loaded.work {
        println!("{}: ok, {}", settings.source.name(), plan.interface);
    }
    Ok(())
}

/// The file, and then each app's component: what is wrong with one does not hide what is wrong with the others.
pub fn check_config(path: &Path) -> Result<(), Failure> {
    let config = file::read(path, None)?;
    log::start(config.server.log_level, config.server.log_format, Files::default());
    let mut failures = Vec::new();
    for (name, app) in &config.apps {
        match supervisor::load(&app.settings, ROLES, None) {
            Ok(_) => println!("app.{name}: ok"),
            Err(failure) => failures.push(format!("app.{name}: {failure}")),
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(Failure::new(Exit::Load, failures.join("\n"))) }
}

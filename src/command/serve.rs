//! `wasmserve COMPONENT` and `wasmserve demo`.

use super::roles::ROLES;
use crate::cli::ServeArgs;
use crate::config::{AppHost, Settings, Source, Work, file};
use crate::exit::Failure;
use crate::log::Files;
use crate::supervisor::Given;
use crate::{log, sandbox, supervisor};
use nix::sys::stat::{Mode, umask};
use nix::unistd::Pid;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The component that `wasmserve demo` serves; its source is in guests/demo.
static DEMO: &[u8] = include_bytes!("../../guests/prebuilt/demo.wasm");

pub fn serve(source: Source, args: &ServeArgs) -> Result<(), Failure> {
    change_folder(args.chdir.as_deref())?;
    start(Settings::check(source, args)?, None)
}

pub fn demo(args: &ServeArgs) -> Result<(), Failure> {
    change_folder(args.chdir.as_deref())?;
    let settings = Settings::check(Source::BuiltIn(DEMO), args)?;
    start(Settings { demo: true, ..settings }, None)
}

/// Many apps.
pub fn host(path: &Path) -> Result<(), Failure> {
    let path = std::path::absolute(path)?;
    let config = file::read(&path, None)?;
    // What the file names is relative to it, and settings are checked by now.
    supervisor::remember_start();
    start(config.server.clone(), Some(Work::Gateway(Arc::new(config))))
}

/// One of many apps, as its host has said.
pub fn hosted(given: RawFd) -> Result<(), Failure> {
    supervisor::remember_start();
    let given = Given::take(given)?;
    sandbox::die_with(Pid::from_raw(given.host))?;
    let mut arguments = given.arguments;
    arguments.extend(given.listeners.iter().map(|listener| format!("--fd={listener}")));
    arguments.push(format!("--control={}", given.control.display()));
    let args = file::options(&arguments).map_err(Failure::internal)?;
    let settings = Settings::check(Source::File(given.component), &args)?;
    log::name_app(&settings.app);
    let host = AppHost { notify: given.notify, allowed: given.allowed, trusts_unix: given.trusts_unix };
    start(Settings { host: Some(host), ..settings }, None)
}

/// Before any path is looked up.
fn change_folder(folder: Option<&Path>) -> Result<(), Failure> {
    supervisor::remember_start();
    let Some(folder) = folder else { return Ok(()) };
    std::env::set_current_dir(folder)
        .map_err(|error| Failure::usage(format!("--chdir {}: {error}: name a folder that is there", folder.display())))
}

/// Serves what the settings say; `work` if that has been loaded already.
fn start(settings: Settings, work: Option<Work>) -> Result<(), Failure> {
    if let Some(mask) = settings.umask {
        umask(Mode::from_bits_truncate(mask));
    }
    let open = |path: &Option<PathBuf>| path.as_deref().map(log::open).transpose();
    let files = Files { log: open(&settings.log_file)?, access: open(&settings.access_log_file)? };
    log::start(settings.log_level, settings.log_format, files);
    supervisor::supervise(settings, work, ROLES)
}

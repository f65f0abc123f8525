//! `wasmserve COMPONENT` and `wasmserve demo`.

use super::roles::ROLES;
use crate::cli::ServeArgs;
use crate::config::{Settings, Source};
use crate::exit::Failure;
use crate::log::Files;
use crate::{log, supervisor};
use nix::sys::stat::{Mode, umask};
use std::path::{Path, PathBuf};

/// The component that `wasmserve demo` serves; its source is in guests/demo.
static DEMO: &[u8] = include_bytes!("../../guests/prebuilt/demo.wasm");

pub fn serve(source: Source, args: &ServeArgs) -> Result<(), Failure> {
    change_folder(args.chdir.as_deref())?;
    start(Settings::check(source, args)?)
}

pub fn demo(args: &ServeArgs) -> Result<(), Failure> {
    change_folder(args.chdir.as_deref())?;
    let settings = Settings::check(Source::BuiltIn(DEMO), args)?;
    start(Settings { demo: true, ..settings })
}

/// Before any path is looked up.
fn change_folder(folder: Option<&Path>) -> Result<(), Failure> {
    supervisor::remember_start();
    let Some(folder) = folder else { return Ok(()) };
    std::env::set_current_dir(folder)
        .map_err(|error| Failure::usage(format!("--chdir {}: {error}: name a folder that is there", folder.display())))
}

fn start(settings: Settings) -> Result<(), Failure> {
    if let Some(mask) = settings.umask {
        umask(Mode::from_bits_truncate(mask));
    }
    let open = |path: &Option<PathBuf>| path.as_deref().map(log::open).transpose();
    let files = Files { log: open(&settings.log_file)?, access: open(&settings.access_log_file)? };
    log::start(settings.log_level, settings.log_format, files);
    supervisor::supervise(settings, ROLES)
}

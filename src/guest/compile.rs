//! The compiler process: component bytes in, machine code and a report out. It reads hostile bytes, so it
//! runs for one component only, in a jail of its own and under limits, and hands its artefact to the supervisor.

use super::inspect::{self, Report};
use super::{engine, template};
use crate::sys;
use std::fs::File;
use std::io::Write;

/// Compiles a component into `artefact`. The error is for people: what is wrong, where, what to do.
pub fn compile(bytes: Vec<u8>, artefact: &mut File) -> Result<Report, String> {
    let binary = inspect::to_binary(bytes).map_err(|error| error.to_string())?;
    let report = inspect::inspect(&binary).map_err(|error| error.to_string())?;
    let engine = engine::for_compiling(report.concurrent).map_err(|error| format!("{error:#}"))?;
    let code = engine.precompile_component(&binary).map_err(|error| format!("it does not compile: {error:#}"))?;
    artefact.write_all(&code).map_err(|error| format!("its machine code cannot be kept: {error}"))?;
    let engine = engine::for_linking(report.concurrent).map_err(|error| format!("{error:#}"))?;
    let component = sys::load_component(&engine, &code).map_err(|error| format!("{error:#}"))?;
    template::check_links(&engine, &component, report.concurrent).map_err(|error| format!("{error:#}"))?;
    Ok(report)
}

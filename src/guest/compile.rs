//! The compiler process: component bytes in, machine code and a report out. It reads hostile bytes, so it
//! runs for one component only, under resource limits, and hands its artefact to the supervisor.

use super::inspect::{self, Report};
use super::{engine, template};
use crate::sys;
use nix::sys::resource::{Resource, setrlimit};
use std::fs::File;
use std::io::Write;

/// Processor seconds and bytes of address space that compiling one component may take.
const MAX_CPU_SECONDS: u64 = 300;
const MAX_ADDRESS_SPACE: u64 = 64 << 30;

/// Compiles a component into `artefact`. The error is for people: what is wrong, where, what to do.
pub fn compile(bytes: Vec<u8>, artefact: &mut File) -> Result<Report, String> {
    let _ = setrlimit(Resource::RLIMIT_CPU, MAX_CPU_SECONDS, MAX_CPU_SECONDS);
    let _ = setrlimit(Resource::RLIMIT_AS, MAX_ADDRESS_SPACE, MAX_ADDRESS_SPACE);
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let binary = inspect::to_binary(bytes).map_err(|error| error.to_string())?;
    let report = inspect::inspect(&binary).map_err(|error| error.to_string())?;
    let engine = engine::for_compiling(report.concurrent).map_err(|error| format!("{error:#}"))?;
    let code = engine.precompile_component(&binary).map_err(|error| format!("it does not compile: {error:#}"))?;
    artefact.write_all(&code).map_err(|error| format!("its machine code cannot be kept: {error}"))?;
    let component = sys::map_component(&engine, artefact).map_err(|error| format!("{error:#}"))?;
    template::check_links(&engine, &component, report.concurrent).map_err(|error| format!("{error:#}"))?;
    Ok(report)
}

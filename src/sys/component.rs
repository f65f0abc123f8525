//! Mapping of machine code that our own compiler process has made.

use std::fs::File;
use std::os::fd::AsRawFd;
use wasmtime::component::Component;
use wasmtime::{Engine, Result};

/// Loads a component that this process has just compiled.
pub fn load_component(engine: &Engine, code: &[u8]) -> Result<Component> {
    // SAFETY: these bytes are what `Engine::precompile_component` has returned.
    unsafe { Component::deserialize(engine, code) }
}

/// Maps a compiled component from an open file.
///
/// The caller vouches that the file comes from our compiler process: a memory file that it was given, or an
/// entry of a cache folder that belongs to this user and that nobody else can write (`guest::artefact`).
pub fn map_component(engine: &Engine, artefact: &File) -> Result<Component> {
    let path = format!("/proc/self/fd/{}", artefact.as_raw_fd());
    // SAFETY: the file holds what `Component::serialize` returned in a process of this program (see above),
    // and wasmtime checks that version and settings are those of `engine`. Nobody changes it afterwards:
    // cache entries are only ever replaced by rename.
    unsafe { Component::deserialize_file(engine, path) }
}

//! From a core module, as a compiler for WASI 0.1 writes it, to a component: its world is put into it if it is not there,
//! and the adapter gives it WASI 0.2 for the 0.1 that it imports.
//!
//! `wasmserve componentize` calls it.

use std::fmt;
use std::path::Path;

use thiserror::Error;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{PackageId, Resolve, WorldId};

use super::inspect;

/// A folder of WIT files and the world in it that a module is made for.
pub struct World<'a> {
    pub folder: &'a Path,
    /// Not needed if the folder has only one.
    pub name: Option<&'a str>,
}

/// Why no component came out, in words for the author of the module.
#[derive(Debug, Error)]
pub enum ComponentizeError {
    #[error("it is a component already: serve it as it is")]
    Component,
    #[error(
        "the module does not say which world it is made for: name it with --wit DIR --world WORLD (`wasmserve wit` writes \
         such a folder)"
    )]
    NoWorld,
    #[error("{0}")]
    Wit(String),
    #[error("{0}")]
    Module(String),
}

/// Makes the component. A world inside the module counts, and `world` only if there is none.
pub fn componentize(mut module: Vec<u8>, world: Option<&World>) -> Result<Vec<u8>, ComponentizeError> {
    if !inspect::is_core_module(&module) {
        return Err(ComponentizeError::Component);
    }
    let command = exports(&module, "_start");
    match world {
        Some(world) if !inspect::carries_component_type(&module) => embed(&mut module, world)?,
        None if !command && !inspect::carries_component_type(&module) => return Err(ComponentizeError::NoWorld),
        _ => {}
    }
    let adapter = if command { WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER } else { WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER };
    let encoder = ComponentEncoder::default().validate(true).module(&module);
    let encoder = encoder.and_then(|encoder| encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter));
    encoder.and_then(|mut encoder| encoder.encode()).map_err(|error| ComponentizeError::Module(words(&error)))
}

fn embed(module: &mut Vec<u8>, world: &World) -> Result<(), ComponentizeError> {
    let wit = |error: String| ComponentizeError::Wit(format!("{}: {error}", world.folder.display()));
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(world.folder).map_err(|error| wit(format!("{error:#}")))?;
    let id = select(&resolve, package, world.name).map_err(wit)?;
    embed_component_metadata(module, &resolve, id, StringEncoding::UTF8)
        .map_err(|error| ComponentizeError::Module(words(&error)))
}

fn select(resolve: &Resolve, package: PackageId, name: Option<&str>) -> Result<WorldId, String> {
    let names = || {
        let worlds = resolve.packages.get(package).into_iter().flat_map(|package| package.worlds.keys());
        worlds.map(String::as_str).collect::<Vec<_>>().join(", ")
    };
    resolve.select_world(&[package], name).map_err(|_| match name {
        Some(name) => format!("it has no world {name}: its worlds are {}", names()),
        None => format!("name one of its worlds with --world: {}", names()),
    })
}

fn exports(module: &[u8], name: &str) -> bool {
    let payloads = Parser::new(0).parse_all(module).map_while(Result::ok);
    let sections = payloads.filter_map(|payload| match payload {
        Payload::ExportSection(section) => Some(section),
        _ => None,
    });
    sections.flatten().map_while(Result::ok).any(|export| export.name == name)
}

/// The library's chain of reasons in one line, which may be about names in the module that a terminal would obey.
fn words(error: &impl fmt::Display) -> String {
    format!("{error:#}").replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

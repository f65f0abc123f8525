//! `wasmserve componentize`: makes a component from a core module, and says whether it can be served.

use super::{files, inspect as shown};
use crate::cli::ComponentizeArgs;
use crate::config;
use crate::exit::{Exit, Failure};
use crate::guest::componentize::{self, ComponentizeError, World};
use crate::guest::inspect;
use std::path::Path;

pub fn run(args: &ComponentizeArgs) -> Result<(), Failure> {
    let module = &args.module;
    let output = args.output.clone().unwrap_or_else(|| module.with_extension("component.wasm"));
    if same_file(module, &output) {
        let path = module.display();
        return Err(Failure::usage(format!("{path}: it would be overwritten: name another file with --output")));
    }
    let failure = |exit, error: String| Failure::new(exit, format!("{}: {error}", module.display()));
    let bytes = config::read_component(module)?;
    let bytes = inspect::to_binary(bytes).map_err(|error| failure(Exit::Load, error.to_string()))?;
    let world = args.wit.as_deref().map(|folder| World { folder, name: args.world.as_deref() });
    if world.is_some() && inspect::carries_component_type(&bytes) {
        eprintln!("{}: it has its world inside, which counts and not --wit", module.display());
    }
    let component = componentize::componentize(bytes, world.as_ref()).map_err(|error| match error {
        ComponentizeError::Wit(error) => Failure::usage(error),
        ComponentizeError::NoWorld => failure(Exit::Usage, error.to_string()),
        error => failure(Exit::Load, error.to_string()),
    })?;
    files::replace(&output, &component)?;
    tell(&output, &component);
    Ok(())
}

/// Also by another name.
fn same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    one == other || real(one).is_some_and(|one| Some(one) == real(other))
}

fn tell(path: &Path, component: &[u8]) {
    let name = path.display();
    let size = shown::human(component.len() as u64);
    match inspect::inspect(component) {
        Ok(report) => {
            println!("{name}: {size}, {}", shown::handler(&report));
            println!("lifespan: {}", shown::lifespan(&report));
            println!("serve it: wasmserve {name}");
        }
        Err(error) => eprintln!("{name}: {size}, but it cannot be served: {error}"),
    }
}

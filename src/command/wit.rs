//! `wasmserve wit`: writes the WIT files that an app is built against.

use crate::exit::Failure;
use crate::project::wit;
use std::path::Path;

pub fn run(folder: &Path) -> Result<(), Failure> {
    let done = wit::write(folder).map_err(|error| Failure::usage(error.to_string()))?;
    let folder = folder.display();
    println!("{folder}: {} files written, {} as they were, {} removed", done.written, done.unchanged, done.removed);
    println!("\nThe worlds in it (package wasmserve:app):");
    let worlds = wit::worlds();
    let width = worlds.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, about) in worlds {
        println!("  {name:<width$}  {about}");
    }
    Ok(())
}

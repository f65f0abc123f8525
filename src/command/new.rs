//! `wasmserve new`: a project to begin with, and what there is to choose from.

use crate::cli::NewArgs;
use crate::exit::Failure;
use crate::project::template::{self, Template};
use crate::project::tool::{self, Tool};
use std::fs;
use std::path::Path;

pub fn run(args: &NewArgs) -> Result<(), Failure> {
    match (&args.name, &args.lang) {
        (Some(path), Some(language)) => make(path, language, args.is_async),
        _ => list(),
    }
}

fn make(path: &Path, language: &str, is_async: bool) -> Result<(), Failure> {
    let template = template::find(language, is_async).map_err(Failure::usage)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    template::check_name(&name).map_err(Failure::usage)?;
    check_is_free(path)?;
    let manifest = template.manifest(&name).map_err(Failure::internal)?;
    template
        .write(path, &name)
        .map_err(|error| Failure::usage(format!("{}: the project cannot be written: {error}", path.display())))?;
    let generation = generation(template);
    println!("{}: an app for {generation} in {}\n", path.display(), template.language);
    println!("  cd {}", path.display());
    println!("  {}", manifest.build);
    println!("  wasmserve {}", manifest.component.display());
    println!("\n`wasmserve dev` there builds and serves it, again after each change. README.md tells more.");
    if let Some(missing) = tool::missing(&manifest.tools) {
        println!("\nNot on the PATH are these tools; install them with:\n{missing}");
    }
    Ok(())
}

fn check_is_free(path: &Path) -> Result<(), Failure> {
    let taken = |what| Failure::usage(format!("{}: {what}: choose another name", path.display()));
    match fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(metadata) if !metadata.is_dir() => Err(taken("there is such a file")),
        Ok(_) => match fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()) {
            true => Ok(()),
            false => Err(taken("there is such a folder, and it is not empty")),
        },
    }
}

fn generation(template: Template) -> &'static str {
    if template.is_async { "WASI 0.3 (async)" } else { "WASI 0.2 (sync)" }
}

fn list() -> Result<(), Failure> {
    let mut needed: Vec<Tool> = Vec::new();
    println!("{:<12} {:<22} tools", "language", "generations");
    for language in template::all().chunk_by(|one, other| one.language == other.language) {
        let Some(first) = language.first() else { continue };
        // In the order in which people get to know them.
        let mut generations: Vec<_> = language.iter().map(|template| template.is_async).collect();
        generations.sort_unstable();
        let generations = generations.iter().map(|is_async| if *is_async { "0.3 (--async)" } else { "0.2" });
        let generations = generations.collect::<Vec<_>>().join(", ");
        let mut tools = Vec::new();
        for template in language {
            add(&mut tools, template.manifest("app").map_err(Failure::internal)?.tools);
        }
        let names =
            tools.iter().map(|tool| format!("{}{}", tool.command, if tool.is_there() { "" } else { " (missing)" }));
        println!("{:<12} {generations:<22} {}", first.language, names.collect::<Vec<_>>().join(", "));
        add(&mut needed, tools);
    }
    println!("\n`wasmserve new NAME --lang LANGUAGE` makes a project, with --async for WASI 0.3.");
    if let Some(missing) = tool::missing(&needed) {
        println!("\nMissing tools are not on the PATH; install them with:\n{missing}");
    }
    Ok(())
}

/// Each tool once.
fn add(known: &mut Vec<Tool>, tools: Vec<Tool>) {
    for tool in tools {
        if known.iter().all(|one| one.command != tool.command) {
            known.push(tool);
        }
    }
}

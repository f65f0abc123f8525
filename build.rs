//! Puts the folders `templates` and `wit` into the executable: a table of paths and contents for each, which
//! `src/project/embedded.rs` includes. Links are followed, so that a template can have files of `adapters`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    let mut text = String::new();
    for (name, folder) in [("TEMPLATES", "templates"), ("WIT", "wit")] {
        let folder = root.join(folder);
        writeln!(text, "pub static {name}: &[File] = &[").expect("a string takes everything");
        for file in files(&folder) {
            let path = file.strip_prefix(&folder).expect("a file in the folder");
            writeln!(text, "    File {{ path: {path:?}, content: include_bytes!({file:?}) }},").expect("as above");
        }
        text.push_str("];\n");
    }
    fs::write(out.join("embedded.rs"), text).expect("the build's own folder can be written");
}

/// All files below, in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let list = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut entries: Vec<PathBuf> = list.flatten().map(|entry| entry.path()).filter(|path| is_source(path)).collect();
    entries.sort();
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.into_iter().flat_map(below).collect()
}

/// And not what somebody's tools have left there.
fn is_source(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    !name.starts_with('.') && !matches!(name, "" | "node_modules" | "target" | "__pycache__")
}

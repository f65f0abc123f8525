//! Writing files for users: whole or not at all.

use crate::exit::Failure;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

/// Puts a file there under another name first, and renames it: whoever watches or serves it sees the old one or the
/// new one.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        file.write_all(content)?;
        fs::rename(&temporary, path)
    })();
    written.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        Failure::usage(format!("{}: cannot be written: {error}", path.display()))
    })
}

//! A folder that comes to be whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Fills a new folder, which gets its name when it is complete. If that fails nothing is left of it, nor of the folders
/// above it that were made for it.
pub fn create(path: &Path, fill: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut above = path.parent().unwrap_or(Path::new(""));
    let mut made = Vec::new();
    let parent = above;
    while !above.as_os_str().is_empty() && !above.exists() {
        made.push(above);
        above = above.parent().unwrap_or(Path::new(""));
    }
    let temporary = beside(path);
    let filled = fs::create_dir_all(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
        .and_then(|()| fs::create_dir(&temporary))
        .and_then(|()| fill(&temporary))
        // Takes the place of an empty folder, and of nothing else.
        .and_then(|()| fs::rename(&temporary, path));
    if filled.is_err() {
        let _ = fs::remove_dir_all(&temporary);
        for folder in made {
            let _ = fs::remove_dir(folder);
        }
    }
    filled
}

/// A name for what is not complete.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new-{}", std::process::id()))
}

/// Writes a file with the folders above it.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, content)
}

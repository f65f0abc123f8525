//! The folder `wit` of a project: writes it, and brings it up to date later. A record in it says what was written, so
//! that nothing is overwritten that somebody else wrote or changed.

use super::embedded::{File, WIT};
use super::folder;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// A line per file: the hash of what was written, two spaces, the path.
const RECORD: &str = ".wasmserve";

/// What was done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub written: usize,
    pub unchanged: usize,
    /// Files of an earlier version that are not part of this one.
    pub removed: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum WitError {
    #[error("{path}: {1}", path = .0.display())]
    Io(PathBuf, io::Error),
    /// Files that wasmserve did not write, or that were changed since.
    #[error("these files are in the way: {}; move them away, or name another folder", list(.0))]
    InTheWay(Vec<PathBuf>),
}

/// Each world with what its documentation says.
pub fn worlds() -> Vec<(&'static str, &'static str)> {
    let text = WIT.iter().find(|file| file.path == "worlds.wit").map_or(&[][..], |file| file.content);
    let mut about = "";
    let mut worlds = Vec::new();
    for line in std::str::from_utf8(text).unwrap_or_default().lines() {
        if let Some(documentation) = line.strip_prefix("/// ") {
            about = documentation;
        } else if let Some(name) = line.strip_prefix("world ") {
            worlds.push((name.trim_end_matches([' ', '{']), about));
        }
    }
    worlds
}

/// Writes the files into a folder, all of them or, if anything is in the way, none.
pub fn write(folder: &Path) -> Result<Written, WitError> {
    let record = read_record(folder);
    let found = |path: &str| read(&folder.join(path));
    let is_ours = |path: &str, content: &[u8]| record.get(path).is_some_and(|hash| *hash == hash_of(content));
    let mut in_the_way = Vec::new();
    let mut to_write: Vec<&File> = Vec::new();
    let mut done = Written::default();
    for file in WIT {
        match found(file.path)? {
            Some(content) if content == file.content => done.unchanged += 1,
            Some(content) if !is_ours(file.path, &content) => in_the_way.push(folder.join(file.path)),
            _ => to_write.push(file),
        }
    }
    let mut to_remove = Vec::new();
    for path in record.keys().filter(|path| WIT.iter().all(|file| file.path != path.as_str())) {
        match found(path)? {
            Some(content) if is_ours(path, &content) => to_remove.push(folder.join(path)),
            Some(_) => in_the_way.push(folder.join(path)),
            None => {}
        }
    }
    if !in_the_way.is_empty() {
        return Err(WitError::InTheWay(in_the_way));
    }
    done.written = to_write.len();
    done.removed = to_remove.len();
    for file in to_write {
        let path = folder.join(file.path);
        folder::write(&path, file.content).map_err(|error| WitError::Io(path, error))?;
    }
    for path in to_remove {
        fs::remove_file(&path).map_err(|error| WitError::Io(path.clone(), error))?;
        // The folder of a version that is no longer used.
        let _ = path.parent().map(fs::remove_dir);
    }
    if done.written + done.removed > 0 {
        let lines = WIT.iter().map(|file| format!("{}  {}\n", hash_of(file.content), file.path)).collect::<String>();
        let path = folder.join(RECORD);
        fs::write(&path, lines).map_err(|error| WitError::Io(path, error))?;
    }
    Ok(done)
}

fn read_record(folder: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(folder.join(RECORD)).unwrap_or_default();
    let entries = text.lines().filter_map(|line| line.split_once("  "));
    // Written by whoever made the folder: it must not lead out of it.
    let inside = entries.filter(|(_, path)| !path.starts_with('/') && path.split('/').all(|part| part != ".."));
    inside.map(|(hash, path)| (path.to_owned(), hash.to_owned())).collect()
}

/// Nothing if there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, WitError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(WitError::Io(path.to_owned(), error)),
    }
}

fn hash_of(content: &[u8]) -> String {
    blake3::hash(content).to_string()
}

fn list(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}

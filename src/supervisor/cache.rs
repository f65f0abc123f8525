//! The cache of compiled components. It holds machine code, so only a folder that belongs to this user and
//! that nobody else can write is believed; the supervisor alone writes it.

use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::geteuid;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Above this many bytes, entries go that were not used for the longest time.
const MOST_BYTES: u64 = 2 << 30;

pub struct Cache {
    folder: PathBuf,
}

/// A compiled component with its report.
pub struct Entry {
    pub code: File,
    pub report: String,
}

impl Cache {
    /// Opens the cache, or tells why there is none: compiling again each time is slow, but it works.
    pub fn open(folder: Option<&Path>) -> Option<Self> {
        let folder = match folder {
            Some(folder) => folder.to_owned(),
            None => default_folder()?,
        };
        match check(&folder) {
            Ok(folder) => Some(Self { folder }),
            Err(why) => {
                let folder = folder.display();
                tracing::warn!(event = "cache-unused", "compiled components are not cached: {folder} {why}");
                None
            }
        }
    }

    fn path(&self, key: &str, kind: &str) -> PathBuf {
        self.folder.join(format!("{key}.{kind}"))
    }

    pub fn get(&self, key: &str) -> Option<Entry> {
        let code = self.open_own(&self.path(key, "cwasm"))?;
        let report = io::read_to_string(self.open_own(&self.path(key, "json"))?).ok()?;
        // A sign of use for `tidy`.
        let _ = code.set_modified(SystemTime::now());
        Some(Entry { code, report })
    }

    /// Opens a file of ours that nobody else can have written.
    fn open_own(&self, path: &Path) -> Option<File> {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(path).ok()?;
        let metadata = file.metadata().ok()?;
        (metadata.is_file() && metadata.len() > 0 && is_own(&metadata)).then_some(file)
    }

    /// Keeps an artefact; if that fails it is told and served from memory.
    pub fn put(&self, key: &str, code: &mut File, report: &str) {
        let kept = self
            .write(&self.path(key, "json"), &mut report.as_bytes())
            .and_then(|()| self.write(&self.path(key, "cwasm"), code));
        if let Err(error) = kept {
            tracing::warn!(
                event = "cache-unused",
                "the compiled component is not cached: {}: {error}",
                self.folder.display()
            );
        }
        self.tidy();
    }

    /// Writes under another name first: an entry is complete or not there.
    fn write(&self, path: &Path, content: &mut dyn io::Read) -> io::Result<()> {
        let temporary = path.with_extension(format!("new-{}", std::process::id()));
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            io::copy(content, &mut file)?;
            file.flush()?;
            fs::rename(&temporary, path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    pub fn remove(&self, key: &str) {
        for kind in ["cwasm", "json"] {
            let _ = fs::remove_file(self.path(key, kind));
        }
    }

    /// Removes what was not used for the longest time if the cache has grown too large.
    fn tidy(&self) {
        let Ok(list) = fs::read_dir(&self.folder) else { return };
        let mut files: Vec<_> = list
            .filter_map(Result::ok)
            .filter_map(|file| Some((file.metadata().ok()?, file.path())))
            .filter(|(metadata, path)| metadata.is_file() && path.extension().is_some_and(|kind| kind == "cwasm"))
            .map(|(metadata, path)| (metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), metadata.len(), path))
            .collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
        for (_, length, path) in files {
            if total <= MOST_BYTES {
                break;
            }
            total -= length;
            let _ = fs::remove_file(&path);
            let _ = fs::remove_file(path.with_extension("json"));
        }
    }
}

fn default_folder() -> Option<PathBuf> {
    // XDG Base Directory Specification: a relative path is to be ignored.
    let xdg = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = xdg.or_else(|| home().map(|home| home.join(".cache")));
    if cache.is_none() {
        tracing::warn!(
            event = "cache-unused",
            "compiled components are not cached: neither XDG_CACHE_HOME nor HOME is set"
        );
    }
    cache.map(|cache| cache.join("wasmserve"))
}

/// Makes the folder if need be and checks that nobody else can plant code in it. What it is in the end counts, where it is
/// a link.
fn check(folder: &Path) -> Result<PathBuf, String> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| format!("cannot be made: {error}"))?;
    let folder = folder.canonicalize().map_err(|error| error.to_string())?;
    let metadata = fs::symlink_metadata(&folder).map_err(|error| error.to_string())?;
    if !metadata.is_dir() {
        return Err("is not a folder".to_owned());
    }
    if metadata.uid() != geteuid().as_raw() {
        return Err(format!("belongs to user {}, and not to the one that runs wasmserve", metadata.uid()));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(format!("can be written by others: run chmod go-w {}", folder.display()));
    }
    if statvfs(&folder).is_ok_and(|system| system.flags().contains(FsFlags::ST_NOEXEC)) {
        return Err("is on a file system that is mounted noexec: machine code cannot be mapped from there".to_owned());
    }
    Ok(folder)
}

fn is_own(metadata: &fs::Metadata) -> bool {
    metadata.uid() == geteuid().as_raw() && metadata.mode() & 0o022 == 0
}

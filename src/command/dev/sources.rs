//! What a project is built from, and whether it has changed. inotify(7) only says when to look; what counts is whether
//! contents differ from those that the last build began with, so that a build that writes the same again is none.

use crate::project::manifest::{self, Manifest};
use blake3::Hash;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file that so many builds in a row have changed, and nobody else, is what they make and not what they read.
const BUILDS_TO_BE_AN_OUTPUT: u32 = 3;
/// Folders at most, each with a watch of its own.
const MOST_FOLDERS: usize = 10_000;

type Snapshot = BTreeMap<PathBuf, Hash>;

pub struct Sources {
    project: PathBuf,
    component: PathBuf,
    /// What counts, or nothing where everything does.
    watch: Vec<PathBuf>,
    inotify: Inotify,
    /// Hashes by path, good for as long as the file's stamp is the same.
    hashes: HashMap<PathBuf, (Stamp, Hash)>,
    /// As the last build began.
    built: Snapshot,
    /// Files that builds write.
    outputs: BTreeSet<PathBuf>,
    /// How many builds in a row have changed a file.
    changed_by_builds: BTreeMap<PathBuf, u32>,
}

/// Size, inode, and time of the last change to the nanosecond.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp(u64, u64, i64, i64);

impl Sources {
    pub fn watch(project: &Path, manifest: &Manifest) -> nix::Result<Self> {
        let mut sources = Self {
            project: project.to_owned(),
            component: PathBuf::new(),
            watch: Vec::new(),
            inotify: Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?,
            hashes: HashMap::new(),
            built: Snapshot::new(),
            outputs: BTreeSet::new(),
            changed_by_builds: BTreeMap::new(),
        };
        sources.follow(manifest);
        Ok(sources)
    }

    /// Counts what the manifest says from now on.
    pub fn follow(&mut self, manifest: &Manifest) {
        self.component = self.project.join(&manifest.component);
        self.watch = manifest.watch.iter().map(|path| self.project.join(path)).collect();
    }

    /// Takes what has happened. True if anything did.
    pub fn take_events(&mut self) -> bool {
        let mut any = false;
        while self.inotify.read_events().is_ok_and(|events| !events.is_empty()) {
            any = true;
        }
        any
    }

    pub fn build_begins(&mut self) {
        self.built = self.scan();
    }

    /// The file that was changed while the build ran, and not by it: it has to be built again.
    pub fn build_ended(&mut self) -> Option<PathBuf> {
        let now = self.scan();
        self.outputs.extend(now.keys().filter(|path| !self.built.contains_key(*path)).cloned());
        let mut changed: Vec<_> = differences(&self.built, &now).cloned().collect();
        changed.retain(|path| !self.outputs.contains(path));
        for path in &changed {
            let builds = self.changed_by_builds.entry(path.clone()).or_default();
            *builds += 1;
            if *builds == BUILDS_TO_BE_AN_OUTPUT {
                self.outputs.insert(path.clone());
            }
        }
        changed.retain(|path| !self.outputs.contains(path));
        self.changed_by_builds.retain(|path, _| changed.contains(path));
        self.built = now;
        changed.pop()
    }

    /// The file that was changed since the last build, while none ran.
    pub fn changed(&mut self) -> Option<PathBuf> {
        let now = self.scan();
        let changed: Vec<_> = differences(&self.built, &now).cloned().collect();
        for path in &changed {
            self.outputs.remove(path);
            self.changed_by_builds.remove(path);
        }
        changed.into_iter().next()
    }

    /// Reads all that counts, and sees to it that changes there are told.
    fn scan(&mut self) -> Snapshot {
        let mut found = Snapshot::new();
        let mut folders = Vec::new();
        if self.watch.is_empty() {
            folders.push(self.project.clone());
        }
        for path in self.watch.clone().into_iter().chain([self.project.join(manifest::FILE)]) {
            if path.is_dir() {
                folders.push(path);
            } else {
                self.add_watch(path.parent().unwrap_or(&self.project));
                self.read(path, &mut found);
            }
        }
        let mut seen = 0;
        while let Some(folder) = folders.pop().filter(|_| seen < MOST_FOLDERS) {
            seen += 1;
            // Before it is read, so that nothing comes to be unseen in between.
            self.add_watch(&folder);
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if !is_source(&path) {
                    continue;
                }
                match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    true => folders.push(path),
                    false => self.read(path, &mut found),
                }
            }
        }
        self.hashes.retain(|path, _| found.contains_key(path));
        found
    }

    fn read(&mut self, path: PathBuf, found: &mut Snapshot) {
        let Some(metadata) = fs::metadata(&path).ok().filter(|metadata| metadata.is_file()) else { return };
        if path == self.component {
            return;
        }
        let stamp = Stamp(metadata.len(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec());
        let known = self.hashes.get(&path).filter(|(known, _)| *known == stamp).map(|(_, hash)| *hash);
        // What cannot be read now is told as a change when it can.
        let Some(hash) = known.or_else(|| Some(blake3::hash(&fs::read(&path).ok()?))) else { return };
        self.hashes.insert(path.clone(), (stamp, hash));
        found.insert(path, hash);
    }

    fn add_watch(&self, folder: &Path) {
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ONLYDIR;
        if let Err(error) = self.inotify.add_watch(folder, flags)
            && folder.is_dir()
        {
            let folder = folder.display();
            tracing::warn!(event = "watch-failed", "changes in {folder} are not seen: {error}");
        }
    }
}

/// Of files in a folder: not what tools keep for themselves.
fn is_source(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    !name.starts_with('.') && name != "node_modules" && name != "target"
}

/// Files that are new, gone or different.
fn differences<'a>(before: &'a Snapshot, after: &'a Snapshot) -> impl Iterator<Item = &'a PathBuf> {
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    let different = after.iter().filter(|(path, hash)| before.get(*path) != Some(*hash)).map(|(path, _)| path);
    gone.chain(different)
}

impl AsFd for Sources {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn project() -> (TempDir, Sources) {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("app.c"), "1").unwrap();
        let manifest =
            Manifest { build: "make".into(), component: "app.wasm".into(), watch: Vec::new(), tools: Vec::new() };
        let mut sources = Sources::watch(folder.path(), &manifest).unwrap();
        sources.build_begins();
        (folder, sources)
    }

    #[test]
    fn what_a_build_writes_is_no_change() {
        let (folder, mut sources) = project();
        for name in ["app.wasm", "core.wasm", ".cache", "app.c"] {
            fs::write(folder.path().join(name), "1").unwrap();
        }
        assert_eq!(sources.build_ended(), None);
        assert_eq!(sources.changed(), None);
        assert!(sources.take_events());
        assert!(!sources.take_events());
        // Also when it writes something else the next time.
        sources.build_begins();
        fs::write(folder.path().join("core.wasm"), "2").unwrap();
        assert_eq!(sources.build_ended(), None);
    }

    #[test]
    fn a_change_while_a_build_runs_is_one() {
        let (folder, mut sources) = project();
        let file = folder.path().join("app.c");
        fs::write(&file, "2").unwrap();
        assert_eq!(sources.build_ended(), Some(file));
        sources.build_begins();
        assert_eq!(sources.build_ended(), None);
    }

    #[test]
    fn what_each_build_changes_ends_to_be_one() {
        let (folder, mut sources) = project();
        let mut builds = 1;
        fs::write(folder.path().join("app.c"), "2").unwrap();
        while sources.build_ended().is_some() {
            sources.build_begins();
            fs::write(folder.path().join("app.c"), format!("build {builds}")).unwrap();
            builds += 1;
        }
        assert_eq!(builds, BUILDS_TO_BE_AN_OUTPUT);
        // Until somebody else changes it.
        fs::write(folder.path().join("app.c"), "by hand").unwrap();
        assert!(sources.changed().is_some());
    }

    #[test]
    fn files_that_come_and_go_are_changes() {
        let (folder, mut sources) = project();
        let file = folder.path().join("new/file.c");
        fs::create_dir(folder.path().join("new")).unwrap();
        assert_eq!(sources.changed(), None);
        fs::write(&file, "").unwrap();
        assert_eq!(sources.changed(), Some(file.clone()));
        sources.build_begins();
        sources.take_events();
        fs::remove_file(&file).unwrap();
        assert!(sources.take_events(), "the new folder is watched");
        assert_eq!(sources.changed(), Some(file));
    }
}

//! `--reload`: which files have changed, by inotify(7) in the supervisor's own loop, since a watcher thread would make
//! fork unsound. Folders are watched and not files, so that a file that is replaced by another is followed.

use crate::config::{Settings, Source};
use crate::exit::Failure;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A change is acted on after so long without a further one: builds write files in several steps.
const QUIET: Duration = Duration::from_millis(150);
/// Folders at most, each with a watch of its own.
const MOST_FOLDERS: usize = 10_000;

pub struct Watch {
    inotify: Inotify,
    folders: HashMap<WatchDescriptor, Folder>,
    changed: Option<Instant>,
}

struct Folder {
    path: PathBuf,
    /// The file that counts; all of them, those in folders below included, where none is named.
    file: Option<OsString>,
}

impl Watch {
    pub fn start(settings: &Settings) -> Result<Option<Self>, Failure> {
        if !settings.reload {
            return Ok(None);
        }
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let mut watch = Self { inotify, folders: HashMap::new(), changed: None };
        if let Source::File(path) | Source::Config(path) = &settings.source {
            // Where it is a link, what it points to may be written, too.
            for path in [Some(path.clone()), path.canonicalize().ok()].into_iter().flatten() {
                let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
                watch.add(folder.to_owned(), path.file_name().map(OsString::from));
            }
        }
        for folder in &settings.reload_dirs {
            watch.add_all(folder.clone());
        }
        Ok(Some(watch))
    }

    fn add(&mut self, path: PathBuf, file: Option<OsString>) {
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_ONLYDIR;
        match self.inotify.add_watch(&path, flags) {
            Ok(descriptor) => {
                // A folder that is watched whole is not narrowed to one file.
                let known = self.folders.get(&descriptor);
                let file = if known.is_some_and(|known| known.file.is_none()) { None } else { file };
                self.folders.insert(descriptor, Folder { path, file });
            }
            Err(error) => {
                let path = path.display();
                tracing::warn!(event = "watch-failed", "changes in {path} are not seen: {error}");
            }
        }
    }

    /// A folder with all those below it.
    fn add_all(&mut self, path: PathBuf) {
        let mut left = vec![path];
        while let Some(path) = left.pop().filter(|_| self.folders.len() < MOST_FOLDERS) {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            left.extend(entries.filter(|one| one.file_type().is_ok_and(|kind| kind.is_dir())).map(|one| one.path()));
            self.add(path, None);
        }
    }

    /// Notes what has happened. True if it has settled and a reload is due.
    pub fn take(&mut self) -> bool {
        while let Ok(events) = self.inotify.read_events() {
            for event in events {
                self.note(event);
            }
        }
        let due = self.changed.is_some_and(|at| at.elapsed() >= QUIET);
        if due {
            self.changed = None;
        }
        due
    }

    fn note(&mut self, event: InotifyEvent) {
        // Too much happened for the kernel to tell it all.
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            self.changed = Some(Instant::now());
            return;
        }
        let Some(folder) = self.folders.get(&event.wd) else { return };
        let counts = match (&folder.file, &event.name) {
            (Some(file), Some(name)) => file == name,
            (None, _) => true,
            (Some(_), None) => false,
        };
        if event.mask.contains(AddWatchFlags::IN_ISDIR)
            && folder.file.is_none()
            && event.mask.intersects(AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO)
            && let Some(name) = &event.name
        {
            let path = folder.path.join(name);
            self.add_all(path);
        }
        if counts {
            self.changed = Some(Instant::now());
        }
    }

    /// When to ask again.
    pub fn due(&self) -> Option<Instant> {
        self.changed.map(|at| at + QUIET)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

//! `--pid-file`: the supervisor's process id, for service managers and scripts.

use super::upgrade;
use crate::exit::{Exit, Failure};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, getpid};
use std::fs;
use std::path::{Path, PathBuf};

pub struct PidFile(Option<PathBuf>);

impl PidFile {
    /// Writes it, unless it is another live process's.
    pub fn write(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self(None)) };
        let refused = |what: String| Failure::new(Exit::Usage, format!("--pid-file {}: {what}", path.display()));
        if let Some(pid) = read(path).filter(|pid| *pid != getpid() && Some(*pid) != upgrade::predecessor())
            && kill(pid, None) != Err(Errno::ESRCH)
        {
            return Err(refused(format!("process {pid} has written it and runs: stop it, or choose another file")));
        }
        // Whoever reads it finds a number or nothing.
        let temporary = beside(path, "new");
        fs::write(&temporary, format!("{}\n", getpid()))
            .and_then(|()| fs::rename(&temporary, path))
            .map_err(|error| refused(format!("cannot be written: {error}")))?;
        // The folder may not be ours to look up later by a relative name.
        Ok(Self(Some(path.canonicalize().unwrap_or_else(|_| path.to_owned()))))
    }

    /// A successor writes its own: ours is kept beside it, as PATH.old.
    pub fn step_aside(&self) {
        self.rename(|path| (path.to_owned(), beside(path, "old")));
    }

    pub fn step_back(&self) {
        self.rename(|path| (beside(path, "old"), path.to_owned()));
    }

    fn rename(&self, names: impl Fn(&Path) -> (PathBuf, PathBuf)) {
        if let Some((from, to)) = self.0.as_deref().map(names)
            && let Err(error) = fs::rename(&from, &to)
        {
            tracing::warn!("{} cannot be renamed to {}: {error}", from.display(), to.display());
        }
    }
}

/// Removes it where it is ours, under either name; in a forked child it is not.
impl Drop for PidFile {
    fn drop(&mut self) {
        for path in self.0.iter().flat_map(|path| [path.clone(), beside(path, "old")]) {
            if read(&path) == Some(getpid()) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn read(path: &Path) -> Option<Pid> {
    let number = fs::read_to_string(path).ok()?.trim().parse().ok()?;
    (number > 0).then(|| Pid::from_raw(number))
}

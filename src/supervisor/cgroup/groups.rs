//! The groups that a host makes for itself and for its apps.

use super::own;
use crate::config::file::Limits;
use crate::sys;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, PipeReader, Write, pipe};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];
/// The groups of a server are in one with this and its process id for a name.
const PREFIX: &str = "wasmserve-";
/// The one that the server is in itself.
const SERVER: &str = "server";
/// Microseconds over which processor time is dealt out.
const PERIOD: f64 = 100_000.0;

/// What there is of them. They go when this does.
#[derive(Default)]
pub struct Groups {
    /// The group that we were started in, and the one below it that all are made in.
    base: PathBuf,
    folder: Option<PathBuf>,
    /// Controllers that apps do not get, each with why.
    missing: BTreeMap<&'static str, String>,
    /// Whether that was told.
    pub(super) told: bool,
}

impl Groups {
    /// Moves this process: to be called before it has children.
    pub fn open() -> Self {
        let mut groups = Self::default();
        if let Err(why) = groups.make() {
            groups.missing = CONTROLLERS.map(|controller| (controller, why.clone())).into();
        }
        groups
    }

    fn make(&mut self) -> Result<(), String> {
        let own = own().ok_or("there is no cgroup v2 on this machine")?;
        self.base = base(own);
        remove_left_behind(&self.base);
        let folder = self.base.join(format!("{PREFIX}{}", std::process::id()));
        let server = folder.join(SERVER);
        let of = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
        fs::create_dir(&folder).map_err(|error| of(&folder, error))?;
        let moved = fs::create_dir(&server).and_then(|()| write(&server, "cgroup.procs", "0"));
        self.folder = Some(folder.clone());
        if let Err(error) = moved {
            // What was made is removed.
            drop(std::mem::take(self));
            return Err(of(&server, error));
        }
        for controller in CONTROLLERS {
            if let Err(why) = self.enable(&folder, controller) {
                self.missing.insert(controller, why);
            }
        }
        Ok(())
    }

    fn enable(&self, folder: &Path, controller: &str) -> Result<(), String> {
        let base = self.base.display();
        let available = fs::read_to_string(self.base.join("cgroup.controllers")).unwrap_or_default();
        if !available.split_whitespace().any(|one| one == controller) {
            return Err(format!("{base} has no {controller} controller"));
        }
        for group in [&self.base, folder] {
            write(group, "cgroup.subtree_control", &format!("+{controller}")).map_err(|error| match error.kind() {
                io::ErrorKind::ResourceBusy => format!("other processes are in {base} too"),
                _ => format!("{}/cgroup.subtree_control: {error}", group.display()),
            })?;
        }
        Ok(())
    }

    /// Why these limits cannot be had, if that is so.
    pub fn lacks(&self, limits: &Limits) -> Option<&str> {
        let wanted = values(limits).into_iter().filter(|(_, _, value)| value.is_some());
        wanted.filter_map(|(controller, ..)| self.missing.get(controller)).map(String::as_str).next()
    }

    /// Makes an app's group, or takes the one that is there. None where there are no groups, or where they can do nothing
    /// and nothing is asked of them: a group costs each start of an app a millisecond.
    pub fn app(&self, name: &str, limits: &Limits) -> io::Result<Option<PathBuf>> {
        let is_idle = self.missing.len() == CONTROLLERS.len() && *limits == Limits::default();
        let Some(folder) = self.folder.as_ref().filter(|_| !is_idle) else { return Ok(None) };
        let group = folder.join(format!("app-{name}"));
        match fs::create_dir(&group) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => self.limit(&group, limits)?,
        }
        Ok(Some(group))
    }

    /// They hold at once.
    pub fn limit(&self, group: &Path, limits: &Limits) -> io::Result<()> {
        for (controller, file, value) in values(limits) {
            if !self.missing.contains_key(controller) {
                let otherwise = if file == "cpu.weight" { "100" } else { "max" };
                write(group, file, value.as_deref().unwrap_or(otherwise))?;
            }
        }
        Ok(())
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        let Some(folder) = self.folder.take() else { return };
        // As those of whom we have taken over from could not be.
        remove_left_behind(&self.base);
        // Back to where we came from. Unless it is the root, that has to give its controllers to no group then; where
        // another server is, it goes on doing so.
        if write(&self.base, "cgroup.procs", "0").is_err() {
            for (controller, group) in CONTROLLERS.iter().flat_map(|one| [(one, &folder), (one, &self.base)]) {
                let _ = write(group, "cgroup.subtree_control", &format!("-{controller}"));
            }
            let _ = write(&self.base, "cgroup.procs", "0");
        }
        remove(&folder);
    }
}

/// A controller, its file, and what is to be in it.
type Value = (&'static str, &'static str, Option<String>);

fn values(limits: &Limits) -> [Value; 4] {
    let number = |value: Option<u64>| value.map(|value| value.to_string());
    let quota = limits.cpu_max.map(|processors| format!("{:.0} {PERIOD}", processors * PERIOD));
    [
        ("memory", "memory.max", number(limits.memory_max)),
        ("cpu", "cpu.max", quota),
        ("cpu", "cpu.weight", number(limits.cpu_weight)),
        ("pids", "pids.max", number(limits.pids_max)),
    ]
}

/// In one write, and without making the file.
fn write(group: &Path, file: &str, value: &str) -> io::Result<()> {
    File::options().write(true).open(group.join(file))?.write_all(value.as_bytes())
}

/// Where our groups go: not below those of the server that we take over from.
fn base(own: PathBuf) -> PathBuf {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match own.parent() {
        Some(folder) if name(&own) == SERVER && name(folder).starts_with(PREFIX) => {
            folder.parent().unwrap_or(folder).to_owned()
        }
        _ => own,
    }
}

/// What servers have left that were killed.
fn remove_left_behind(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
        if pid.is_some_and(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)) {
            remove(&entry.path());
        }
    }
}

/// With the groups in it. The kernel removes none that has a process.
fn remove(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let _ = fs::remove_dir(entry.path());
    }
    let _ = fs::remove_dir(folder);
}

/// Starts a command in a group. If it is not executed after all the pipe says why (errno), once the process has ended: that
/// is not waited for, as the group may have no processor time left.
pub fn spawn(command: &mut Command, group: &Path) -> io::Result<(Pid, PipeReader)> {
    let folder = File::open(group)?;
    let (told, tell) = pipe()?;
    let mut run = |moved: io::Result<()>| {
        let error = moved.err().unwrap_or_else(|| command.exec());
        let _ = (&tell).write_all(&error.raw_os_error().unwrap_or(0).to_ne_bytes());
        exit(127)
    };
    // Born there, as moving a process takes the kernel milliseconds. Where that is refused (systemd's RestrictNamespaces
    // and containers forbid clone3) it moves by itself.
    let born = sys::fork_into(folder.as_fd(), || run(Ok(())));
    let pid = born.or_else(|_| sys::fork(|| run(write(group, "cgroup.procs", "0"))))?;
    Ok((pid, told))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_written_as_the_kernel_has_them() {
        let limits = Limits { memory_max: Some(1 << 20), cpu_max: Some(0.5), cpu_weight: Some(7), pids_max: Some(9) };
        let written = values(&limits).map(|(_, _, value)| value.unwrap());
        assert_eq!(written, ["1048576", "50000 100000", "7", "9"]);
        let least = Limits { cpu_max: Some(0.01), ..Limits::default() };
        assert_eq!(values(&least)[1].2.as_deref(), Some("1000 100000"));
        assert!(values(&Limits::default()).iter().all(|(_, _, value)| value.is_none()));
    }

    #[test]
    fn a_server_that_takes_over_has_groups_beside_those_of_its_predecessor() {
        for (own, expected) in [
            ("/cg", "/cg"),
            ("/cg/a.service", "/cg/a.service"),
            ("/cg/a.service/wasmserve-7/server", "/cg/a.service"),
            ("/cg/a/server", "/cg/a/server"),
        ] {
            assert_eq!(base(own.into()), Path::new(expected));
        }
    }
}

//! Processes that give way to others, as an operator would have those that he does not trust: in a control group of
//! little CPU weight, or where none can be made with a high nice value.

use crate::process;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

const PREFIX: &str = "wasmserve-bench-";

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Weight {
    /// `cpu.idle`, which systemd calls `CPUWeight=idle`: run when nobody else wants to.
    Idle,
    /// The least number: `cpu.weight` 1, or `cpu.shares` 2 in the old hierarchy.
    Least,
    /// `nice -n 19`.
    Nice,
    /// As everybody else.
    Same,
}

impl Weight {
    pub fn named(name: &str) -> Option<Self> {
        let all = [("idle", Self::Idle), ("least", Self::Least), ("nice", Self::Nice), ("same", Self::Same)];
        all.iter().find(|(known, _)| *known == name).map(|(_, weight)| *weight)
    }
}

/// Where such processes go. The group is removed when this is dropped.
pub struct Low {
    weight: Weight,
    group: Option<PathBuf>,
}

impl Low {
    /// Of this weight, or of the next that this machine allows.
    pub fn new(weight: Weight) -> Self {
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let made = match weight {
            Weight::Idle => [Weight::Idle, Weight::Least].iter().find_map(|weight| make_any(&mounts, *weight)),
            Weight::Least => make_any(&mounts, weight),
            Weight::Nice | Weight::Same => return Self { weight, group: None },
        };
        made.unwrap_or_else(|| {
            eprintln!("no control group for processor time can be made here: nice values instead");
            Self { weight: Weight::Nice, group: None }
        })
    }

    pub fn describe(&self) -> String {
        match (&self.group, self.weight) {
            (Some(group), Weight::Idle) => format!("cpu.idle 1 in {}", group.display()),
            (Some(group), _) => format!("the least weight in {}", group.display()),
            (None, Weight::Same) => "the same weight as everybody".to_owned(),
            (None, _) => "nice 19".to_owned(),
        }
    }

    /// Puts a process and all below it there; those that they start later begin there.
    pub fn add(&self, pid: u32) -> io::Result<()> {
        // A second time for what was started meanwhile.
        for _ in 0..2 {
            for pid in process::tree(pid) {
                match &self.group {
                    Some(group) => ignore_ended(fs::write(group.join("cgroup.procs"), pid.to_string()))?,
                    None if self.weight == Weight::Nice => renice(pid)?,
                    None => {}
                }
            }
        }
        Ok(())
    }
}

impl Drop for Low {
    fn drop(&mut self) {
        let Some(group) = &self.group else { return };
        for _ in 0..200 {
            if fs::remove_dir(group).is_ok() {
                return;
            }
            // Somebody is in it still.
            thread::sleep(Duration::from_millis(10));
        }
        eprintln!("{} cannot be removed", group.display());
    }
}

/// In the old hierarchy or the new one. None if that is not allowed, or no controller for processor time is there.
fn make_any(mounts: &str, weight: Weight) -> Option<Low> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind, options) = (Path::new(fields.next()?), fields.next()?, fields.next()?);
        let number = match kind {
            "cgroup" if options.split(',').any(|option| option == "cpu") => ("cpu.shares", "2"),
            "cgroup2" => {
                let controllers = fs::read_to_string(place.join("cgroup.subtree_control")).ok()?;
                controllers.split_whitespace().find(|name| *name == "cpu")?;
                ("cpu.weight", "1")
            }
            _ => return None,
        };
        make(place, if weight == Weight::Idle { ("cpu.idle", "1") } else { number }, weight)
    })
}

fn make(place: &Path, (file, value): (&str, &str), weight: Weight) -> Option<Low> {
    // What is left of a run that was interrupted; one with processes in it stays.
    for entry in fs::read_dir(place).ok()?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let _ = fs::remove_dir(entry.path());
        }
    }
    let group = place.join(format!("{PREFIX}{}", std::process::id()));
    fs::create_dir(&group).ok()?;
    let low = Low { weight, group: Some(group.clone()) };
    fs::OpenOptions::new()
        .write(true)
        .open(group.join(file))
        .and_then(|mut file| {
            use io::Write;
            file.write_all(value.as_bytes())
        })
        .ok()?;
    Some(low)
}

/// All threads of it: the kernel has a nice value for each.
fn renice(pid: u32) -> io::Result<()> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Ok(()) };
    let mut command = Command::new("renice");
    command.args(["-n", "19", "-p"]).args(tasks.flatten().map(|task| task.file_name()));
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().map(drop)
}

fn ignore_ended(result: io::Result<()>) -> io::Result<()> {
    const ESRCH: i32 = 3;
    match result {
        Err(error) if error.raw_os_error() == Some(ESRCH) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_no_group_can_be_made_it_is_the_nice_value() {
        assert!(make_any("proc /proc proc rw 0 0\ncgroup /nowhere cgroup rw,cpu 0 0\n", Weight::Idle).is_none());
        assert!(Low::new(Weight::Nice).describe().contains("nice 19"));
    }

    #[test]
    fn a_process_of_a_lower_weight_is_there_and_the_group_goes_afterwards() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let low = Low::new(Weight::Idle);
        let added = low.add(child.id());
        let members = low.group.as_ref().map(|group| fs::read_to_string(group.join("cgroup.procs")).unwrap());
        let _ = child.kill();
        let _ = child.wait();
        added.unwrap();
        if let Some(members) = members {
            assert_eq!(members.trim(), child.id().to_string());
        }
        let group = low.group.clone();
        drop(low);
        assert!(group.is_none_or(|group| !group.exists()));
    }
}

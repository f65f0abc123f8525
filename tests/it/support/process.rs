//! What /proc says of a process.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process that is not a child of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    pub pid: i32,
}

impl Process {
    pub fn signal(self, signal: Signal) {
        kill(Pid::from_raw(self.pid), signal).unwrap_or_else(|error| panic!("{signal} to {}: {error}", self.pid));
    }

    /// Whether it still runs; a zombie does not.
    pub fn runs(self) -> bool {
        !matches!(self.state(), None | Some('Z' | 'X'))
    }

    pub fn state(self) -> Option<char> {
        self.stat(0)?.chars().next()
    }

    pub fn parent(self) -> Option<i32> {
        self.stat(1)?.parse().ok()
    }

    /// CPU time of the process itself, and of the children it has waited for.
    pub fn cpu(self) -> (Duration, Duration) {
        let ticks = |field| self.stat(field).expect("a process that runs").parse::<u64>().unwrap();
        let time = |a, b| Duration::from_millis((ticks(a) + ticks(b)) * 10);
        (time(11, 12), time(13, 14))
    }

    /// A field of /proc/PID/stat, counted from the one after the command's name.
    fn stat(self, field: usize) -> Option<String> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        let after_name = &stat[stat.rfind(')')? + 2..];
        after_name.split(' ').nth(field).map(str::to_owned)
    }

    pub fn children(self) -> Vec<Process> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let processes = pids.map(|pid| Process { pid });
        processes.filter(|p| p.parent() == Some(self.pid)).collect()
    }

    /// Children that have ended and were not waited for.
    pub fn zombies(self) -> Vec<Process> {
        self.children().into_iter().filter(|child| child.state() == Some('Z')).collect()
    }

    /// Its name, cut off after 15 characters.
    pub fn name(self) -> String {
        fs::read_to_string(format!("/proc/{}/comm", self.pid)).unwrap_or_default().trim_end().to_owned()
    }

    /// What the process has mapped, by path.
    pub fn maps(self) -> String {
        fs::read_to_string(format!("/proc/{}/maps", self.pid)).unwrap()
    }

    /// The value of a line of /proc/PID/status.
    #[track_caller]
    pub fn status(self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line[name.len() + 1..].split_whitespace().next());
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name}"))
    }

    pub fn open_files(self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid)).unwrap().count()
    }
}

/// How far a process's resident memory rises above where it is when the watch begins.
pub struct MemoryWatch {
    process: Process,
    before: u64,
}

impl MemoryWatch {
    pub fn begin(process: Process) -> Self {
        // 5 resets the peak that the kernel keeps as VmHWM.
        fs::write(format!("/proc/{}/clear_refs", process.pid), "5").unwrap();
        let before = process.status("VmRSS");
        Self { process, before }
    }

    /// The highest rise so far, in bytes.
    pub fn peak_rise(&self) -> u64 {
        self.process.status("VmHWM").saturating_sub(self.before) * 1024
    }
}

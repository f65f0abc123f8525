//! What /proc tells about a server: the processor time and the memory of its whole process tree.

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};
use std::fs;
use std::time::Duration;

pub struct Process {
    pub pid: i32,
    pub parent: i32,
    dead: bool,
    /// User and system time of all its threads, and of the children that it has waited for, in clock ticks.
    ticks: u64,
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(pid, &stat)
    }

    fn parse(pid: i32, stat: &str) -> Option<Self> {
        // The name, in brackets, may hold anything.
        let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
        let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().unwrap_or(0)).sum();
        Some(Self { pid, parent: fields[1].parse().ok()?, dead: matches!(fields[0], "Z" | "X"), ticks })
    }
}

/// Whether a process is still there and not a zombie.
pub fn is_alive(pid: i32) -> bool {
    Process::read(pid).is_some_and(|process| !process.dead)
}

/// The processes of these ids with all their descendants.
pub fn tree(roots: &[i32]) -> Vec<Process> {
    let Ok(list) = fs::read_dir("/proc") else { return Vec::new() };
    let names = list.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut others: Vec<Process> = names.filter_map(Process::read).collect();
    let mut tree: Vec<Process> = others.extract_if(.., |process| roots.contains(&process.pid)).collect();
    let mut at = 0;
    while at < tree.len() {
        let parent = tree[at].pid;
        tree.extend(others.extract_if(.., |process| process.parent == parent));
        at += 1;
    }
    tree
}

/// Direct children.
pub fn children(parent: i32) -> Vec<i32> {
    tree(&[parent]).iter().filter(|process| process.parent == parent).map(|process| process.pid).collect()
}

/// The processor time that a tree has used until now.
pub fn cpu(roots: &[i32]) -> Result<Duration> {
    let per_second = sysconf(SysconfVar::CLK_TCK)?.context("no clock ticks")? as f64;
    let ticks: u64 = tree(roots).iter().map(|process| process.ticks).sum();
    Ok(Duration::from_secs_f64(ticks as f64 / per_second))
}

/// In bytes: what only these processes have, and that plus their share of what they share.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub struct Memory {
    pub private: f64,
    pub proportional: f64,
}

impl Memory {
    pub fn of_tree(roots: &[i32]) -> Result<Self> {
        let mut total = Self::default();
        for process in tree(roots) {
            let memory = Self::of(process.pid)?;
            total.private += memory.private;
            total.proportional += memory.proportional;
        }
        Ok(total)
    }

    pub fn of(pid: i32) -> Result<Self> {
        let path = format!("/proc/{pid}/smaps_rollup");
        Ok(Self::parse(&fs::read_to_string(&path).with_context(|| path)?))
    }

    fn parse(text: &str) -> Self {
        let sum = |names: &[&str]| {
            let lines = text.lines().filter_map(|line| line.split_once(':'));
            let values = lines.filter(|(name, _)| names.contains(name));
            let kib = values.filter_map(|(_, value)| value.trim().strip_suffix(" kB")?.parse::<f64>().ok());
            kib.sum::<f64>() * 1024.0
        };
        Self { private: sum(&["Private_Clean", "Private_Dirty", "Private_Hugetlb"]), proportional: sum(&["Pss"]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_brackets_and_spaces() {
        let stat = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 3 1 20 0 1 0 999 1 2";
        let process = Process::parse(42, stat).unwrap();
        assert_eq!((process.parent, process.ticks, process.dead), (7, 124, false));
    }

    #[test]
    fn memory_is_summed_in_bytes() {
        let text = "Rss: 10 kB\nPss: 6 kB\nPss_Dirty: 1 kB\nPrivate_Clean: 2 kB\nPrivate_Dirty: 3 kB\n";
        assert_eq!(Memory::parse(text), Memory { private: 5120.0, proportional: 6144.0 });
    }

    #[test]
    fn a_process_is_in_its_own_tree_and_alive() {
        let own = std::process::id() as i32;
        assert!(tree(&[own]).iter().any(|process| process.pid == own));
        assert!(is_alive(own));
        assert!(Memory::of(own).unwrap().private > 0.0);
    }
}

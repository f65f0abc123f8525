//! What the kernel says of a process and of those below it (proc(5)).

use std::fs;
use std::thread;
use std::time::Duration;

pub fn children(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// The process and all that descend from it.
pub fn tree(pid: u32) -> Vec<u32> {
    std::iter::once(pid).chain(children(pid).into_iter().flat_map(tree)).collect()
}

/// Processor time of all of them, in microseconds.
pub fn cpu(pid: u32) -> f64 {
    // In ticks of 1/100 s (sysconf(_SC_CLK_TCK) is 100 on every Linux we run on).
    let ticks = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let field = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
        field(11) + field(12)
    };
    tree(pid).iter().map(ticks).sum::<f64>() * 10_000.0
}

/// Private memory, in KiB.
pub fn private(pid: u32) -> u64 {
    sum(&format!("/proc/{pid}/smaps_rollup"), "Private_")
}

/// Resident memory, in KiB.
pub fn resident(pid: u32) -> u64 {
    sum(&format!("/proc/{pid}/status"), "VmRSS")
}

fn sum(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}

/// Of one that has ended and that nobody has asked about yet the memory is gone.
pub fn runs(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// Waits until none of them runs any more, for a second or two.
pub fn await_end(pids: &[u32]) {
    for _ in 0..400 {
        if !pids.iter().any(|pid| runs(*pid)) {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

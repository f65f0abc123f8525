//! Control groups (cgroup v2). A server that hosts apps makes, below the group that it was started in,
//!
//! ```text
//! wasmserve-PID/
//!  ├─ server      itself and its gateways: the kernel wants no processes where controllers are given to groups below
//!  └─ app-NAME    an app's server and its workers, while there are any
//! ```

mod check;
mod groups;
mod oom;

pub use groups::{Groups, spawn};
pub use oom::OomKills;

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The folder of the group that this process is in.
fn own() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mounts = fs::read("/proc/self/mountinfo").ok()?;
    mounts.split(|byte| *byte == b'\n').find_map(|line| folder(line, path))
}

/// Where a group is, if this line of mountinfo (proc_pid_mountinfo(5)) is of a mount that shows it.
fn folder(line: &[u8], group: &str) -> Option<PathBuf> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let kind = fields.iter().position(|field| *field == b"-")? + 1;
    let [root, place] = fields.get(3..5)?.try_into().ok()?;
    // A group outside what is shown here begins with `/..`.
    let below = Path::new(group).strip_prefix(unescape(root)).ok()?;
    let is_inside = !group.split('/').any(|part| part == "..");
    (*fields.get(kind)? == b"cgroup2" && is_inside).then(|| unescape(place).join(below))
}

/// Spaces and the like are octal numbers there.
fn unescape(mut field: &[u8]) -> PathBuf {
    let mut bytes = Vec::new();
    while let Some((&first, rest)) = field.split_first() {
        let number = rest.get(..3).filter(|_| first == b'\\').and_then(|digits| str::from_utf8(digits).ok());
        match number.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => (bytes.push(byte), field = &rest[3..]).1,
            None => (bytes.push(first), field = rest).1,
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_wherever_it_is_mounted() {
        let line = |root: &str, place: &str, kind: &str| {
            format!("41 31 0:38 {root} {place} rw,relatime shared:9 - {kind} cgroup2 rw,nsdelegate").into_bytes()
        };
        for (root, place, group, expected) in [
            ("/", "/sys/fs/cgroup", "/", Some("/sys/fs/cgroup/")),
            ("/", "/sys/fs/cgroup", "/a.slice/b.service", Some("/sys/fs/cgroup/a.slice/b.service")),
            ("/", "/sys/fs/cgroup/unified", "/a", Some("/sys/fs/cgroup/unified/a")),
            ("/pod", "/mnt/c\\040d\\134", "/pod/a", Some("/mnt/c d\\/a")),
            ("/pod", "/sys/fs/cgroup", "/other", None),
            ("/", "/sys/fs/cgroup", "/../other", None),
        ] {
            assert_eq!(folder(&line(root, place, "cgroup2"), group), expected.map(PathBuf::from), "{place} {group}");
        }
        assert_eq!(folder(&line("/", "/sys/fs/cgroup/cpu", "cgroup"), "/"), None);
        assert_eq!(folder(b"", "/"), None);
        assert_eq!(folder(b"1 2 - cgroup2", "/"), None);
    }
}

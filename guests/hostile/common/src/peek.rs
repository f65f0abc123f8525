//! Everything that a guest may learn of the machine without being told.

use std::fmt::Write as _;

use testbed_common::Reply;
use wasip2::cli::environment::{get_arguments, get_environment, initial_cwd};
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};

/// Links of /proc that lead to wherever the server is, and what is to be read there.
const LINKS: [&str; 4] = ["self/root", "thread-self/root", "self/cwd", "self/fd/0"];
const SECRETS: [&str; 8] = [
    "proc/self/environ",
    "proc/self/maps",
    "proc/self/cmdline",
    "proc/self/fd/0",
    "proc/1/environ",
    "self/exe",
    "etc/passwd",
    "dev/null",
];

/// Lines: `env NAME`, `arg VALUE`, `cwd PATH`, and `read PATH` for each secret that a preopened folder gives
/// away; at last `tried N`.
pub fn everywhere() -> Reply {
    let mut found = String::new();
    for (name, _) in get_environment() {
        let _ = writeln!(found, "env {name}");
    }
    for argument in get_arguments() {
        let _ = writeln!(found, "arg {argument}");
    }
    if let Some(path) = initial_cwd() {
        let _ = writeln!(found, "cwd {path}");
    }
    let mut tried = 0;
    for (folder, name) in get_directories() {
        for path in paths() {
            tried += 1;
            let file = folder.open_at(
                PathFlags::SYMLINK_FOLLOW,
                &path,
                OpenFlags::empty(),
                DescriptorFlags::READ,
            );
            if file.is_ok_and(|file| file.read(1, 0).is_ok()) {
                let _ = writeln!(found, "read {name} {path}");
            }
        }
    }
    let _ = writeln!(found, "tried {tried}");
    Reply::text(found)
}

const WAYS: [&str; 8] = [
    "",
    "/",
    "./",
    "../",
    "../../",
    "../../../../../../",
    "x/../../",
    "//",
];

fn paths() -> Vec<String> {
    let mut paths = Vec::new();
    for way in WAYS {
        paths.extend(SECRETS.iter().map(|secret| format!("{way}{secret}")));
        for link in LINKS {
            paths.push(format!("{way}{link}"));
            paths.push(format!("{way}{link}/etc/passwd"));
        }
    }
    paths
}

//! Ways out of a folder: `..`, absolute paths, symbolic links of others and of its own.

use testbed_common::Reply;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorType, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
};

/// Tries to get at a file in a folder outside (an absolute path) through each folder that was given. Answers
/// `escaped OPERATION PATH` for each way that was found, and `tried N`.
pub fn attempt(outside: &str, file: &str) -> Reply {
    let mut tries = Tries::default();
    for (folder, _) in get_directories() {
        own_links(&folder, outside);
        let links = links(&folder);
        for path in ways_to(outside, file, &links) {
            tries.at(&folder, &path);
        }
        // These may lead to the file itself, or to its folder.
        for path in &links {
            tries.through(&folder, path);
        }
        // And once more from a folder below, which has a descriptor of its own.
        let _ = folder.create_directory_at("below");
        let (none, read) = (PathFlags::empty(), DescriptorFlags::READ);
        if let Ok(below) = folder.open_at(none, "below", OpenFlags::DIRECTORY, read) {
            for path in ways_to(outside, file, &[]) {
                tries.at(&below, &path);
            }
        }
    }
    tries.report()
}

/// Links that a guest makes itself, and links to those.
fn own_links(folder: &Descriptor, outside: &str) {
    let up = "../".repeat(12);
    let _ = folder.symlink_at(outside, "own-absolute");
    let _ = folder.symlink_at(&format!("{up}{outside}"), "own-relative");
    let _ = folder.symlink_at("..", "own-up");
    let _ = folder.symlink_at("own-up/..", "own-up-twice");
    let _ = folder.symlink_at("./own-relative", "own-chain");
    let _ = folder.symlink_at("/proc/self/root", "own-root");
    let _ = folder.symlink_at("/proc/self/cwd", "own-cwd");
}

/// The links in a folder; everything else there is the guest's own.
fn links(folder: &Descriptor) -> Vec<String> {
    let Ok(stream) = folder.read_directory() else {
        return Vec::new();
    };
    let entries = std::iter::from_fn(|| stream.read_directory_entry().ok().flatten());
    let links = entries.filter(|entry| entry.type_ == DescriptorType::SymbolicLink);
    links.map(|entry| entry.name).collect()
}

/// Paths to the file outside.
fn ways_to(outside: &str, file: &str, links: &[String]) -> Vec<String> {
    let relative = outside.trim_start_matches('/');
    let mut paths = vec![format!("{outside}/{file}"), format!("/{outside}/{file}")];
    for depth in 1..=12 {
        let up = "../".repeat(depth);
        paths.push(format!("{up}{relative}/{file}"));
        paths.push(format!("./{up}/{relative}//{file}"));
        paths.push(format!("below/../{up}{relative}/{file}"));
    }
    for link in links {
        paths.push(format!("{link}/{file}"));
        paths.push(format!("{link}/./{file}"));
        paths.push(format!("{link}/{relative}/{file}"));
        for depth in 1..=8 {
            paths.push(format!("{link}/{}{relative}/{file}", "../".repeat(depth)));
        }
    }
    paths
}

#[derive(Default)]
struct Tries {
    count: u64,
    escaped: String,
}

impl Tries {
    fn check<T>(&mut self, operation: &str, path: &str, result: Result<T, ErrorCode>) -> Option<T> {
        self.count += 1;
        if result.is_ok() {
            self.escaped += &format!("escaped {operation} {path}\n");
        }
        result.ok()
    }

    /// What follows a link at the end of the path.
    fn through(&mut self, folder: &Descriptor, path: &str) {
        let follow = PathFlags::SYMLINK_FOLLOW;
        let read = folder.open_at(follow, path, OpenFlags::empty(), DescriptorFlags::READ);
        self.check("open", path, read);
        let write = folder.open_at(follow, path, OpenFlags::TRUNCATE, DescriptorFlags::WRITE);
        self.check("truncate", path, write);
        self.check("stat", path, folder.stat_at(follow, path));
        let now = NewTimestamp::Now;
        self.check(
            "set-times",
            path,
            folder.set_times_at(follow, path, now, now),
        );
        self.check(
            "link",
            path,
            folder.link_at(follow, path, folder, "stolen-link"),
        );
    }

    /// Everything that can be done to a path, whose last part is no link.
    fn at(&mut self, folder: &Descriptor, path: &str) {
        let (none, follow) = (PathFlags::empty(), PathFlags::SYMLINK_FOLLOW);
        for flags in [none, follow] {
            let read = folder.open_at(flags, path, OpenFlags::empty(), DescriptorFlags::READ);
            self.check("open", path, read);
            let write = folder.open_at(flags, path, OpenFlags::TRUNCATE, DescriptorFlags::WRITE);
            self.check("truncate", path, write);
            self.check("stat", path, folder.stat_at(flags, path));
            let now = NewTimestamp::Now;
            self.check(
                "set-times",
                path,
                folder.set_times_at(flags, path, now, now),
            );
            self.check("link", path, folder.link_at(flags, path, folder, "stolen"));
        }
        let new = format!("{path}-new");
        let create = folder.open_at(none, &new, OpenFlags::CREATE, DescriptorFlags::WRITE);
        self.check("create", &new, create);
        self.check("create-directory", &new, folder.create_directory_at(&new));
        self.check("symlink", &new, folder.symlink_at("x", &new));
        self.check("readlink", path, folder.readlink_at(path));
        self.check(
            "rename-from",
            path,
            folder.rename_at(path, folder, "stolen"),
        );
        let _ = folder.open_at(none, "own", OpenFlags::CREATE, DescriptorFlags::WRITE);
        self.check("rename-to", &new, folder.rename_at("own", folder, &new));
        self.check("unlink", path, folder.unlink_file_at(path));
        self.check("remove-directory", path, folder.remove_directory_at(path));
    }

    fn report(self) -> Reply {
        Reply::text(format!("{}tried {}\n", self.escaped, self.count))
    }
}

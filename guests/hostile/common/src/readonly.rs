//! Ways to change what was given for reading only: the folder `/ro`, with a file `file`. If there is a folder
//! `/rw` too, it is used to get there.

use testbed_common::Reply;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
};

/// Tries everything this many times. Answers `changed OPERATION` for each way that was found, and `tried N`.
pub fn attempt(times: u64) -> Reply {
    let folders = get_directories();
    let folder = |name: &str| {
        folders
            .iter()
            .find(|(_, path)| path == name)
            .map(|(folder, _)| folder)
    };
    let Some(ro) = folder("/ro") else {
        return Reply::status(400, "no folder /ro");
    };
    let mut tries = Tries::default();
    for _ in 0..times {
        tries.in_folder(ro);
        tries.in_file(ro);
        if let Some(rw) = folder("/rw") {
            tries.across(ro, rw);
        }
    }
    Reply::text(format!("{}tried {}\n", tries.changed, tries.count))
}

#[derive(Default)]
struct Tries {
    count: u64,
    changed: String,
}

impl Tries {
    fn check<T, E>(&mut self, operation: &str, result: Result<T, E>) {
        self.count += 1;
        if result.is_ok() {
            self.changed += &format!("changed {operation}\n");
        }
    }

    fn in_folder(&mut self, ro: &Descriptor) {
        let (none, read, write) = (
            DescriptorFlags::empty(),
            DescriptorFlags::READ,
            DescriptorFlags::WRITE,
        );
        let mutate = DescriptorFlags::MUTATE_DIRECTORY;
        let mut open = |operation: &str, path: &str, how, flags| {
            self.check(
                operation,
                ro.open_at(PathFlags::SYMLINK_FOLLOW, path, how, flags),
            );
        };
        for flags in [none, read, write, read | write, mutate, read | mutate] {
            open("open to truncate", "file", OpenFlags::TRUNCATE, flags);
            open("open to create", "new", OpenFlags::CREATE, flags);
            open(
                "open to create alone",
                "new",
                OpenFlags::CREATE | OpenFlags::EXCLUSIVE,
                flags,
            );
            open(
                "open a file to create or truncate",
                "file",
                OpenFlags::CREATE | OpenFlags::TRUNCATE,
                flags,
            );
        }
        open("open to write", "file", OpenFlags::empty(), write);
        open(
            "open to read and write",
            "file",
            OpenFlags::empty(),
            read | write,
        );
        let (none, now) = (PathFlags::empty(), NewTimestamp::Now);
        self.check("create-directory-at", ro.create_directory_at("new"));
        self.check("rename-at", ro.rename_at("file", ro, "new"));
        self.check("link-at", ro.link_at(none, "file", ro, "new"));
        self.check("symlink-at", ro.symlink_at("file", "new"));
        self.check("unlink-file-at", ro.unlink_file_at("file"));
        self.check("remove-directory-at", ro.remove_directory_at("folder"));
        self.check("set-times-at", ro.set_times_at(none, "file", now, now));
        self.check("set-times", ro.set_times(now, now));
    }

    /// With a descriptor that was opened to read.
    fn in_file(&mut self, ro: &Descriptor) {
        let opened = ro.open_at(
            PathFlags::empty(),
            "file",
            OpenFlags::empty(),
            DescriptorFlags::READ,
        );
        let file = opened.expect("a file to read");
        self.check("set-size", file.set_size(0));
        self.check("write", file.write(b"x", 0));
        self.check(
            "set-times of a file",
            file.set_times(NewTimestamp::Now, NewTimestamp::Now),
        );
        for stream in [file.write_via_stream(0), file.append_via_stream()] {
            let written = stream.and_then(|stream| {
                let written = stream.blocking_write_and_flush(b"x");
                written.map_err(|_| ErrorCode::NotPermitted)
            });
            self.check("write by a stream", written);
        }
    }

    /// By way of a folder on the same file system that may be written.
    fn across(&mut self, ro: &Descriptor, rw: &Descriptor) {
        let none = PathFlags::empty();
        let _ = rw.open_at(none, "own", OpenFlags::CREATE, DescriptorFlags::WRITE);
        self.check("link out", ro.link_at(none, "file", rw, "linked"));
        self.check("rename out", ro.rename_at("file", rw, "moved"));
        self.check("link in", rw.link_at(none, "own", ro, "linked"));
        self.check("rename in", rw.rename_at("own", ro, "moved"));
        self.check("rename over", rw.rename_at("own", ro, "file"));
    }
}

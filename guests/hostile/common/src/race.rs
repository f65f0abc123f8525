//! Two instances against each other: one swaps a folder and a link that leads out, the other opens a file
//! through whatever is there. Expects `/data/place/file` and a link `/data/link`, which leads out.

use std::time::{Duration, Instant};

use testbed_common::Reply;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};

fn folder() -> Descriptor {
    let mut folders = get_directories().into_iter();
    let folder = folders.find(|(_, name)| name == "/data");
    folder.expect("a folder /data").0
}

/// Answers how often it swapped.
pub fn swap(time: Duration) -> Reply {
    let (folder, end) = (folder(), Instant::now() + time);
    let mut swaps = 0_u64;
    while Instant::now() < end {
        for (from, to) in [
            ("place", "kept"),
            ("link", "place"),
            ("place", "link"),
            ("kept", "place"),
        ] {
            if let Err(error) = folder.rename_at(from, &folder, to) {
                return Reply::status(500, format!("rename {from} to {to}: {error:?}"));
            }
        }
        swaps += 1;
    }
    Reply::text(swaps.to_string())
}

/// Answers what it read: how often the file inside, how often nothing, how often something else.
pub fn open(time: Duration) -> Reply {
    let (folder, end) = (folder(), Instant::now() + time);
    let (mut inside, mut refused, mut outside) = (0_u64, 0_u64, 0_u64);
    while Instant::now() < end {
        let file = folder.open_at(
            PathFlags::SYMLINK_FOLLOW,
            "place/file",
            OpenFlags::empty(),
            DescriptorFlags::READ,
        );
        match file.and_then(|file| file.read(64, 0)) {
            Ok((content, _)) if content == b"inside" => inside += 1,
            Ok(_) => outside += 1,
            Err(_) => refused += 1,
        }
    }
    Reply::text(format!("{inside} {refused} {outside}"))
}

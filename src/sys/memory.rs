//! Memory that forked processes share.

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use std::io::{Error, Result};
use std::num::NonZeroUsize;

/// Takes the pages of mapped files that were only ever read, code above all, out of this process's memory. They stay in
/// the page cache, from where those that are used come back; what runs once, at the start, is many times more.
pub fn release_read_only() {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let mut mapping = None;
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        match (fields.next(), fields.next()) {
            (Some("Anonymous:"), Some("0")) => {
                if let Some((first, length)) = mapping {
                    // SAFETY: a private mapping of a file, not writable, in which no page differs from the file (those
                    // of relocations do, and are counted as anonymous): what is touched again is read from it again.
                    unsafe { libc::madvise(std::ptr::without_provenance_mut(first), length, libc::MADV_DONTNEED) };
                }
            }
            (Some(range), Some("r-xp" | "r--p")) => {
                let is_file = fields.nth(3).is_some_and(|path| path.starts_with('/'));
                let (first, end) = range.split_once('-').unwrap_or_default();
                let bounds = usize::from_str_radix(first, 16).ok().zip(usize::from_str_radix(end, 16).ok());
                mapping = bounds.filter(|_| is_file).map(|(first, end)| (first, end - first));
            }
            (Some(_), Some("rw-p" | "---p" | "rw-s" | "r--s" | "rwxp")) => mapping = None,
            _ => {}
        }
    }
}

/// Types that may live in memory which another process writes: any bit pattern is a value of theirs, and
/// they change through atomics only.
pub trait AllBitsValid: Sync {}

/// Maps `count` zeroed values for this process and all that it will fork. Never unmapped.
pub fn map_shared<T: AllBitsValid + 'static>(count: usize) -> Result<&'static [T]> {
    let length = count.checked_mul(size_of::<T>()).and_then(NonZeroUsize::new);
    let length = length.ok_or_else(|| Error::other("a shared mapping needs a length"))?;
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new anonymous mapping overlaps nothing.
    let address = unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_SHARED)? };
    // SAFETY: the mapping is as long as `count` values, page-aligned, zeroed, never unmapped, and zeroes as
    // well as whatever another process writes are valid values of T by the trait's promise.
    Ok(unsafe { std::slice::from_raw_parts(address.as_ptr().cast::<T>(), count) })
}

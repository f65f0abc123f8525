//! Memory that forked processes share.

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use std::io::{Error, Result};
use std::num::NonZeroUsize;

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

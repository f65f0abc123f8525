//! Memory: as much as there is, and as fast as a processor can write it.

use std::arch::wasm32::{memory_grow, memory_size};
use std::hint::black_box;
use std::ptr;

use testbed_common::Reply;

const PAGE: usize = 64 * 1024;
const PAGES_OF_MIB: usize = 16;

/// Takes this many MiB more, or all that there is if that is 0, and touches each page of it. Answers the
/// MiB of the whole memory.
pub fn grow(mib: u64) -> Reply {
    let wanted = if mib == 0 { usize::MAX } else { mib as usize };
    for _ in 0..wanted {
        let old = memory_grow::<0>(PAGES_OF_MIB);
        if old == usize::MAX {
            break;
        }
        for page in old..old + PAGES_OF_MIB {
            // SAFETY: the host has just added these pages.
            unsafe { ((page * PAGE) as *mut u8).write_volatile(1) };
        }
    }
    Reply::text((memory_size::<0>() / PAGES_OF_MIB).to_string())
}

/// Writes a block of so many MiB this many times, each time with one instruction.
pub fn fill(mib: u64, times: u64) -> Reply {
    let old = memory_grow::<0>(mib as usize * PAGES_OF_MIB);
    if old == usize::MAX {
        return Reply::status(500, "no more memory");
    }
    for n in 0..times {
        // SAFETY: the host has just added this block. Its length is not known before, so that this
        // is one instruction and not a loop.
        unsafe {
            ptr::write_bytes(
                (old * PAGE) as *mut u8,
                n as u8,
                black_box(mib as usize) << 20,
            )
        };
    }
    Reply::text("filled")
}

/// Overflows the part of the stack that is in linear memory, and not only the host's.
pub fn overflow_stack(depth: u64) -> u64 {
    let mut frame = [0_u64; 1024];
    black_box(&mut frame)[depth as usize % 1024] = depth;
    if black_box(depth) == u64::MAX {
        return depth;
    }
    overflow_stack(depth + 1) + black_box(&frame)[7]
}

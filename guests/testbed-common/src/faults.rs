//! Everything that a guest can do to its instance.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Enough arithmetic that reading the clock, a call of the host, is rare.
const ROUNDS: u32 = 100_000;

fn compute(seed: u64) -> u64 {
    (0..ROUNDS).fold(seed, |x, _| {
        black_box(x.wrapping_mul(6364136223846793005).wrapping_add(1))
    })
}

pub fn burn(time: Duration) {
    let start = Instant::now();
    let mut x = 1;
    while start.elapsed() < time {
        x = compute(x);
    }
}

pub fn spin() -> ! {
    let mut x = 1;
    loop {
        x = compute(x);
    }
}

pub fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

/// Overflows the stack of calls. The frames keep nothing in linear memory, so that it is
/// this stack which ends and not Rust's own, whose end would be an access out of bounds.
pub fn recurse() -> u64 {
    static LIMIT: AtomicU64 = AtomicU64::new(u64::MAX);

    #[inline(never)]
    fn deeper(depth: u64) -> u64 {
        if depth == LIMIT.load(Ordering::Relaxed) {
            return depth;
        }
        // Work after the call, so that the compiler cannot make a loop of it.
        deeper(depth + 1).rotate_left(1) ^ depth
    }
    deeper(0)
}

pub fn access_out_of_bounds() -> u8 {
    let last = black_box(usize::MAX - 15) as *const u8;
    // SAFETY: none; the host is to stop this. A memory of all 4 GiB would be needed for it to pass.
    unsafe { last.read_volatile() }
}

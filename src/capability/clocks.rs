//! Clocks of guests. Fine ones measure what others do on the same processor, its caches above all.

use std::time::Duration;
use wasmtime_wasi::clocks::{MonotonicClock, WallClock};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// What a clock shows goes in steps of this many nanoseconds.
const STEP: u64 = 1_000_000;

#[derive(Default)]
pub struct CoarseWall(WallClock);

impl HostWallClock for CoarseWall {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(STEP).max(self.0.resolution())
    }

    fn now(&self) -> Duration {
        let now = self.0.now();
        Duration::new(now.as_secs(), now.subsec_nanos() / STEP as u32 * STEP as u32)
    }
}

#[derive(Default)]
pub struct CoarseMonotonic(MonotonicClock);

impl HostMonotonicClock for CoarseMonotonic {
    fn resolution(&self) -> u64 {
        STEP.max(self.0.resolution())
    }

    /// Never 0, which Go's runtime takes for a clock that is broken.
    fn now(&self) -> u64 {
        self.0.now() / STEP * STEP + STEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_go_in_steps_of_a_millisecond() {
        let (wall, monotonic) = (CoarseWall::default(), CoarseMonotonic::default());
        assert_eq!((wall.resolution().as_nanos(), monotonic.resolution()), (STEP.into(), STEP));
        assert_ne!(monotonic.now(), 0);
        let mut seen = std::collections::BTreeSet::new();
        while seen.len() < 5 {
            assert_eq!(wall.now().as_nanos() % u128::from(STEP), 0);
            let now = monotonic.now();
            assert!(now.is_multiple_of(STEP) && seen.last().is_none_or(|last| *last <= now));
            seen.insert(now);
        }
    }
}

//! The pieces of a body that is made while it is sent.

use std::time::Duration;

const PATTERN: &[u8] = b"0123456789abcdef";

pub struct Chunks {
    /// Bytes still to come; none for an endless body.
    left: Option<u64>,
    size: usize,
    pub pause: Duration,
}

impl Chunks {
    /// `count` chunks of `size` bytes each, or endless ones if `count` is 0.
    pub fn new(count: u64, size: usize, pause: Duration) -> Chunks {
        // Endless chunks of nothing would be a loop that nobody can stop.
        let size = if count == 0 { size.max(1) } else { size };
        Chunks {
            left: (count > 0).then(|| count.saturating_mul(size as u64)),
            size,
            pause,
        }
    }

    /// A body of `total` bytes in pieces of a size that suits the guest.
    pub fn of(total: u64) -> Chunks {
        Chunks {
            left: Some(total),
            size: crate::PIECE,
            pause: Duration::ZERO,
        }
    }
}

impl Iterator for Chunks {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let size = match &mut self.left {
            Some(0) => return None,
            Some(left) => {
                let size = (*left).min(self.size as u64);
                *left -= size;
                size as usize
            }
            None => self.size,
        };
        let mut chunk = PATTERN.repeat(size.div_ceil(PATTERN.len()));
        chunk.truncate(size);
        Some(chunk)
    }
}

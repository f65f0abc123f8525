//! Frames of HTTP/2 that ask for work and carry nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE and those of unknown
//! types. h2 answers or drops each and counts none, and a client can send millions in a second (RFC 9113 section
//! 10.5). What a client has a use for is in proportion to what it gets, or to time.

use std::time::Instant;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
/// h2 counts resets.
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;

/// Frames that every connection may send,
const FREE: u64 = 1000;
/// that may follow one write of ours, as an answer is acknowledged,
const PER_WRITE: u64 = 4;
/// and a KiB in it,
const PER_KIB: u64 = 1;
/// and those that may come in a second.
const PER_SECOND: u64 = 100;

/// Follows the frames that a client sends.
pub struct Frames {
    /// What has come of a frame's header: 9 bytes (RFC 9113 section 4.1).
    header: [u8; 9],
    have: usize,
    /// Bytes of its payload that are still to come.
    payload: usize,
    since: Instant,
    counted: u64,
    written: u64,
    writes: u64,
}

impl Frames {
    pub fn new() -> Self {
        let (header, since) = ([0; 9], Instant::now());
        Self { header, have: 0, payload: 0, since, counted: 0, written: 0, writes: 0 }
    }

    /// We have sent so many bytes.
    pub fn wrote(&mut self, bytes: usize) {
        self.writes += 1;
        self.written += bytes as u64;
    }

    /// Follows the bytes that come next; false if there were too many of the frames that carry nothing.
    pub fn pass(&mut self, mut bytes: &[u8]) -> bool {
        loop {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            bytes = &bytes[skipped..];
            let taken = bytes.len().min(self.header.len() - self.have);
            if taken == 0 {
                return self.counted <= FREE || self.is_allowed();
            }
            self.header[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == self.header.len() {
                self.have = 0;
                let [a, b, c, kind, ..] = self.header;
                self.payload = u32::from_be_bytes([0, a, b, c]) as usize;
                self.counted += u64::from(!matches!(kind, DATA | HEADERS | RST_STREAM | CONTINUATION));
            }
        }
    }

    fn is_allowed(&self) -> bool {
        let by_writing = self.writes * PER_WRITE + self.written / 1024 * PER_KIB;
        // The clock is read only by those who have used up the rest.
        self.counted <= FREE + by_writing
            || self.counted <= FREE + by_writing + self.since.elapsed().as_secs() * PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let length = (payload as u32).to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 1], &vec![0xff; payload]].concat()
    }

    /// In pieces of this length, as they may come.
    fn passes(frames: &mut Frames, bytes: &[u8], piece: usize) -> bool {
        bytes.chunks(piece).all(|piece| frames.pass(piece))
    }

    #[test]
    fn frames_that_carry_something_are_not_counted() {
        let bytes = [frame(HEADERS, 100), frame(CONTINUATION, 5), frame(DATA, 16_384), frame(RST_STREAM, 4)].concat();
        for piece in [1, 7, 9, 1000, 100_000] {
            let mut frames = Frames::new();
            assert!(passes(&mut frames, &bytes.repeat(300), piece), "{piece}");
            assert_eq!(frames.counted, 0, "{piece}");
        }
    }

    #[test]
    fn others_are_whatever_the_pieces() {
        for (kind, payload) in [(6, 8), (4, 0), (4, 6), (2, 5), (8, 4), (0x42, 1000)] {
            let bytes = frame(kind, payload).repeat(2000);
            for piece in [1, 9, 17, 4096] {
                assert!(!passes(&mut Frames::new(), &bytes, piece), "{kind} {piece}");
                assert!(passes(&mut Frames::new(), &bytes[..bytes.len() / 2], piece), "{kind} {piece}");
            }
        }
    }

    #[test]
    fn who_gets_much_may_say_much() {
        let mut frames = Frames::new();
        for _ in 0..100_000 {
            frames.wrote(1);
            assert!(frames.pass(&frame(8, 4).repeat(4)));
        }
        let mut frames = Frames::new();
        frames.wrote(10 << 20);
        assert!(frames.pass(&frame(8, 4).repeat(11_000)));
        assert!(!frames.pass(&frame(8, 4).repeat(1000)));
    }
}

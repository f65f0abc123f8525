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
/// that may follow a frame of an answer, as clients make room for the next,
const PER_FRAME: u64 = 4;
/// and a KiB of it,
const PER_KIB: u64 = 1;
/// and those that may come in a second.
const PER_SECOND: u64 = 100;

/// Follows the frames of a connection.
pub struct Frames {
    incoming: Follower,
    outgoing: Follower,
    since: Instant,
    counted: u64,
    /// Frames of answers, and bytes in them.
    answers: u64,
    carried: u64,
}

/// Finds frames in bytes that come in pieces.
#[derive(Default)]
struct Follower {
    /// What has come of a frame's header: 9 bytes (RFC 9113 section 4.1).
    header: [u8; 9],
    have: usize,
    /// Bytes of its payload that are still to come.
    payload: usize,
}

impl Follower {
    /// Tells of each frame: its type, and the length of its payload.
    fn follow(&mut self, mut bytes: &[u8], mut frame: impl FnMut(u8, usize)) {
        loop {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            bytes = &bytes[skipped..];
            let taken = bytes.len().min(self.header.len() - self.have);
            if taken == 0 {
                return;
            }
            self.header[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == self.header.len() {
                self.have = 0;
                let [a, b, c, kind, ..] = self.header;
                self.payload = u32::from_be_bytes([0, a, b, c]) as usize;
                frame(kind, self.payload);
            }
        }
    }
}

impl Frames {
    pub fn new() -> Self {
        let (incoming, outgoing) = (Follower::default(), Follower::default());
        Self { incoming, outgoing, since: Instant::now(), counted: 0, answers: 0, carried: 0 }
    }

    /// Follows what we send. Answers to PING and SETTINGS are none that count.
    pub fn sent(&mut self, bytes: &[u8]) {
        self.outgoing.follow(bytes, |kind, length| {
            if matches!(kind, DATA | HEADERS) {
                self.answers += 1;
                self.carried += length as u64;
            }
        });
    }

    /// Follows what the client sends; false if there were too many of the frames that carry nothing.
    pub fn received(&mut self, bytes: &[u8]) -> bool {
        self.incoming.follow(bytes, |kind, _| {
            self.counted += u64::from(!matches!(kind, DATA | HEADERS | RST_STREAM | CONTINUATION));
        });
        self.counted <= FREE || self.is_allowed()
    }

    fn is_allowed(&self) -> bool {
        let by_answers = self.answers * PER_FRAME + self.carried / 1024 * PER_KIB;
        // The clock is read only by those who have used up the rest.
        self.counted <= FREE + by_answers
            || self.counted <= FREE + by_answers + self.since.elapsed().as_secs() * PER_SECOND
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
        bytes.chunks(piece).all(|piece| frames.received(piece))
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
            frames.sent(&frame(DATA, 1));
            assert!(frames.received(&frame(8, 4).repeat(4)));
        }
        let mut frames = Frames::new();
        // Many small ones in one write, each of which may be answered by two.
        frames.sent(&frame(DATA, 100).repeat(10_000));
        assert!(frames.received(&frame(8, 4).repeat(20_000)));
        let mut frames = Frames::new();
        frames.sent(&frame(DATA, 10 << 20));
        assert!(frames.received(&frame(8, 4).repeat(11_000)));
        assert!(!frames.received(&frame(8, 4).repeat(1000)));
    }

    #[test]
    fn answers_to_pings_earn_nothing() {
        let mut frames = Frames::new();
        let paced = (0..2000).all(|_| {
            frames.sent(&frame(6, 8));
            frames.received(&frame(6, 8))
        });
        assert!(!paced);
    }
}

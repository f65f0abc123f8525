//! Strictness about line ends, which hyper lacks: it takes a line feed alone for the end of a line of a head, as RFC
//! 9112 section 2.2 allows. Whoever stands in front and does not would see one request where we see two.
//!
//! The screen follows requests of HTTP/1 and their framing through the bytes on their way to hyper, and makes a lone
//! line feed a NUL, which hyper answers with 400. Where hyper refuses a request anyway it need not be right.

use memchr::memchr;

/// A request line besides its target: method, version, and what an absolute target has before its path.
const AROUND_TARGET: usize = 1024;
const NAMES: [&[u8]; 2] = [b"content-length:", b"transfer-encoding:"];

pub struct Screen {
    place: Place,
    /// Bytes of the present request line, and how many it may have.
    line: usize,
    max_line: usize,
    last: u8,
    /// How the present request is framed.
    length: u64,
    chunked: bool,
}

#[derive(Clone, Copy)]
enum Place {
    RequestLine,
    FieldStart,
    /// In a field's name, which so far is that one of `NAMES` up to there.
    Name(usize, usize),
    Length,
    Field,
    /// With the line end after it, if it is a chunk's data.
    Body(u64),
    ChunkSize(u64),
    ChunkExtension(u64),
    TrailerStart,
    Trailer,
}

/// The request line is longer than it may be; so much of the bytes is not beyond.
#[derive(Debug, PartialEq)]
pub struct TooLong(pub usize);

impl Screen {
    pub fn new(max_target: usize) -> Self {
        let max_line = max_target + AROUND_TARGET;
        Self { place: Place::RequestLine, line: 0, max_line, last: 0, length: 0, chunked: false }
    }

    /// Whether a head has begun and not ended.
    pub fn is_in_head(&self) -> bool {
        match self.place {
            Place::RequestLine => self.line > 1 || self.line == 1 && self.last != b'\r',
            Place::FieldStart | Place::Name(..) | Place::Length | Place::Field => true,
            _ => false,
        }
    }

    /// Follows the bytes that come next, and spoils lone line feeds.
    pub fn pass(&mut self, bytes: &mut [u8]) -> Result<(), TooLong> {
        let mut at = 0;
        while let Some(rest) = bytes.get_mut(at..).filter(|rest| !rest.is_empty()) {
            let read = match self.place {
                Place::RequestLine => self.request_line(rest).map_err(|TooLong(within)| TooLong(at + within))?,
                Place::Field | Place::Trailer | Place::ChunkExtension(_) => self.line(rest),
                Place::Body(left) => self.skip(left, rest.len()),
                _ => self.byte(&mut rest[0]),
            };
            self.last = rest[read - 1];
            at += read;
        }
        Ok(())
    }

    fn request_line(&mut self, bytes: &mut [u8]) -> Result<usize, TooLong> {
        let end = memchr(b'\n', bytes);
        let within = self.max_line - self.line;
        let more = end.unwrap_or(bytes.len());
        if more > within {
            return Err(TooLong(within));
        }
        self.line += more;
        let Some(end) = end else { return Ok(more) };
        self.spoil_lone_feed(bytes, end);
        // Empty lines before a request line are skipped (RFC 9112 section 2.2).
        if self.line > 1 {
            self.place = Place::FieldStart;
            (self.length, self.chunked) = (0, false);
        }
        self.line = 0;
        Ok(end + 1)
    }

    /// The rest of a line in which nothing but its end matters.
    fn line(&mut self, bytes: &mut [u8]) -> usize {
        let Some(end) = memchr(b'\n', bytes) else { return bytes.len() };
        self.spoil_lone_feed(bytes, end);
        self.end_line();
        end + 1
    }

    fn skip(&mut self, left: u64, there: usize) -> usize {
        let skipped = left.min(there as u64);
        self.place = match left - skipped {
            0 if self.chunked => Place::ChunkSize(0),
            0 => Place::RequestLine,
            left => Place::Body(left),
        };
        skipped as usize
    }

    /// One byte where each matters.
    fn byte(&mut self, byte: &mut u8) -> usize {
        if *byte == b'\n' {
            self.spoil_lone_feed(std::slice::from_mut(byte), 0);
            self.end_line();
            return 1;
        }
        self.place = match (self.place, byte.to_ascii_lowercase()) {
            (place @ (Place::FieldStart | Place::Length | Place::ChunkSize(_) | Place::TrailerStart), b'\r') => place,
            (Place::FieldStart, b'c') => Place::Name(0, 1),
            (Place::FieldStart, b't') => Place::Name(1, 1),
            (Place::Name(which, at), byte) if byte == NAMES[which][at] => self.name(which, at + 1),
            (Place::Length, b' ' | b'\t') => Place::Length,
            (Place::Length, digit @ b'0'..=b'9') => {
                self.length = self.length.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
                Place::Length
            }
            (Place::ChunkSize(size), digit) => match char::from(digit).to_digit(16) {
                Some(digit) => Place::ChunkSize(size.saturating_mul(16).saturating_add(u64::from(digit))),
                None => Place::ChunkExtension(size),
            },
            (Place::TrailerStart, _) => Place::Trailer,
            _ => Place::Field,
        };
        1
    }

    fn name(&mut self, which: usize, read: usize) -> Place {
        if read < NAMES[which].len() {
            return Place::Name(which, read);
        }
        if which == 0 {
            // Said again, it has to be the same for hyper.
            self.length = 0;
            return Place::Length;
        }
        self.chunked = true;
        Place::Field
    }

    fn end_line(&mut self) {
        self.place = match self.place {
            // The end of the head, or of the trailers.
            Place::FieldStart if self.chunked => Place::ChunkSize(0),
            Place::FieldStart if self.length > 0 => Place::Body(self.length),
            Place::FieldStart | Place::TrailerStart => Place::RequestLine,
            Place::ChunkSize(0) | Place::ChunkExtension(0) | Place::Trailer => Place::TrailerStart,
            Place::ChunkSize(size) | Place::ChunkExtension(size) => Place::Body(size.saturating_add(2)),
            _ => Place::FieldStart,
        };
    }

    fn spoil_lone_feed(&self, bytes: &mut [u8], at: usize) {
        let before = if at == 0 { self.last } else { bytes[at - 1] };
        if before != b'\r' {
            bytes[at] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const POST: &str = "POST / HTTP/1.1\r\ncOntent-Length:\t 5\r\nHost: a\r\n\r\na\nb\nc";
    const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nA;x=y\r\n\n\n\n\n\n\n\n\n\n\n\r\n1\r\n\n\r\n0\r\nt: 1\r\n\r\n";

    /// What comes out, whatever the pieces in which it goes in.
    fn passed(text: &str) -> String {
        let whole = pieces(text, text.len());
        for size in 1..text.len() {
            assert_eq!(pieces(text, size), whole, "in pieces of {size} bytes");
        }
        whole
    }

    fn pieces(text: &str, size: usize) -> String {
        let mut bytes = text.as_bytes().to_vec();
        let mut screen = Screen::new(8192);
        for piece in bytes.chunks_mut(size) {
            screen.pass(piece).unwrap();
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn requests_and_their_bodies_pass_as_they_are() {
        for requests in [
            [GET, GET, GET],
            [GET, POST, GET],
            [POST, CHUNKED, POST],
            [CHUNKED, CHUNKED, GET],
            [POST, "\r\n\r\n", GET],
            ["POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "POST / HTTP/1.1\r\nc: d\r\nt\r\n\r\n", POST],
            ["POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n\n\n", CHUNKED, GET],
        ] {
            let text = requests.concat();
            assert_eq!(passed(&text), text);
        }
    }

    #[test]
    fn a_lone_line_feed_in_a_head_is_spoiled_wherever_the_head_is() {
        for before in ["", GET, POST, CHUNKED] {
            for head in [
                "GET / HTTP/1.1\nHost: a\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\nx: y\n\nGET",
                "GET / HTTP/1.1\r\nHost: a\r\n\n",
                "GET / HTTP/1.1\r\nContent-Length: 5\n\r\n",
                "GET / HTTP/1.1\r\nCont\nHost: a\r\n\r\n",
                "\nGET / HTTP/1.1\r\n",
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\nabcde",
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nabcde",
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na: b\nGET /",
            ] {
                let text = [before, head].concat();
                let passed = passed(&text);
                let first = before.len() + head.replace("\r\n", "xx").find('\n').unwrap();
                assert_eq!(passed.as_bytes()[first], 0, "{head:?} after {before:?}");
                assert_eq!(passed[..first], text[..first]);
            }
        }
    }

    #[test]
    fn a_request_line_is_bounded_and_only_that() {
        let bound = 10 + AROUND_TARGET;
        let line = |length: usize| "x".repeat(length - 1) + "\r\n";
        let mut screen = Screen::new(10);
        assert_eq!(screen.pass((line(bound) + "field: " + &line(5000)).into_bytes().as_mut()), Ok(()));
        let mut screen = Screen::new(10);
        assert_eq!(screen.pass(line(bound + 1).into_bytes().as_mut()), Err(TooLong(bound)));
        let mut screen = Screen::new(10);
        for _ in 0..bound {
            assert_eq!(screen.pass(&mut [b'x']), Ok(()));
        }
        assert_eq!(screen.pass(&mut [b'x']), Err(TooLong(0)));
    }
}

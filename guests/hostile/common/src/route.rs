//! Which path is which attack.

use std::io::{self, Write as _};
use std::time::Duration;

use testbed_common::{Chunks, Reply};

use crate::query::{self, Query};
use crate::{escape, faults, memory, peek, race, readonly};

/// What is left to a guest of one generation: whatever calls the host's HTTP, clocks or random numbers.
pub enum Route {
    Reply(Reply),
    /// Call the host for ever.
    Around(Call),
    /// Wait for ever, without an answer.
    Silent,
    Stream(Chunks, Ending),
    Headers(Vec<(String, Vec<u8>)>),
    Trailers(Vec<(String, Vec<u8>)>),
    /// Make so many things of this kind at once; without an end if there is no number.
    Take {
        what: String,
        count: u64,
        keep: bool,
    },
}

pub enum Call {
    Clock,
    Random,
    /// A wait that is over at once.
    Poll,
}

pub enum Ending {
    Complete,
    /// The body goes no further, and does not end.
    Never,
}

pub fn route(path_with_query: &str) -> Route {
    let (path, query) = query::split(path_with_query);
    choose(&path, &query).unwrap_or_else(Route::Reply)
}

fn choose(path: &str, query: &Query) -> Result<Route, Reply> {
    let milliseconds = || query.number("ms", 0).map(Duration::from_millis);
    let reply = match path {
        "/" | "/hello" => Reply::text("Hello, world!"),

        "/loop" => faults::spin(),
        "/loop-clock" => return Ok(Route::Around(Call::Clock)),
        "/loop-random" => return Ok(Route::Around(Call::Random)),
        "/loop-poll" => return Ok(Route::Around(Call::Poll)),
        "/silent" => return Ok(Route::Silent),
        "/panic" => {
            faults::burn(milliseconds()?);
            panic!("hostile panic")
        }
        "/recurse" => Reply::text(faults::recurse().to_string()),
        "/overflow" => Reply::text(memory::overflow_stack(0).to_string()),

        "/grow" => memory::grow(query.number("mb", 0)?),
        "/fill" => memory::fill(query.number("mb", 1)?, query.number("times", 1)?),

        "/endless" => {
            let size = query.number("bytes", 64 * 1024)? as usize;
            return Ok(Route::Stream(
                Chunks::new(0, size, milliseconds()?),
                Ending::Complete,
            ));
        }
        "/stall" => {
            let chunks = Chunks::new(1, query.number("bytes", 1)? as usize, Duration::ZERO);
            return Ok(Route::Stream(chunks, Ending::Never));
        }
        "/headers" => return Ok(Route::Headers(fields(query)?)),
        "/trailers" => return Ok(Route::Trailers(fields(query)?)),

        "/take" => {
            return Ok(Route::Take {
                what: query.required("what")?.into(),
                count: query.number("count", 0)?,
                keep: query.flag("keep"),
            });
        }
        "/print" => print(query.number("bytes", 0)?),

        "/escape" => escape::attempt(query.required("outside")?, query.required("file")?),
        "/readonly" => readonly::attempt(query.number("times", 1)?),
        "/race-swap" => race::swap(milliseconds()?),
        "/race-open" => race::open(milliseconds()?),
        "/peek" => peek::everywhere(),
        _ => Reply::status(404, format!("no route {path}")),
    };
    Ok(Route::Reply(reply))
}

/// `count` fields with values of `bytes` bytes.
fn fields(query: &Query) -> Result<Vec<(String, Vec<u8>)>, Reply> {
    let value = vec![b'x'; query.number("bytes", 1000)? as usize];
    let names = (0..query.number("count", 1)?).map(|n| format!("x-huge-{n}"));
    Ok(names.map(|name| (name, value.clone())).collect())
}

/// So many bytes of lines, as fast as they are taken.
fn print(bytes: u64) -> Reply {
    let line = [&[b'x'; 99][..], b"\n"].concat();
    let mut stdout = io::stdout().lock();
    let lines = line.repeat(64);
    let mut left = bytes;
    while left > 0 {
        let part = (left as usize).min(lines.len());
        let _ = stdout.write_all(&lines[..part]);
        left -= part as u64;
    }
    let _ = stdout.flush();
    Reply::text("printed")
}

//! Which path asks for what.

use std::time::Duration;

use crate::query::{self, Query};
use crate::{Chunks, Fetch, Reply, Url, faults, local};

/// What is left to a testbed once the shared part has done its work: whatever needs
/// the request's body, a streamed response, trailers, time or an outgoing request.
pub enum Route {
    Reply(Reply),
    /// Answer with the request's head.
    Request,
    Echo,
    Trailers {
        announced: bool,
    },
    Stream {
        headers: Vec<(String, Vec<u8>)>,
        chunks: Chunks,
    },
    Sleep(Duration),
    /// The handler itself fails.
    Error,
    /// The handler ends without an answer, where it can.
    None,
    /// Send the head and so many bytes, wait a little, trap.
    Abort {
        bytes: usize,
        pause: Duration,
    },
    /// Go on working for so long after a complete answer.
    After(Duration),
    /// The request's body becomes this file.
    Write {
        path: String,
    },
    Out(Url),
    /// Send a request and answer as it was answered, both bodies streamed.
    Fetch(Fetch),
    /// Read the request's body in pieces with pauses between them and answer its length.
    Length {
        piece: usize,
        pause: Duration,
    },
}

pub fn route(path_with_query: &str) -> Route {
    let (path, query) = query::split(path_with_query);
    choose(&path, &query).unwrap_or_else(Route::Reply)
}

fn choose(path: &str, query: &Query) -> Result<Route, Reply> {
    let milliseconds = |default| query.number("ms", default).map(Duration::from_millis);
    let reply = match path {
        "/" | "/hello" => Reply::text("Hello, world!"),
        "/request" => return Ok(Route::Request),
        "/echo" => return Ok(Route::Echo),
        "/discard" => Reply::text("discarded"),
        "/length" => {
            return Ok(Route::Length {
                piece: crate::PIECE,
                pause: Duration::ZERO,
            });
        }
        "/slow-read" => {
            return Ok(Route::Length {
                piece: crate::SMALL_PIECE,
                pause: milliseconds(0)?,
            });
        }
        "/trailers" => {
            return Ok(Route::Trailers {
                announced: !query.flag("unannounced"),
            });
        }
        "/stream" => {
            let size = query.number("bytes", 1024)? as usize;
            return Ok(Route::Stream {
                headers: Reply::plain(),
                chunks: Chunks::new(query.number("chunks", 0)?, size, milliseconds(0)?),
            });
        }
        "/big" => return big(query.number("bytes", 0)?),
        "/abort" => {
            return Ok(Route::Abort {
                bytes: query.number("bytes", 1000)? as usize,
                pause: milliseconds(0)?,
            });
        }
        "/after" => return Ok(Route::After(milliseconds(0)?)),
        "/status" => local::status(query)?,
        "/respond" => local::respond(query)?,

        "/sleep" => return Ok(Route::Sleep(milliseconds(0)?)),
        "/burn" => {
            faults::burn(milliseconds(0)?);
            Reply::text("burned")
        }
        "/spin" => faults::spin(),
        "/trap" => faults::trap(),
        "/panic" | "/throw" => panic!("testbed panic"),
        "/error" => return Ok(Route::Error),
        "/none" => return Ok(Route::None),
        "/recurse" => Reply::text(faults::recurse().to_string()),
        "/oob" => Reply::text(faults::access_out_of_bounds().to_string()),

        "/count" => local::count(),
        "/grow" => local::grow(query)?,
        "/print" => local::print(query)?,
        "/env" => local::environment(),
        "/args" => local::arguments(),

        "/read" => local::read(query.required("path")?),
        "/list" => local::list(query.required("path")?),
        "/write" => {
            return Ok(Route::Write {
                path: query.required("path")?.into(),
            });
        }
        "/tcp" => local::connect(query.required("addr")?),
        "/udp" => local::datagram(query.required("addr")?),
        "/listen" => local::listen(query.required("addr")?),
        "/clocks" => local::clocks(),
        "/resolve" => local::resolve(query.required("name")?),
        "/out" => {
            let url = query.required("url")?;
            let no_url = || Reply::status(400, format!("{url:?} is no URL"));
            return Ok(Route::Out(Url::parse(url).ok_or_else(no_url)?));
        }
        "/fetch" => return Fetch::parse(query).map(Route::Fetch),
        _ => Reply::status(404, format!("no route {path}")),
    };
    Ok(Route::Reply(reply))
}

fn big(bytes: u64) -> Result<Route, Reply> {
    let mut headers = Reply::plain();
    headers.push(("content-length".into(), bytes.to_string().into()));
    Ok(Route::Stream {
        headers,
        chunks: Chunks::of(bytes),
    })
}

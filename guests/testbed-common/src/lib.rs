//! What the two testbeds share: which path asks for what, and everything that needs no HTTP of the host's.

mod chunks;
mod faults;
mod fetch;
mod json;
pub mod lifespan;
mod local;
mod query;
mod reply;
mod route;
mod url;

pub use chunks::Chunks;
pub use faults::trap;
pub use fetch::Fetch;
pub use json::request as request_json;
pub use reply::Reply;
pub use route::{Route, route};
pub use url::Url;

/// How much of a body is in the guest's memory at a time.
pub const PIECE: usize = 64 * 1024;
/// The same for the route that reads slowly.
pub const SMALL_PIECE: usize = 16 * 1024;
/// How much `/out` shows of the body that it got.
pub const EXCERPT: usize = 200;

/// The header `Trailer` of `/echo`. `wanted` is 1, or the names of the request's own trailers:
/// over HTTP/1 only those that were announced are passed on, and the guest cannot know them yet.
pub fn announcement(wanted: &[u8]) -> Vec<u8> {
    match wanted {
        b"1" => b"x-echo-trailer".into(),
        names => [b"x-echo-trailer, ", names].concat(),
    }
}

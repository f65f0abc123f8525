//! hyper's two protocols, set up with the limits on a client that they enforce themselves.

use super::stall::Streams;
use crate::config::{ClientLimits, Settings};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;

/// What hyper has room for on the stack, and takes as its limit if nothing is said.
const USUAL_FIELDS: usize = 100;
/// Besides a target and fields, what a head has: method, version, what an absolute target begins with; colons, spaces
/// and line ends of fields. A field of HTTP/2 counts for 32 bytes more than it has (RFC 9113 section 6.5.2).
const AROUND_TARGET: usize = 2048;
const AROUND_FIELD: usize = 32;

/// Requests at a time on one connection.
const MAX_STREAMS: u32 = 100;
/// What a client may send before somebody takes it: of one stream, and of all.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
const MAX_FRAME: u32 = 16 << 10;
/// What of one response waits for its client.
const SEND_BUFFER: usize = 64 << 10;
/// Requests that may be reset before they are accepted, and mistakes that make us reset one, on one connection.
const MAX_RESETS: usize = 20;
const MAX_ERRORS: usize = 100;

/// No timeouts: hyper's cover less than ours (`drive`), and cost a timer for each request.
pub fn http1(settings: &Settings) -> http1::Builder {
    let limits = &settings.client;
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None).keep_alive(!settings.demo).max_header_size(max_head(limits));
    if limits.request_fields != USUAL_FIELDS {
        builder.max_headers(limits.request_fields);
    }
    builder
}

pub fn http2(settings: &Settings) -> http2::Builder<Streams> {
    let limits = &settings.client;
    let mut builder = http2::Builder::new(Streams { limit: limits.write });
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(max_head(limits) as u32)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_ERRORS)
        // A client that is gone without a word: a response that waits for the guest would not show it.
        .keep_alive_interval(limits.keep_alive)
        .keep_alive_timeout(limits.write);
    builder
}

/// A bound for what is buffered; the limits themselves are checked when a head is complete.
fn max_head(limits: &ClientLimits) -> usize {
    limits.request_line + AROUND_TARGET + limits.request_header_size + AROUND_FIELD * limits.request_fields
}

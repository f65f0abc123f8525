//! Attacks by wasi:http 0.2. The README of the folder above lists them.

use std::hint::black_box;

use hostile_common::{Call, Ending, Route, route, take};
use testbed_common::{Chunks, Reply};
use wasip2::clocks::monotonic_clock::{self, subscribe_duration};
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::filesystem::preopens::get_directories;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingRequest, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::OutputStream;
use wasip2::random::random::get_random_bytes;

struct Hostile;

wasip2::http::proxy::export!(Hostile);

const FOR_EVER: u64 = u64::MAX / 2;

impl Guest for Hostile {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        match route(&request.path_with_query().unwrap_or_default()) {
            Route::Reply(reply) => answer(outparam, reply),
            Route::Around(call) => loop {
                match call {
                    Call::Clock => drop(black_box(monotonic_clock::now())),
                    Call::Random => drop(black_box(get_random_bytes(4096))),
                    Call::Poll => subscribe_duration(0).block(),
                }
            },
            Route::Silent => {
                subscribe_duration(FOR_EVER).block();
                answer(outparam, Reply::text("at last"));
            }
            Route::Stream(chunks, ending) => stream(outparam, chunks, ending),
            Route::Headers(mut headers) => {
                headers.extend(Reply::plain());
                let body = b"ok".to_vec();
                answer(
                    outparam,
                    Reply {
                        status: 200,
                        headers,
                        body,
                    },
                );
            }
            Route::Trailers(trailers) => send_trailers(outparam, trailers),
            Route::Take { what, count, keep } => answer(outparam, take_many(&what, count, keep)),
        }
    }
}

/// An answer with whatever the host takes of it.
fn answer(outparam: ResponseOutparam, reply: Reply) {
    let (response, reply) = match Fields::from_list(&reply.headers) {
        Ok(headers) => (OutgoingResponse::new(headers), reply),
        Err(error) => (
            OutgoingResponse::new(Fields::new()),
            Reply::refused("header", error),
        ),
    };
    let _ = response.set_status_code(reply.status);
    let (body, stream) = open(outparam, response);
    for part in reply.body.chunks(4096) {
        let _ = stream.blocking_write_and_flush(part);
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

fn open(outparam: ResponseOutparam, response: OutgoingResponse) -> (OutgoingBody, OutputStream) {
    let body = response.body().expect("a body not yet taken");
    let stream = body.write().expect("a stream not yet taken");
    ResponseOutparam::set(outparam, Ok(response));
    (body, stream)
}

fn stream(outparam: ResponseOutparam, chunks: Chunks, ending: Ending) {
    let (body, stream) = open(outparam, OutgoingResponse::new(Fields::new()));
    let pause = chunks.pause;
    for chunk in chunks {
        // Whoever does not want it is asked again: this guest does not give up.
        for part in chunk.chunks(4096) {
            let _ = stream.blocking_write_and_flush(part);
        }
        if !pause.is_zero() {
            subscribe_duration(pause.as_nanos() as u64).block();
        }
    }
    if matches!(ending, Ending::Never) {
        subscribe_duration(FOR_EVER).block();
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

fn send_trailers(outparam: ResponseOutparam, fields: Vec<(String, Vec<u8>)>) {
    let names = Vec::from_iter(fields.iter().map(|(name, _)| name.as_str())).join(", ");
    let headers =
        Fields::from_list(&[("trailer".into(), names.into())]).unwrap_or_else(|_| Fields::new());
    let (body, stream) = open(outparam, OutgoingResponse::new(headers));
    let _ = stream.blocking_write_and_flush(b"body");
    drop(stream);
    let _ = OutgoingBody::finish(body, Fields::from_list(&fields).ok());
}

fn take_many(what: &str, count: u64, keep: bool) -> Reply {
    let made = match what {
        "fields" => take(count, keep, Fields::new),
        "pollables" => take(count, keep, || subscribe_duration(FOR_EVER)),
        "requests" => take(count, keep, || OutgoingRequest::new(Fields::new())),
        "folders" => take(count, keep, get_directories),
        "streams" => take(count, keep, || {
            let response = OutgoingResponse::new(Fields::new());
            let body = response.body().expect("a body not yet taken");
            // In the order in which they must be dropped.
            (
                body.write().expect("a stream not yet taken"),
                body,
                response,
            )
        }),
        _ => return Reply::status(404, format!("nothing known as {what}")),
    };
    Reply::text(made.to_string())
}

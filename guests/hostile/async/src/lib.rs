//! Attacks by wasi:http 0.3. The README of the folder above lists them.

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::mem;
use std::task::Poll;

use hostile_common::{Call, Ending, Route, route, take};
use testbed_common::{Chunks, Reply};
use wasip3::clocks::monotonic_clock::{now, wait_for};
use wasip3::exports::http::handler::Guest;
use wasip3::filesystem::preopens::get_directories;
use wasip3::http::types::{ErrorCode, Fields, Request, Response, Trailers};
use wasip3::random::random::get_random_bytes;
use wasip3::wit_bindgen::{FutureWriter, StreamWriter};
use wasip3::{spawn_local, wit_future, wit_stream};

struct Hostile;

wasip3::http::service::export!(Hostile);

const FOR_EVER: u64 = u64::MAX / 2;

impl Guest for Hostile {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        Ok(
            match route(&request.get_path_with_query().unwrap_or_default()) {
                Route::Reply(reply) => answer(reply),
                Route::Around(call) => loop {
                    match call {
                        Call::Clock => drop(black_box(now())),
                        Call::Random => drop(black_box(get_random_bytes(4096))),
                        Call::Poll => wait_for(0).await,
                    }
                },
                Route::Silent => {
                    wait_for(FOR_EVER).await;
                    answer(Reply::text("at last"))
                }
                Route::Stream(chunks, ending) => respond(200, Fields::new(), async |output| {
                    stream(output, chunks, ending).await
                }),
                Route::Headers(mut headers) => {
                    headers.extend(Reply::plain());
                    let body = b"ok".to_vec();
                    answer(Reply {
                        status: 200,
                        headers,
                        body,
                    })
                }
                Route::Trailers(trailers) => send_trailers(trailers),
                Route::Take { what, count, keep } => answer(take_many(&what, count, keep).await),
            },
        )
    }
}

struct Output {
    stream: StreamWriter<u8>,
    end: FutureWriter<Result<Option<Trailers>, ErrorCode>>,
}

impl Output {
    async fn finish(self, trailers: Option<Trailers>) {
        drop(self.stream);
        let _ = self.end.write(Ok(trailers)).await;
    }
}

/// A response whose body is written once its head is on its way.
fn respond(status: u16, headers: Fields, produce: impl AsyncFnOnce(Output) + 'static) -> Response {
    let (stream, stream_reader) = wit_stream::new();
    let (end, end_reader) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(headers, Some(stream_reader), end_reader);
    let _ = response.set_status_code(status);
    spawn_local(async move { produce(Output { stream, end }).await });
    response
}

/// An answer with whatever the host takes of it.
fn answer(reply: Reply) -> Response {
    let (headers, reply) = match Fields::from_list(&reply.headers) {
        Ok(headers) => (headers, reply),
        Err(error) => (Fields::new(), Reply::refused("header", error)),
    };
    respond(reply.status, headers, async move |mut output| {
        output.stream.write_all(reply.body).await;
        output.finish(None).await;
    })
}

async fn stream(mut output: Output, chunks: Chunks, ending: Ending) {
    let pause = chunks.pause;
    for chunk in chunks {
        // Whoever does not want it is asked again: this guest does not give up.
        output.stream.write_all(chunk).await;
        if !pause.is_zero() {
            wait_for(pause.as_nanos() as u64).await;
        }
    }
    if matches!(ending, Ending::Never) {
        wait_for(FOR_EVER).await;
    }
    output.finish(None).await;
}

fn send_trailers(fields: Vec<(String, Vec<u8>)>) -> Response {
    let names = Vec::from_iter(fields.iter().map(|(name, _)| name.as_str())).join(", ");
    let headers =
        Fields::from_list(&[("trailer".into(), names.into())]).unwrap_or_else(|_| Fields::new());
    respond(200, headers, async move |mut output| {
        output.stream.write_all(b"body".to_vec()).await;
        output.finish(Fields::from_list(&fields).ok()).await;
    })
}

async fn take_many(what: &str, count: u64, keep: bool) -> Reply {
    let made = match what {
        "fields" => take(count, keep, Fields::new),
        "requests" => take(count, keep, new_request),
        "folders" => take(count, keep, get_directories),
        "streams" => take(count, keep, wit_stream::new::<u8>),
        "waits" => take_waits(count, keep).await,
        _ => return Reply::status(404, format!("nothing known as {what}")),
    };
    Reply::text(made.to_string())
}

fn new_request() -> Request {
    let (_, trailers) = wit_future::new(|| Ok(None));
    Request::new(Fields::new(), None, trailers, None).0
}

/// Calls of the host that have begun and do not end.
async fn take_waits(count: u64, keep: bool) -> u64 {
    let mut held = Vec::new();
    let mut made = 0;
    while count == 0 || made < count {
        let mut wait = Box::pin(wait_for(FOR_EVER));
        poll_fn(|cx| {
            let _ = wait.as_mut().poll(cx);
            Poll::Ready(())
        })
        .await;
        held.push(wait);
        made += 1;
    }
    if keep {
        mem::forget(held);
    }
    made
}

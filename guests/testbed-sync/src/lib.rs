//! Routes for the server's tests, by wasi:http 0.2. The README of the folder above lists them.

mod body;
mod lifespan;
mod outgoing;

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use testbed_common::{Chunks, PIECE, Reply, Route, announcement, request_json, route, trap};
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingRequest, Method, ResponseOutparam, Scheme, Trailers,
};

use body::{Input, Output};

struct Testbed;

wasip2::http::proxy::export!(Testbed);

impl Guest for Testbed {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        match route(&request.path_with_query().unwrap_or_default()) {
            Route::Reply(reply) => send(outparam, reply),
            Route::Request => send(outparam, describe(&request)),
            Route::Echo => echo(&request, outparam),
            Route::Trailers { announced } => trailers(outparam, announced),
            Route::Stream { headers, chunks } => stream(outparam, headers, chunks),
            Route::Sleep(time) => {
                sleep(time);
                send(outparam, Reply::text("slept"));
            }
            Route::Error => {
                let error = ErrorCode::InternalError(Some("testbed error".into()));
                ResponseOutparam::set(outparam, Err(error));
            }
            Route::None => {}
            Route::Abort { bytes, pause } => abort(outparam, bytes, pause),
            Route::After(time) => {
                send(outparam, Reply::text("answered"));
                sleep(time);
                println!("after: done");
            }
            Route::Write { path } => {
                let written = write_file(&request, &path)
                    .unwrap_or_else(|error| Reply::status(500, error.to_string()));
                send(outparam, written);
            }
            Route::Out(url) => send(outparam, outgoing::get(url)),
            Route::Fetch(fetch) => outgoing::fetch(&request, outparam, fetch),
            Route::Length { piece, pause } => {
                let length = measure(&request, piece, pause)
                    .unwrap_or_else(|error| Reply::status(400, error.to_string()));
                send(outparam, length);
            }
        }
    }
}

fn sleep(time: Duration) {
    subscribe_duration(time.as_nanos() as u64).block();
}

fn send(outparam: ResponseOutparam, reply: Reply) {
    if let Some(mut output) = Output::start(outparam, reply.status, &reply.headers) {
        // Whoever asked may be gone by now, which is no fault of this app.
        let _ = output.write(&reply.body);
        output.finish(None);
    }
}

fn describe(request: &IncomingRequest) -> Reply {
    let method = match request.method() {
        Method::Get => "GET".into(),
        Method::Head => "HEAD".into(),
        Method::Post => "POST".into(),
        Method::Put => "PUT".into(),
        Method::Delete => "DELETE".into(),
        Method::Connect => "CONNECT".into(),
        Method::Options => "OPTIONS".into(),
        Method::Trace => "TRACE".into(),
        Method::Patch => "PATCH".into(),
        Method::Other(other) => other,
    };
    let scheme = request.scheme().map(|scheme| match scheme {
        Scheme::Http => "http".into(),
        Scheme::Https => "https".into(),
        Scheme::Other(other) => other,
    });
    Reply::json(request_json(
        &method,
        scheme,
        request.authority(),
        request.path_with_query(),
        request.headers().entries(),
    ))
}

fn echo(request: &IncomingRequest, outparam: ResponseOutparam) {
    let received = request.headers();
    let trailers_wanted = received.get("x-want-trailers").pop();
    let mut headers = Vec::new();
    for value in received.get("content-type") {
        headers.push(("content-type".into(), value));
    }
    if let Some(wanted) = &trailers_wanted {
        headers.push(("trailer".into(), announcement(wanted)));
    }
    let Some(mut output) = Output::start(outparam, 200, &headers) else {
        return;
    };

    let mut input = Input::of(request);
    let mut buffer = vec![0; PIECE];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) if output.write(&buffer[..n]).is_ok() => {}
            // Dropped unfinished, the answer is cut off as the request was.
            _ => return,
        }
    }
    let Ok(received) = input.trailers() else {
        return;
    };
    let trailers = trailers_wanted.map(|_| {
        let trailers = received.map_or_else(Fields::new, |fields| Fields::clone(&fields));
        let _ = trailers.append("x-echo-trailer", b"done");
        trailers
    });
    output.finish(trailers);
}

fn trailers(outparam: ResponseOutparam, announced: bool) {
    let mut headers = Reply::plain();
    if announced {
        headers.push(("trailer".into(), b"x-trailer".into()));
    }
    if let Some(mut output) = Output::start(outparam, 200, &headers) {
        let _ = output.write(b"body");
        let trailers = Trailers::from_list(&[("x-trailer".into(), b"yes".into())]);
        output.finish(Some(trailers.expect("a plain trailer")));
    }
}

fn stream(outparam: ResponseOutparam, headers: Vec<(String, Vec<u8>)>, chunks: Chunks) {
    let Some(mut output) = Output::start(outparam, 200, &headers) else {
        return;
    };
    let pause = chunks.pause;
    for (n, chunk) in chunks.enumerate() {
        if n > 0 && !pause.is_zero() {
            sleep(pause);
        }
        if output.write(&chunk).is_err() {
            return;
        }
    }
    output.finish(None);
}

fn abort(outparam: ResponseOutparam, bytes: usize, pause: Duration) {
    if let Some(mut output) = Output::start(outparam, 200, &Reply::plain()) {
        let _ = output.write(&vec![b'x'; bytes]);
        sleep(pause);
        trap();
    }
}

fn write_file(request: &IncomingRequest, path: &str) -> io::Result<Reply> {
    let mut file = File::create(path)?;
    let bytes = io::copy(&mut Input::of(request), &mut file)?;
    file.flush()?;
    Ok(Reply::text(format!("written {bytes}")))
}

fn measure(request: &IncomingRequest, piece: usize, pause: Duration) -> io::Result<Reply> {
    let mut input = Input::of(request);
    let mut buffer = vec![0; piece];
    let mut length = 0;
    loop {
        match input.read(&mut buffer)? {
            0 => return Ok(Reply::text(length.to_string())),
            n => length += n as u64,
        }
        if !pause.is_zero() {
            sleep(pause);
        }
    }
}

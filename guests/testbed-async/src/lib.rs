//! Routes for the server's tests, by wasi:http 0.3. The README of the folder above lists them.

mod body;
mod lifespan;
mod outgoing;

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use testbed_common::{Chunks, PIECE, Reply, Route, announcement, request_json, route, trap};
use wasip3::clocks::monotonic_clock;
use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme, Trailers};
use wasip3::spawn_local;

use body::{Input, Output};

struct Testbed;

wasip3::http::service::export!(Testbed);

impl Guest for Testbed {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        Ok(
            match route(&request.get_path_with_query().unwrap_or_default()) {
                Route::Reply(reply) => answer(reply),
                Route::Request => answer(describe(&request)),
                Route::Echo => echo(request),
                Route::Trailers { announced } => trailers(announced),
                Route::Stream { headers, chunks } => stream(headers, chunks),
                Route::Sleep(time) => {
                    sleep(time).await;
                    answer(Reply::text("slept"))
                }
                Route::Error | Route::None => {
                    return Err(ErrorCode::InternalError(Some("testbed error".into())));
                }
                Route::Abort { bytes, pause } => abort(bytes, pause),
                Route::After(time) => after(time),
                Route::Write { path } => answer(write_file(request, path).await),
                Route::Out(url) => answer(outgoing::get(url).await),
                Route::Fetch(fetch) => outgoing::fetch(request, fetch).await,
                Route::Length { piece, pause } => answer(measure(request, piece, pause).await),
            },
        )
    }
}

async fn sleep(time: Duration) {
    monotonic_clock::wait_for(time.as_nanos() as u64).await;
}

fn answer(reply: Reply) -> Response {
    Output::respond(reply.status, &reply.headers, async move |mut output| {
        // Whoever asked may be gone by now, which is no fault of this app.
        output.write(reply.body).await;
        output.finish(None).await;
    })
}

fn describe(request: &Request) -> Reply {
    let method = match request.get_method() {
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
    let scheme = request.get_scheme().map(|scheme| match scheme {
        Scheme::Http => "http".into(),
        Scheme::Https => "https".into(),
        Scheme::Other(other) => other,
    });
    Reply::json(request_json(
        &method,
        scheme,
        request.get_authority(),
        request.get_path_with_query(),
        request.get_headers().copy_all(),
    ))
}

fn echo(request: Request) -> Response {
    let received = request.get_headers();
    let trailers_wanted = received.get("x-want-trailers").pop();
    let mut headers = Vec::new();
    for value in received.get("content-type") {
        headers.push(("content-type".into(), value));
    }
    if let Some(wanted) = &trailers_wanted {
        headers.push(("trailer".into(), announcement(wanted)));
    }
    drop(received);

    let mut input = Input::of(request);
    Output::respond(200, &headers, async move |mut output| {
        if !output.copy(&mut input).await {
            return;
        }
        match input.trailers().await {
            // The answer is cut off as the request was.
            Err(error) => output.fail(error).await,
            Ok(_) if trailers_wanted.is_none() => output.finish(None).await,
            Ok(received) => {
                let trailers = received.map_or_else(Fields::new, |fields| Fields::clone(&fields));
                let _ = trailers.append("x-echo-trailer", b"done");
                output.finish(Some(trailers)).await;
            }
        }
    })
}

fn trailers(announced: bool) -> Response {
    let mut headers = Reply::plain();
    if announced {
        headers.push(("trailer".into(), b"x-trailer".into()));
    }
    Output::respond(200, &headers, async |mut output| {
        output.write(b"body".into()).await;
        let trailers = Trailers::from_list(&[("x-trailer".into(), b"yes".into())]);
        output
            .finish(Some(trailers.expect("a plain trailer")))
            .await;
    })
}

fn stream(headers: Vec<(String, Vec<u8>)>, chunks: Chunks) -> Response {
    Output::respond(200, &headers, async move |mut output| {
        let pause = chunks.pause;
        for (n, chunk) in chunks.enumerate() {
            if n > 0 && !pause.is_zero() {
                sleep(pause).await;
            }
            if output.write(chunk).await.is_none() {
                return;
            }
        }
        output.finish(None).await;
    })
}

fn abort(bytes: usize, pause: Duration) -> Response {
    Output::respond(200, &Reply::plain(), async move |mut output| {
        output.write(vec![b'x'; bytes]).await;
        sleep(pause).await;
        trap();
    })
}

fn after(time: Duration) -> Response {
    spawn_local(async move {
        sleep(time).await;
        println!("after: done");
    });
    answer(Reply::text("answered"))
}

async fn write_file(request: Request, path: String) -> Reply {
    let mut file = match File::create(path) {
        Ok(file) => file,
        Err(error) => return Reply::status(500, error.to_string()),
    };
    let mut input = Input::of(request);
    let mut buffer = Vec::with_capacity(PIECE);
    let mut bytes = 0;
    while input.read(&mut buffer).await {
        if let Err(error) = file.write_all(&buffer) {
            return Reply::status(500, error.to_string());
        }
        bytes += buffer.len() as u64;
        buffer.clear();
    }
    match input.trailers().await {
        Ok(_) => Reply::text(format!("written {bytes}")),
        Err(error) => Reply::status(500, format!("{error:?}")),
    }
}

async fn measure(request: Request, piece: usize, pause: Duration) -> Reply {
    let mut input = Input::of(request);
    let mut buffer = Vec::with_capacity(piece);
    let mut length = 0;
    while input.read(&mut buffer).await {
        length += buffer.len() as u64;
        buffer.clear();
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }
    match input.trailers().await {
        Ok(_) => Reply::text(length.to_string()),
        Err(error) => Reply::status(400, format!("{error:?}")),
    }
}

//! `/out` and `/fetch`: requests of the guest's own.

use std::io::{Read as _, Write};

use testbed_common::{EXCERPT, Fetch, PIECE, Reply, Url};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingRequest, IncomingResponse, Method,
    OutgoingBody, OutgoingRequest, RequestOptions, ResponseOutparam, Scheme,
};

use crate::body::{Input, Output};
use crate::send as answer;

pub fn get(url: Url) -> Reply {
    match send(url) {
        Ok(response) => excerpt(response),
        Err(error) => Reply::status(502, format!("{error:?}")),
    }
}

fn send(url: Url) -> Result<IncomingResponse, ErrorCode> {
    let request = OutgoingRequest::new(Fields::new());
    address(&request, url)?;
    wait(outgoing_handler::handle(request, None)?)
}

fn address(request: &OutgoingRequest, url: Url) -> Result<(), ErrorCode> {
    let scheme = match url.scheme.as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => Scheme::Other(url.scheme),
    };
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    request.set_scheme(Some(&scheme)).map_err(invalid)?;
    request
        .set_authority(Some(&url.authority))
        .map_err(invalid)?;
    request
        .set_path_with_query(Some(&url.path_with_query))
        .map_err(invalid)
}

fn wait(response: FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    response.subscribe().block();
    let ready = response.get().expect("a response that is ready");
    ready.expect("a response not yet taken")
}

fn excerpt(response: IncomingResponse) -> Reply {
    let mut text = format!("status {}\n", response.status()).into_bytes();
    let body = response.consume().expect("a body not yet taken");
    let stream = body.stream().expect("a stream not yet taken");
    // A body that breaks off is shown as far as it came.
    let _ = stream.take(EXCERPT as u64).read_to_end(&mut text);
    Reply::text(text)
}

pub fn fetch(request: &IncomingRequest, outparam: ResponseOutparam, fetch: Fetch) {
    for n in 0..=fetch.before {
        let response = match exchange(request, &fetch) {
            Ok(response) => response,
            Err(error) => {
                return answer(
                    outparam,
                    Reply::status(502, format!("{n} were answered: {error:?}")),
                );
            }
        };
        if n == fetch.before {
            return pass_on(response, outparam);
        }
        let mut body = Input::of_response(&response);
        let _ = std::io::copy(&mut body, &mut std::io::sink());
    }
}

fn exchange(request: &IncomingRequest, fetch: &Fetch) -> Result<IncomingResponse, ErrorCode> {
    let refused = |error| ErrorCode::InternalError(Some(format!("{error:?}")));
    let headers = Fields::from_list(&fetch.headers).map_err(refused)?;
    let outgoing = OutgoingRequest::new(headers);
    let method = match fetch.method.as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "CONNECT" => Method::Connect,
        other => Method::Other(other.into()),
    };
    outgoing
        .set_method(&method)
        .map_err(|()| ErrorCode::HttpRequestMethodInvalid)?;
    address(&outgoing, fetch.url.clone())?;
    let options = RequestOptions::new();
    let nanoseconds = |milliseconds: Option<u64>| milliseconds.map(|ms| ms * 1_000_000);
    let _ = options.set_connect_timeout(nanoseconds(fetch.connect));
    let _ = options.set_first_byte_timeout(nanoseconds(fetch.first_byte));
    let _ = options.set_between_bytes_timeout(nanoseconds(fetch.between_bytes));
    let body = fetch
        .has_body()
        .then(|| outgoing.body().expect("a body not yet taken"));
    let response = outgoing_handler::handle(outgoing, Some(options))?;
    if let Some(body) = body {
        let mut stream = body.write().expect("a stream not yet taken");
        // What is wrong shows in the response.
        let _ = std::io::copy(&mut Input::of(request), &mut stream)
            .and_then(|_| Write::flush(&mut stream));
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
    wait(response)
}

fn pass_on(response: IncomingResponse, outparam: ResponseOutparam) {
    let headers = response.headers().entries();
    let mut input = Input::of_response(&response);
    let Some(mut output) = Output::start(outparam, response.status(), &headers) else {
        return;
    };
    let mut buffer = vec![0; PIECE];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) if output.write(&buffer[..n]).is_ok() => {}
            Ok(_) => return,
            // Dropped unfinished, the answer is cut off as the response was.
            Err(error) => return println!("fetch: {error}"),
        }
    }
    match input.trailers() {
        Ok(trailers) => output.finish(trailers),
        Err(error) => println!("fetch: {error:?}"),
    }
}

//! `/out` and `/fetch`: requests of the guest's own.

use testbed_common::{EXCERPT, Fetch, PIECE, Reply, Url};
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, RequestOptions, Response, Scheme};
use wasip3::wit_bindgen::StreamResult;
use wasip3::{spawn_local, wit_future, wit_stream};

use crate::answer;
use crate::body::{Input, Output};

pub async fn get(url: Url) -> Reply {
    match send(url).await {
        Ok(response) => excerpt(response).await,
        Err(error) => Reply::status(502, format!("{error:?}")),
    }
}

async fn send(url: Url) -> Result<Response, ErrorCode> {
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (request, _sent) = Request::new(Fields::new(), None, trailers, None);
    address(&request, url)?;
    client::send(request).await
}

fn address(request: &Request, url: Url) -> Result<(), ErrorCode> {
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

async fn excerpt(response: Response) -> Reply {
    let head = format!("status {}\n", response.get_status_code());
    let (_done, done_reader) = wit_future::new(|| Ok(()));
    let (mut stream, _end) = Response::consume_body(response, done_reader);
    let mut body = Vec::with_capacity(EXCERPT);
    while body.len() < EXCERPT {
        let (result, filled) = stream.read(body).await;
        body = filled;
        if !matches!(result, StreamResult::Complete(_)) {
            break;
        }
    }
    body.truncate(EXCERPT);
    Reply::text([head.as_bytes(), &body].concat())
}

pub async fn fetch(request: Request, fetch: Fetch) -> Response {
    let mut body = Some(request);
    for n in 0..fetch.before {
        let response = match exchange(&mut body, &fetch).await {
            Ok(response) => response,
            Err(error) => return failed(n, error),
        };
        let mut input = Input::of_response(response);
        let mut buffer = Vec::with_capacity(PIECE);
        while input.read(&mut buffer).await {
            buffer.clear();
        }
        let _ = input.trailers().await;
    }
    match exchange(&mut body, &fetch).await {
        Ok(response) => pass_on(response),
        Err(error) => failed(fetch.before, error),
    }
}

fn failed(answered: u64, error: ErrorCode) -> Response {
    answer(Reply::status(
        502,
        format!("{answered} were answered: {error:?}"),
    ))
}

/// The first one that has a body has that of the request.
async fn exchange(body: &mut Option<Request>, fetch: &Fetch) -> Result<Response, ErrorCode> {
    let refused = |error| ErrorCode::InternalError(Some(format!("{error:?}")));
    let headers = Fields::from_list(&fetch.headers).map_err(refused)?;
    let options = RequestOptions::new();
    let nanoseconds = |milliseconds: Option<u64>| milliseconds.map(|ms| ms * 1_000_000);
    let _ = options.set_connect_timeout(nanoseconds(fetch.connect));
    let _ = options.set_first_byte_timeout(nanoseconds(fetch.first_byte));
    let _ = options.set_between_bytes_timeout(nanoseconds(fetch.between_bytes));
    let (end, trailers) = wit_future::new(|| Ok(None));
    let body = body.take_if(|_| fetch.has_body()).map(|request| {
        let (mut stream, reader) = wit_stream::new();
        spawn_local(async move {
            let mut input = Input::of(request);
            let mut buffer = Vec::with_capacity(PIECE);
            while input.read(&mut buffer).await {
                buffer = stream.write_all(buffer).await;
                if !buffer.is_empty() {
                    return;
                }
            }
            drop(stream);
            let _ = end.write(input.trailers().await).await;
        });
        reader
    });
    let (request, _sent) = Request::new(headers, body, trailers, Some(options));
    let method = match fetch.method.as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "CONNECT" => Method::Connect,
        other => Method::Other(other.into()),
    };
    request
        .set_method(&method)
        .map_err(|()| ErrorCode::HttpRequestMethodInvalid)?;
    address(&request, fetch.url.clone())?;
    client::send(request).await
}

fn pass_on(response: Response) -> Response {
    let headers = response.get_headers().copy_all();
    let status = response.get_status_code();
    let mut input = Input::of_response(response);
    Output::respond(status, &headers, async move |mut output| {
        if !output.copy(&mut input).await {
            return;
        }
        match input.trailers().await {
            Ok(trailers) => output.finish(trailers).await,
            // The answer is cut off as the response was.
            Err(error) => {
                println!("fetch: {error:?}");
                output.fail(error).await;
            }
        }
    })
}

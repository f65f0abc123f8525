//! `/out`: a request of the guest's own.

use testbed_common::{EXCERPT, Reply, Url};
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use wasip3::wit_bindgen::StreamResult;
use wasip3::wit_future;

pub async fn get(url: Url) -> Reply {
    match send(url).await {
        Ok(response) => excerpt(response).await,
        Err(error) => Reply::status(502, format!("{error:?}")),
    }
}

async fn send(url: Url) -> Result<Response, ErrorCode> {
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (request, _sent) = Request::new(Fields::new(), None, trailers, None);
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
        .map_err(invalid)?;
    client::send(request).await
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

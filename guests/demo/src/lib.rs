//! The app behind `wasmserve demo`: a page that shows which instance answered, and how often it did.

mod lifespan;
mod whoami;

use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{spawn_local, wit_future, wit_stream};

const PAGE: &str = include_str!("page.html");

struct Demo;

wasip3::http::service::export!(Demo);

impl Guest for Demo {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        Ok(match path {
            "/" => respond(200, "text/html; charset=utf-8", PAGE),
            "/api/whoami" => respond(200, "application/json", whoami::count_and_tell()),
            "/api/trap" if whoami::is_meant(query) => core::arch::wasm32::unreachable(),
            "/api/trap" => respond(409, "application/json", whoami::tell()),
            _ => respond(404, "text/plain", "There is nothing here.\n"),
        })
    }
}

fn respond(status: u16, content_type: &str, text: impl Into<Vec<u8>>) -> Response {
    let text = text.into();
    let headers = Fields::from_list(&[
        ("content-type".into(), content_type.into()),
        ("cache-control".into(), b"no-store".into()),
    ]);
    let (mut body, body_reader) = wit_stream::new();
    // Dropping the writing end sends what it was made with: no trailers.
    let (_, trailers) = wit_future::new(|| Ok(None));
    let headers = headers.expect("plain headers");
    let (response, _sent) = Response::new(headers, Some(body_reader), trailers);
    response.set_status_code(status).expect("a plain status");
    spawn_local(async move { body.write_all(text).await });
    response
}

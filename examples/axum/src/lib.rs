//! An axum app: what is in `router` is as it would be on a server of its own.

mod lifespan;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Json, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use tower_service::Service;
use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::http::types::{ErrorCode, Request as WasiRequest, Response as WasiResponse};
use wasip3::http_compat::{http_from_wasi_request, http_into_wasi_response};

/// What the handlers share. Every instance has its own: data that all need belongs into a database.
#[derive(Clone, Default)]
struct Shop {
    items: Arc<Mutex<BTreeMap<String, Item>>>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Item {
    price: u32,
}

fn router(shop: Shop) -> Router {
    Router::new()
        .route("/", get(|| async { "Hello from axum\n" }))
        .route("/items", get(list))
        .route("/items/{name}", get(show).put(store))
        .route("/countdown/{from}", get(countdown))
        .route(
            "/echo",
            post(|request: Request| async { request.into_body() }),
        )
        .with_state(shop)
}

async fn list(State(shop): State<Shop>) -> Json<BTreeMap<String, Item>> {
    Json(shop.items.lock().expect("nobody panicked").clone())
}

async fn show(
    State(shop): State<Shop>,
    Path(name): Path<String>,
) -> Result<Json<Item>, StatusCode> {
    let items = shop.items.lock().expect("nobody panicked");
    items
        .get(&name)
        .cloned()
        .map(Json)
        .ok_or(StatusCode::NOT_FOUND)
}

/// axum answers 415 or 422 if the body is no item.
async fn store(
    State(shop): State<Shop>,
    Path(name): Path<String>,
    Json(item): Json<Item>,
) -> StatusCode {
    let mut items = shop.items.lock().expect("nobody panicked");
    match items.insert(name, item) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::CREATED,
    }
}

/// A line every tenth of a second, sent as it comes: a task of the instance writes what the response reads.
async fn countdown(Path(from): Path<u32>) -> impl IntoResponse {
    let (mut lines, body) = mpsc::channel(1);
    wasip3::spawn_local(async move {
        for number in (1..=from).rev() {
            let line = Bytes::from(format!("{number}\n"));
            // Whoever asked may be gone by now.
            if lines.send(line).await.is_err() {
                return;
            }
            wait_for(100_000_000).await;
        }
        let _ = lines.send(Bytes::from("go\n")).await;
    });
    let body = Body::from_stream(body.map(Ok::<_, Infallible>));
    ([(header::CONTENT_TYPE, "text/plain")], body)
}

/// Made by `startup`, once for each instance.
static ROUTER: OnceLock<Router> = OnceLock::new();

struct App;

wasip3::http::service::export!(App);

impl wasip3::exports::http::handler::Guest for App {
    async fn handle(request: WasiRequest) -> Result<WasiResponse, ErrorCode> {
        let mut router = ROUTER.get_or_init(|| router(Shop::default())).clone();
        let request = http_from_wasi_request(request)?;
        let response = router
            .call(request)
            .await
            .unwrap_or_else(|never| match never {});
        http_into_wasi_response(response)
    }
}

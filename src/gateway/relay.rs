//! One request on its way through: whom it is for, what is added to it, what comes back.

use super::client::{Failure as Unanswered, IDLE, Pool};
use crate::config::file::{Action, Budget, RelayTable, Route, Routes, rest};
use crate::exit::Failure;
use crate::http::body::Outgoing;
use crate::http::connection::{FORWARDED_FOR, Passed, Peer, Relay};
use crate::http::request::{strip_forwarded, strip_hop_by_hop};
use crate::http::response::{self, Answer};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, TE};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Empty};
use nix::sys::stat::fstat;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tower_http::services::ServeDir;
use tower_service::Service;
use wasmtime_wasi_http::{Error, WasiBody};

/// Requests of one app in a gateway at a time, if it does not allow fewer: one that is stuck takes no more than that
/// from the others.
const REQUESTS_PER_APP: usize = 1024;
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

pub struct Gateway {
    /// The apps' sockets.
    folder: PathBuf,
    table: RwLock<Arc<Table>>,
}

/// Where requests go.
struct Table {
    routes: Routes,
    apps: HashMap<String, Arc<App>>,
    pages: BTreeMap<PathBuf, String>,
    misdirected: bool,
}

struct App {
    pool: Arc<Pool>,
    room: Arc<Semaphore>,
    budget: Budget,
}

impl App {
    fn new(folder: &Path, name: &str, budget: Budget) -> Arc<Self> {
        let most = budget.requests.and_then(|most| usize::try_from(most).ok()).unwrap_or(REQUESTS_PER_APP);
        let room = Arc::new(Semaphore::new(most.min(REQUESTS_PER_APP)));
        Arc::new(Self { pool: Arc::new(Pool::new(folder.join(format!("{name}.sock")))), room, budget })
    }
}

impl Table {
    /// What an app has under way counts on, unless it may now have another number.
    fn new(given: RelayTable, folder: &Path, old: &HashMap<String, Arc<App>>) -> Self {
        let app = |(name, budget): (String, Budget)| {
            let kept = old.get(&name).filter(|app| app.budget == budget).cloned();
            let app = kept.unwrap_or_else(|| App::new(folder, &name, budget));
            (name, app)
        };
        Self {
            routes: Routes::new(given.routes),
            apps: given.apps.into_iter().map(app).collect(),
            pages: given.pages,
            misdirected: given.misdirected,
        }
    }
}

impl Gateway {
    pub fn new(given: RelayTable, folder: PathBuf) -> Self {
        let table = RwLock::new(Arc::new(Table::new(given, &folder, &HashMap::new())));
        Self { folder, table }
    }

    fn table(&self) -> Arc<Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes connections to apps that are not used any more, for ever.
    pub async fn tidy(self: Arc<Self>) {
        loop {
            sleep(IDLE / 4).await;
            self.table().apps.values().for_each(|app| app.pool.tidy());
        }
    }

    async fn answer(&self, request: Request<WasiBody>, peer: Peer) -> Answer {
        self.table().answer(request, peer).await
    }
}

impl Table {
    async fn answer(&self, request: Request<WasiBody>, peer: Peer) -> Answer {
        let host = request.uri().authority().map_or("", |authority| authority.as_str());
        let Some(route) = self.routes.find(host, request.uri().path()) else {
            let status = match self.misdirected && !self.routes.knows(host) {
                true => StatusCode::MISDIRECTED_REQUEST,
                false => StatusCode::NOT_FOUND,
            };
            return response::text(status, format!("{status}\n"));
        };
        match &route.action {
            Action::App { name, strip_prefix } => {
                let prefix = if *strip_prefix { route.matches.prefix.as_str() } else { "" };
                self.pass(request, name, prefix, peer).await
            }
            Action::Redirect(url) => redirect(route, url, request.uri()),
            Action::Static(folder) => files(folder, route, request).await,
            Action::Maintenance(page) => self.maintenance(page),
        }
    }

    fn maintenance(&self, page: &Path) -> Answer {
        let text = self.pages.get(page).cloned().unwrap_or_default();
        let mut answer = Response::new(Outgoing::whole(Bytes::from(text)));
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
        answer
    }

    /// To the app's server, and back.
    async fn pass(&self, mut request: Request<WasiBody>, name: &str, prefix: &str, peer: Peer) -> Answer {
        let Some(app) = self.apps.get(name) else { return unavailable(name, "there is no such app") };
        let Ok(permit) = app.room.clone().try_acquire_owned() else {
            return unavailable(name, "too many of its requests are under way");
        };
        announce(&mut request, peer);
        let Some(uri) = inner_uri(prefix, request.uri()) else {
            return response::text(StatusCode::BAD_REQUEST, "400 Bad Request\n".to_owned());
        };
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_11;
        match tokio::time::timeout(app.budget.patience, app.pool.send(request, permit)).await {
            Ok(Ok(response)) => {
                let (mut head, body) = response.into_parts();
                strip_hop_by_hop(&mut head.headers);
                head.extensions.insert(Passed);
                Response::from_parts(head, Outgoing::relayed(body.boxed_unsync()))
            }
            Ok(Err(Unanswered::Connect(_))) => unavailable(name, "it does not run"),
            Ok(Err(Unanswered::Http(error))) => {
                tracing::warn!(event = "relay-failed", app = name, "{name}: {error}");
                response::text(StatusCode::BAD_GATEWAY, "502 Bad Gateway\n".to_owned())
            }
            Err(_) => response::text(StatusCode::GATEWAY_TIMEOUT, "504 Gateway Timeout\n".to_owned()),
        }
    }
}

impl Relay for Arc<Gateway> {
    fn relay<'a>(
        &'a self,
        request: Request<WasiBody>,
        peer: Peer,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>> {
        Box::pin(self.answer(request, peer))
    }

    fn change(&self, table: &File) -> Result<(), Failure> {
        let mut text = vec![0; usize::try_from(fstat(table)?.st_size).unwrap_or(0)];
        // Other gateways read the same file, and have its position in common.
        table.read_exact_at(&mut text, 0)?;
        let given = serde_json::from_slice(&text).map_err(|error| Failure::internal(error.to_string()))?;
        let new = Table::new(given, &self.folder, &self.table().apps);
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(())
    }
}

fn unavailable(name: &str, why: &str) -> Answer {
    tracing::debug!(event = "app-unavailable", app = name, "{name}: {why}");
    response::unavailable(Duration::from_secs(1))
}

/// Tells the app whom the request comes from. What a client says of that itself is not believed.
fn announce(request: &mut Request<WasiBody>, peer: Peer) {
    let host = host_field(request);
    let scheme = match request.uri().scheme_str() {
        Some("https") => HeaderValue::from_static("https"),
        _ => HeaderValue::from_static("http"),
    };
    let headers = request.headers_mut();
    strip_forwarded(headers);
    if let Some(host) = host {
        headers.insert(HOST, host.clone());
        headers.insert(FORWARDED_HOST.clone(), host);
    }
    if let Peer::Tcp { client, .. } = peer
        && let Ok(value) = HeaderValue::try_from(client.ip().to_canonical().to_string())
    {
        headers.insert(FORWARDED_FOR.clone(), value);
    }
    headers.insert(FORWARDED_PROTO.clone(), scheme);
    // Whether the client takes trailers is between it and us.
    headers.insert(TE, HeaderValue::from_static("trailers"));
}

/// Whom the request is for, as most clients have said it already.
fn host_field(request: &Request<WasiBody>) -> Option<HeaderValue> {
    let authority = request.uri().authority()?.as_str();
    let said = request.headers().get(HOST).filter(|value| value.as_bytes() == authority.as_bytes());
    said.cloned().or_else(|| HeaderValue::try_from(authority).ok())
}

/// What is asked for there: the path without the prefix.
fn inner_uri(prefix: &str, uri: &Uri) -> Option<Uri> {
    let whole = uri.path_and_query();
    let text = whole.map_or("/", PathAndQuery::as_str);
    match text.strip_prefix(prefix) {
        Some(path) if !prefix.is_empty() => {
            let slash = if path.starts_with('/') { "" } else { "/" };
            PathAndQuery::try_from(format!("{slash}{path}")).ok().map(Uri::from)
        }
        _ => Some(whole.cloned().unwrap_or_else(|| PathAndQuery::from_static("/")).into()),
    }
}

fn redirect(route: &Route, url: &str, uri: &Uri) -> Answer {
    let whole = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let following = whole.strip_prefix(route.matches.prefix.as_str()).unwrap_or(whole);
    let status = StatusCode::PERMANENT_REDIRECT;
    let mut answer = response::text(status, format!("{status}\n"));
    if let Ok(target) = HeaderValue::try_from(format!("{}{following}", url.trim_end_matches('/'))) {
        answer.headers_mut().insert(LOCATION, target);
    }
    answer
}

async fn files(folder: &PathBuf, route: &Route, request: Request<WasiBody>) -> Answer {
    let (mut head, _) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let inner = rest(&route.matches.prefix, path).filter(|rest| rest.starts_with('/')).unwrap_or("/");
    head.uri = Uri::try_from(inner).unwrap_or_default();
    let request = Request::from_parts(head, Empty::<Bytes>::new());
    match ServeDir::new(folder).call(request).await {
        Ok(response) => response.map(|body| {
            let body = body.map_err(|error| Error::InternalError(Some(error.to_string())));
            Outgoing::relayed(body.boxed_unsync())
        }),
        Err(never) => match never {},
    }
}

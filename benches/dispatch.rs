//! What a request costs inside a worker, without sockets: one dispatch through each lane, and a fresh instance with
//! its first call. `cargo bench`; `benches/compare` measures whole servers.

use bytes::Bytes;
use clap::Parser;
use criterion::{Criterion, criterion_group, criterion_main};
use http_body_util::{BodyExt, Empty};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Runtime;
use wasmserve::cli::Cli;
use wasmserve::config::{Settings, Source};
use wasmserve::guest::template::Template;
use wasmserve::guest::{compile, plan};
use wasmserve::lane::Lane;
use wasmserve::lane::pool::Pool;
use wasmserve::lane::queue::Shop;
use wasmserve::scoreboard;
use wasmserve::sys::Ticker;

/// A lane as in a worker that was started with these options.
fn lane(runtime: &Runtime, guest: &str, options: &[&str]) -> Lane {
    let path = format!("{}/guests/prebuilt/{guest}.wasm", env!("CARGO_MANIFEST_DIR"));
    let cli = Cli::parse_from(["wasmserve", &path].iter().chain(options));
    let settings = Settings::check(Source::File(path.into()), &cli.serve).unwrap();
    let mut artefact = tempfile::tempfile().unwrap();
    let bytes = settings.source.read().unwrap();
    let report = compile::compile(bytes, &mut artefact).unwrap();
    let plan = plan::plan(&settings, &report).unwrap();
    let settings = Arc::new(settings);
    let row = &scoreboard::new(1).unwrap()[0];
    let template = Template::new(settings.clone(), &plan, &artefact, row, None).unwrap();
    let lane = Lane::new(Shop {
        app: settings.app.as_str().into(),
        worker: 0,
        generation: 1,
        ticker: Ticker::start(template.engine()).unwrap(),
        pool: Pool::new(settings.threads, runtime.handle().clone()),
        longest_poll: Default::default(),
        row,
        template,
        plan,
        settings,
    });
    runtime.block_on(lane.start_first()).unwrap();
    lane
}

async fn call(lane: &Lane) -> Bytes {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let request = http::Request::get("http://localhost/").body(body).unwrap();
    let reply = lane.push(request).unwrap();
    let exchange = reply.exchange().clone();
    let body = reply.await.unwrap().into_body().collect().await.unwrap().to_bytes();
    // As a connection tells it: until then the request counts as one that its instance works on.
    exchange.set_delivered();
    body
}

fn dispatch(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (name, guest, options) in [
        ("dispatch/sync", "hello-sync", &[][..]),
        ("dispatch/sync, --offload always", "hello-sync", &["--offload", "always"]),
        ("dispatch/async", "hello-async", &[]),
        ("instantiate and first call/sync", "hello-sync", &["--isolation", "request"]),
        ("instantiate and first call/async", "hello-async", &["--isolation", "request"]),
    ] {
        let lane = lane(&runtime, guest, options);
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                runtime.block_on(async {
                    let began = Instant::now();
                    for _ in 0..times {
                        black_box(call(&lane).await);
                    }
                    began.elapsed()
                })
            });
        });
    }
}

criterion_group!(benches, dispatch);
criterion_main!(benches);

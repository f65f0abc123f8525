//! Measures a server with many apps: see `benches/README.md`.

mod args;
mod change;
mod changing;

use args::Args;
use load::client::{self, Target};
use load::server::Server;
use load::stats::{median, milliseconds, percentile, sorted, spread};
use load::{guest, process};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    match Args::parse(std::env::args().skip(1)).map_err(io::Error::other).and_then(|args| measure(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tenants: {error}");
            ExitCode::from(2)
        }
    }
}

fn measure(args: &Args) -> io::Result<()> {
    let folder = std::env::temp_dir().join(format!("wasmserve-tenants-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let result = all(args, &folder);
    let _ = fs::remove_dir_all(&folder);
    let _ = fs::remove_dir_all(load::server::runtime_folder());
    result
}

fn all(args: &Args, folder: &Path) -> io::Result<()> {
    println!("{}", load::describe_machine());
    load::wake_in_time();
    // Compiled before anything is measured.
    drop(alone(args, folder)?);
    for part in args::PARTS.into_iter().filter(|part| args.wants(part)) {
        match part {
            "start" => start(args, folder),
            "weigh" => weigh(args, folder),
            "gateway" => compare(args, folder),
            _ => change::measure(args, folder),
        }?;
    }
    Ok(())
}

fn alone(args: &Args, folder: &Path) -> io::Result<Server> {
    Server::alone(&args.wasmserve, folder, &guest("hello-sync"), &[])
}

/// What the configuration says of so many apps, `a0` and so on, that have the same component.
fn apps(numbers: impl Iterator<Item = usize>, each: &str) -> String {
    let component = guest("hello-sync");
    let component = component.display();
    numbers.fold(String::new(), |mut text, n| {
        let _ = write!(text, "[app.a{n}]\ncomponent = \"{component}\"\nroute = \"a{n}.test\"\n{each}\n");
        text
    })
}

fn target(server: &Server, app: usize) -> Target {
    Target { address: server.address, host: format!("a{app}.test") }
}

/// How long it takes until all are there, and until one without a process answers.
fn start(args: &Args, folder: &Path) -> io::Result<()> {
    let began = Instant::now();
    let host = Server::host(&args.wasmserve, folder, &apps(0..args.apps, "idle-timeout = 1"))?;
    println!("{} apps, all idle: ready after {:.0} ms", args.apps, milliseconds(began.elapsed()));
    println!("its main process: {:.1} MiB resident", process::resident(host.pid()) as f64 / 1024.0);
    let mut cold = Vec::new();
    for app in 0..args.apps {
        cold.push(client::once(&target(&host, app))?);
    }
    cold.sort_unstable();
    let at = |percent| milliseconds(percentile(&cold, percent));
    println!("each called once, without a process before: p50 {:.2} ms, p99 {:.2} ms", at(50), at(99));
    Ok(())
}

/// What a worker takes for itself, many at a time.
fn weigh(args: &Args, folder: &Path) -> io::Result<()> {
    let host = Server::host(&args.wasmserve, folder, &apps(0..args.live, "idle-timeout = 600"))?;
    for app in 0..args.live {
        client::once(&target(&host, app))?;
    }
    let is_server = |pid: &u32| !process::children(*pid).is_empty();
    let servers: Vec<u32> = process::children(host.pid()).into_iter().filter(is_server).collect();
    let workers: Vec<u32> = servers.iter().flat_map(|server| process::children(*server)).collect();
    let mean =
        |pids: &[u32]| pids.iter().map(|pid| process::private(*pid)).sum::<u64>() as f64 / pids.len().max(1) as f64;
    println!(
        "{} workers at a time: {:.2} MiB private for each, and {:.2} MiB for its server",
        workers.len(),
        mean(&workers) / 1024.0,
        mean(&servers) / 1024.0
    );
    Ok(())
}

/// An app behind the gateway and the same one alone, in turn.
fn compare(args: &Args, folder: &Path) -> io::Result<()> {
    let host = Server::host(&args.wasmserve, folder, &apps(0..1, "workers = 1"))?;
    let alone = alone(args, folder)?;
    let (mut costs, mut delays) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        let mut cost = [0.0; 2];
        let mut delay = [Duration::ZERO; 2];
        for (at, server) in [&host, &alone].into_iter().enumerate() {
            let targets = [target(server, 0)];
            let before = process::cpu(server.pid());
            let busy = without_failure(client::at_full_load(&targets, 16, Duration::from_secs(3)))?;
            cost[at] = (process::cpu(server.pid()) - before) / busy.times.len() as f64;
            let calm = without_failure(client::at_full_load(&targets, 1, Duration::from_secs(1)))?;
            delay[at] = percentile(&calm.times, 50);
        }
        println!("  processor time {:.1} and {:.1} us, median {:?} and {:?}", cost[0], cost[1], delay[0], delay[1]);
        costs.push(cost[0] / cost[1]);
        delays.push(milliseconds(delay[0]) - milliseconds(delay[1]));
    }
    println!(
        "the gateway's cost: {} times the processor time, and {:.3} ms more with one connection",
        spread(&sorted(costs)),
        median(&sorted(delays))
    );
    Ok(())
}

fn without_failure(outcome: client::Outcome) -> io::Result<client::Outcome> {
    match outcome.reason {
        Some(reason) => Err(io::Error::other(format!("{} requests failed: {reason}", outcome.failures))),
        None => Ok(outcome),
    }
}

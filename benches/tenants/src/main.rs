//! Measures a server with many apps: see `benches/README.md`.

mod client;
mod process;

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

struct Args {
    wasmserve: PathBuf,
    apps: usize,
    live: usize,
    rounds: usize,
}

fn main() -> ExitCode {
    match args().map_err(io::Error::other).and_then(|args| measure(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tenants: {error}");
            ExitCode::from(2)
        }
    }
}

fn repository() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_owned()
}

fn args() -> Result<Args, String> {
    let wasmserve = repository().join("target/release/wasmserve");
    let mut args = Args { wasmserve, apps: 1000, live: 200, rounds: 5 };
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{option} needs a value"))?;
        let number = || value.parse().map_err(|_| format!("{option} {value}: write a number"));
        match option.as_str() {
            "--wasmserve" => args.wasmserve = value.into(),
            "--apps" => args.apps = number()?,
            "--live" => args.live = number()?,
            "--rounds" => args.rounds = number()?,
            _ => return Err(format!("there is no option {option}: --wasmserve, --apps, --live, --rounds")),
        }
    }
    Ok(args)
}

/// A server, ended when dropped.
struct Server(Child, SocketAddr);

impl Server {
    fn start(args: &Args, folder: &Path, arguments: &[String], address: SocketAddr) -> io::Result<Self> {
        let mut command = Command::new(&args.wasmserve);
        command.args(arguments).env_clear().env("XDG_RUNTIME_DIR", folder).env("XDG_CACHE_HOME", folder);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut server = Self(child, address);
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.0.try_wait()? {
                return Err(io::Error::other(format!("wasmserve ended with {status}")));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(server)
    }

    /// Serves so many apps that have the same component.
    fn host(args: &Args, folder: &Path, apps: usize, each: &str) -> io::Result<Self> {
        let address = free_address()?;
        let component = repository().join("guests/prebuilt/hello-sync.wasm");
        let mut text = format!("[server]\nbind = [\"{address}\"]\nno-access-log = true\nlog-level = \"error\"\n");
        for app in 0..apps {
            let component = component.display();
            let _ = write!(text, "[app.a{app}]\ncomponent = \"{component}\"\nroute = \"a{app}.test\"\n{each}\n");
        }
        let path = folder.join("wasmserve.toml");
        fs::write(&path, text)?;
        Self::start(args, folder, &["--config".to_owned(), path.display().to_string()], address)
    }

    fn alone(args: &Args, folder: &Path) -> io::Result<Self> {
        let address = free_address()?;
        let component = repository().join("guests/prebuilt/hello-sync.wasm").display().to_string();
        let options = [component, "--port".to_owned(), address.port().to_string(), "--no-access-log".to_owned()];
        Self::start(args, folder, &options, address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn measure(args: &Args) -> io::Result<()> {
    let folder = std::env::temp_dir().join(format!("wasmserve-tenants-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let result = all(args, &folder);
    let _ = fs::remove_dir_all(&folder);
    result
}

fn all(args: &Args, folder: &Path) -> io::Result<()> {
    // Compiled before anything is measured.
    client::once(Server::alone(args, folder)?.1, "a.test")?;
    let began = Instant::now();
    let host = Server::host(args, folder, args.apps, "idle-timeout = 1")?;
    println!("{} apps, all idle: ready after {:.0} ms", args.apps, began.elapsed().as_secs_f64() * 1e3);
    println!("its main process: {:.1} MiB resident", process::resident(host.0.id()) as f64 / 1024.0);
    let mut cold = Vec::new();
    for app in 0..args.apps {
        cold.push(client::once(host.1, &format!("a{app}.test"))?);
    }
    println!("each called once, without a process before: p50 {}, p99 {}", at(&mut cold, 50), at(&mut cold, 99));
    drop(host);
    weigh(args, folder)?;
    compare(args, folder)
}

/// What a worker takes for itself, many at a time.
fn weigh(args: &Args, folder: &Path) -> io::Result<()> {
    let host = Server::host(args, folder, args.live, "idle-timeout = 600")?;
    for app in 0..args.live {
        client::once(host.1, &format!("a{app}.test"))?;
    }
    let pid = host.0.id();
    let children = |pid: u32| process::tree(pid).into_iter().skip(1).filter(move |other| *other != pid);
    let is_server = |pid: &u32| process::tree(*pid).len() > 1;
    let servers: Vec<u32> = children(pid).filter(is_server).collect();
    let workers: Vec<u32> = servers.iter().flat_map(|server| children(*server)).collect();
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
    let host = Server::host(args, folder, 1, "workers = 1")?;
    let alone = Server::alone(args, folder)?;
    let (mut costs, mut delays) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        let mut cost = [0.0; 2];
        let mut delay = [Duration::ZERO; 2];
        for (at, server) in [&host, &alone].into_iter().enumerate() {
            let before = process::cpu(server.0.id());
            let served = client::load(server.1, "a0.test", 16, Duration::from_secs(3))?.len();
            cost[at] = (process::cpu(server.0.id()) - before) / served as f64;
            let mut times = client::load(server.1, "a0.test", 1, Duration::from_secs(1))?;
            times.sort_unstable();
            delay[at] = times[times.len() / 2];
        }
        println!("  processor time {:.1} and {:.1} us, median {:?} and {:?}", cost[0], cost[1], delay[0], delay[1]);
        costs.push(cost[0] / cost[1]);
        delays.push(delay[0].saturating_sub(delay[1]));
    }
    costs.sort_by(f64::total_cmp);
    println!(
        "the gateway's cost: {:.2} times the processor time, and {} more with one connection",
        costs[costs.len() / 2],
        at(&mut delays, 50)
    );
    Ok(())
}

/// A percentile, in milliseconds.
fn at(times: &mut [Duration], percent: usize) -> String {
    times.sort_unstable();
    let time = times[(times.len() * percent / 100).min(times.len() - 1)];
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

//! From what was typed to what is served: raw options are checked together, and every mistake is told at once.

pub mod file;
mod limits;
mod parse;

pub use limits::{ClientLimits, CompileLimits, Endpoint, Grants, GuestLimits, Host};

use crate::cli::{Isolation, Lifespan, Offload, Sandbox, ServeArgs};
use crate::exit::{Exit, Failure};
use crate::log::{Format, Level};
use nix::unistd::{Gid, Uid};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What to serve.
#[derive(Clone, Debug)]
pub enum Source {
    File(PathBuf),
    /// Part of the executable (`wasmserve demo`).
    BuiltIn(&'static [u8]),
    /// Many apps (`--config`).
    Config(PathBuf),
}

/// A folder that the guest may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Dir {
    pub host: PathBuf,
    pub guest: String,
    pub read_only: bool,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq)]
pub enum Bind {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// A listening socket that we were started with.
    Inherited(RawFd),
}

/// Who workers run as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Identity {
    pub user: Uid,
    pub group: Gid,
}

/// A server with many apps, as seen from the server of one of them.
#[derive(Clone, Copy, Debug)]
pub struct AppHost {
    /// A socket to it.
    pub notify: RawFd,
    /// Workers that it allows at first, if it says how many.
    pub allowed: Option<usize>,
    /// Whether what arrives over a Unix socket comes from a gateway of its.
    pub trusts_unix: bool,
}

/// Checked settings: every value is usable on its own and together with the others.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The app's name, as it stands in logs and in the guest's environment.
    pub app: String,
    pub source: Source,
    pub binds: Vec<Bind>,
    /// Permissions of Unix sockets.
    pub uds_mode: u32,
    pub backlog: i32,
    pub workers: usize,
    /// While requests wait there may be so many.
    pub max_workers: usize,
    /// Without a request for so long the server ends; 0 is never.
    pub idle_timeout: Duration,
    pub threads: usize,
    pub offload: Offload,
    pub instances: Option<usize>,
    pub concurrency: usize,
    pub queue: usize,
    pub isolation: Isolation,
    pub lifespan: Lifespan,
    pub env: Vec<(String, String)>,
    /// Variables whose values are read by each worker, and by nobody else: secrets.
    pub env_files: Vec<(String, PathBuf)>,
    pub dirs: Vec<Dir>,
    pub timeout_graceful_shutdown: Duration,
    pub timeout_startup: Duration,
    pub timeout_worker_healthcheck: Duration,
    /// When an instance is replaced: after this many requests and up to `jitter` more, at this age, above this memory.
    /// 0 is never.
    pub max_requests: u64,
    pub max_requests_jitter: u64,
    pub max_lifetime: Duration,
    pub max_instance_memory: u64,
    /// Resident memory above which a worker process is replaced; 0 is never.
    pub worker_max_rss: u64,
    /// Reload when the component or one of the folders changes.
    pub reload: bool,
    pub reload_dirs: Vec<PathBuf>,
    pub log_file: Option<PathBuf>,
    pub access_log_file: Option<PathBuf>,
    pub pid_file: Option<PathBuf>,
    pub identity: Option<Identity>,
    pub umask: Option<u32>,
    pub control: Option<PathBuf>,
    pub admin: Option<SocketAddr>,
    pub log_level: Level,
    pub log_format: Format,
    pub access_log: bool,
    pub identify: bool,
    pub cache_dir: Option<PathBuf>,
    pub guest: GuestLimits,
    pub compile: CompileLimits,
    pub client: ClientLimits,
    pub grants: Grants,
    pub sandbox: Sandbox,
    /// Whoever has started us, where that is another of ours.
    pub host: Option<AppHost>,
    /// The demo closes each connection, so that a browser meets all workers, and shows process ids.
    pub demo: bool,
}

/// How one component is served: settings and what the component is, taken together.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whether the handler is asynchronous (`wasi:http` 0.3).
    pub is_async: bool,
    /// Whether the engine needs support for concurrency, as every asynchronous handler does.
    pub concurrent: bool,
    /// The handler's interface with its version.
    pub interface: String,
    /// The exported interface whose `startup` and `shutdown` are called, if they are.
    pub lifespan: Option<String>,
    /// Whether each request gets a fresh instance.
    pub fresh: bool,
    /// Why, if the component itself asks for it.
    pub why_fresh: Option<String>,
    /// Instances per worker at most.
    pub instances: usize,
    /// Requests in flight in one instance at most.
    pub concurrency: usize,
}

/// What the worker processes of a server do.
pub enum Work {
    /// They run a component: the machine code, and how it is served.
    App { code: File, plan: Plan },
    /// They pass requests on to the servers of the apps.
    Gateway(Arc<file::Config>),
}

/// Instances per worker at most if nothing is said, where one serves one request at a time.
pub const INSTANCES_SYNC: usize = 32;
/// Upper limits that keep a mistyped number from exhausting the machine.
pub const MAX_WORKERS: usize = 1024;
const MAX_THREADS: usize = 1024;
const MAX_INSTANCES: usize = 10_000;

impl Settings {
    /// Checks what was typed; the failure lists every mistake.
    pub fn check(source: Source, args: &ServeArgs) -> Result<Self, Failure> {
        let mut mistakes = Vec::new();
        let mut keep = |mistake: String| mistakes.push(mistake);

        let binds = parse::binds(args, &mut keep);
        let workers = parse::workers(args.workers.as_deref(), &mut keep);
        for (flag, value, most) in [
            ("--workers", workers, MAX_WORKERS),
            ("--max-workers", args.max_workers.unwrap_or(1), MAX_WORKERS),
            ("--threads", args.threads, MAX_THREADS),
            ("--instances", args.instances.unwrap_or(1), MAX_INSTANCES),
            ("--concurrency", args.concurrency, MAX_INSTANCES),
        ] {
            if value == 0 || value > most {
                keep(format!("{flag} {value}: must be from 1 to {most}"));
            }
        }
        let env = args.env.iter().filter_map(|text| parse::env(text, &mut keep)).collect();
        let dirs = args.dir.iter().filter_map(|text| parse::dir(text, &mut keep)).collect();
        let env_files = args.env_from_file.iter().filter_map(|text| parse::env_file(text, &mut keep)).collect();
        let guest = GuestLimits::check(&args.guest, &mut keep);
        let compile = CompileLimits::check(&args.guest, &mut keep);
        let client = ClientLimits::check(&args.client, &mut keep);
        let grants = Grants::check(&args.grants, &mut keep);
        let uds_mode = parse::mode("--uds-mode", &args.uds_mode, &mut keep);
        let umask = args.umask.as_deref().map(|text| parse::mode("--umask", text, &mut keep));
        let max_instance_memory = parse::size("--max-instance-memory", &args.max_instance_memory, &mut keep);
        let worker_max_rss = parse::size("--worker-max-rss", &args.worker_max_rss, &mut keep);
        let identity = parse::identity(args, &mut keep);
        let admin = args.admin.as_deref().and_then(|text| parse::admin(text, &mut keep));
        if args.backlog < 1 {
            keep(format!("--backlog {}: must be at least 1", args.backlog));
        }
        for folder in args.reload_dir.iter().filter(|folder| !folder.is_dir()) {
            keep(format!("--reload-dir {}: there is no such folder", folder.display()));
        }
        let mut seconds = |flag, text: &str| parse::seconds(flag, text, &mut keep);
        let settings = Settings {
            app: args.name.clone().unwrap_or_else(|| app_name(&source)),
            source,
            binds,
            uds_mode,
            backlog: args.backlog,
            workers,
            max_workers: args.max_workers.unwrap_or(workers).max(workers),
            idle_timeout: seconds("--idle-timeout", &args.idle_timeout),
            threads: args.threads,
            offload: args.offload,
            instances: args.instances,
            concurrency: args.concurrency,
            queue: args.queue,
            isolation: args.isolation,
            lifespan: args.lifespan,
            env,
            env_files,
            dirs,
            timeout_graceful_shutdown: seconds("--timeout-graceful-shutdown", &args.timeout_graceful_shutdown),
            timeout_startup: seconds("--timeout-startup", &args.timeout_startup),
            timeout_worker_healthcheck: seconds("--timeout-worker-healthcheck", &args.timeout_worker_healthcheck),
            max_requests: args.max_requests,
            max_requests_jitter: args.max_requests_jitter,
            max_lifetime: seconds("--max-lifetime", &args.max_lifetime),
            max_instance_memory,
            worker_max_rss,
            reload: args.reload || !args.reload_dir.is_empty(),
            reload_dirs: args.reload_dir.clone(),
            log_file: args.log_file.clone(),
            access_log_file: args.access_log_file.clone(),
            pid_file: args.pid_file.clone(),
            identity,
            umask,
            control: args.control.clone(),
            admin,
            log_level: args.log_level,
            log_format: args.log_format.unwrap_or_else(|| Format::fitting(args.log_file.is_some())),
            access_log: !args.no_access_log,
            identify: args.identify,
            cache_dir: args.cache_dir.clone(),
            guest,
            compile,
            client,
            grants,
            sandbox: args.grants.sandbox,
            host: None,
            demo: false,
        };
        if mistakes.is_empty() { Ok(settings) } else { Err(Failure::new(Exit::Usage, mistakes.join("\n"))) }
    }
}

fn app_name(source: &Source) -> String {
    match source {
        Source::File(path) | Source::Config(path) => {
            path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
        }
        Source::BuiltIn(_) => "demo".to_owned(),
    }
}

impl Source {
    /// How messages call it.
    pub fn name(&self) -> String {
        match self {
            Source::File(path) | Source::Config(path) => display(path),
            Source::BuiltIn(_) => "the built-in demo".to_owned(),
        }
    }

    /// The component's bytes, as they are.
    pub fn read(&self) -> Result<Vec<u8>, Failure> {
        match self {
            Source::File(path) | Source::Config(path) => read_component(path),
            Source::BuiltIn(bytes) => Ok(bytes.to_vec()),
        }
    }
}

/// Reads a component file, or tells why it cannot be read.
pub fn read_component(path: &Path) -> Result<Vec<u8>, Failure> {
    let failure = |what: String| Failure::new(Exit::Load, format!("{}: {what}", path.display()));
    let mut file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound if path == "demo" => failure(
            "there is no such file; the built-in demo takes its options after its name: wasmserve demo …".into(),
        ),
        ErrorKind::NotFound => failure("there is no such file: check the path".to_owned()),
        _ => failure(format!("cannot be opened: {error}")),
    })?;
    let metadata = file.metadata().map_err(|error| failure(error.to_string()))?;
    if metadata.is_dir() {
        return Err(failure("is a folder: name the component file in it (a .wasm file)".to_owned()));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| failure(format!("cannot be read: {error}")))?;
    Ok(bytes)
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

//! The command line. Help and every `WASMSERVE_…` variable come from these definitions; what the values mean
//! together is checked in `config`.

mod limits;

pub use limits::{ClientArgs, GrantArgs, GuestArgs, Sandbox};

use crate::log::{Format, Level};
use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Id, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Parser)]
#[command(
    name = "wasmserve",
    version,
    about = "Serves WebAssembly components (wasi:http) from isolated worker processes",
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Every option can also be given as an environment variable: --log-level as WASMSERVE_LOG_LEVEL.\n\
                  Exit codes: 0 done, 1 internal error, 2 usage or address, 3 startup failed, 4 component cannot be loaded,\n\
                  5 the sandbox that was asked for cannot be had."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The component to serve: a .wasm component, or component text (.wat)
    #[arg(required_unless_present = "config", value_name = "COMPONENT")]
    pub component: Option<PathBuf>,

    /// Serve the apps of a configuration file; every other option is in it
    #[arg(long, env = "WASMSERVE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    #[command(flatten)]
    pub serve: ServeArgs,
}

impl Cli {
    /// What the server of a hosted app is given. It has to be fast, and the whole definition takes a while to build.
    pub fn hosted() -> Option<i32> {
        let arguments: Vec<_> = std::env::args_os().skip(1).collect();
        match &arguments[..] {
            [command, _name, given] if command == "app" => given.to_str()?.parse().ok(),
            _ => None,
        }
    }

    /// What was typed. Beside --config nothing else may be: it would have no effect.
    pub fn read() -> Self {
        let matches = Self::command().get_matches();
        let inner = matches.subcommand().map_or(&matches, |(_, inner)| inner);
        let is_typed = |id: &str| inner.value_source(id) == Some(ValueSource::CommandLine);
        let has_config = inner.try_contains_id("config").is_ok() && is_typed("config");
        // Groups of options have ids too, and no value of their own.
        let is_option = |id: &str| inner.try_get_raw(id).is_ok();
        let other = inner.ids().map(Id::as_str).find(|id| *id != "config" && is_option(id) && is_typed(id));
        if let Some(other) = other.filter(|_| has_config) {
            let message = format!("--config says everything: put {} into the file\n", other.replace('_', "-"));
            Self::command().error(ErrorKind::ArgumentConflict, message).exit();
        }
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a project to begin with
    New(NewArgs),
    /// Build a project, serve it, and build it again after each change
    Dev(DevArgs),
    /// The server of `dev`, which gets its options
    #[command(hide = true)]
    DevServe(DevArgs),
    /// Write the WIT files that an app is built against
    Wit {
        /// Folder to write to
        #[arg(value_name = "DIR", default_value = "wit")]
        folder: PathBuf,
    },
    /// Serve a built-in component that shows its workers at work
    Demo(ServeArgs),
    /// Show what a component exports, imports and how it would be served
    Inspect {
        /// The component to read
        component: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check the options and the component as a start would, without serving
    Check {
        /// The component to check
        #[arg(required_unless_present = "config")]
        component: Option<PathBuf>,
        /// Check a configuration file, and the components of its apps
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        serve: ServeArgs,
    },
    /// Make a component from a core module, as compilers for WASI 0.1 write it
    Componentize(ComponentizeArgs),
    /// Show what a running server does
    Status {
        #[command(flatten)]
        server: ServerArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Show it again every second, until interrupted
        #[arg(long)]
        watch: bool,
    },
    /// Load the component again; workers of the new generation take over one after the other
    Reload {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Go back to the generation before
    Rollback {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Change the number of workers
    Scale {
        #[arg(value_name = "N")]
        workers: usize,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Replace the process of one worker, or of all in turn
    Recycle {
        /// Number of the worker [default: all]
        worker: Option<usize>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Finish what is in flight and end
    Stop {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Be the server of one hosted app
    #[command(hide = true)]
    App { name: String, given: i32 },
    /// Write man pages, shell completions and the schema of configuration files (for packagers)
    #[command(hide = true)]
    Generate {
        /// Folder to write to; it is made if need be
        folder: PathBuf,
    },
}

#[derive(Debug, Clone, Args)]
pub struct NewArgs {
    /// Folder to make; its last part is the project's name
    #[arg(required_unless_present = "list")]
    pub name: Option<PathBuf>,

    /// Language of the project; --list shows which there are
    #[arg(short, long, value_name = "LANG", required_unless_present = "list")]
    pub lang: Option<String>,

    /// For WASI 0.3, whose handlers are async, instead of 0.2
    #[arg(long = "async")]
    pub is_async: bool,

    /// Show which languages there are and the tools that each needs
    #[arg(long, exclusive = true)]
    pub list: bool,
}

#[derive(Debug, Clone, Args)]
pub struct DevArgs {
    /// The project: a folder with a wasmserve.toml
    #[arg(value_name = "PROJECT", default_value = ".")]
    pub project: PathBuf,

    #[command(flatten)]
    pub serve: ServeArgs,
}

#[derive(Debug, Clone, Args)]
pub struct ComponentizeArgs {
    /// The core module
    pub module: PathBuf,

    /// File to write [default: the module's path, ending in .component.wasm]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// WIT folder with the app's world, for a module that does not carry its world inside
    #[arg(long, value_name = "DIR")]
    pub wit: Option<PathBuf>,

    /// The world in that folder, if there are several
    #[arg(long, value_name = "WORLD", requires = "wit")]
    pub world: Option<String>,
}

/// Which running server a command is for.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// Its control socket [default: the only one in the runtime folder]
    #[arg(long, env = "WASMSERVE_CONTROL", value_name = "PATH")]
    pub control: Option<PathBuf>,

    /// One of the apps that it hosts (--config)
    #[arg(long, value_name = "NAME")]
    pub app: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Address to listen on
    #[arg(long, env = "WASMSERVE_HOST", default_value = "127.0.0.1", value_name = "ADDR")]
    pub host: String,

    /// Port to listen on; 0 picks a free one
    #[arg(long, env = "WASMSERVE_PORT", default_value_t = 8000)]
    pub port: u16,

    /// Address to listen on, instead of --host and --port: ADDR:PORT or unix:PATH; can be repeated
    #[arg(short, long, env = "WASMSERVE_BIND", value_name = "ADDR", value_delimiter = ',')]
    pub bind: Vec<String>,

    /// Permissions of Unix sockets that are listened on, in octal
    #[arg(long, env = "WASMSERVE_UDS_MODE", default_value = "666", value_name = "MODE")]
    pub uds_mode: String,

    /// Inherited descriptor of a listening socket to use; can be repeated
    #[arg(long, env = "WASMSERVE_FD", value_name = "N", value_delimiter = ',')]
    pub fd: Vec<i32>,

    /// Connections that may wait to be accepted, for each worker
    #[arg(long, env = "WASMSERVE_BACKLOG", default_value_t = 2048, value_name = "N")]
    pub backlog: i32,

    /// Worker processes; `auto` is one per usable core [default: WEB_CONCURRENCY, else 1]
    #[arg(short, long, env = "WASMSERVE_WORKERS", value_name = "N")]
    pub workers: Option<String>,

    /// Start more workers while requests wait for one, up to so many in all [default: as many as --workers]
    #[arg(long, env = "WASMSERVE_MAX_WORKERS", value_name = "N")]
    pub max_workers: Option<usize>,

    /// Name of the app, in logs and for the guest [default: the component's, without its ending]
    #[arg(long, env = "WASMSERVE_NAME", value_name = "NAME")]
    pub name: Option<String>,

    /// Seconds without a request after which the server ends, for socket activation; 0 is never
    #[arg(long, env = "WASMSERVE_IDLE_TIMEOUT", default_value = "0", value_name = "S")]
    pub idle_timeout: String,

    /// Threads per worker for guests that compute or block
    #[arg(long, env = "WASMSERVE_THREADS", default_value_t = 8, value_name = "M")]
    pub threads: usize,

    /// When a guest call goes to those threads: once it outlives its time slice, or straight away
    #[arg(long, env = "WASMSERVE_OFFLOAD", value_enum, default_value_t = Offload::Slow)]
    pub offload: Offload,

    /// Instances per worker at most, made when first needed [default: 1 for an async app, 32 for a sync one]
    #[arg(long, env = "WASMSERVE_INSTANCES", value_name = "K")]
    pub instances: Option<usize>,

    /// Requests in flight in one async instance
    #[arg(long, env = "WASMSERVE_CONCURRENCY", default_value_t = 128, value_name = "C")]
    pub concurrency: usize,

    /// Requests per worker that wait for an instance; beyond it 503 at once
    #[arg(long, env = "WASMSERVE_QUEUE", default_value_t = 1024, value_name = "Q")]
    pub queue: usize,

    /// Keep instances across requests (worker) or make a fresh one for each (request)
    #[arg(long, env = "WASMSERVE_ISOLATION", value_enum, default_value_t = Isolation::Auto)]
    pub isolation: Isolation,

    /// Whether startup and shutdown are called: if exported (auto), always (on: it is an error if they are not exported), never (off)
    #[arg(long, env = "WASMSERVE_LIFESPAN", value_enum, default_value_t = Lifespan::Auto)]
    pub lifespan: Lifespan,

    /// Environment variable for the guest: KEY=VALUE, or KEY to pass on our own; can be repeated
    #[arg(long, env = "WASMSERVE_ENV", value_name = "KEY[=VALUE]")]
    pub env: Vec<String>,

    /// Environment variable whose value is read from a file by the worker, for secrets: KEY=FILE; can be repeated
    #[arg(long, env = "WASMSERVE_ENV_FROM_FILE", value_name = "KEY=FILE")]
    pub env_from_file: Vec<String>,

    /// Folder the guest may use: HOST::GUEST, with :ro at the end for reading only; can be repeated
    #[arg(long, env = "WASMSERVE_DIR", value_name = "HOST::GUEST[:ro]")]
    pub dir: Vec<String>,

    /// Seconds that requests in flight get to finish at shutdown
    #[arg(long, env = "WASMSERVE_TIMEOUT_GRACEFUL_SHUTDOWN", default_value = "30", value_name = "S")]
    pub timeout_graceful_shutdown: String,

    /// Seconds that an instance's startup may take
    #[arg(long, env = "WASMSERVE_TIMEOUT_STARTUP", default_value = "30", value_name = "S")]
    pub timeout_startup: String,

    /// Seconds without a sign of life after which a worker is replaced
    #[arg(long, env = "WASMSERVE_TIMEOUT_WORKER_HEALTHCHECK", default_value = "5", value_name = "S")]
    pub timeout_worker_healthcheck: String,

    /// Requests after which an instance is replaced by a fresh one; 0 is never
    #[arg(long, env = "WASMSERVE_MAX_REQUESTS", default_value_t = 0, value_name = "N")]
    pub max_requests: u64,

    /// Up to so many more requests, at random for each instance, so that not all are replaced at once
    #[arg(long, env = "WASMSERVE_MAX_REQUESTS_JITTER", default_value_t = 0, value_name = "N")]
    pub max_requests_jitter: u64,

    /// Seconds after which an instance is replaced by a fresh one; 0 is never
    #[arg(long, env = "WASMSERVE_MAX_LIFETIME", default_value = "0", value_name = "S")]
    pub max_lifetime: String,

    /// Memory of an instance above which it is replaced by a fresh one, in bytes or such as 64MiB; 0 is no limit
    #[arg(long, env = "WASMSERVE_MAX_INSTANCE_MEMORY", default_value = "0", value_name = "SIZE")]
    pub max_instance_memory: String,

    /// Resident memory of a worker above which the process is replaced, in bytes or such as 512MiB; 0 is no limit
    #[arg(long, env = "WASMSERVE_WORKER_MAX_RSS", default_value = "0", value_name = "SIZE")]
    pub worker_max_rss: String,

    /// Reload when the component or a --reload-dir changes, for development
    #[arg(long, env = "WASMSERVE_RELOAD", value_parser = BoolishValueParser::new())]
    pub reload: bool,

    /// Folder to watch as well, with all in it; can be repeated; implies --reload
    #[arg(long, env = "WASMSERVE_RELOAD_DIR", value_name = "DIR")]
    pub reload_dir: Vec<PathBuf>,

    /// File for the log instead of stderr; opened again on USR1
    #[arg(long, env = "WASMSERVE_LOG_FILE", value_name = "FILE")]
    pub log_file: Option<PathBuf>,

    /// File for the line per request instead of the log; opened again on USR1
    #[arg(long, env = "WASMSERVE_ACCESS_LOG_FILE", value_name = "FILE")]
    pub access_log_file: Option<PathBuf>,

    /// File for the supervisor's process id; removed at the end
    #[arg(short, long, env = "WASMSERVE_PID_FILE", value_name = "FILE")]
    pub pid_file: Option<PathBuf>,

    /// User that workers run as, by name or number (needs root)
    #[arg(short, long, env = "WASMSERVE_USER", value_name = "USER")]
    pub user: Option<String>,

    /// Group that workers run as, by name or number (needs root)
    #[arg(short, long, env = "WASMSERVE_GROUP", value_name = "GROUP")]
    pub group: Option<String>,

    /// Permissions that files made by the server and its guests do not get, in octal
    #[arg(long, env = "WASMSERVE_UMASK", value_name = "MODE")]
    pub umask: Option<String>,

    /// Folder to change to before anything else
    #[arg(long, env = "WASMSERVE_CHDIR", value_name = "DIR")]
    pub chdir: Option<PathBuf>,

    /// Control socket, or `off` [default: in the runtime folder]
    #[arg(long, env = "WASMSERVE_CONTROL", value_name = "PATH")]
    pub control: Option<PathBuf>,

    /// Serve /healthz, /readyz, /metrics and /status there: ADDR:PORT or PORT (loopback)
    #[arg(long, env = "WASMSERVE_ADMIN", value_name = "ADDR")]
    pub admin: Option<String>,

    /// Least important records to log
    #[arg(long, env = "WASMSERVE_LOG_LEVEL", value_enum, default_value_t = Level::Info)]
    pub log_level: Level,

    /// Log format [default: text on a terminal, else json]
    #[arg(long, env = "WASMSERVE_LOG_FORMAT", value_enum)]
    pub log_format: Option<Format>,

    /// Log no line per request
    #[arg(long, env = "WASMSERVE_NO_ACCESS_LOG", value_parser = BoolishValueParser::new())]
    pub no_access_log: bool,

    /// Add the response header x-wasmserve-instance: worker/instance/generation
    #[arg(long, env = "WASMSERVE_IDENTIFY", value_parser = BoolishValueParser::new())]
    pub identify: bool,

    /// Folder for compiled components [default: $XDG_CACHE_HOME/wasmserve or ~/.cache/wasmserve]
    #[arg(long, env = "WASMSERVE_CACHE_DIR", value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,

    #[command(flatten)]
    pub guest: GuestArgs,

    #[command(flatten)]
    pub client: ClientArgs,

    #[command(flatten)]
    pub grants: GrantArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Offload {
    Slow,
    Always,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Isolation {
    Auto,
    Worker,
    Request,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lifespan {
    Auto,
    On,
    Off,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_has_its_environment_variable() {
        let command = Cli::command();
        for option in command.get_arguments().filter(|option| option.get_long().is_some()) {
            let long = option.get_long().unwrap();
            if matches!(long, "help" | "version") {
                continue;
            }
            let expected = format!("WASMSERVE_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(option.get_env().and_then(|name| name.to_str()), Some(expected.as_str()), "--{long}");
        }
    }
}

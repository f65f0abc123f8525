//! The command line. Help and every `WASMSERVE_…` variable come from these definitions; what the values mean
//! together is checked in `config`.

use crate::log::{Format, Level};
use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Parser)]
#[command(
    name = "wasmserve",
    version,
    about = "Serves WebAssembly components (wasi:http) from isolated worker processes",
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Every option can also be given as an environment variable: --log-level as WASMSERVE_LOG_LEVEL.\n\
                  Exit codes: 0 done, 1 internal error, 2 usage or address, 3 startup failed, 4 component cannot be loaded."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The component to serve: a .wasm component, or component text (.wat)
    #[arg(required = true, value_name = "COMPONENT")]
    pub component: Option<PathBuf>,

    #[command(flatten)]
    pub serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
pub enum Command {
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
        component: PathBuf,
        #[command(flatten)]
        serve: ServeArgs,
    },
}

#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Address to listen on
    #[arg(long, env = "WASMSERVE_HOST", default_value = "127.0.0.1", value_name = "ADDR")]
    pub host: String,

    /// Port to listen on; 0 picks a free one
    #[arg(long, env = "WASMSERVE_PORT", default_value_t = 8000)]
    pub port: u16,

    /// Address and port to listen on, instead of --host and --port; can be repeated
    #[arg(short, long, env = "WASMSERVE_BIND", value_name = "ADDR:PORT", value_delimiter = ',')]
    pub bind: Vec<String>,

    /// Worker processes; `auto` is one per usable core [default: WEB_CONCURRENCY, else 1]
    #[arg(short, long, env = "WASMSERVE_WORKERS", value_name = "N")]
    pub workers: Option<String>,

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
    use clap::CommandFactory;

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

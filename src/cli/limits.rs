//! Options that limit guests and clients, and those that name what a guest may reach outside.

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits on a guest")]
pub struct GuestArgs {
    /// Memory of an instance, linear memories and tables together, in bytes or such as 256MiB
    #[arg(long, env = "WASMSERVE_MAX_MEMORY", default_value = "256MiB", value_name = "SIZE")]
    pub max_memory: String,

    /// Stack of the guest's code
    #[arg(long, env = "WASMSERVE_MAX_STACK", default_value = "512KiB", value_name = "SIZE")]
    pub max_stack: String,

    /// Elements of all tables of an instance
    #[arg(long, env = "WASMSERVE_MAX_TABLE_ELEMENTS", default_value_t = 1_000_000, value_name = "N")]
    pub max_table_elements: usize,

    /// Core instances in an instance of a component
    #[arg(long, env = "WASMSERVE_MAX_CORE_INSTANCES", default_value_t = 256, value_name = "N")]
    pub max_core_instances: usize,

    /// Resources (handles: requests, bodies, files, ...) that an instance may hold at once
    #[arg(long, env = "WASMSERVE_MAX_RESOURCES", default_value_t = 10_000, value_name = "N")]
    pub max_resources: usize,

    /// Seconds until a response begins; beyond it 504
    #[arg(long, env = "WASMSERVE_TIMEOUT_REQUEST", default_value = "60", value_name = "S")]
    pub timeout_request: String,

    /// Seconds that a guest may let a response's body wait for its next part
    #[arg(long, env = "WASMSERVE_TIMEOUT_RESPONSE_PROGRESS", default_value = "60", value_name = "S")]
    pub timeout_response_progress: String,

    /// Seconds until a response is complete; 0 is no limit
    #[arg(long, env = "WASMSERVE_TIMEOUT_RESPONSE", default_value = "0", value_name = "S")]
    pub timeout_response: String,

    /// Processor time for a request of a sync guest, in seconds; 0 is no limit
    #[arg(long, env = "WASMSERVE_MAX_CPU_TIME", default_value = "30", value_name = "S")]
    pub max_cpu_time: String,

    /// Processor time for an instance of an async guest in each second, in seconds; 0 is no limit
    #[arg(long, env = "WASMSERVE_MAX_CPU_SHARE", default_value = "0", value_name = "S")]
    pub max_cpu_share: String,

    /// Bytes of all fields of a response's head, and of its trailers
    #[arg(long, env = "WASMSERVE_LIMIT_RESPONSE_HEADER_SIZE", default_value = "128KiB", value_name = "SIZE")]
    pub limit_response_header_size: String,

    /// Bytes of a response's body; 0 is no limit
    #[arg(long, env = "WASMSERVE_LIMIT_RESPONSE_BODY", default_value = "16GiB", value_name = "SIZE")]
    pub limit_response_body: String,

    /// Bytes of guest output logged for each worker in a second; the rest is counted and dropped
    #[arg(long, env = "WASMSERVE_LIMIT_GUEST_LOG", default_value = "1MiB", value_name = "SIZE")]
    pub limit_guest_log: String,

    /// Let guests see clocks as fine as the machine's, instead of in steps of 1 ms
    #[arg(long, env = "WASMSERVE_FINE_CLOCKS", value_parser = BoolishValueParser::new())]
    pub fine_clocks: bool,

    /// Processor time for compiling a component, in seconds
    #[arg(long, env = "WASMSERVE_MAX_COMPILE_TIME", default_value = "60", value_name = "S")]
    pub max_compile_time: String,

    /// Memory for compiling a component
    #[arg(long, env = "WASMSERVE_MAX_COMPILE_MEMORY", default_value = "2GiB", value_name = "SIZE")]
    pub max_compile_memory: String,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits on a client")]
pub struct ClientArgs {
    /// Seconds that a new connection may stay silent
    #[arg(long, env = "WASMSERVE_TIMEOUT_ACCEPT", default_value = "10", value_name = "S")]
    pub timeout_accept: String,

    /// Seconds that a request's head may take
    #[arg(long, env = "WASMSERVE_TIMEOUT_HEADER", default_value = "30", value_name = "S")]
    pub timeout_header: String,

    /// Seconds without progress of a request's body
    #[arg(long, env = "WASMSERVE_TIMEOUT_BODY", default_value = "30", value_name = "S")]
    pub timeout_body: String,

    /// Seconds without progress of a response that the client reads too slowly
    #[arg(long, env = "WASMSERVE_TIMEOUT_WRITE", default_value = "30", value_name = "S")]
    pub timeout_write: String,

    /// Seconds that a connection may stay idle between requests
    #[arg(long, env = "WASMSERVE_TIMEOUT_KEEP_ALIVE", default_value = "60", value_name = "S")]
    pub timeout_keep_alive: String,

    /// Bytes of a request's target (the path with its query); beyond it 414
    #[arg(long, env = "WASMSERVE_LIMIT_REQUEST_LINE", default_value = "8KiB", value_name = "SIZE")]
    pub limit_request_line: String,

    /// Fields of a request's head; beyond it 431
    #[arg(long, env = "WASMSERVE_LIMIT_REQUEST_FIELDS", default_value_t = 100, value_name = "N")]
    pub limit_request_fields: usize,

    /// Bytes of all fields of a request's head; beyond it 431
    #[arg(long, env = "WASMSERVE_LIMIT_REQUEST_HEADER_SIZE", default_value = "64KiB", value_name = "SIZE")]
    pub limit_request_header_size: String,

    /// Bytes of a request's body; beyond it 413; 0 is no limit
    #[arg(long, env = "WASMSERVE_LIMIT_REQUEST_BODY", default_value = "1GiB", value_name = "SIZE")]
    pub limit_request_body: String,

    /// Requests on a connection, after which it is closed; 0 is no limit
    #[arg(long, env = "WASMSERVE_LIMIT_CONNECTION_REQUESTS", default_value_t = 100_000, value_name = "N")]
    pub limit_connection_requests: u64,

    /// Connections of a worker; further ones wait to be accepted
    #[arg(long, env = "WASMSERVE_LIMIT_CONNECTIONS", default_value_t = 16_384, value_name = "N")]
    pub limit_connections: usize,

    /// Connections of a worker from one address (IPv6: one /64); further ones are closed; 0 is no limit
    #[arg(long, env = "WASMSERVE_LIMIT_CONNECTIONS_PER_ADDRESS", default_value_t = 0, value_name = "N")]
    pub limit_connections_per_address: usize,

    /// Requests in a second, in all workers together, with a second's worth at once; beyond it 429; 0 is no limit
    #[arg(long, env = "WASMSERVE_LIMIT_REQUESTS_PER_SECOND", default_value_t = 0, value_name = "N")]
    pub limit_requests_per_second: u64,

    /// Requests in flight in all workers together; beyond it 503 at once; 0 is no limit beside the queue's
    #[arg(long, env = "WASMSERVE_LIMIT_CONCURRENCY", default_value_t = 0, value_name = "N")]
    pub limit_concurrency: u64,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What a guest may reach")]
pub struct GrantArgs {
    /// Host that the guest may send HTTP requests to: HOST[:PORT], *.SUFFIX[:PORT], or * for all; can be repeated
    #[arg(long, env = "WASMSERVE_ALLOW_HTTP", value_name = "HOST[:PORT]", value_delimiter = ',')]
    pub allow_http: Vec<String>,

    /// Host and port that the guest may connect to over TCP: HOST:PORT; can be repeated
    #[arg(long, env = "WASMSERVE_ALLOW_TCP", value_name = "HOST:PORT", value_delimiter = ',')]
    pub allow_tcp: Vec<String>,

    /// Host and port that the guest may send UDP datagrams to: HOST:PORT; can be repeated
    #[arg(long, env = "WASMSERVE_ALLOW_UDP", value_name = "HOST:PORT", value_delimiter = ',')]
    pub allow_udp: Vec<String>,

    /// Network or address that is not public and may be reached all the same, such as 10.1.0.0/16; can be repeated
    #[arg(long, env = "WASMSERVE_ALLOW_PRIVATE_NETWORK", value_name = "NETWORK", value_delimiter = ',')]
    pub allow_private_network: Vec<String>,

    /// Outbound requests at the same time, in all workers together
    #[arg(long, env = "WASMSERVE_MAX_OUTBOUND", default_value_t = 100, value_name = "N")]
    pub max_outbound: u64,

    /// Outbound requests for each request that an instance takes; 0 is no limit
    #[arg(long, env = "WASMSERVE_MAX_OUTBOUND_PER_REQUEST", default_value_t = 100, value_name = "N")]
    pub max_outbound_per_request: u64,

    /// Seconds that an outbound connection may take, with the look-up of its name and TLS
    #[arg(long, env = "WASMSERVE_TIMEOUT_OUTBOUND_CONNECT", default_value = "10", value_name = "S")]
    pub timeout_outbound_connect: String,

    /// Seconds until an outbound response begins
    #[arg(long, env = "WASMSERVE_TIMEOUT_OUTBOUND_FIRST_BYTE", default_value = "30", value_name = "S")]
    pub timeout_outbound_first_byte: String,

    /// Seconds between two parts of an outbound response
    #[arg(long, env = "WASMSERVE_TIMEOUT_OUTBOUND_BETWEEN_BYTES", default_value = "30", value_name = "S")]
    pub timeout_outbound_between_bytes: String,

    /// Bytes of an outbound response; 0 is no limit
    #[arg(long, env = "WASMSERVE_LIMIT_OUTBOUND_RESPONSE", default_value = "1GiB", value_name = "SIZE")]
    pub limit_outbound_response: String,

    /// Process sandbox around workers and the compiler: off, what this kernel has (best-effort), or all of it (strict)
    #[arg(long, env = "WASMSERVE_SANDBOX", value_enum, default_value_t = Sandbox::BestEffort)]
    pub sandbox: Sandbox,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sandbox {
    Off,
    BestEffort,
    Strict,
}

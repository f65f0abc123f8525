//! Limits on guests and clients, and what guests may reach, checked.

use super::parse::{seconds, size};
use crate::cli::{ClientArgs, GrantArgs, GuestArgs};
use ipnet::IpNet;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::time::Duration;

/// What one instance may take, and what may come out of it.
#[derive(Clone, Debug)]
pub struct GuestLimits {
    /// Bytes of linear memories and tables.
    pub memory: u64,
    /// Bytes of the guest's stack.
    pub stack: usize,
    pub table_elements: usize,
    pub core_instances: usize,
    pub resources: usize,
    /// Until the head of a response.
    pub request: Duration,
    /// Between two parts of a response's body, as far as the guest is waited for.
    pub response_progress: Duration,
    /// Until a response is complete.
    pub response: Option<Duration>,
    /// Processor time of a request of a sync guest.
    pub cpu_time: Option<Duration>,
    /// Processor time of an async guest's instance in a second.
    pub cpu_share: Option<Duration>,
    pub response_header_size: usize,
    /// Bytes; `u64::MAX` is no limit.
    pub response_body: u64,
    /// Bytes of output in a second.
    pub log: u64,
    pub fine_clocks: bool,
}

/// What compiling a component may take.
#[derive(Clone, Copy, Debug)]
pub struct CompileLimits {
    pub cpu_time: Duration,
    pub memory: u64,
}

/// What a client may take.
#[derive(Clone, Debug)]
pub struct ClientLimits {
    /// Until the first byte.
    pub accept: Duration,
    /// From the first byte of a head to its last.
    pub header: Duration,
    pub body: Duration,
    pub write: Duration,
    pub keep_alive: Duration,
    pub request_line: usize,
    pub request_fields: usize,
    pub request_header_size: usize,
    /// Bytes; `u64::MAX` is no limit.
    pub request_body: u64,
    /// `u64::MAX` is no limit, here and below.
    pub connection_requests: u64,
    pub connections: usize,
    pub connections_per_address: usize,
    /// In all workers together; None is no limit.
    pub requests_per_second: Option<NonZeroU64>,
    pub concurrency: Option<NonZeroU64>,
}

/// What a guest may reach outside of its worker.
#[derive(Clone, Debug)]
pub struct Grants {
    pub http: Vec<Endpoint>,
    pub tcp: Vec<Endpoint>,
    pub udp: Vec<Endpoint>,
    /// Networks that are not public, but may be reached.
    pub private_networks: Vec<IpNet>,
    /// Requests at the same time, in all workers together.
    pub max_outbound: u64,
    /// Requests for each one that an instance has taken; `u64::MAX` is no limit.
    pub max_outbound_per_request: u64,
    pub timeout_connect: Duration,
    pub timeout_first_byte: Duration,
    pub timeout_between_bytes: Duration,
    /// Bytes; `u64::MAX` is no limit.
    pub response_body: u64,
}

/// Where a guest may go.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    pub host: Host,
    pub port: Port,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Host {
    Any,
    /// All names below this one, which begins with a dot.
    Suffix(String),
    /// In lower case.
    Name(String),
    Address(IpAddr),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Port {
    Any,
    /// 80 and 443.
    Http,
    One(u16),
}

impl Endpoint {
    /// Whether it stands for this host, a name or an address without brackets, and this port.
    pub fn includes(&self, host: &str, port: u16) -> bool {
        self.port.includes(port) && self.host.includes(host)
    }
}

impl Host {
    pub fn includes(&self, host: &str) -> bool {
        // A name may end with the dot of the root (RFC 1034 section 3.1).
        let host = host.strip_suffix('.').unwrap_or(host);
        match self {
            Host::Any => true,
            Host::Address(address) => host.parse() == Ok(*address),
            Host::Name(name) => host.eq_ignore_ascii_case(name),
            Host::Suffix(suffix) => host
                .len()
                .checked_sub(suffix.len())
                .is_some_and(|at| at > 0 && host.is_char_boundary(at) && host[at..].eq_ignore_ascii_case(suffix)),
        }
    }
}

impl Port {
    fn includes(self, port: u16) -> bool {
        match self {
            Port::Any => true,
            Port::Http => matches!(port, 80 | 443),
            Port::One(one) => one == port,
        }
    }
}

/// 0 is no limit.
fn or_never(limit: u64) -> u64 {
    if limit == 0 { u64::MAX } else { limit }
}

fn optional(limit: Duration) -> Option<Duration> {
    Some(limit).filter(|limit| !limit.is_zero())
}

/// A limit that cannot be switched off.
fn positive(flag: &str, text: &str, keep: &mut impl FnMut(String)) -> Duration {
    let limit = seconds(flag, text, keep);
    if text.parse() == Ok(0.0) {
        keep(format!("{flag} {text}: must be more than 0"));
    }
    limit
}

/// A number of bytes within bounds.
fn bounded(flag: &str, text: &str, least: u64, most: u64, keep: &mut impl FnMut(String)) -> u64 {
    let mut mistaken = false;
    let bytes = size(flag, text, &mut |mistake| {
        mistaken = true;
        keep(mistake);
    });
    if !mistaken && !(least..=most).contains(&bytes) {
        keep(format!("{flag} {text}: must be from {least} to {most} bytes"));
    }
    bytes
}

fn counted(flag: &str, number: usize, most: usize, keep: &mut impl FnMut(String)) -> usize {
    if number == 0 || number > most {
        keep(format!("{flag} {number}: must be from 1 to {most}"));
    }
    number
}

/// The largest stack for which thousands of them fit an address space.
const MAX_STACK: u64 = 64 << 20;
/// A table element takes a pointer, a resource some more.
const MAX_TABLE_ELEMENTS: usize = 100_000_000;
const MAX_CORE_INSTANCES: usize = 10_000;
const MAX_RESOURCES: usize = 1_000_000;
/// The largest head that hyper takes is not known to it beforehand: it buffers.
const MAX_HEAD: u64 = 16 << 20;
const MAX_FIELDS: usize = 32_768;
const MAX_CONNECTIONS: usize = 10_000_000;

impl GuestLimits {
    pub fn check(args: &GuestArgs, mut keep: &mut impl FnMut(String)) -> Self {
        let keep = &mut keep;
        Self {
            memory: bounded("--max-memory", &args.max_memory, 64 << 10, 1 << 40, keep),
            stack: bounded("--max-stack", &args.max_stack, 64 << 10, MAX_STACK, keep) as usize,
            table_elements: counted("--max-table-elements", args.max_table_elements, MAX_TABLE_ELEMENTS, keep),
            core_instances: counted("--max-core-instances", args.max_core_instances, MAX_CORE_INSTANCES, keep),
            resources: counted("--max-resources", args.max_resources, MAX_RESOURCES, keep),
            request: positive("--timeout-request", &args.timeout_request, keep),
            response_progress: positive("--timeout-response-progress", &args.timeout_response_progress, keep),
            response: optional(seconds("--timeout-response", &args.timeout_response, keep)),
            cpu_time: optional(seconds("--max-cpu-time", &args.max_cpu_time, keep)),
            cpu_share: optional(seconds("--max-cpu-share", &args.max_cpu_share, keep)),
            response_header_size: bounded(
                "--limit-response-header-size",
                &args.limit_response_header_size,
                1,
                MAX_HEAD,
                keep,
            ) as usize,
            response_body: or_never(size("--limit-response-body", &args.limit_response_body, keep)),
            log: bounded("--limit-guest-log", &args.limit_guest_log, 1, u64::MAX, keep),
            fine_clocks: args.fine_clocks,
        }
    }
}

impl CompileLimits {
    pub fn check(args: &GuestArgs, keep: &mut impl FnMut(String)) -> Self {
        Self {
            cpu_time: positive("--max-compile-time", &args.max_compile_time, keep),
            memory: bounded("--max-compile-memory", &args.max_compile_memory, 64 << 20, 1 << 40, keep),
        }
    }
}

impl ClientLimits {
    pub fn check(args: &ClientArgs, mut keep: &mut impl FnMut(String)) -> Self {
        let keep = &mut keep;
        Self {
            accept: positive("--timeout-accept", &args.timeout_accept, keep),
            header: positive("--timeout-header", &args.timeout_header, keep),
            body: positive("--timeout-body", &args.timeout_body, keep),
            write: positive("--timeout-write", &args.timeout_write, keep),
            keep_alive: positive("--timeout-keep-alive", &args.timeout_keep_alive, keep),
            // hyper's own limit is 65,534.
            request_line: bounded("--limit-request-line", &args.limit_request_line, 1, 65_534, keep) as usize,
            request_fields: counted("--limit-request-fields", args.limit_request_fields, MAX_FIELDS, keep),
            request_header_size: bounded(
                "--limit-request-header-size",
                &args.limit_request_header_size,
                1,
                MAX_HEAD,
                keep,
            ) as usize,
            request_body: or_never(size("--limit-request-body", &args.limit_request_body, keep)),
            connection_requests: or_never(args.limit_connection_requests),
            connections: counted("--limit-connections", args.limit_connections, MAX_CONNECTIONS, keep),
            connections_per_address: or_never(args.limit_connections_per_address as u64) as usize,
            requests_per_second: NonZeroU64::new(args.limit_requests_per_second),
            concurrency: NonZeroU64::new(args.limit_concurrency),
        }
    }
}

impl Grants {
    pub fn check(args: &GrantArgs, mut keep: &mut impl FnMut(String)) -> Self {
        let keep = &mut keep;
        let http = args.allow_http.iter().filter_map(|text| endpoint("--allow-http", text, Some(Port::Http), keep));
        let http = http.collect();
        let tcp = args.allow_tcp.iter().filter_map(|text| endpoint("--allow-tcp", text, None, keep)).collect();
        let udp = args.allow_udp.iter().filter_map(|text| endpoint("--allow-udp", text, None, keep)).collect();
        if args.max_outbound == 0 {
            keep("--max-outbound 0: must be at least 1; without --allow-http there are no outbound requests".into());
        }
        Self {
            http,
            tcp,
            udp,
            private_networks: args.allow_private_network.iter().filter_map(|text| network(text, keep)).collect(),
            max_outbound: args.max_outbound,
            max_outbound_per_request: or_never(args.max_outbound_per_request),
            timeout_connect: positive("--timeout-outbound-connect", &args.timeout_outbound_connect, keep),
            timeout_first_byte: positive("--timeout-outbound-first-byte", &args.timeout_outbound_first_byte, keep),
            timeout_between_bytes: positive(
                "--timeout-outbound-between-bytes",
                &args.timeout_outbound_between_bytes,
                keep,
            ),
            response_body: or_never(size("--limit-outbound-response", &args.limit_outbound_response, keep)),
        }
    }

    /// Whether the guest may reach anything outside at all.
    pub fn any(&self) -> bool {
        !(self.http.is_empty() && self.tcp.is_empty() && self.udp.is_empty())
    }
}

fn endpoint(flag: &str, text: &str, default: Option<Port>, keep: &mut impl FnMut(String)) -> Option<Endpoint> {
    let parsed = split(text).and_then(|(host, port)| {
        let port = match port {
            None => default?,
            Some("*") => Port::Any,
            Some(number) => Port::One(number.parse().ok().filter(|port| *port != 0)?),
        };
        Some(Endpoint { host: self::host(host)?, port })
    });
    if parsed.is_none() {
        let form = if default.is_some() { "HOST or HOST:PORT" } else { "HOST:PORT" };
        keep(format!(
            "{flag} {text}: write {form}, such as api.example.com:443, *.example.com:443 or [2001:db8::1]:443; * is every host or port"
        ));
    }
    parsed
}

/// A host without its brackets, and a port.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match port {
            "" => Some((host, None)),
            port => Some((host, Some(port.strip_prefix(':')?))),
        };
    }
    match text.split_once(':') {
        None => Some((text, None)),
        Some((host, port)) => Some((host, Some(port))),
    }
}

fn host(text: &str) -> Option<Host> {
    if text == "*" {
        return Some(Host::Any);
    }
    if let Ok(address) = text.parse() {
        return Some(Host::Address(address));
    }
    let (suffix, name) = match text.strip_prefix("*.") {
        Some(name) => (true, name),
        None => (false, text),
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    // Letters, digits and hyphens (RFC 952), and the underscore that many names have.
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    // What ends with a number is a mistyped address, and no name (WHATWG URL).
    let is_number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if !name.split('.').all(is_label) || is_number {
        return None;
    }
    Some(if suffix { Host::Suffix(format!(".{name}")) } else { Host::Name(name) })
}

fn network(text: &str, keep: &mut impl FnMut(String)) -> Option<IpNet> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok();
    if network.is_none() {
        keep(format!("--allow-private-network {text}: write a network or an address, such as 10.1.0.0/16 or ::1"));
    }
    network
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(text: &str) -> Option<Endpoint> {
        endpoint("--allow-http", text, Some(Port::Http), &mut |_| {})
    }

    #[test]
    fn a_host_without_a_port_is_for_the_ports_of_http() {
        let allowed = http("API.example.com").unwrap();
        assert!(allowed.includes("api.example.com", 443) && allowed.includes("api.EXAMPLE.com.", 80));
        assert!(!allowed.includes("api.example.com", 8080) && !allowed.includes("x.api.example.com", 443));
    }

    #[test]
    fn a_suffix_includes_what_is_below_it_only() {
        let allowed = http("*.example.com:8443").unwrap();
        assert!(allowed.includes("a.example.com", 8443) && allowed.includes("a.b.Example.com", 8443));
        for other in ["example.com", "notexample.com", ".example.com", "example.com.evil.net", "a.example.co"] {
            assert!(!allowed.includes(other, 8443), "{other}");
        }
        assert!(!allowed.includes("a.example.com", 443));
    }

    #[test]
    fn every_host_has_to_be_asked_for() {
        assert!(http("*").unwrap().includes("anything", 80) && !http("*").unwrap().includes("anything", 22));
        assert!(http("*:*").unwrap().includes("anything", 22));
        for wrong in
            ["", ":80", "a b", "*x", "*.", "a..b", "https://a", "a:0", "a:x", "1.2.3", "1.2.3.4.5", "[::1", "::1"]
        {
            assert_eq!(http(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn addresses_are_compared_as_addresses() {
        assert!(http("[::1]:80").unwrap().includes("0:0:0:0:0:0:0:1", 80));
        assert!(http("192.0.2.1").unwrap().includes("192.0.2.1", 80));
    }

    #[test]
    fn sockets_need_a_port() {
        let tcp = |text| endpoint("--allow-tcp", text, None, &mut |_| {});
        assert!(tcp("db.example.com").is_none() && tcp("db.example.com:5432").is_some());
    }
}

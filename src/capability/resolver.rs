//! Names to addresses, in the process: the C library's look-up opens files of /etc and loads code each time, and takes a
//! thread for as long as it waits.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::{NetError, runtime::TokioRuntimeProvider};
use hickory_resolver::system_conf::read_system_conf;
use std::net::IpAddr;

/// Answers kept, for as long as their sender allows.
const CACHE: u64 = 256;

pub struct Resolver(TokioResolver);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unresolved {
    /// It is no name, or there is nothing by that name.
    Unknown,
    Timeout,
    Failed,
}

impl Resolver {
    /// Reads /etc/resolv.conf and /etc/hosts, now and never again.
    pub fn from_system() -> Result<Self, NetError> {
        let (config, options) = read_system_conf().unwrap_or_else(|error| {
            tracing::warn!("names that guests ask for are looked up in /etc/hosts only: /etc/resolv.conf: {error}");
            (ResolverConfig::from_parts(None, Vec::new(), Vec::new()), ResolverOpts::default())
        });
        Self::new(config, options)
    }

    pub fn new(config: ResolverConfig, mut options: ResolverOpts) -> Result<Self, NetError> {
        options.use_hosts_file = ResolveHosts::Always;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.cache_size = CACHE;
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        Ok(Self(builder.with_options(options).build()?))
    }

    /// All addresses of a name; at least one.
    pub async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, Unresolved> {
        if !is_name(name) {
            return Err(Unresolved::Unknown);
        }
        match self.0.lookup_ip(name).await {
            Ok(found) => Some(Vec::from_iter(found.iter())).filter(|found| !found.is_empty()).ok_or(Unresolved::Unknown),
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => Err(Unresolved::Unknown),
            Err(NetError::Timeout) => Err(Unresolved::Timeout),
            Err(_) => Err(Unresolved::Failed),
        }
    }
}

/// Letters, digits, hyphens and underscores (RFC 952), and not an address in one of the notations that some parsers
/// take for one: 127.1, 2130706433, 0x7f.1 (WHATWG URL: what ends with a number is an address).
fn is_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or(last.strip_prefix("0X"));
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    text.len() <= 253 && text.split('.').all(is_label) && !is_number
}

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
            Ok(found) => {
                Some(Vec::from_iter(found.iter())).filter(|found| !found.is_empty()).ok_or(Unresolved::Unknown)
            }
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

#[cfg(test)]
pub mod tests {
    use super::*;
    use hickory_resolver::config::{ConnectionConfig, NameServerConfig};
    use std::collections::HashMap;
    use std::net::UdpSocket;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::sync::{Arc, Mutex};

    /// A name server of our own, whose answers may not be kept.
    #[derive(Clone, Default)]
    pub struct Zone {
        addresses: Arc<Mutex<HashMap<String, Vec<IpAddr>>>>,
        questions: Arc<AtomicUsize>,
    }

    impl Zone {
        pub fn set(&self, name: &str, addresses: &[&str]) {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            self.addresses.lock().unwrap().insert(name.to_owned(), addresses);
        }

        pub fn questions(&self) -> usize {
            self.questions.load(Relaxed)
        }

        /// A resolver that asks it.
        pub fn resolver(&self) -> Resolver {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let mut connection = ConnectionConfig::udp();
            connection.port = socket.local_addr().unwrap().port();
            let zone = self.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 512];
                while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(&zone.answer(&buffer[..length]), from);
                }
            });
            let server = NameServerConfig::new([127, 0, 0, 1].into(), true, vec![connection]);
            Resolver::new(ResolverConfig::from_parts(None, Vec::new(), vec![server]), ResolverOpts::default()).unwrap()
        }

        /// RFC 1035 section 4: a question comes back with its answers.
        fn answer(&self, question: &[u8]) -> Vec<u8> {
            self.questions.fetch_add(1, Relaxed);
            let (mut name, mut at) = (String::new(), 12);
            while question[at] != 0 {
                let end = at + 1 + usize::from(question[at]);
                name += &String::from_utf8_lossy(&question[at + 1..end]).to_lowercase();
                name += ".";
                at = end;
            }
            let kind = question[at + 2];
            let known = self.addresses.lock().unwrap().get(name.trim_end_matches('.')).cloned();
            let bytes = |address: &IpAddr| match address {
                IpAddr::V4(address) if kind == 1 => Some(address.octets().to_vec()),
                IpAddr::V6(address) if kind == 28 => Some(address.octets().to_vec()),
                _ => None,
            };
            let answers: Vec<_> = known.iter().flatten().filter_map(bytes).collect();
            let code = if known.is_some() { 0x80 } else { 0x83 };
            let mut answer = [&question[..2], &[0x81, code, 0, 1, 0, answers.len() as u8, 0, 0, 0, 0]].concat();
            answer.extend(&question[12..at + 5]);
            for bytes in answers {
                answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0, bytes.len() as u8]);
                answer.extend(bytes);
            }
            answer
        }
    }

    #[tokio::test]
    async fn all_addresses_of_a_name_are_found() {
        let zone = Zone::default();
        zone.set("both.test", &["192.0.2.1", "2001:db8::1", "192.0.2.2"]);
        zone.set("none.test", &[]);
        let resolver = zone.resolver();
        let mut found = resolver.look_up("Both.Test").await.unwrap();
        found.sort();
        assert_eq!(found, ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|address| address.parse::<IpAddr>().unwrap()));
        for name in ["none.test", "unknown.test"] {
            assert_eq!(resolver.look_up(name).await, Err(Unresolved::Unknown), "{name}");
        }
    }

    #[tokio::test]
    async fn what_is_no_name_is_not_asked_for() {
        let zone = Zone::default();
        let resolver = zone.resolver();
        let long = "a.".repeat(200) + "test";
        for text in [
            "",
            ".",
            "a..test",
            "a b",
            "ä.test",
            "127.1",
            "0x7f.1",
            "0x7F000001",
            "2130706433",
            "1.2.3.4.",
            "a.0",
            &long,
        ] {
            assert_eq!(resolver.look_up(text).await, Err(Unresolved::Unknown), "{text}");
        }
        assert_eq!(zone.questions(), 0);
        for text in ["a", "a.test", "a-b_c.test.", "1.test", "xn--4ca.test", "0x.test"] {
            assert!(is_name(text), "{text}");
        }
    }
}

//! Which request goes where: by host and path prefix, and the most specific wins.
//!
//! A match is `HOST`, `HOST/PREFIX` or `*/PREFIX`. A host is exact, `*.SUFFIX` (names below the suffix, not the suffix
//! itself) or `*`. A prefix ends at a slash or at the end of the path: `/shop` is for `/shop` and `/shop/a`, not `/shops`.
//! Of all that match, an exact host goes before a suffix, a longer suffix before a shorter one, and `*` comes last;
//! among equal hosts the longest prefix wins. The order in the file means nothing.

use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    pub host: Host,
    /// Without a slash at its end; empty is every path.
    pub prefix: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Host {
    Any,
    /// With its dot: `.example.com`.
    Suffix(String),
    /// In lower case.
    Exact(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    pub matches: Match,
    pub action: Action,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// To the app, without the prefix if that is so.
    App { name: String, strip_prefix: bool },
    /// 308 to this URL, to which what follows the prefix is added.
    Redirect(String),
    /// Files from this folder.
    Static(PathBuf),
    /// 503 with this page.
    Maintenance(PathBuf),
}

impl Match {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (host, prefix) = match text.find('/') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let is_path = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'*' | b'%');
        if !prefix.bytes().all(is_path)
            || prefix.split('/').any(|part| matches!(part, "." | ".."))
            || prefix.contains("//")
            || prefix.ends_with('/')
        {
            return Err(format!("{text}: after the host comes a path such as /shop, without wildcards"));
        }
        Ok(Self { host: Host::parse(host).ok_or_else(|| hint(text))?, prefix: prefix.to_owned() })
    }
}

fn hint(text: &str) -> String {
    format!("{text}: write HOST, *.SUFFIX or *, then a path if need be, such as shop.example.com or example.com/shop")
}

/// What follows the prefix, if the path has it.
pub fn rest<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Host::Any);
        }
        let (is_suffix, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let name = name.to_ascii_lowercase();
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let is_name = name.split('.').all(is_label) || (!is_suffix && is_ipv6(&name));
        is_name.then(|| if is_suffix { Host::Suffix(format!(".{name}")) } else { Host::Exact(name) })
    }
}

fn is_ipv6(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    bare.is_some_and(|bare| bare.parse::<std::net::Ipv6Addr>().is_ok())
}

impl std::fmt::Display for Match {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.host {
            Host::Any => f.write_str("*")?,
            Host::Suffix(suffix) => write!(f, "*{suffix}")?,
            Host::Exact(name) => f.write_str(name)?,
        }
        f.write_str(&self.prefix)
    }
}

/// All routes, to be looked up by host: there may be thousands.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// By exact name, or by suffix with its dot. Of each host the longest prefix comes first.
    hosts: HashMap<String, Vec<Route>>,
    any: Vec<Route>,
}

impl Table {
    pub fn new(routes: Vec<Route>) -> Self {
        let mut table = Self::default();
        for route in routes {
            let place = match &route.matches.host {
                Host::Any => &mut table.any,
                Host::Exact(name) | Host::Suffix(name) => table.hosts.entry(name.clone()).or_default(),
            };
            place.push(route);
        }
        for routes in table.hosts.values_mut().chain([&mut table.any]) {
            routes.sort_by_key(|route| Reverse(route.matches.prefix.len()));
        }
        table
    }

    /// The route of a request; `host` is as the client wrote it, with or without a port.
    pub fn find(&self, host: &str, path: &str) -> Option<&Route> {
        let host = normal(host);
        self.of_host(&host).flatten().find(|route| rest(&route.matches.prefix, path).is_some())
    }

    /// Whether any route is for this host.
    pub fn knows(&self, host: &str) -> bool {
        self.of_host(&normal(host)).flatten().next().is_some()
    }

    /// The routes of the host itself, then those of its suffixes, the longest first, then those of every host.
    fn of_host<'a, 'h>(&'a self, host: &'h str) -> impl Iterator<Item = &'a Vec<Route>> + use<'a, 'h> {
        let suffixes = host.match_indices('.').filter(|(at, _)| *at > 0).map(|(at, _)| &host[at..]);
        let names = std::iter::once(host).chain(suffixes);
        names.filter_map(|name| self.hosts.get(name)).chain([&self.any])
    }
}

/// In lower case, without a port and without the dot of the root.
fn normal(host: &str) -> String {
    let end = match host.rfind(':') {
        Some(at) if !host[at..].contains(']') => at,
        _ => host.len(),
    };
    host[..end].trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(matches: &[&str]) -> Table {
        let route = |text: &&str| Route {
            matches: Match::parse(text).unwrap(),
            action: Action::App { name: text.to_string(), strip_prefix: false },
        };
        Table::new(matches.iter().map(route).collect())
    }

    fn found(table: &Table, host: &str, path: &str) -> Option<String> {
        table.find(host, path).map(|route| route.matches.to_string())
    }

    #[test]
    fn the_most_specific_wins() {
        let table = table(&["*", "*.example.com", "*.b.example.com", "a.example.com", "example.com/shop", "*/shop"]);
        for (host, path, expected) in [
            ("a.example.com", "/x", "a.example.com"),
            ("A.Example.COM.:8080", "/shop", "a.example.com"),
            ("c.example.com", "/shop", "*.example.com"),
            ("c.b.example.com", "/", "*.b.example.com"),
            ("example.com", "/shop/1", "example.com/shop"),
            ("example.com", "/shops", "*"),
            ("other", "/shop", "*/shop"),
            ("[::1]:80", "/", "*"),
        ] {
            assert_eq!(found(&table, host, path).as_deref(), Some(expected), "{host}{path}");
        }
    }

    #[test]
    fn what_is_no_host_or_path_is_refused() {
        for wrong in
            ["", "/x", "a b", "*x", "a..b", "a/*", "a/x?y", "a/../b", "a//b", "http://a", "a:80", "*.", "a/%41"]
        {
            assert!(Match::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Match::parse("example.com/").unwrap(), Match::parse("EXAMPLE.com").unwrap());
    }

    /// The rules again, said otherwise: rank of a match that includes the request.
    fn rank(one: &Match, host: &str, path: &str) -> Option<(u8, usize, usize)> {
        let (class, length) = match &one.host {
            Host::Any => (0, 0),
            Host::Suffix(suffix) => (1, suffix.len()),
            Host::Exact(name) => (2, name.len()),
        };
        let is_host = match &one.host {
            Host::Any => true,
            Host::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
            Host::Exact(name) => host == name,
        };
        let is_path = path == one.prefix || path.starts_with(&format!("{}/", one.prefix));
        (is_host && is_path).then_some((class, length, one.prefix.len()))
    }

    /// Whatever the order in the file, whatever the request: nothing more specific matches than what is found.
    #[test]
    fn nothing_more_specific_matches_than_what_is_found() {
        let hosts = ["*", "*.com", "*.a.com", "a.com", "b.a.com", "c"];
        let prefixes = ["", "/x", "/x/y", "/xy"];
        let all: Vec<String> = hosts.iter().flat_map(|host| prefixes.map(|prefix| format!("{host}{prefix}"))).collect();
        let mut random = 1u64;
        let mut next = |below: usize| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 33) as usize % below
        };
        for _ in 0..2000 {
            let chosen: Vec<&str> = (0..6).map(|_| all[next(all.len())].as_str()).collect();
            let table = table(&chosen);
            let host = ["a.com", "b.a.com", "z.b.a.com", "com", "c", "d"][next(6)];
            let path = ["/", "/x", "/x/", "/x/y/z", "/xyz", "/xy"][next(6)];
            let best = chosen.iter().filter_map(|text| rank(&Match::parse(text).unwrap(), host, path)).max();
            let found = table.find(host, path).and_then(|route| rank(&route.matches, host, path));
            assert_eq!(found, best, "{chosen:?} {host}{path}");
        }
    }
}

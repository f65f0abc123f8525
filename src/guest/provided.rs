//! The interfaces this host gives to a guest, and what each of them lets the guest reach.
//!
//! It is a table and not a question to the linker, because inspecting happens where there is no engine: `inspect`
//! asks it whether every import of a component can be met, and what to suggest when one cannot. It repeats what
//! `wasmtime_wasi::{p2, p3}` and `wasmtime_wasi_http::{p2, p3}` add to a linker; after an update of those, compare.

use std::cmp::Reverse;

use semver::Version;
use serde::{Deserialize, Serialize};

/// The two generations of WASI that are linked, at the versions under which wasmtime 48 defines them.
pub const WASI_0_2: &str = "0.2.12";
pub const WASI_0_3: &str = "0.3.0";

/// What an interface lets a guest reach, in the order in which a reader cares about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    Http,
    OutboundHttp,
    Files,
    Sockets,
    Clocks,
    Random,
    Cli,
    Stdio,
    Io,
    Unknown,
}

/// What the host has for the name of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Provided(Capability),
    /// The interface exists here, but only at these versions (full names).
    OtherVersion(Vec<String>),
    /// Made for a WASI that this wasmserve does not know yet; the nearest name it has, if any is near.
    Newer(Option<String>),
    /// Unknown; this one has the most similar name.
    Nearest(String),
    Nothing,
}

struct Interface {
    name: &'static str,
    versions: &'static [&'static str],
    capability: Capability,
}

const fn entry(name: &'static str, versions: &'static [&'static str], capability: Capability) -> Interface {
    Interface { name, versions, capability }
}

const P2: &[&str] = &[WASI_0_2];
const P3: &[&str] = &[WASI_0_3];
const BOTH: &[&str] = &[WASI_0_2, WASI_0_3];

const TABLE: &[Interface] = &[
    entry("wasi:http/types", BOTH, Capability::Http),
    entry("wasi:http/outgoing-handler", P2, Capability::OutboundHttp),
    entry("wasi:http/client", P3, Capability::OutboundHttp),
    entry("wasi:filesystem/types", BOTH, Capability::Files),
    entry("wasi:filesystem/preopens", BOTH, Capability::Files),
    entry("wasi:sockets/ip-name-lookup", BOTH, Capability::Sockets),
    entry("wasi:sockets/types", P3, Capability::Sockets),
    entry("wasi:sockets/network", P2, Capability::Sockets),
    entry("wasi:sockets/instance-network", P2, Capability::Sockets),
    entry("wasi:sockets/tcp", P2, Capability::Sockets),
    entry("wasi:sockets/tcp-create-socket", P2, Capability::Sockets),
    entry("wasi:sockets/udp", P2, Capability::Sockets),
    entry("wasi:sockets/udp-create-socket", P2, Capability::Sockets),
    entry("wasi:clocks/monotonic-clock", BOTH, Capability::Clocks),
    entry("wasi:clocks/wall-clock", P2, Capability::Clocks),
    entry("wasi:clocks/system-clock", P3, Capability::Clocks),
    entry("wasi:clocks/types", P3, Capability::Clocks),
    entry("wasi:random/random", BOTH, Capability::Random),
    entry("wasi:random/insecure", BOTH, Capability::Random),
    entry("wasi:random/insecure-seed", BOTH, Capability::Random),
    entry("wasi:cli/environment", BOTH, Capability::Cli),
    entry("wasi:cli/exit", BOTH, Capability::Cli),
    entry("wasi:cli/stdin", BOTH, Capability::Stdio),
    entry("wasi:cli/stdout", BOTH, Capability::Stdio),
    entry("wasi:cli/stderr", BOTH, Capability::Stdio),
    entry("wasi:cli/terminal-input", BOTH, Capability::Stdio),
    entry("wasi:cli/terminal-output", BOTH, Capability::Stdio),
    entry("wasi:cli/terminal-stdin", BOTH, Capability::Stdio),
    entry("wasi:cli/terminal-stdout", BOTH, Capability::Stdio),
    entry("wasi:cli/terminal-stderr", BOTH, Capability::Stdio),
    entry("wasi:io/error", P2, Capability::Io),
    entry("wasi:io/poll", P2, Capability::Io),
    entry("wasi:io/streams", P2, Capability::Io),
];

/// Every interface that is provided, by full name with version.
#[cfg(test)]
pub fn all() -> impl Iterator<Item = (String, Capability)> {
    TABLE.iter().flat_map(|known| known.full_names().map(|name| (name, known.capability)))
}

/// What the host has for an import of this name (`wasi:cli/environment@0.2.3`).
pub fn find(name: &str) -> Found {
    let (base, version) = split(name);
    let known = TABLE.iter().find(|known| known.name == base);
    let wanted = version.and_then(|text| Version::parse(text).ok());
    if let (Some(known), Some(wanted)) = (known, &wanted)
        && known.versions.iter().any(|have| compatible(wanted, have))
    {
        return Found::Provided(known.capability);
    }
    if base.starts_with("wasi:") && wanted.is_some_and(|wanted| is_newer(&wanted, known)) {
        let near = known.and_then(|known| known.full_names().last());
        return Found::Newer(near.or_else(|| nearest(base)));
    }
    match known {
        Some(known) => Found::OtherVersion(known.full_names().collect()),
        None => nearest(base).map_or(Found::Nothing, Found::Nearest),
    }
}

/// What an interface is about, provided or not. (One that only names types needs nobody to provide it.)
pub fn capability(name: &str) -> Capability {
    let (base, _) = split(name);
    let package = base.split('/').next().unwrap_or_default();
    if let Some(known) = TABLE.iter().find(|known| known.name == base) {
        return known.capability;
    }
    match package {
        "wasi:http" => Capability::Http,
        "wasi:filesystem" => Capability::Files,
        "wasi:sockets" => Capability::Sockets,
        "wasi:clocks" => Capability::Clocks,
        "wasi:random" => Capability::Random,
        "wasi:cli" => Capability::Cli,
        "wasi:io" => Capability::Io,
        _ => Capability::Unknown,
    }
}

/// `a:b/c@1.2.3` as `a:b/c` and `1.2.3`.
pub fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once('@') {
        Some((base, version)) => (base, Some(version)),
        None => (name, None),
    }
}

/// Whether wasmtime's linker takes one version for the other: the same semver track, or exactly the same version
/// where there are no tracks (pre-releases and 0.0.x).
pub fn compatible(wanted: &Version, have: &str) -> bool {
    let Ok(have) = Version::parse(have) else {
        return false;
    };
    if *wanted == have {
        return true;
    }
    let track = |version: &Version| match (version.major, version.minor) {
        _ if !version.pre.is_empty() => None,
        (0, 0) => None,
        (0, minor) => Some((0, minor)),
        (major, _) => Some((major, 0)),
    };
    track(wanted).is_some() && track(wanted) == track(&have)
}

impl Interface {
    fn full_names(&self) -> impl Iterator<Item = String> {
        self.versions.iter().map(|version| format!("{}@{version}", self.name))
    }
}

/// Newer than any WASI we know; or, for an interface we have never heard of, newer than its own generation here.
fn is_newer(wanted: &Version, known: Option<&Interface>) -> bool {
    let generation = |text: &str| Version::parse(text).is_ok_and(|ours| compatible(wanted, text) && *wanted > ours);
    match Version::parse(WASI_0_3) {
        Ok(newest) if (wanted.major, wanted.minor) > (newest.major, newest.minor) => true,
        _ => known.is_none() && (generation(WASI_0_2) || generation(WASI_0_3)),
    }
}

/// The provided interface whose name differs least: any of the same package, or else one that could be a typing
/// mistake. Of equals, the newest.
fn nearest(base: &str) -> Option<String> {
    // Comparing costs time in proportion to the length, which the component chose.
    if base.len() > 100 {
        return None;
    }
    let package = base.split_once('/').map(|(package, _)| package);
    TABLE
        .iter()
        .map(|known| (distance(base, known.name), known))
        .filter(|(far, known)| {
            let same_package = known.name.split_once('/').map(|(ours, _)| ours) == package;
            same_package || *far <= base.chars().count() / 4
        })
        .min_by_key(|(far, known)| (*far, Reverse(known.versions.last())))
        .and_then(|(_, known)| known.full_names().last())
}

/// Levenshtein's distance: how many characters to insert, delete or replace.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (b, above) in to.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = *above;
            left = replaced.min(left + 1).min(*above + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_in_the_table_is_found() {
        for (name, capability) in all() {
            assert_eq!(find(&name), Found::Provided(capability), "{name}");
        }
        let of = |version: &str| all().filter(|(name, _)| name.ends_with(version)).count();
        assert_eq!((of("@0.2.12"), of("@0.3.0")), (29, 22));
    }

    #[test]
    fn versions_of_the_same_track_are_compatible() {
        for name in ["wasi:io/poll@0.2.0", "wasi:io/poll@0.2.99", "wasi:http/client@0.3.2", "wasi:io/poll@0.2.3+abc"] {
            assert!(matches!(find(name), Found::Provided(_)), "{name}");
        }
    }

    #[test]
    fn prereleases_must_match_exactly() {
        let ours = vec!["wasi:http/client@0.3.0".to_string()];
        assert_eq!(find("wasi:http/client@0.3.0-rc-2025-09-16"), Found::OtherVersion(ours));
        assert!(compatible(&Version::parse("0.3.0-rc-1").unwrap(), "0.3.0-rc-1"));
    }

    #[test]
    fn an_interface_of_the_other_generation_names_the_version_we_have() {
        let ours = vec!["wasi:clocks/wall-clock@0.2.12".to_string()];
        assert_eq!(find("wasi:clocks/wall-clock@0.3.0"), Found::OtherVersion(ours));
        assert!(matches!(find("wasi:cli/exit"), Found::OtherVersion(both) if both.len() == 2));
    }

    #[test]
    fn a_newer_wasi_is_told_apart() {
        let near = Some("wasi:http/client@0.3.0".to_string());
        assert_eq!(find("wasi:http/client@0.4.0"), Found::Newer(near));
        assert!(matches!(find("wasi:cli/exit@1.0.0"), Found::Newer(Some(_))));
        assert!(matches!(find("wasi:cli/brand-new@0.3.7"), Found::Newer(Some(_))));
        assert_eq!(find("wasi:keyvalue-and-more/store@0.4.0"), Found::Newer(None));
    }

    #[test]
    fn a_misspelt_interface_gets_the_nearest_name() {
        let near = "wasi:cli/environment@0.3.0".to_string();
        assert_eq!(find("wasi:cli/enviroment@0.2.0"), Found::Nearest(near.clone()));
        assert_eq!(find("wasi:cl/environment@0.2.0"), Found::Nearest(near));
        let near = "wasi:clocks/types@0.3.0".to_string();
        assert_eq!(find("wasi:clocks/timezone@0.2.12"), Found::Nearest(near));
    }

    #[test]
    fn a_stranger_gets_no_suggestion() {
        assert_eq!(find("acme:database/connection@1.0.0"), Found::Nothing);
        assert_eq!(find("log"), Found::Nothing);
        assert_eq!(find(&"x".repeat(100_000)), Found::Nothing);
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}

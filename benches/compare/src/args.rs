//! The command line.

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

pub const USAGE: &str = "\
Measures wasmserve side by side with native hyper and, as far as they are installed, with other servers.

usage: cargo run --release --manifest-path benches/compare/Cargo.toml -- [options]

  --wasmserve PATH      the release build to measure [default: target/release/wasmserve]
  --wasmtime PATH       the `wasmtime` to compare with [default: the one on the PATH]
  --big-component PATH  a component whose workers' respawn is measured too, such as a 20 MB Python app
  --rounds N            how often each candidate has its turn [default: 5]
  --seconds S           how long one load lasts [default: 4]
  --quick               hello at 32 connections only, 3 rounds of 2 seconds
  --only NAME,...       workloads whose names begin so
  --candidates NAME,... candidates of these names; native hyper is always among them
  --json FILE           write everything measured there too
  --list                show the names of workloads and candidates
";

pub struct Args {
    pub wasmserve: PathBuf,
    pub wasmtime: Option<PathBuf>,
    pub big_component: Option<PathBuf>,
    pub rounds: usize,
    pub seconds: u64,
    pub only: Vec<String>,
    pub candidates: Vec<String>,
    pub json: Option<PathBuf>,
    pub list: bool,
    pub help: bool,
}

/// The top of wasmserve's sources, where its build and its guests are.
pub fn repository() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).map_or(package.clone(), PathBuf::from)
}

impl Args {
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self> {
        let mut args = Self {
            wasmserve: repository().join("target/release/wasmserve"),
            wasmtime: None,
            big_component: None,
            rounds: 0,
            seconds: 0,
            only: Vec::new(),
            candidates: Vec::new(),
            json: None,
            list: false,
            help: false,
        };
        let mut quick = false;
        let mut arguments = arguments.into_iter();
        while let Some(option) = arguments.next() {
            let option = option.to_string_lossy().into_owned();
            let mut value = || arguments.next().with_context(|| format!("{option} needs a value"));
            match option.as_str() {
                "--wasmserve" => args.wasmserve = value()?.into(),
                "--wasmtime" => args.wasmtime = Some(value()?.into()),
                "--big-component" => args.big_component = Some(value()?.into()),
                "--rounds" => args.rounds = number(&option, value()?)?,
                "--seconds" => args.seconds = number(&option, value()?)?,
                "--only" => args.only = names(value()?),
                "--candidates" => args.candidates = names(value()?),
                "--json" => args.json = Some(value()?.into()),
                "--quick" => quick = true,
                "--list" => args.list = true,
                "--help" | "-h" => args.help = true,
                _ => bail!("there is no option {option}\n\n{USAGE}"),
            }
        }
        let (rounds, seconds) = if quick { (3, 2) } else { (5, 4) };
        if args.rounds == 0 {
            args.rounds = rounds;
        }
        if args.seconds == 0 {
            args.seconds = seconds;
        }
        if quick && args.only.is_empty() {
            args.only = vec!["hello-32".to_owned()];
        }
        Ok(args)
    }

    /// Whether this workload is to be measured.
    pub fn wants(&self, workload: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| workload.starts_with(name.as_str()))
    }

    /// Whether this candidate takes part.
    pub fn admits(&self, candidate: &str) -> bool {
        self.candidates.is_empty() || self.candidates.iter().any(|name| candidate == name)
    }
}

fn number<T: FromStr + PartialOrd + From<u8>>(option: &str, value: OsString) -> Result<T> {
    match value.to_str().and_then(|text| text.parse().ok()) {
        Some(number) if number >= T::from(1) => Ok(number),
        _ => bail!("{option} needs a number from 1 on, not {value:?}"),
    }
}

fn names(list: OsString) -> Vec<String> {
    let list = list.to_string_lossy().into_owned();
    list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args> {
        Args::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn quick_is_short_unless_told_otherwise() {
        let args = parse("--quick --seconds 7").unwrap();
        assert_eq!((args.rounds, args.seconds), (3, 7));
        assert!(args.wants("hello-32") && !args.wants("hello-1"));
    }

    #[test]
    fn a_workload_is_named_by_its_beginning() {
        let args = parse("--only hello,mixed").unwrap();
        assert!(args.wants("hello-256") && args.wants("mixed") && !args.wants("connect"));
    }

    #[test]
    fn mistakes_are_told() {
        assert!(parse("--rounds 0").is_err());
        assert!(parse("--rounds").is_err());
        assert!(parse("--fast").is_err());
    }
}

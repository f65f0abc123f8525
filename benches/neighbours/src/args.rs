//! The command line.

use std::path::PathBuf;
use std::time::Duration;

pub const USAGE: &str = "\
Measures what the clients of one wasmserve notice while a hostile guest attacks another one beside it.

usage: cargo run --release --manifest-path benches/neighbours/Cargo.toml -- [options]

  --wasmserve PATH  the release build to measure [default: target/release/wasmserve]
  --rounds N        quiet and attacked in turn, so often [default: 5]
  --seconds S       how long each lasts [default: 3]
  --connections N   of the neighbour's clients [default: 8]
  --nice N          of servers that are attacked by what burns processor time [default: 10]
  --only NAME,...   attacks whose names begin so
  --list            show the names of the attacks
";

pub struct Args {
    pub wasmserve: PathBuf,
    pub rounds: usize,
    pub time: Duration,
    pub connections: usize,
    pub nice: u32,
    only: Vec<String>,
    pub list: bool,
    pub help: bool,
    /// To be the attackers themselves: which attack, and whom.
    pub attack: Option<(String, String)>,
}

impl Args {
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut args = Self {
            wasmserve: crate::server::repository().join("target/release/wasmserve"),
            rounds: 5,
            time: Duration::from_secs(3),
            connections: 8,
            nice: 10,
            only: Vec::new(),
            list: false,
            help: false,
            attack: None,
        };
        let mut arguments = arguments.into_iter();
        while let Some(option) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{option} needs a value"));
            match option.as_str() {
                "--wasmserve" => args.wasmserve = value()?.into(),
                "--rounds" => args.rounds = number(&value()?)?,
                "--seconds" => args.time = Duration::from_secs(number(&value()?)? as u64),
                "--connections" => args.connections = number(&value()?)?,
                "--nice" => args.nice = number(&value()?)? as u32,
                "--only" => args.only = value()?.split(',').map(str::to_owned).collect(),
                "--attack" => args.attack = Some((value()?, arguments.next().unwrap_or_default())),
                "--list" => args.list = true,
                "--help" | "-h" => args.help = true,
                _ => return Err(format!("there is no option {option}\n\n{USAGE}")),
            }
        }
        Ok(args)
    }

    pub fn wants(&self, attack: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| attack.starts_with(name.as_str()))
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| format!("not a number from 1 on: {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, String> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn an_attack_is_named_by_its_beginning() {
        let args = parse("--only loop,none --rounds 7").unwrap();
        assert!(args.wants("loop-clock") && args.wants("none") && !args.wants("grow"));
        assert_eq!(args.rounds, 7);
        assert!(parse("").unwrap().wants("anything"));
    }

    #[test]
    fn mistakes_are_told() {
        assert!(parse("--rounds 0").is_err() && parse("--rounds").is_err() && parse("--fast").is_err());
    }
}

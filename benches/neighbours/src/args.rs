//! The command line.

use load::weight::Weight;
use std::path::PathBuf;
use std::time::Duration;

pub const USAGE: &str = "\
Measures what the clients of one app notice while another one attacks the machine, or while other clients attack its server.

usage: cargo run --release --manifest-path benches/neighbours/Cargo.toml -- [options]

  --wasmserve PATH  the release build to measure [default: target/release/wasmserve]
  --tenants         both apps in one server (--config), behind the same gateways; else each has a server of its own
  --rounds N        quiet and attacked in turn, so often [default: 5]
  --seconds S       how long each lasts [default: 1.3]
  --connections N   of the neighbour's clients [default: 8]
  --attackers N     clients that attack at a time [default: 12]
  --slow N          connections of slow clients [default: 10000]
  --weight W        of attackers, and of servers that burn processor time: idle, least, nice or same [default: idle]
  --only NAME,...   rows whose names begin so
  --list            show the names of the rows
";

pub struct Args {
    pub wasmserve: PathBuf,
    pub tenants: bool,
    pub rounds: usize,
    pub time: Duration,
    pub connections: usize,
    /// More than cores, and than threads of the attacked server.
    pub attackers: usize,
    pub slow: usize,
    pub weight: Weight,
    only: Vec<String>,
    pub list: bool,
    pub help: bool,
    /// To be the attackers themselves: which attack, whom, and under which host name.
    pub attack: Option<[String; 3]>,
}

impl Args {
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut args = Self {
            wasmserve: load::repository().join("target/release/wasmserve"),
            tenants: false,
            rounds: 5,
            time: Duration::from_millis(1300),
            connections: 8,
            attackers: 12,
            slow: 10_000,
            weight: Weight::Idle,
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
                "--tenants" => args.tenants = true,
                "--rounds" => args.rounds = number(&value()?)?,
                "--seconds" => args.time = seconds(&value()?)?,
                "--connections" => args.connections = number(&value()?)?,
                "--attackers" => args.attackers = number(&value()?)?,
                "--slow" => args.slow = number(&value()?)?,
                "--weight" => {
                    let name = value()?;
                    args.weight = Weight::named(&name).ok_or(format!("{name:?} is none of idle, least, nice, same"))?;
                }
                "--only" => args.only = value()?.split(',').map(str::to_owned).collect(),
                "--attack" => args.attack = Some([value()?, value()?, value()?]),
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

fn seconds(text: &str) -> Result<Duration, String> {
    let time = text.parse().ok().filter(|seconds| (0.1..1000.0).contains(seconds)).map(Duration::from_secs_f64);
    time.ok_or_else(|| format!("not a number of seconds from 0.1 on: {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, String> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn an_attack_is_named_by_its_beginning() {
        let args = parse("--only loop,none --rounds 7 --seconds 2.5 --weight nice").unwrap();
        assert!(args.wants("loop-clock") && args.wants("none") && !args.wants("grow"));
        assert_eq!((args.rounds, args.time, args.weight), (7, Duration::from_millis(2500), Weight::Nice));
        assert!(parse("").unwrap().wants("anything"));
    }

    #[test]
    fn mistakes_are_told() {
        for mistake in ["--rounds 0", "--rounds", "--fast", "--weight much", "--seconds 0", "--seconds NaN"] {
            assert!(parse(mistake).is_err(), "{mistake}");
        }
    }
}

//! The command line.

use std::path::PathBuf;

pub const PARTS: [&str; 4] = ["start", "weigh", "gateway", "change"];

pub struct Args {
    pub wasmserve: PathBuf,
    pub apps: usize,
    pub live: usize,
    pub rounds: usize,
    only: Vec<String>,
}

impl Args {
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let wasmserve = load::repository().join("target/release/wasmserve");
        let mut args = Self { wasmserve, apps: 1000, live: 200, rounds: 5, only: Vec::new() };
        let mut arguments = arguments.into_iter();
        while let Some(option) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{option} needs a value"))?;
            let number = || match value.parse() {
                Ok(number @ 1..) => Ok(number),
                _ => Err(format!("{option} {value}: write a number from 1 on")),
            };
            match option.as_str() {
                "--wasmserve" => args.wasmserve = value.into(),
                "--apps" => args.apps = number()?,
                "--live" => args.live = number()?,
                "--rounds" => args.rounds = number()?,
                "--only" => args.only = value.split(',').map(str::to_owned).collect(),
                _ => {
                    return Err(format!("there is no option {option}: --wasmserve, --apps, --live, --rounds, --only"));
                }
            }
        }
        match args.only.iter().find(|part| !PARTS.contains(&part.as_str())) {
            Some(part) => Err(format!("there is no part {part:?}: {}", PARTS.join(", "))),
            None => Ok(args),
        }
    }

    pub fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_chosen_and_mistakes_told() {
        let parse = |line: &str| Args::parse(line.split_whitespace().map(str::to_owned));
        let args = parse("--only change,start --apps 10").unwrap();
        assert!(args.wants("change") && args.wants("start") && !args.wants("weigh") && args.apps == 10);
        assert!(parse("").unwrap().wants("gateway"));
        for mistake in ["--only chang", "--apps 0", "--apps", "--fast 1"] {
            assert!(parse(mistake).is_err(), "{mistake}");
        }
    }
}

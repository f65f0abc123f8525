//! `[app.NAME.cgroup]`: what the kernel keeps an app to, all its processes together.

use super::mistakes::Mistakes;
use super::table::{Entry, Table};
use crate::config::parse;

/// Each is None where nothing is said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    pub memory_max: Option<u64>,
    /// Processors.
    pub cpu_max: Option<f64>,
    pub cpu_weight: Option<u64>,
    pub pids_max: Option<u64>,
}

pub const KEYS: [(&str, &str); 4] = [
    ("memory-max", "Memory of all its processes, such as 512 MiB; beyond it the kernel ends one"),
    ("cpu-max", "Processor time: how many processors, such as 0.5"),
    ("cpu-weight", "Its share of the processors while others want them too, from 1 to 10000; 100 is usual"),
    ("pids-max", "Processes and threads"),
];

/// Nothing of ours runs in less.
const LEAST_MEMORY: u64 = 1 << 20;
/// The kernel deals out no less than a millisecond in each tenth of a second.
const LEAST_PROCESSORS: f64 = 0.01;
const MOST_PROCESSORS: f64 = 10_000.0;
/// The kernel's own limit.
const MOST_PIDS: u64 = 4 << 20;

impl Limits {
    pub fn take(app: &mut Table, mistakes: &mut Mistakes) -> Self {
        let Some(mut table) = app.take_table("cgroup", mistakes) else { return Self::default() };
        let text = table.text;
        let mut limits = Self::default();
        for (key, _) in KEYS {
            let Some(entry) = table.take(key) else { continue };
            if let Err(why) = limits.set(key, &entry) {
                entry.mistake(text, &why, mistakes);
            }
        }
        table.finish(KEYS.map(|(key, _)| key), mistakes);
        limits
    }

    fn set(&mut self, key: &str, entry: &Entry) -> Result<(), String> {
        let value = entry.scalar().unwrap_or_default();
        match key {
            "memory-max" => self.memory_max = Some(size(&value)?),
            "cpu-max" => self.cpu_max = Some(processors(&value)?),
            "cpu-weight" => self.cpu_weight = Some(number(&value, 10_000)?),
            _ => self.pids_max = Some(number(&value, MOST_PIDS)?),
        }
        Ok(())
    }
}

fn size(value: &str) -> Result<u64, String> {
    let mut wrong = false;
    let bytes = parse::size("", value, &mut |_| wrong = true);
    match wrong || bytes < LEAST_MEMORY {
        true => Err("must be a number of bytes such as \"512 MiB\", 1 MiB or more".to_owned()),
        false => Ok(bytes),
    }
}

fn processors(value: &str) -> Result<f64, String> {
    let number = value.parse().ok().filter(|number| (LEAST_PROCESSORS..=MOST_PROCESSORS).contains(number));
    number.ok_or_else(|| format!("must be a number of processors from {LEAST_PROCESSORS} to {MOST_PROCESSORS}"))
}

fn number(value: &str, most: u64) -> Result<u64, String> {
    let number = value.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("must be a whole number from 1 to {most}"))
}

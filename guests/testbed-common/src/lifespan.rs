//! What `startup` and `shutdown` do, as the environment asks: a comma list of steps.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use crate::faults;

pub fn startup_steps() -> Vec<String> {
    steps("TESTBED_STARTUP")
}

pub fn shutdown_steps() -> Vec<String> {
    steps("TESTBED_SHUTDOWN")
}

fn steps(variable: &str) -> Vec<String> {
    let list = env::var(variable).unwrap_or_default();
    let steps = list.split(',').filter(|step| !step.is_empty());
    steps.map(str::to_owned).collect()
}

/// Takes one step. Waiting is left to the caller, who knows how: for as long as this returns.
pub fn take(step: &str) -> Result<Duration, String> {
    match step.split_once(':') {
        None if step == "trap" => faults::trap(),
        None if step == "spin" => faults::spin(),
        Some(("fail", message)) => Err(message.into()),
        Some(("fail-if-file", path)) if Path::new(path).exists() => Err(format!("found {path}")),
        Some(("fail-if-file", _)) => Ok(Duration::ZERO),
        Some(("sleep", ms)) => match ms.parse() {
            Ok(ms) => Ok(Duration::from_millis(ms)),
            Err(_) => Err(format!("sleep needs milliseconds, not {ms:?}")),
        },
        _ => Err(format!("the testbed knows no step {step:?}")),
    }
}

/// What every shutdown ends with.
pub fn say_goodbye() {
    if let Ok(path) = env::var("TESTBED_SHUTDOWN_FILE")
        && let Err(error) = append_goodbye(&path)
    {
        eprintln!("testbed: {path}: {error}");
    }
    println!("testbed: shutdown");
}

fn append_goodbye(path: &str) -> io::Result<()> {
    let place = |name| env::var(name).unwrap_or_else(|_| "?".into());
    let line = format!(
        "shutdown {} {}\n",
        place("WASMSERVE_WORKER"),
        place("WASMSERVE_INSTANCE")
    );
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    // One write, so that the lines of several instances do not mix.
    file.write_all(line.as_bytes())
}

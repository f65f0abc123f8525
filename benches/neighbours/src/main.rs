//! Measures what the clients of one wasmserve notice while a hostile guest attacks another one beside it: see
//! `benches/README.md`.

mod args;
mod attacks;
mod client;
mod server;

use args::Args;
use attacks::{Attack, Attackers};
use server::Server;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// For an attack to be in full swing, and for a server that was ended to be gone.
const REST: Duration = Duration::from_millis(300);

/// What the neighbour's clients waited in one round.
struct Round {
    quiet: Duration,
    attacked: Duration,
}

impl Round {
    fn ratio(&self) -> f64 {
        self.attacked.as_secs_f64() / self.quiet.as_secs_f64()
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("neighbours: {error}");
            ExitCode::from(2)
        }
    }
}

/// True if every goal was reached.
fn run() -> Result<bool, String> {
    let args = Args::parse(std::env::args().skip(1))?;
    if args.help || args.list {
        let names = attacks::ALL.iter().map(|attack| format!("{}\n", attack.name));
        print!("{}", if args.help { args::USAGE.to_owned() } else { names.collect() });
        return Ok(true);
    }
    if let Some((name, address)) = &args.attack {
        let attack = attacks::ALL.iter().find(|attack| attack.name == *name).ok_or("there is no such attack")?;
        attacks::carry_out(attack, address.parse().map_err(|error| format!("{address}: {error}"))?);
        return Ok(true);
    }
    let folder = std::env::temp_dir().join(format!("wasmserve-neighbours-{}", std::process::id()));
    std::fs::create_dir(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let result = measure_all(&args, &folder).map_err(|error| error.to_string());
    let _ = std::fs::remove_dir_all(&folder);
    result
}

fn measure_all(args: &Args, folder: &Path) -> io::Result<bool> {
    // Above 0.5 somebody else is at work here, and p99 is theirs.
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    if cfg!(debug_assertions) {
        eprintln!("neighbours: this is a debug build, so its figures say nothing: use --release");
    }
    let neighbour = Server::start(&args.wasmserve, "hello-async", folder, None)?;
    // The first of it warms up.
    client::at_full_load(neighbour.address, args.connections, Duration::from_secs(1))?;
    let most = client::at_full_load(neighbour.address, args.connections, Duration::from_secs(2))?;
    let rate = most.rate / 2.0;
    println!(
        "{} cores, load average {} at the start; {} rounds of {} s; the neighbour serves {:.0} requests/s over {} connections, half of what it can",
        thread::available_parallelism().map_or(1, usize::from),
        load.split(' ').next().unwrap_or_default(),
        args.rounds,
        args.time.as_secs(),
        rate,
        args.connections
    );
    println!("\n| attack          | quiet p99 ms | attacked p99 ms | ratio (least–most) | goal |             |");
    println!("|-----------------|-------------:|----------------:|-------------------:|-----:|-------------|");
    let mut reached = true;
    for attack in attacks::ALL.iter().filter(|attack| args.wants(attack.name)) {
        let mut rounds = Vec::new();
        for round in 1..=args.rounds {
            eprintln!("{} {round}/{}", attack.name, args.rounds);
            rounds.push(Round {
                quiet: measure(args, folder, attack, false, &neighbour, rate)?,
                attacked: measure(args, folder, attack, true, &neighbour, rate)?,
            });
        }
        reached &= report(attack, &rounds);
    }
    Ok(reached)
}

/// The neighbour's p99 beside a fresh server, which is attacked or not.
fn measure(
    args: &Args,
    folder: &Path,
    attack: &Attack,
    attacked: bool,
    neighbour: &Server,
    rate: f64,
) -> io::Result<Duration> {
    let nice = Some(args.nice).filter(|_| attack.burns);
    let target = Server::start(&args.wasmserve, attack.guest, folder, nice)?;
    let attackers = if attacked { Some(Attackers::begin(attack, target.address)?) } else { None };
    thread::sleep(REST);
    let outcome = client::at_rate(neighbour.address, args.connections, args.time, rate)?;
    drop(attackers);
    drop(target);
    thread::sleep(REST);
    if (outcome.requests as f64) < rate * args.time.as_secs_f64() * 0.5 {
        eprintln!("{}: only {:.0} requests/s could be asked for", attack.name, outcome.rate);
    }
    Ok(outcome.p99)
}

/// Prints the line of an attack. True if its goal was reached.
fn report(attack: &Attack, rounds: &[Round]) -> bool {
    let ratios = sorted(rounds.iter().map(Round::ratio));
    let quiet = sorted(rounds.iter().map(|round| round.quiet.as_secs_f64() * 1e3));
    let attacked = sorted(rounds.iter().map(|round| round.attacked.as_secs_f64() * 1e3));
    let ratio = median(&ratios);
    let reached = ratio <= attack.goal();
    let spread = format!("{ratio:.2} ({:.2}–{:.2})", ratios[0], ratios[ratios.len() - 1]);
    println!(
        "| {:<15} | {:>12.3} | {:>15.3} | {spread:>18} | {:>4} | {:<11} |",
        attack.name,
        median(&quiet),
        median(&attacked),
        attack.goal(),
        if reached { "reached" } else { "not reached" }
    );
    reached
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Of values in order; there is at least one.
fn median(values: &[f64]) -> f64 {
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middles() {
        assert_eq!(median(&sorted([3.0, 1.0, 2.0].into_iter())), 2.0);
        assert_eq!(median(&sorted([4.0, 1.0, 2.0, 3.0].into_iter())), 2.5);
    }
}

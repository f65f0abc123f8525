//! The table.

use crate::attacks::Attack;
use load::stats::{median, milliseconds, sorted, spread};
use std::time::Duration;

/// Half a round, quiet or attacked.
pub struct Half {
    pub p99: Duration,
    pub failures: usize,
    /// The last failure's.
    pub reason: Option<String>,
    /// What attackers have sent since they began.
    pub sent: u64,
    /// Of all servers, in KiB.
    pub memory: u64,
}

pub struct Round {
    pub quiet: Half,
    pub attacked: Half,
}

pub fn head() {
    println!(
        "\n| attack          | quiet p99 ms | attacked p99 ms | ratio (least–most) | goal |             |     sent | MiB more |"
    );
    println!(
        "|-----------------|-------------:|----------------:|-------------------:|-----:|-------------|---------:|---------:|"
    );
}

/// Prints the line of an attack. True if its goal was reached.
pub fn row(attack: &Attack, rounds: &[Round]) -> bool {
    let values = |value: &dyn Fn(&Round) -> f64| sorted(rounds.iter().map(value));
    let quiet = values(&|round| milliseconds(round.quiet.p99));
    let attacked = values(&|round| milliseconds(round.attacked.p99));
    let ratios = values(&|round| round.attacked.p99.as_secs_f64() / round.quiet.p99.as_secs_f64());
    let sent = values(&|round| round.attacked.sent as f64);
    let memory = values(&|round| (round.attacked.memory as f64 - round.quiet.memory as f64) / 1024.0);
    let halves = || rounds.iter().flat_map(|round| [&round.quiet, &round.attacked]);
    let failures: usize = halves().map(|half| half.failures).sum();
    let reached = median(&ratios) <= attack.goal() && failures == 0;
    println!(
        "| {:<15} | {:>12.3} | {:>15.3} | {:>18} | {:>4} | {:<11} | {:>8.0} | {:>8.1} |",
        attack.name,
        median(&quiet),
        median(&attacked),
        spread(&ratios),
        attack.goal(),
        if reached { "reached" } else { "not reached" },
        median(&sent),
        median(&memory)
    );
    if let Some(reason) = halves().filter_map(|half| half.reason.as_ref()).next_back() {
        println!("  {failures} of the neighbour's requests failed, the last one so: {reason}");
    }
    reached
}

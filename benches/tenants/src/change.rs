//! What the clients of some apps notice while another app is added, updated and removed.

use crate::args::Args;
use crate::changing::{Change, Changing};
use crate::{apps, target};
use load::client::{self, Outcome};
use load::server::Server;
use load::stats::{median, milliseconds, sorted, spread};
use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Apps that are asked, over so many connections each.
const BUSY: usize = 4;
const CONNECTIONS: usize = 4;
/// Somebody who changes apps all the time changes one a second.
const EVERY: Duration = Duration::from_secs(1);
const TIME: Duration = Duration::from_secs(2);
const GOAL: f64 = 1.5;

const CHANGES: [(&str, Change); 3] =
    [("added, removed", Change::Presence), ("new option", Change::Option), ("new component", Change::Component)];

/// What the others noticed of one kind of change.
#[derive(Default)]
struct Row {
    quiet: Vec<f64>,
    beside: Vec<f64>,
    failures: usize,
    reason: Option<String>,
    again: usize,
    /// How long each change took until it was in force.
    taken: Vec<f64>,
}

pub fn measure(args: &Args, folder: &Path) -> io::Result<()> {
    let tenants = folder.join("apps.d");
    fs::create_dir_all(&tenants)?;
    let busy = apps(0..BUSY, "workers = 1");
    let idle = apps(BUSY..args.apps.saturating_sub(1).max(BUSY), "");
    let host = Server::host(&args.wasmserve, folder, &format!("include = [\"apps.d/*.toml\"]\n{busy}{idle}"))?;
    let targets: Vec<_> = (0..BUSY).map(|app| target(&host, app)).collect();
    targets.iter().try_for_each(|target| client::once(target).map(drop))?;
    client::at_full_load(&targets, CONNECTIONS, Duration::from_secs(1));
    let rate = client::at_full_load(&targets, CONNECTIONS, TIME).rate() / 2.0;
    println!("{BUSY} of {} apps are asked for {rate:.0} requests/s together, half of what they can", args.apps);
    if rate * TIME.as_secs_f64() < 5000.0 {
        eprintln!("tenants: too few requests for p99");
    }
    let mut changing = Changing::new(&host, &tenants);
    let load = || client::at_rate(&targets, CONNECTIONS, TIME, rate / BUSY as f64);
    let mut rows = CHANGES.map(|_| Row::default());
    for round in 1..=args.rounds {
        eprintln!("changes {round}/{}", args.rounds);
        for (row, (_, change)) in rows.iter_mut().zip(CHANGES) {
            row.note(load(), false);
            changing.begin(change)?;
            let meanwhile = thread::scope(|scope| -> io::Result<Outcome> {
                let load = scope.spawn(load);
                while !load.is_finished() {
                    let began = Instant::now();
                    let changes = changing.make(change)?;
                    row.taken.push(milliseconds(began.elapsed()) / changes);
                    thread::sleep(EVERY.saturating_sub(began.elapsed()));
                }
                load.join().map_err(|_| io::Error::other("the load ended early"))
            })?;
            row.note(meanwhile, true);
            changing.end(change)?;
        }
    }
    println!(
        "| another app is | quiet p99 ms | p99 ms meanwhile | ratio (least–most) | failures | sent again | one change ms |             |"
    );
    println!(
        "|----------------|-------------:|-----------------:|-------------------:|---------:|-----------:|--------------:|-------------|"
    );
    rows.into_iter().zip(CHANGES).for_each(|(row, (name, _))| row.print(name));
    if changing.early > 0 {
        println!("asked {} times in vain although `wasmserve reload` had returned", changing.early);
    }
    Ok(())
}

impl Row {
    fn note(&mut self, outcome: Outcome, beside: bool) {
        let p99 = milliseconds(outcome.p99());
        if beside { &mut self.beside } else { &mut self.quiet }.push(p99);
        self.failures += outcome.failures;
        self.again += if beside { outcome.again } else { 0 };
        self.reason = outcome.reason.or(self.reason.take());
    }

    fn print(self, name: &str) {
        let ratios = sorted(self.beside.iter().zip(&self.quiet).map(|(beside, quiet)| beside / quiet));
        let reached = self.failures == 0 && median(&ratios) <= GOAL;
        println!(
            "| {name:<14} | {:>12.3} | {:>16.3} | {:>18} | {:>8} | {:>10} | {:>13.0} | {:<11} |",
            median(&sorted(self.quiet)),
            median(&sorted(self.beside)),
            spread(&ratios),
            self.failures,
            self.again,
            median(&sorted(self.taken)),
            if reached { "reached" } else { "not reached" }
        );
        if let Some(reason) = self.reason {
            println!("  the last request that failed: {reason}");
        }
    }
}

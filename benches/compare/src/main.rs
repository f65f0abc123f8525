//! Measures wasmserve side by side with native hyper and other servers: see `benches/README.md`.

mod args;
mod candidates;
mod folder;
mod goals;
mod load;
mod machine;
mod measure;
mod native;
mod probe;
mod procfs;
mod programs;
mod report;
mod results;
mod server;
mod workloads;

use anyhow::{Context, Result, bail};
use args::Args;
use candidates::{Candidate, LIMIT};
use folder::Folder;
use load::{Generator, Stalled};
use machine::Machine;
use measure::Bench;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use programs::Installed;
use report::Setting;
use results::{Row, Table};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use workloads::Workload;

/// How often a turn is taken again that the machine has spoilt.
const RETRIES: usize = 3;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool> {
    let mut arguments = std::env::args_os().skip(1).peekable();
    // The role in which this program starts itself as a candidate.
    if arguments.next_if(|first| first == "native-hyper").is_some() {
        let port = arguments.next().and_then(|port| port.to_str()?.parse().ok());
        return native::run(port.context("native-hyper needs a port")?).map(|()| true);
    }
    let args = Args::parse(arguments)?;
    if args.help || args.list {
        print!("{}", if args.help { args::USAGE.to_owned() } else { list() });
        return Ok(true);
    }
    if cfg!(debug_assertions) {
        bail!("this is a debug build, which says nothing about native hyper's speed: run it with --release");
    }
    for name in &args.candidates {
        candidates::find(name).with_context(|| format!("there is no candidate {name}: see --list"))?;
    }
    if !workloads::ALL.iter().any(|workload| args.wants(workload.name)) {
        bail!("no workload's name begins so: see --list");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // What is dropped kills what it has started.
        tokio::select! {
            result = compare(&args) => result,
            _ = interrupt.recv() => bail!("interrupted"),
            _ = terminate.recv() => bail!("terminated"),
        }
    })
}

fn list() -> String {
    let workloads = workloads::ALL.iter().map(|workload| (workload.name, workload.title));
    let candidates = candidates::ALL.iter().map(|candidate| (candidate.name, candidate.title));
    let lines = |pairs: Vec<(&str, &str)>| -> String {
        pairs.iter().map(|(name, title)| format!("  {name:<19} {title}\n")).collect()
    };
    format!("workloads\n{}\ncandidates\n{}", lines(workloads.collect()), lines(candidates.collect()))
}

/// Measures all that is wanted. True if nothing failed.
async fn compare(args: &Args) -> Result<bool> {
    allow_descriptors()?;
    let folder = Folder::new()?;
    let bench = Bench {
        installed: Installed::find(args, folder.path())?,
        generator: Generator::find(folder.path())?,
        folder: folder.path().to_owned(),
        seconds: args.seconds,
    };
    let setting = Setting {
        machine: Machine::look(),
        generator: bench.generator.name(),
        versions: bench.installed.versions(),
        rounds: args.rounds,
        seconds: args.seconds,
    };
    print!("{}", report::head(&setting));
    if setting.machine.is_busy() {
        eprintln!("compare: the machine is busy: trust CPU per request at most, and ratios");
    }
    let mut tables = Vec::new();
    for workload in workloads::ALL.iter().filter(|workload| args.wants(workload.name)) {
        let table = measure(&bench, args, workload).await?;
        print!("{}", report::table(&table));
        tables.push(table);
    }
    print!("{}", report::goals(&tables));
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report::json(&setting, &tables))?;
        std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(tables.iter().all(|table| table.failures == 0))
}

/// All candidates of a workload in turn, round by round.
async fn measure(bench: &Bench, args: &Args, workload: &'static Workload) -> Result<Table> {
    let mut table = Table { workload, rows: Vec::new(), notes: Vec::new(), failures: 0 };
    for name in workload.candidates {
        let candidate: &'static Candidate = candidates::find(name).context("a workload names an unknown candidate")?;
        if *name != LIMIT && !args.admits(name) {
            continue;
        }
        if let Some(why) = bench.installed.missing(candidate) {
            table.notes.push(format!("{} is missing: {why}", candidate.title));
        } else if let Err(error) = bench.prepare(workload, candidate).await {
            table.notes.push(format!("{} did not start: {error:#}", candidate.title));
            table.failures += 1;
        } else {
            table.rows.push(Row { candidate, rounds: Vec::new() });
        }
    }
    for round in 1..=args.rounds {
        for row in table.rows.iter_mut().filter(|row| row.rounds.len() < round) {
            eprintln!("{} {round}/{}: {}", workload.name, args.rounds, row.candidate.title);
            let mut result = bench.measure(workload, row.candidate).await;
            for _ in 0..RETRIES {
                let Some(stalled) = result.as_ref().err().and_then(|error| error.downcast_ref::<Stalled>()) else {
                    break;
                };
                eprintln!("{} {round}/{}: {stalled}: once more", workload.name, args.rounds);
                result = bench.measure(workload, row.candidate).await;
            }
            row.rounds.push(match result {
                Ok(sample) => Some(sample),
                Err(error) => {
                    table.notes.push(format!("{}, round {round}: {error:#}", row.candidate.title));
                    table.failures += 1;
                    None
                }
            });
        }
    }
    // Who never ran gets no row: the notes say why.
    table.rows.retain(|row| row.rounds.iter().any(Option::is_some));
    if workload.candidates.contains(&LIMIT) && table.limit().is_none() {
        bail!("native hyper could not be measured in {}: {}", workload.name, table.notes.join("; "));
    }
    Ok(table)
}

/// Ten thousand connections need as many descriptors, here and in the servers, which inherit this.
fn allow_descriptors() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    if hard < 12_000 {
        eprintln!("compare: idle-memory will fail: at most {hard} descriptors are allowed here, and it needs 12,000");
    }
    Ok(())
}

//! Measures what the clients of one app notice while another one attacks the machine: see `benches/README.md`.

mod args;
mod attackers;
mod attacks;
mod floods;
mod report;
mod scene;
mod slow;

use args::Args;
use attackers::Attackers;
use attacks::{Attack, Means};
use load::client::{self, Target};
use load::weight::Low;
use report::{Half, Round};
use scene::Scene;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// For the neighbour to be warm and an attack to be in full swing.
const WARM_UP: Duration = Duration::from_millis(300);
/// For what the kernel still has to do for a server that was ended.
const REST: Duration = Duration::from_millis(100);

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
    if let Some([name, address, host]) = &args.attack {
        let attack = Attack::named(name).ok_or("there is no such attack")?;
        let address = address.parse().map_err(|error| format!("{address}: {error}"))?;
        attackers::carry_out(attack, &Target { address, host: host.clone() }, &args);
        return Ok(true);
    }
    let folder = std::env::temp_dir().join(format!("wasmserve-neighbours-{}", std::process::id()));
    std::fs::create_dir(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let result = measure_all(&args, &folder).map_err(|error| error.to_string());
    let _ = std::fs::remove_dir_all(&folder);
    let _ = std::fs::remove_dir_all(load::server::runtime_folder());
    result
}

fn measure_all(args: &Args, folder: &Path) -> io::Result<bool> {
    let began = Instant::now();
    println!("{}", load::describe_machine());
    load::wake_in_time();
    let low = Low::new(args.weight);
    println!("attackers, and servers that burn processor time: {}", low.describe());
    let rate = half_of_what_it_can(args, folder)?;
    let requests = rate * args.time.as_secs_f64();
    println!(
        "{}; {} rounds of {:.1} s; the neighbour is asked for {rate:.0} requests/s over {} connections, half of what it can",
        if args.tenants { "one server for both apps" } else { "a server for each app" },
        args.rounds,
        args.time.as_secs_f64(),
        args.connections
    );
    if requests < 5000.0 {
        eprintln!("neighbours: only {requests:.0} requests in each half of a round: too few for p99, use --seconds");
    }
    report::head();
    let (mut reached, mut all_measured) = (true, true);
    for attack in attacks::ALL.iter().filter(|attack| args.wants(attack.name)) {
        match rounds(args, folder, attack, &low, rate) {
            Ok(rounds) => reached &= report::row(attack, &rounds),
            Err(error) => {
                println!("| {:<15} | not measured: {error}", attack.name);
                all_measured = false;
            }
        }
    }
    println!("\nin {:.0} s", began.elapsed().as_secs_f64());
    if all_measured { Ok(reached) } else { Err(io::Error::other("not every row could be measured")) }
}

/// Quiet and attacked in turn.
fn rounds(args: &Args, folder: &Path, attack: &Attack, low: &Low, rate: f64) -> io::Result<Vec<Round>> {
    let round = |n| {
        eprintln!("{} {n}/{}", attack.name, args.rounds);
        let quiet = measure(args, folder, attack, low, false, rate)?;
        Ok(Round { quiet, attacked: measure(args, folder, attack, low, true, rate)? })
    };
    (1..=args.rounds).map(round).collect()
}

/// Requests a second, beside a server that is left alone.
fn half_of_what_it_can(args: &Args, folder: &Path) -> io::Result<f64> {
    let scene = Scene::start(args, folder, &attacks::ALL[0])?;
    let targets = [scene.neighbour.clone()];
    client::at_full_load(&targets, args.connections, Duration::from_secs(1));
    let outcome = client::at_full_load(&targets, args.connections, Duration::from_secs(3));
    match outcome.reason {
        Some(reason) => Err(io::Error::other(format!("the neighbour does not serve: {reason}"))),
        None => Ok(outcome.rate() / 2.0),
    }
}

/// Half a round: the neighbour beside a fresh server, which is attacked or not.
fn measure(args: &Args, folder: &Path, attack: &Attack, low: &Low, attacked: bool, rate: f64) -> io::Result<Half> {
    let scene = Scene::start(args, folder, attack)?;
    if attack.burns {
        scene.weigh(low)?;
    }
    let attacks = attacked && !matches!(attack.means, Means::None);
    let attackers = if attacks { Some(Attackers::begin(args, attack, &scene.attacked, low)?) } else { None };
    let targets = [scene.neighbour.clone()];
    client::at_rate(&targets, args.connections, WARM_UP, rate);
    let outcome = client::at_rate(&targets, args.connections, args.time, rate);
    let sent = attackers.as_ref().map_or(0, Attackers::sent);
    let memory = scene.private_memory();
    drop(attackers);
    drop(scene);
    thread::sleep(REST);
    Ok(Half { p99: outcome.p99(), failures: outcome.failures, reason: outcome.reason, sent, memory })
}

//! What the clients of some apps notice while another app is added, updated and removed.

use crate::args::Args;
use crate::{apps, target};
use load::client::{self, Outcome, Target};
use load::server::Server;
use load::stats::{median, milliseconds, sorted, spread};
use load::{guest, process};
use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Apps that are asked, over so many connections each.
const BUSY: usize = 4;
const CONNECTIONS: usize = 4;
const TIME: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(30);
const GOAL: f64 = 1.5;
const APP: &str = "changing";

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

    let mut changes = Changes::new(&host, &tenants);
    let load = || client::at_rate(&targets, CONNECTIONS, TIME, rate / BUSY as f64);
    let (mut ratios, mut failures, mut again) = (Vec::new(), 0, 0);
    for _ in 0..args.rounds {
        let quiet = load();
        let changed = thread::scope(|scope| -> io::Result<Outcome> {
            let load = scope.spawn(load);
            while !load.is_finished() {
                changes.make_all()?;
            }
            load.join().map_err(|_| io::Error::other("the load ended early"))
        })?;
        let (before, after) = (milliseconds(quiet.p99()), milliseconds(changed.p99()));
        println!("  p99 {before:.3} ms, beside changes {after:.3} ms");
        ratios.push(after / before);
        failures += quiet.failures + changed.failures;
        again += changed.again;
        for reason in [quiet.reason, changed.reason].into_iter().flatten() {
            println!("  a request failed: {reason}");
        }
    }
    let ratios = sorted(ratios);
    let reached = failures == 0 && median(&ratios) <= GOAL;
    let taken: Vec<_> = changes
        .taken
        .iter()
        .map(|(what, times)| format!("{what} {:.0} ms ({} times)", median(&sorted(times.iter().copied())), times.len()))
        .collect();
    println!("one app after the other: {}", taken.join(", "));
    println!(
        "other apps meanwhile: {failures} failures ({again} sent again, their kept connection was closed), p99 {} times (goal 0 and {GOAL}: {})",
        spread(&ratios),
        if reached { "reached" } else { "not reached" }
    );
    Ok(())
}

/// An app that comes, changes and goes, again and again, and how long each took until it was so.
struct Changes<'a> {
    host: &'a Server,
    folder: &'a Path,
    target: Target,
    made: u64,
    taken: [(&'static str, Vec<f64>); 4],
}

impl<'a> Changes<'a> {
    fn new(host: &'a Server, folder: &'a Path) -> Self {
        let target = Target { address: host.address, host: format!("{APP}.test") };
        let taken = ["added", "a new option", "a new component", "removed"].map(|what| (what, Vec::new()));
        Self { host, folder, target, made: 0, taken }
    }

    fn make_all(&mut self) -> io::Result<()> {
        let component = guest("hello-sync");
        self.timed(0, |changes| changes.put(&component))?;
        self.timed(1, |changes| changes.replace(&component))?;
        // Bytes that no cache has seen.
        let new = self.folder.join(format!("{}.wasm", self.made));
        fs::write(&new, another(&fs::read(&component)?, self.made))?;
        self.timed(2, |changes| changes.replace(&new))?;
        self.timed(3, Self::remove)?;
        fs::remove_file(new)
    }

    fn timed(&mut self, at: usize, change: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        let began = Instant::now();
        change(self)?;
        self.taken[at].1.push(milliseconds(began.elapsed()));
        Ok(())
    }

    /// Serves it with this component, and with an option that it did not have before.
    fn put(&mut self, component: &Path) -> io::Result<()> {
        self.made += 1;
        let (component, made) = (component.display(), self.made);
        let text =
            format!("component = \"{component}\"\nroute = \"{APP}.test\"\nworkers = 1\nenv = {{ N = \"{made}\" }}");
        fs::write(self.folder.join("changing.toml"), format!("[app.{APP}]\n{text}\n"))?;
        self.host.control(&["reload"])?;
        client::once(&self.target).map(drop)
    }

    /// Returns once the new server has taken over and the old one is gone.
    fn replace(&mut self, component: &Path) -> io::Result<()> {
        let before = self.host.pid_of_app(APP)?;
        self.put(component)?;
        self.wait_for_end(before)
    }

    fn remove(&mut self) -> io::Result<()> {
        let before = self.host.pid_of_app(APP)?;
        fs::remove_file(self.folder.join("changing.toml"))?;
        self.host.control(&["reload"])?;
        self.wait_for_end(before)
    }

    fn wait_for_end(&self, pid: u32) -> io::Result<()> {
        let began = Instant::now();
        while process::runs(pid) {
            if began.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("process {pid} of {APP} was to end and did not")));
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

/// The same component with a custom section at its end.
fn another(component: &[u8], number: u64) -> Vec<u8> {
    let content = [&[1, b'n'], number.to_be_bytes().as_slice()].concat();
    [component, &[0, content.len() as u8], &content].concat()
}

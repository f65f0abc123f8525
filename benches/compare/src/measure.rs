//! One candidate's turn in one workload.

use crate::candidates::{Candidate, Log, Program};
use crate::load::{Generator, Outcome, Target};
use crate::probe;
use crate::procfs::{self, Memory};
use crate::programs::Installed;
use crate::server::{Server, Start};
use crate::workloads::{Measure, Workload};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// The figures of one turn, by the keys of the workload's columns.
pub type Sample = BTreeMap<&'static str, f64>;

const WARM_UP_SECONDS: u64 = 1;
/// For a server to come to rest before its memory is looked at.
const REST: Duration = Duration::from_millis(500);
const IDLE_CONNECTIONS: usize = 10_000;
const RESPAWN_LIMIT: Duration = Duration::from_secs(30);
const MB: f64 = 1e6;
const KIB: f64 = 1024.0;

pub struct Bench {
    pub installed: Installed,
    pub generator: Generator,
    pub folder: PathBuf,
    pub seconds: u64,
}

impl Bench {
    pub async fn measure(&self, workload: &Workload, candidate: &'static Candidate) -> Result<Sample> {
        let cache = self.folder.join("cache");
        let start = Start {
            candidate,
            app: workload.app,
            log: candidate.log,
            workers: candidate.workers,
            cache: &cache,
            folder: &self.folder,
        };
        match workload.measure {
            Measure::Load(target) => self.load(&start, &target).await,
            Measure::Beside { load, burn } => self.beside(&start, &load, &burn).await,
            Measure::StartUp { compiled: true } => self.start_up(&start).await,
            Measure::StartUp { compiled: false } => {
                let cache = self.folder.join("cache-empty");
                let _ = fs::remove_dir_all(&cache);
                self.start_up(&Start { cache: &cache, ..start }).await
            }
            Measure::Respawn => self.respawn(&Start { log: Log::Events, ..start }).await,
            Measure::WorkerMemory => self.worker_memory(start).await,
            Measure::IdleConnections => self.idle_connections(&start).await,
        }
    }

    /// Compiles, reads files into the page cache: the first turn is not to be a worse one.
    pub async fn prepare(&self, workload: &Workload, candidate: &'static Candidate) -> Result<()> {
        if matches!(candidate.program, Program::Native) {
            return Ok(());
        }
        let cache = self.folder.join("cache");
        let (app, log, folder) = (workload.app, Log::Warnings, &*self.folder);
        Server::start(&self.installed, &Start { candidate, app, log, workers: 1, cache: &cache, folder }).await?;
        Ok(())
    }

    async fn load(&self, start: &Start<'_>, target: &Target) -> Result<Sample> {
        let server = Server::start(&self.installed, start).await?;
        check_answer(&server, target).await?;
        self.generator.run(server.address, target, WARM_UP_SECONDS).await?;
        let roots = server.roots();
        let before = procfs::cpu(&roots)?;
        let outcome = self.generator.run(server.address, target, self.seconds).await?;
        let used = procfs::cpu(&roots)?.saturating_sub(before);
        let memory = Memory::of_tree(&roots)?;
        let served = outcome.served(target);
        if served < 1.0 {
            bail!("not one request was served");
        }
        let mut sample = rates(&outcome, target);
        sample.insert("mb_s", outcome.bytes / outcome.seconds / MB);
        sample.insert("cpu_us", used.as_secs_f64() * 1e6 / served);
        sample.insert("private_mb", memory.private / MB);
        sample.insert("proportional_mb", memory.proportional / MB);
        Ok(sample)
    }

    async fn beside(&self, start: &Start<'_>, load: &Target, burn: &Target) -> Result<Sample> {
        let server = Server::start(&self.installed, start).await?;
        check_answer(&server, load).await?;
        check_answer(&server, burn).await?;
        let address = server.address;
        // The computing clients are there before the others and after them.
        let burning = self.generator.run(address, burn, self.seconds + 2 * WARM_UP_SECONDS);
        let loading = async {
            self.generator.run(address, load, WARM_UP_SECONDS).await?;
            self.generator.run(address, load, self.seconds).await
        };
        let (burned, outcome) = tokio::try_join!(burning, loading)?;
        let mut sample = rates(&outcome, load);
        sample.insert("burns_s", burned.requests / burned.seconds);
        *sample.entry("errors").or_default() += burned.errors;
        Ok(sample)
    }

    async fn start_up(&self, start: &Start<'_>) -> Result<Sample> {
        let mut server = Server::spawn(&self.installed, start)?;
        let took = server.first_byte().await?;
        Ok(Sample::from([("first_byte_ms", took.as_secs_f64() * 1e3)]))
    }

    async fn respawn(&self, start: &Start<'_>) -> Result<Sample> {
        let mut server = Server::start(&self.installed, start).await?;
        let supervisor = *server.roots().first().context("no process")?;
        let [worker] = procfs::children(supervisor)[..] else { bail!("it has not just one worker") };
        let ready = server.events("worker-ready").len();
        let killed = Instant::now();
        kill(Pid::from_raw(worker), Signal::SIGKILL)?;
        server.first_byte().await?;
        let next_byte = killed.elapsed();
        loop {
            if let Some(record) = server.events("worker-ready").get(ready) {
                let fork_to_ready = record["ms"].as_f64().context("the record worker-ready has no ms")?;
                let next_byte = next_byte.as_secs_f64() * 1e3;
                return Ok(Sample::from([("fork_to_ready_ms", fork_to_ready), ("kill_to_byte_ms", next_byte)]));
            }
            if killed.elapsed() > RESPAWN_LIMIT {
                bail!("no successor was ready within {} s", RESPAWN_LIMIT.as_secs());
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    async fn worker_memory(&self, start: Start<'_>) -> Result<Sample> {
        let mut totals = Vec::new();
        let mut one = 0.0;
        // Not from one worker on: the pages of code that it shares with nobody are private to it, and cease to be.
        for workers in [2, 4] {
            let server = Server::start(&self.installed, &Start { workers, log: Log::Events, ..start }).await?;
            let supervisor = *server.roots().first().context("no process")?;
            let began = Instant::now();
            while server.events("worker-ready").len() < workers {
                if began.elapsed() > RESPAWN_LIMIT {
                    bail!("not all of {workers} workers are ready");
                }
                sleep(Duration::from_millis(5)).await;
            }
            sleep(REST).await;
            totals.push(Memory::of_tree(&server.roots())?);
            let each: Result<Vec<Memory>> = procfs::children(supervisor).into_iter().map(Memory::of).collect();
            // The least: the others include the one that answered a request.
            one = each?.iter().map(|memory| memory.private).fold(f64::INFINITY, f64::min);
        }
        let [with_two, with_four] = totals[..] else { bail!("two servers were measured") };
        Ok(Sample::from([
            ("private_mb", (with_four.private - with_two.private) / 2.0 / MB),
            ("proportional_mb", (with_four.proportional - with_two.proportional) / 2.0 / MB),
            ("worker_private_mb", one / MB),
        ]))
    }

    async fn idle_connections(&self, start: &Start<'_>) -> Result<Sample> {
        let server = Server::start(&self.installed, start).await?;
        let roots = server.roots();
        let mut connections = Vec::with_capacity(IDLE_CONNECTIONS);
        for _ in 0..100 {
            connections.push(probe::idle_connection(server.address).await?);
        }
        connections.clear();
        sleep(REST).await;
        let before = Memory::of_tree(&roots)?;
        for _ in 0..IDLE_CONNECTIONS {
            connections.push(probe::idle_connection(server.address).await?);
        }
        sleep(REST).await;
        let after = Memory::of_tree(&roots)?;
        let each = |before: f64, after: f64| (after - before) / IDLE_CONNECTIONS as f64 / KIB;
        Ok(Sample::from([
            ("private_kib", each(before.private, after.private)),
            ("proportional_kib", each(before.proportional, after.proportional)),
        ]))
    }
}

fn rates(outcome: &Outcome, target: &Target) -> Sample {
    Sample::from([
        ("rps", outcome.served(target) / outcome.seconds),
        ("p50_us", outcome.p50_us),
        ("p99_us", outcome.p99_us),
        ("requests", outcome.requests),
        ("errors", outcome.errors),
    ])
}

/// A server that answers something else may be as fast as it likes.
async fn check_answer(server: &Server, target: &Target) -> Result<()> {
    let body = (target.post > 0).then(|| Bytes::from(vec![b'x'; target.post]));
    let (status, length) = probe::fetch(server.address, target.path, body).await?;
    if status != 200 || length != target.answer {
        bail!("{} is answered with status {status} and {length} bytes, not {}", target.path, target.answer);
    }
    Ok(())
}

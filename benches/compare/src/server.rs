//! One candidate at work: started in a process group of its own, and killed with all that it started.

use crate::candidates::{App, Candidate, Log, Program};
use crate::probe;
use crate::procfs;
use crate::programs::Installed;
use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Compiling may take its time.
const START_LIMIT: Duration = Duration::from_secs(120);
/// For what was killed to be gone.
const END_LIMIT: Duration = Duration::from_secs(5);

/// How a candidate is started this time.
pub struct Start<'a> {
    pub candidate: &'static Candidate,
    pub app: App,
    pub log: Log,
    pub workers: usize,
    /// Where wasmserve keeps what it has compiled.
    pub cache: &'a Path,
    /// For the server's log.
    pub folder: &'a Path,
}

pub struct Server {
    children: Vec<Child>,
    pub address: SocketAddr,
    log: PathBuf,
    pub started: Instant,
}

impl Server {
    /// Starts the candidate without waiting for it.
    pub fn spawn(installed: &Installed, start: &Start) -> Result<Self> {
        let port = free_port()?;
        let log = start.folder.join(format!("{}-{port}.log", start.candidate.name));
        let stderr = File::create(&log)?;
        // wasmserve starts its workers itself; of native hyper each is a process of its own.
        let processes = if start.candidate.program == Program::Native { start.workers } else { 1 };
        let mut server =
            Self { children: Vec::new(), address: (Ipv4Addr::LOCALHOST, port).into(), log, started: Instant::now() };
        for _ in 0..processes {
            let mut command = installed.command(start, port)?;
            command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
            if matches!(start.log, Log::EventsToNull | Log::RequestsToNull) {
                command.stderr(Stdio::null());
            } else {
                command.stderr(stderr.try_clone()?);
            }
            server.children.push(command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?);
        }
        Ok(server)
    }

    /// Starts the candidate and waits until it serves.
    pub async fn start(installed: &Installed, start: &Start<'_>) -> Result<Self> {
        let mut server = Self::spawn(installed, start)?;
        server.first_byte().await?;
        Ok(server)
    }

    /// Waits for the first byte of an answer; gives the time since the start.
    pub async fn first_byte(&mut self) -> Result<Duration> {
        let (address, started) = (self.address, self.started);
        probe::first_byte(address, || self.check_running(), START_LIMIT).await?;
        Ok(started.elapsed())
    }

    fn check_running(&mut self) -> Result<()> {
        for child in &mut self.children {
            if let Some(status) = child.try_wait()? {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                bail!("it ended with {status}: {}", log.trim().lines().last().unwrap_or("nothing was logged"));
            }
        }
        Ok(())
    }

    /// The processes that were started; others descend from them.
    pub fn roots(&self) -> Vec<i32> {
        self.children.iter().map(|child| child.id() as i32).collect()
    }

    /// The records of this event in its JSON log.
    pub fn events(&self, name: &str) -> Vec<Value> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let records = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records.filter(|record| record["event"] == name).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let all: Vec<i32> = procfs::tree(&self.roots()).iter().map(|process| process.pid).collect();
        for child in &mut self.children {
            let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
            let _ = child.kill();
            let _ = child.wait();
        }
        // The next candidate is not to share the processors with the end of this one.
        let began = Instant::now();
        while all.iter().any(|pid| procfs::is_alive(*pid)) && began.elapsed() < END_LIMIT {
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = fs::remove_file(&self.log);
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

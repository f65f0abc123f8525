//! From a file to something workers can map: read, look into the cache, otherwise compile in a process forked
//! for that.

use super::Roles;
use super::cache::Cache;
use super::signals::{Signals, unblock_in_child};
use crate::config::{Plan, Settings};
use crate::exit::{Exit, Failure};
use crate::sys;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

/// A component that is ready to be mapped, and how it is served.
pub struct Loaded {
    pub code: File,
    /// What the component is, as JSON (`guest::inspect::Report`).
    pub report: String,
    pub plan: Plan,
}

/// A compile that takes longer is told of.
const TOLD_AFTER: Duration = Duration::from_millis(500);
/// Longest report that a compiler process may send.
const MAX_REPORT: u64 = 16 << 20;

pub fn load(settings: &Settings, roles: Roles, signals: Option<&Signals>) -> Result<Loaded, Failure> {
    let name = settings.source.name();
    let bytes = settings.source.read()?;
    let cache = Cache::open(settings.cache_dir.as_deref());
    let key = (roles.key)(&bytes).map_err(Failure::internal)?;
    if let Some(entry) = cache.as_ref().and_then(|cache| cache.get(&key)) {
        match (roles.plan)(settings, &entry.report) {
            Ok(plan) => return Ok(Loaded { code: entry.code, report: entry.report, plan }),
            Err(failure) if failure.exit == Exit::Load => return Err(failure),
            // An entry that cannot be read: made anew.
            Err(_) => cache.iter().for_each(|cache| cache.remove(&key)),
        }
    }
    let began = Instant::now();
    let mut code = File::from(memfd_create("wasmserve-code", MFdFlags::MFD_CLOEXEC)?);
    let report = compile(&name, bytes, &mut code, roles, signals)?;
    let plan = (roles.plan)(settings, &report)?;
    tracing::debug!(event = "compiled", seconds = began.elapsed().as_secs_f64(), "{name} was compiled");
    if let Some(cache) = cache {
        code.rewind()?;
        cache.put(&key, &mut code, &report);
        // From the cache's file the pages can be dropped and read again; those of a memory file cannot.
        if let Some(entry) = cache.get(&key) {
            code = entry.code;
        }
    }
    Ok(Loaded { code, report, plan })
}

/// Forks the compiler process and waits for what it says.
fn compile(
    name: &str,
    bytes: Vec<u8>,
    code: &mut File,
    roles: Roles,
    signals: Option<&Signals>,
) -> Result<String, Failure> {
    let (answer, mut say) =
        pipe2(nix::fcntl::OFlag::O_CLOEXEC).map(|(read, write)| (File::from(read), File::from(write)))?;
    let parent = nix::unistd::getpid();
    let fork = sys::fork(|| {
        let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
        if nix::unistd::getppid() != parent {
            std::process::exit(Exit::Internal as i32);
        }
        unblock_in_child();
        let mut keep = vec![code.as_raw_fd(), say.as_raw_fd()];
        keep.extend(crate::log::descriptor());
        sys::close_all_except(&keep);
        let (text, exit) = match (roles.compile)(bytes, code) {
            Ok(report) => (report, Exit::Success),
            Err(message) => (message, Exit::Load),
        };
        let said = say.write_all(text.as_bytes());
        std::process::exit(if said.is_ok() { exit } else { Exit::Internal } as i32)
    });
    drop(say);
    let compiler = fork?;
    let told = wait_for_answer(name, compiler, answer, signals);
    if told.is_err() {
        let _ = kill(compiler, Signal::SIGKILL);
    }
    let status = loop {
        match waitpid(compiler, None) {
            Err(Errno::EINTR) => {}
            status => break status?,
        }
    };
    let text = told?;
    let failure = |what: String| Err(Failure::new(Exit::Load, format!("{name}: {what}")));
    match status {
        WaitStatus::Exited(_, code) if code == Exit::Success as i32 => Ok(text),
        WaitStatus::Exited(_, code) if code == Exit::Load as i32 => failure(text),
        WaitStatus::Signaled(_, Signal::SIGXCPU, _) => failure("compiling it took too much processor time".to_owned()),
        WaitStatus::Signaled(_, signal, _) => {
            failure(format!("the compiler process was ended by {signal}: the component is too large or hostile"))
        }
        other => failure(format!("the compiler process ended unexpectedly ({other:?})")),
    }
}

fn wait_for_answer(name: &str, compiler: Pid, mut answer: File, signals: Option<&Signals>) -> Result<String, Failure> {
    let mut text = Vec::new();
    let mut progress = Progress::new(name);
    loop {
        let mut watched = vec![PollFd::new(answer.as_fd(), PollFlags::POLLIN)];
        watched.extend(signals.map(|signals| PollFd::new(signals.as_fd(), PollFlags::POLLIN)));
        match poll(&mut watched, PollTimeout::try_from(progress.pause()).unwrap_or(PollTimeout::ZERO)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let answered = watched[0].any() == Some(true);
        while let Some(signal) = signals.and_then(Signals::next) {
            if matches!(signal, Signal::SIGINT | Signal::SIGTERM | Signal::SIGQUIT) {
                tracing::info!("{signal} while compiling {name} (process {compiler}): ending");
                return Err(Failure::new(Exit::Success, ""));
            }
        }
        if answered {
            let mut buffer = [0; 64 * 1024];
            match answer.read(&mut buffer)? {
                0 => break,
                n => text.extend_from_slice(&buffer[..n]),
            }
            if text.len() as u64 > MAX_REPORT {
                return Err(Failure::new(Exit::Load, format!("{name}: its description is too long")));
            }
        }
        progress.show();
    }
    String::from_utf8(text).map_err(|_| Failure::internal("the compiler process said something unknown"))
}

/// Tells somebody who waits for a compile: on a terminal a moving line, elsewhere one record.
struct Progress<'a> {
    name: &'a str,
    began: Instant,
    told: bool,
    moving: bool,
}

impl<'a> Progress<'a> {
    fn new(name: &'a str) -> Self {
        Self { name, began: Instant::now(), told: false, moving: io::stderr().is_terminal() }
    }

    fn pause(&self) -> Duration {
        if self.told && !self.moving { Duration::from_secs(1) } else { Duration::from_millis(100) }
    }

    fn show(&mut self) {
        let elapsed = self.began.elapsed();
        if elapsed < TOLD_AFTER {
            return;
        }
        if self.moving {
            const TURN: [char; 4] = ['|', '/', '-', '\\'];
            let turn = TURN[(elapsed.as_millis() / 100 % 4) as usize];
            eprint!("\r{turn} compiling {} ({} s, once: the result is cached)", self.name, elapsed.as_secs());
        } else if !self.told {
            tracing::info!(event = "compiling", "compiling {} (once: the result is cached)", self.name);
        }
        self.told = true;
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.told && self.moving {
            // Clears the line (ECMA-48 EL).
            eprint!("\r\x1b[K");
        }
    }
}

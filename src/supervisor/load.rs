//! From a file to something workers can map: read, look into the cache, otherwise compile in a process forked
//! for that, which the supervisor's loop waits for like for anything else.

use super::Roles;
use super::cache::Cache;
use super::signals::{Signals, unblock_in_child};
use crate::config::{CompileLimits, Settings, Source, Work, file};
use crate::exit::{Exit, Failure};
use crate::sandbox::{self, Role};
use crate::sys::{self, Share};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, fchmod};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A component that is ready to be mapped, and how it is served.
pub struct Loaded {
    pub work: Work,
    /// It did not come from the cache.
    pub was_compiled: bool,
}

/// A compile that takes longer is told of.
const TOLD_AFTER: Duration = Duration::from_millis(500);
/// Longest report that a compiler process may send.
const MAX_REPORT: usize = 16 << 20;

/// How the runtime and the operating system say that there is no more memory.
const OUT_OF_MEMORY: [&str; 2] = ["memory allocation of", "Cannot allocate memory"];

/// A component on its way.
pub enum Loading {
    Done(Loaded),
    Compiling(Compiling),
}

/// Begins to load, in place of `old` if there is one: what was compiled before is there at once.
pub fn begin(settings: &Settings, roles: Roles, old: Option<&Work>) -> Result<Loading, Failure> {
    if let Source::Config(path) = &settings.source {
        let old = old.and_then(|old| match old {
            Work::Gateway(config) => Some(&**config),
            Work::App { .. } => None,
        });
        let work = Work::Gateway(Arc::new(file::read(path, old)?));
        return Ok(Loading::Done(Loaded { work, was_compiled: false }));
    }
    let bytes = settings.source.read()?;
    let cache = Cache::open(settings.cache_dir.as_deref());
    let key = (roles.key)(&bytes).map_err(Failure::internal)?;
    if let Some(entry) = cache.as_ref().and_then(|cache| cache.get(&key)) {
        match (roles.plan)(settings, &entry.report) {
            Ok(plan) => {
                let code = readable(entry.code, settings);
                return Ok(Loading::Done(Loaded { work: Work::App { code, plan }, was_compiled: false }));
            }
            Err(failure) if failure.exit == Exit::Load => return Err(failure),
            // An entry that cannot be read: made anew.
            Err(_) => cache.iter().for_each(|cache| cache.remove(&key)),
        }
    }
    Compiling::start(settings, bytes, cache, key, roles).map(Loading::Compiling)
}

/// Lets workers that run as another user open what they were given. Nobody else gets at it by name: the folder is ours.
fn readable(code: File, settings: &Settings) -> File {
    if settings.identity.is_some() {
        let _ = fchmod(&code, Mode::from_bits_truncate(0o644));
    }
    code
}

/// Loads with nothing else to do. Signals that end the supervisor end this too.
pub fn load(settings: &Settings, roles: Roles, signals: Option<&Signals>) -> Result<Loaded, Failure> {
    match begin(settings, roles, None)? {
        Loading::Done(loaded) => Ok(loaded),
        Loading::Compiling(mut compiling) => {
            let mut progress = Progress::new(&compiling);
            loop {
                wait(&compiling, signals, &progress)?;
                if let Some(done) = compiling.advance() {
                    drop(progress);
                    return compiling.finish(done, settings);
                }
                progress.show();
            }
        }
    }
}

fn wait(compiling: &Compiling, signals: Option<&Signals>, progress: &Progress) -> Result<(), Failure> {
    let mut watched = vec![PollFd::new(compiling.as_fd(), PollFlags::POLLIN)];
    watched.extend(signals.map(|signals| PollFd::new(signals.as_fd(), PollFlags::POLLIN)));
    match poll(&mut watched, PollTimeout::try_from(progress.pause()).unwrap_or(PollTimeout::ZERO)) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    while let Some(signal) = signals.and_then(Signals::next) {
        if matches!(signal, Signal::SIGINT | Signal::SIGTERM | Signal::SIGQUIT) {
            tracing::info!("{signal} while compiling {} (process {}): ending", compiling.name, compiling.pid);
            return Err(Failure::new(Exit::Success, ""));
        }
    }
    Ok(())
}

/// A compiler process at work; killed when this is dropped.
pub struct Compiling {
    pub pid: Pid,
    name: String,
    answer: File,
    text: Vec<u8>,
    code: File,
    cache: Option<Cache>,
    key: String,
    roles: Roles,
    pub began: Instant,
    status: Option<WaitStatus>,
    limits: CompileLimits,
    is_overdue: bool,
}

/// A compiler process may wait for the processor, but not for ever: so many times as long as it may use it.
const PATIENCE: u32 = 4;

/// A compile takes seconds at times, which whoever is served is not to notice.
const SHARE: Share = Share { nice: 10, slice: Duration::ZERO };

/// What a compiler process may do, from before it looks at the component.
fn confine(settings: &Settings, supervisor: Pid, say: &File) -> Result<(), Failure> {
    // What the runtime says when it runs out of memory is an answer too.
    sys::redirect(io::stderr().as_fd(), say.as_fd())?;
    sandbox::die_with(supervisor)?;
    sys::share_processor(&SHARE);
    sandbox::give_up_rights(settings.sandbox, settings.identity, supervisor)?;
    sandbox::close_files(settings.sandbox, &Role::Compiler)?;
    sandbox::set_for_compiler(&settings.compile)?;
    sandbox::close_calls(settings.sandbox, &Role::Compiler)
}

impl Compiling {
    fn start(
        settings: &Settings,
        bytes: Vec<u8>,
        cache: Option<Cache>,
        key: String,
        roles: Roles,
    ) -> Result<Self, Failure> {
        let name = settings.source.name();
        let mut code = File::from(memfd_create("wasmserve-code", MFdFlags::MFD_CLOEXEC)?);
        let flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let (answer, say) = pipe2(flags).map(|(read, write)| (File::from(read), File::from(write)))?;
        let parent = nix::unistd::getpid();
        let pid = sys::fork(|| {
            unblock_in_child();
            let mut keep = vec![code.as_raw_fd(), say.as_raw_fd()];
            keep.extend(crate::log::descriptors());
            sys::close_all_except(&keep);
            let confined = confine(settings, parent, &say);
            let (text, exit) = match confined.map(|()| (roles.compile)(bytes, &mut code)) {
                Ok(Ok(report)) => (report, Exit::Success),
                Ok(Err(message)) => (message, Exit::Load),
                Err(failure) => (failure.message, failure.exit),
            };
            let said = tell(&say, text.as_bytes());
            std::process::exit(if said.is_ok() { exit } else { Exit::Internal } as i32)
        })?;
        let (text, status, began, limits) = (Vec::new(), None, Instant::now(), settings.compile);
        Ok(Self { pid, name, answer, text, code, cache, key, roles, began, status, limits, is_overdue: false })
    }

    /// The process has ended, as whoever waits for all children has found.
    pub fn reaped(&mut self, status: WaitStatus) {
        self.status = Some(status);
    }

    /// Takes what the process has said. Some once it has ended: its report, or why there is none.
    pub fn advance(&mut self) -> Option<Result<String, Failure>> {
        if !self.is_overdue && self.began.elapsed() > self.limits.cpu_time.saturating_mul(PATIENCE) {
            self.is_overdue = true;
            let _ = kill(self.pid, Signal::SIGKILL);
        }
        let mut buffer = [0; 64 * 1024];
        loop {
            match self.answer.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) if self.text.len() + n <= MAX_REPORT => self.text.extend_from_slice(&buffer[..n]),
                Ok(_) => return Some(self.failure("its description is too long".to_owned())),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Some(Err(error.into())),
            }
        }
        // It has closed its answer, and so is about to end, unless it is not what it was.
        if self.status.is_none() {
            let _ = kill(self.pid, Signal::SIGKILL);
        }
        let status = loop {
            match self.status.map_or_else(|| waitpid(self.pid, None), Ok) {
                Err(Errno::EINTR) => {}
                Ok(status) => break status,
                Err(error) => return Some(Err(error.into())),
            }
        };
        self.status = Some(status);
        let Ok(text) = String::from_utf8(std::mem::take(&mut self.text)) else {
            return Some(Err(Failure::internal("the compiler process said something unknown")));
        };
        Some(match status {
            WaitStatus::Exited(_, code) if code == Exit::Success as i32 => Ok(text),
            WaitStatus::Exited(_, code) if code == Exit::Sandbox as i32 => Err(Failure::new(Exit::Sandbox, text)),
            other => self.failure(self.why_not(other, text)),
        })
    }

    /// Why there is no machine code.
    fn why_not(&self, status: WaitStatus, text: String) -> String {
        let seconds = self.limits.cpu_time.as_secs_f64();
        match status {
            _ if self.is_overdue => {
                let most = seconds * f64::from(PATIENCE);
                format!(
                    "compiling it took longer than {most} s, {PATIENCE} times the processor time that --max-compile-time allows"
                )
            }
            WaitStatus::Signaled(_, Signal::SIGXCPU, _) => {
                format!("compiling it takes more than the {seconds} s of processor time that --max-compile-time allows")
            }
            _ if OUT_OF_MEMORY.iter().any(|phrase| text.contains(phrase)) => {
                let most = self.limits.memory >> 20;
                format!("compiling it takes more than the {most} MiB of memory that --max-compile-memory allows")
            }
            WaitStatus::Exited(_, code) if code == Exit::Load as i32 => text,
            WaitStatus::Signaled(_, Signal::SIGSYS, _) => {
                "the compiler process made a system call that the sandbox refuses".to_owned()
            }
            WaitStatus::Signaled(_, signal, _) => {
                format!("the compiler process was ended by {signal}: the component is too large or hostile. {text}")
            }
            other => format!("the compiler process ended unexpectedly ({other:?}). {text}"),
        }
    }

    fn failure(&self, what: String) -> Result<String, Failure> {
        Err(Failure::new(Exit::Load, format!("{}: {what}", self.name)))
    }

    /// Keeps what has been compiled.
    pub fn finish(mut self, done: Result<String, Failure>, settings: &Settings) -> Result<Loaded, Failure> {
        let report = done?;
        let plan = (self.roles.plan)(settings, &report)?;
        let mut code = self.code.try_clone()?;
        tracing::debug!(event = "compiled", seconds = self.began.elapsed().as_secs_f64(), "{} was compiled", self.name);
        if let Some(cache) = self.cache.take() {
            code.rewind()?;
            cache.put(&self.key, &mut code, &report);
            // From the cache's file the pages can be dropped and read again; those of a memory file cannot.
            if let Some(entry) = cache.get(&self.key) {
                code = readable(entry.code, settings);
            }
        }
        Ok(Loaded { work: Work::App { code, plan }, was_compiled: true })
    }
}

impl AsFd for Compiling {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.answer.as_fd()
    }
}

impl Drop for Compiling {
    fn drop(&mut self) {
        if self.status.is_none() {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}

/// Writes all to a pipe that does not block.
fn tell(mut pipe: &File, mut text: &[u8]) -> io::Result<()> {
    while !text.is_empty() {
        match pipe.write(text) {
            Ok(n) => text = &text[n..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Tells somebody who waits for a compile: on a terminal a moving line, elsewhere one record.
struct Progress {
    what: String,
    began: Instant,
    told: bool,
    moving: bool,
}

impl Progress {
    fn new(compiling: &Compiling) -> Self {
        let once =
            if compiling.cache.is_some() { "once: the result is cached" } else { "at each start: there is no cache" };
        let what = format!("compiling {} ({once})", compiling.name);
        Self { what, began: Instant::now(), told: false, moving: io::stderr().is_terminal() }
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
            eprint!("\r{turn} {} {} s", self.what, elapsed.as_secs());
        } else if !self.told {
            tracing::info!(event = "compiling", "{}", self.what);
        }
        self.told = true;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.told && self.moving {
            // Clears the line (ECMA-48 EL).
            eprint!("\r\x1b[K");
        }
    }
}

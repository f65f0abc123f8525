//! `wasmserve dev`: builds a project with its own command, serves what came out, and builds it again when it has
//! changed. The server is a process of its own with `--reload`, which sees by itself that there is a new component.

mod process;
mod sources;

use super::serve;
use crate::cli::{DevArgs, ServeArgs};
use crate::config::{Settings, Source};
use crate::exit::{Exit, Failure};
use crate::log::{self, Files};
use crate::project::manifest::{self, Manifest};
use crate::project::tool;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use process::Process;
use sources::Sources;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, io};

/// A change is acted on after so long without a further one: editors write in several steps.
const QUIET: Duration = Duration::from_millis(100);
/// What a build gets to end after it was asked to.
const GRACE: Duration = Duration::from_secs(3);

pub fn run(args: &DevArgs) -> Result<(), Failure> {
    let manifest = Manifest::read(&args.project).map_err(Failure::usage)?;
    let settings = Settings::check(Source::File(component(args, &manifest)), &args.serve)?;
    log::start(settings.log_level, settings.log_format, Files::default());
    if let Some(missing) = tool::missing(&manifest.tools) {
        let file = args.project.join(manifest::FILE);
        let what = "needs tools that are not on the PATH; install them with:";
        return Err(Failure::usage(format!("{}: the project {what}\n{missing}", file.display())));
    }
    Dev::new(args, manifest)?.run()
}

/// The server that `run` starts, with the same command line.
pub fn serve(args: &DevArgs) -> Result<(), Failure> {
    // It ends with whoever started it.
    prctl::set_pdeathsig(Signal::SIGTERM)?;
    let manifest = Manifest::read(&args.project).map_err(Failure::usage)?;
    let component = component(args, &manifest);
    serve::serve(Source::File(component), &ServeArgs { reload: true, ..args.serve.clone() })
}

/// Where the component is, also for a server that changes its folder.
fn component(args: &DevArgs, manifest: &Manifest) -> PathBuf {
    let path = args.project.join(&manifest.component);
    match args.serve.chdir {
        Some(_) => std::path::absolute(&path).unwrap_or(path),
        None => path,
    }
}

struct Dev {
    project: PathBuf,
    manifest: Manifest,
    signals: SignalFd,
    sources: Sources,
    build: Option<Build>,
    server: Option<Process>,
    /// When what was seen to change is looked at.
    look: Option<Instant>,
    /// Once it is to end: when a build that has not ended is killed.
    ending: Option<Instant>,
}

struct Build {
    process: Process,
    began: Instant,
}

impl Dev {
    fn new(args: &DevArgs, manifest: Manifest) -> Result<Self, Failure> {
        let mask: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD].into_iter().collect();
        mask.thread_block()?;
        Ok(Self {
            project: args.project.clone(),
            signals: SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?,
            sources: Sources::watch(&args.project, &manifest)?,
            manifest,
            build: None,
            server: None,
            look: None,
            ending: None,
        })
    }

    fn run(mut self) -> Result<(), Failure> {
        self.start_build();
        loop {
            self.wait()?;
            while let Ok(Some(signal)) = self.signals.read_signal() {
                if let Ok(signal) = Signal::try_from(signal.ssi_signo.cast_signed())
                    && signal != Signal::SIGCHLD
                {
                    self.end(signal);
                }
            }
            if let Some(status) = self.build.as_mut().and_then(|build| build.process.status()) {
                self.build_ended(status);
            }
            if let Some(status) = self.server.as_mut().and_then(Process::status) {
                self.server = None;
                self.server_ended(status)?;
            }
            if self.sources.take_events() {
                self.look = Some(Instant::now() + QUIET);
            }
            if let Some(deadline) = self.ending {
                if self.build.is_none() && self.server.is_none() {
                    return Ok(());
                }
                if let Some(build) = self.build.as_ref().filter(|_| deadline <= Instant::now()) {
                    build.process.signal_group(Signal::SIGKILL);
                }
            } else if self.build.is_none() && self.look.is_some_and(|at| at <= Instant::now()) {
                self.look = None;
                if let Some(path) = self.sources.changed() {
                    self.changed(&path);
                }
            }
        }
    }

    /// Until there is something to do. While a build runs, changes are looked at after it.
    fn wait(&self) -> Result<(), Failure> {
        let due = if self.ending.is_some() { self.ending } else { self.look.filter(|_| self.build.is_none()) };
        let timeout = due.map_or(PollTimeout::NONE, |at| {
            let left = at.saturating_duration_since(Instant::now()).as_millis() + 1;
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        let mut events = [
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.sources.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut events, timeout) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn changed(&mut self, path: &Path) {
        let path = path.strip_prefix(&self.project).unwrap_or(path).display();
        tracing::info!(event = "source-changed", "{path} has changed");
        match Manifest::read(&self.project) {
            Ok(manifest) => {
                if manifest.component != self.manifest.component {
                    tracing::warn!(
                        event = "component-renamed",
                        "the component has another name now: start `wasmserve dev` anew to serve it"
                    );
                }
                self.sources.follow(&manifest);
                self.manifest = manifest;
                self.start_build();
            }
            Err(error) => {
                self.sources.build_begins();
                tracing::error!(event = "build-failed", "{error}; correct it there{}", self.outlook());
            }
        }
    }

    fn start_build(&mut self) {
        self.sources.build_begins();
        let command = &self.manifest.build;
        tracing::info!(event = "build-started", "building: {command}");
        let mut shell = Command::new("sh");
        // Standard output is for what a program may read; this is for whoever develops.
        shell.args(["-c", command]).current_dir(&self.project).stdin(Stdio::null()).stdout(io::stderr());
        match Process::start(&mut shell) {
            Ok(process) => self.build = Some(Build { process, began: Instant::now() }),
            Err(error) => tracing::error!(event = "build-failed", "the shell cannot be started: {error}"),
        }
    }

    fn build_ended(&mut self, status: ExitStatus) {
        let Some(build) = self.build.take().filter(|_| self.ending.is_none()) else { return };
        let took = build.began.elapsed().as_secs_f64();
        let component = self.project.join(&self.manifest.component);
        if !status.success() {
            tracing::error!(event = "build-failed", "the build failed ({status}){}", self.outlook());
        } else if !component.is_file() {
            let file = manifest::FILE;
            let component = self.manifest.component.display();
            let outlook = self.outlook();
            tracing::error!(
                event = "build-failed",
                "the build has made no {component}: correct `component` or `build` in {file}{outlook}"
            );
        } else {
            tracing::info!(event = "build-finished", "built in {took:.1} s");
            if self.server.is_none() {
                self.start_server();
            }
        }
        if let Some(path) = self.sources.build_ended() {
            self.changed(&path);
        }
    }

    /// What goes on after a build that was none.
    fn outlook(&self) -> &'static str {
        match self.server {
            Some(_) => "; the last good build goes on serving",
            None => "; waiting for a change",
        }
    }

    fn start_server(&mut self) {
        let started = env::current_exe().and_then(|executable| {
            // The same command line with another command.
            let mut command = Command::new(executable);
            Process::start(command.arg("dev-serve").args(env::args_os().skip(2)))
        });
        match started {
            Ok(server) => self.server = Some(server),
            Err(error) => tracing::error!(event = "server-failed", "the server cannot be started: {error}"),
        }
    }

    /// It has told why, and ends us where that is nothing that another build would change.
    fn server_ended(&mut self, status: ExitStatus) -> Result<(), Failure> {
        let codes = [Exit::Usage, Exit::Startup, Exit::Load, Exit::Sandbox];
        let exit = codes.into_iter().find(|exit| status.code() == Some(*exit as i32)).unwrap_or(Exit::Internal);
        if self.ending.is_none() && matches!(exit, Exit::Startup | Exit::Load) {
            tracing::error!(event = "server-failed", "this build cannot be served; waiting for a change");
            return Ok(());
        }
        self.end(Signal::SIGTERM);
        if status.success() {
            return Ok(());
        }
        while let Some(build) = &mut self.build {
            if build.process.status().is_some() {
                break;
            }
            build.process.signal_group(Signal::SIGKILL);
            self.wait()?;
        }
        Err(Failure::new(exit, format!("the server has ended ({status})")))
    }

    /// Asks all to end; a second time, the server ends at once.
    fn end(&mut self, signal: Signal) {
        self.ending.get_or_insert(Instant::now() + GRACE);
        if let Some(build) = &self.build {
            build.process.signal_group(Signal::SIGTERM);
        }
        if let Some(server) = &self.server {
            // For a server SIGHUP is a reload.
            server.signal(if signal == Signal::SIGHUP { Signal::SIGTERM } else { signal });
        }
    }
}

//! The programs that are installed, and the commands that start them.

use crate::args::{Args, repository};
use crate::candidates::{App, Candidate, Handler, Log, Program};
use crate::server::Start;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs that are there, and the files that they are given.
pub struct Installed {
    folder: PathBuf,
    native: PathBuf,
    wasmserve: PathBuf,
    wasmtime: Option<PathBuf>,
    big_component: Option<PathBuf>,
    granian: Option<PathBuf>,
    uvicorn: Option<PathBuf>,
    workerd: Option<PathBuf>,
}

impl Installed {
    /// Looks for them; `folder` is for this run's own files.
    pub fn find(args: &Args, folder: &Path) -> Result<Self> {
        // A copy, for pages of a file are private only to a process that nobody shares the file with.
        let native = folder.join("native-hyper");
        fs::copy(std::env::current_exe()?, &native).context("cannot copy this program")?;
        fs::write(folder.join("compare_app.py"), include_str!("../apps/compare_app.py"))?;
        let absolute =
            |path: &PathBuf| fs::canonicalize(path).with_context(|| format!("there is no {}", path.display()));
        Ok(Self {
            folder: folder.to_owned(),
            native,
            wasmserve: release_build(&args.wasmserve)?,
            wasmtime: args.wasmtime.as_ref().map(absolute).transpose()?.or_else(|| on_path("wasmtime")),
            big_component: args.big_component.as_ref().map(absolute).transpose()?,
            granian: on_path("granian"),
            uvicorn: on_path("uvicorn"),
            workerd: on_path("workerd"),
        })
    }

    /// Why this candidate cannot run here, if it cannot.
    pub fn missing(&self, candidate: &Candidate) -> Option<&'static str> {
        match candidate.program {
            Program::Native | Program::Wasmserve(_) => None,
            Program::Big => self.big_component.is_none().then_some("no --big-component is given"),
            Program::Wasmtime(_) => self.wasmtime.is_none().then_some("there is no `wasmtime` on the PATH"),
            Program::Granian => self.granian.is_none().then_some("there is no `granian` on the PATH"),
            Program::Uvicorn => self.uvicorn.is_none().then_some("there is no `uvicorn` on the PATH"),
            Program::Workerd => self.workerd.is_none().then_some("there is no `workerd` on the PATH"),
        }
    }

    /// What the programs say of themselves.
    pub fn versions(&self) -> Vec<(&'static str, String)> {
        let programs = [
            ("wasmserve", Some(&self.wasmserve)),
            ("wasmtime", self.wasmtime.as_ref()),
            ("granian", self.granian.as_ref()),
            ("uvicorn", self.uvicorn.as_ref()),
            ("workerd", self.workerd.as_ref()),
        ];
        let found = programs.into_iter().filter_map(|(name, path)| Some((name, path?)));
        found.map(|(name, path)| (name, version(path, "--version").unwrap_or_else(|_| "unknown".to_owned()))).collect()
    }

    /// The command that starts a candidate on `port`.
    pub fn command(&self, start: &Start, port: u16) -> Result<Command> {
        let Start { candidate, app, log, workers, cache, .. } = *start;
        let missing = || self.missing(candidate).unwrap_or("it is missing");
        let address = format!("127.0.0.1:{port}");
        let mut command;
        match candidate.program {
            Program::Native => {
                command = Command::new(&self.native);
                command.args(["native-hyper", &port.to_string()]);
            }
            Program::Wasmserve(_) | Program::Big => {
                let component = match candidate.program {
                    Program::Wasmserve(handler) => guest(app, handler),
                    _ => self.big_component.clone().with_context(missing)?,
                };
                command = Command::new(&self.wasmserve);
                command.arg(component).args(["--bind", &address, "--log-format", "json"]).arg("--cache-dir").arg(cache);
                command.args(["--workers", &workers.to_string()]).args(candidate.options);
                command.args(["--log-level", if log == Log::Warnings { "warn" } else { "info" }]);
                if log != Log::RequestsToNull {
                    command.arg("--no-access-log");
                }
            }
            Program::Wasmtime(handler) => {
                command = Command::new(self.wasmtime.as_ref().with_context(missing)?);
                command.args(["serve", "--addr", &address, "-Scli"]);
                if handler == Handler::Async {
                    command.args(["-Sp3", "-Wcomponent-model-async"]);
                }
                command.arg(guest(app, handler));
            }
            Program::Granian => {
                command = Command::new(self.granian.as_ref().with_context(missing)?);
                command.args(["--interface", "asginl", "--workers", "1", "--log-level", "warning"]);
                command.args([
                    "--no-access-log",
                    "--host",
                    "127.0.0.1",
                    "--port",
                    &port.to_string(),
                    "compare_app:app",
                ]);
            }
            Program::Uvicorn => {
                command = Command::new(self.uvicorn.as_ref().with_context(missing)?);
                command.args(["--no-access-log", "--log-level", "warning", "--lifespan", "off"]);
                command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "compare_app:app"]);
            }
            Program::Workerd => {
                let config = self.folder.join(format!("workerd-{port}.capnp"));
                fs::write(&config, include_str!("../apps/workerd.capnp").replace("ADDRESS", &address))?;
                command = Command::new(self.workerd.as_ref().with_context(missing)?);
                command.arg("serve").arg(config);
            }
        }
        command.current_dir(&self.folder);
        for (name, _) in std::env::vars_os() {
            // Nothing of the user's own settings may be in force.
            if name.to_string_lossy().starts_with("WASMSERVE_") || name == "WEB_CONCURRENCY" {
                command.env_remove(name);
            }
        }
        Ok(command)
    }
}

fn guest(app: App, handler: Handler) -> PathBuf {
    let app = if app == App::Hello { "hello" } else { "testbed" };
    let handler = if handler == Handler::Sync { "sync" } else { "async" };
    repository().join(format!("guests/prebuilt/{app}-{handler}.wasm"))
}

/// The path of a wasmserve that is worth measuring.
fn release_build(path: &Path) -> Result<PathBuf> {
    let advice = "build it with `cargo build --release`, or give --wasmserve PATH";
    let real = fs::canonicalize(path).with_context(|| format!("there is no {}: {advice}", path.display()))?;
    if [path, &real].iter().any(|path| path.components().any(|part| part.as_os_str() == "debug")) {
        bail!("{} is a debug build, which says nothing about speed: {advice}", path.display());
    }
    let said = version(&real, "--version").with_context(|| format!("{} does not run", path.display()))?;
    if !said.contains("wasmserve") {
        bail!("{} is not wasmserve: it says {said:?}", path.display());
    }
    Ok(real)
}

pub fn version(program: &Path, option: &str) -> Result<String> {
    let output = Command::new(program).arg(option).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map(|line| line.trim().to_owned()).context("it tells no version")
}

pub fn on_path(name: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let executable =
        |path: &PathBuf| fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0);
    let path = std::env::var_os("PATH")?;
    // Absolute, for each server runs in a folder of its own.
    std::env::split_paths(&path).filter_map(|folder| std::path::absolute(folder.join(name)).ok()).find(executable)
}

//! The command line: to serve, or to run to its end.

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::pty::openpty;
use nix::unistd::geteuid;
use tempfile::TempDir;

use super::server::Runtime;
use super::{Log, PATIENCE, Server, eventually, guest, timed};

/// A command line to be. Its environment holds nothing of the caller's.
pub struct Wasmserve {
    command: Command,
    args: Vec<String>,
    /// Where its control socket goes, if nothing else is said: no two servers of the tests know of each other.
    runtime: TempDir,
}

/// The executable that the tests drive.
pub fn executable() -> PathBuf {
    env::var_os("WASMSERVE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_wasmserve").into()).into()
}

impl Wasmserve {
    pub fn new(args: &[&str]) -> Self {
        Self::of(&executable()).args(args)
    }

    /// With another executable.
    pub fn of(executable: &Path) -> Self {
        let runtime = TempDir::new().unwrap();
        let mut command = Command::new(executable);
        // One cache for all tests: each guest is compiled once. Tests about the cache use their own.
        let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("wasmserve-cache");
        command
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("WASMSERVE_CACHE_DIR", cache)
            .env("XDG_RUNTIME_DIR", runtime.path())
            .stdin(Stdio::null());
        // To run all tests in another sandbox than the default one.
        if let Some(sandbox) = env::var_os("WASMSERVE_SANDBOX") {
            command.env("WASMSERVE_SANDBOX", sandbox);
        }
        Self { command, args: Vec::new(), runtime }
    }

    /// Serving one of the prebuilt guests, or the file at a path.
    pub fn serving(component: impl AsRef<OsStr>, args: &[&str]) -> Self {
        let component = component.as_ref().to_str().unwrap();
        let path = match component.contains('/') {
            true => component.to_owned(),
            false => guest(component),
        };
        Self::new(&[&path]).args(args)
    }

    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| arg.to_string()));
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// See `Server::start_inspectable`.
    pub fn inspectable(self) -> Self {
        if geteuid().is_root() { self } else { self.env("WASMSERVE_SANDBOX", "off") }
    }

    pub fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// What it has as descriptor 0, as a program does that was started by inetd(8).
    pub fn stdin(mut self, descriptor: impl Into<OwnedFd>) -> Self {
        self.command.stdin(descriptor.into());
        self
    }

    /// Started by another program, which gets these arguments, then the executable and its own arguments.
    pub fn through(mut self, program: &str, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(args).arg(self.command.get_program()).args(self.command.get_args()).env_clear();
        for (name, value) in self.command.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        if let Some(folder) = self.command.get_current_dir() {
            command.current_dir(folder);
        }
        command.stdin(Stdio::null());
        self.command = command;
        self
    }

    /// Started by a shell, which runs this first and then becomes the executable.
    pub fn through_shell(self, first: &str) -> Self {
        self.through("sh", &["-c", &format!("{first}; exec \"$0\" \"$@\"")])
    }

    /// In a process group of its own, as a shell would start it.
    pub fn own_process_group(mut self) -> Self {
        self.command.process_group(0);
        self
    }

    /// Starts serving on a free port, and returns when the server says that it is ready.
    #[track_caller]
    pub fn start(self) -> Server {
        let mut server = self.launch();
        // Of many apps each has such a record with its name.
        let Some(ready) = server.find_from(0, |r| r.is_event("ready") && r.field("app").is_null()) else {
            panic!("not ready, ended: {}\nlog:\n{}", server.has_ended(), *server);
        };
        server.url = ready.text("url").to_owned();
        server.ready = Some(ready);
        server
    }

    /// The same with a log for people, whose records are lines without fields.
    #[track_caller]
    pub fn start_with_text(self) -> Server {
        let mut server = self.args(&["--log-format", "text"]).launch();
        server.url = server.wait_for_url();
        server
    }

    /// The same on a terminal, which has a log for people unasked.
    #[track_caller]
    pub fn start_on_terminal(self) -> Server {
        let mut server = self.launch_on_terminal();
        server.url = server.wait_for_url();
        server
    }

    /// The same without waiting for anything.
    pub fn launch_on_terminal(mut self) -> Server {
        let terminal = openpty(None, None).expect("a terminal");
        self.command.args(["--port", "0"]).stdout(Stdio::null()).stderr(terminal.slave);
        let child = self.command.args(&self.args).spawn().expect("the executable starts");
        // Our copies of its end of the terminal go with the command.
        let name = self.args.join(" ");
        let runtime = self.into_runtime();
        Server::new(name, child, Log::collect(File::from(terminal.master)), runtime)
    }

    /// Starts without waiting for anything.
    pub fn launch(mut self) -> Server {
        let given = |name: &str| self.args.iter().any(|arg| arg == name);
        let by_variable = ["WASMSERVE_PORT", "WASMSERVE_BIND", "LISTEN_FDS"];
        let port_is_given = ["--bind", "--port", "--fd"].into_iter().any(given)
            || self.command.get_envs().any(|(name, _)| by_variable.iter().any(|variable| *variable == name));
        let mut args = Vec::new();
        // A configuration file says all that itself.
        let has_config = given("--config");
        if !port_is_given && !has_config {
            args.extend(["--port", "0"]);
        }
        if !given("--log-format") && !has_config {
            args.extend(["--log-format", "json"]);
        }
        let mut child = self
            .command
            .args(&self.args)
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the executable starts");
        let log = Log::collect(child.stderr.take().unwrap());
        Server::new(self.args.join(" "), child, log, self.into_runtime())
    }

    /// Starts a command that prints until it is ended; its log is what it prints.
    pub fn launch_printing(mut self) -> Server {
        self.command.args(&self.args).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = self.command.spawn().expect("the executable starts");
        let log = Log::collect(child.stdout.take().unwrap());
        Server::new(self.args.join(" "), child, log, self.into_runtime())
    }

    fn into_runtime(self) -> Runtime {
        let folder = self.command.get_envs().find(|(name, _)| *name == "XDG_RUNTIME_DIR").and_then(|(_, value)| value);
        let control = self.args.iter().position(|arg| arg == "--control").map(|at| self.args[at + 1].clone().into());
        Runtime { folder: folder.unwrap().into(), control, _own: self.runtime }
    }

    /// Runs a command that ends by itself.
    #[track_caller]
    pub fn run(self) -> Finished {
        self.run_to(|child| eventually("the command ends", || child.try_wait().unwrap()))
    }

    /// Runs a command that may take longer than anything else, and has a limit of its own.
    pub fn run_with_all_patience(self) -> Finished {
        self.run_to(|child| child.wait().unwrap())
    }

    fn run_to(mut self, end: impl FnOnce(&mut Child) -> ExitStatus) -> Finished {
        self.command.args(&self.args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (finished, took) = timed(|| {
            let mut child = self.command.spawn().expect("the executable starts");
            let stdout = read_in_thread(child.stdout.take().unwrap());
            let stderr = read_in_thread(child.stderr.take().unwrap());
            let code = end(&mut child).code();
            // Whoever still holds a pipe has outlived the command.
            let read = |pipe: mpsc::Receiver<String>| pipe.recv_timeout(PATIENCE).expect("no process is left behind");
            (code, read(stdout), read(stderr))
        });
        let (code, stdout, stderr) = finished;
        Finished { code, stdout, stderr, took }
    }
}

/// What unshare(1) needs to give a program namespaces of its own, if that is allowed here.
pub fn unshare_options(own: &[&'static str]) -> Option<Vec<&'static str>> {
    let candidates = [own.to_vec(), [&["--user", "--map-root-user"], own].concat()];
    candidates.into_iter().find(|options| {
        let output = Command::new("unshare").args(options).arg("true").output();
        output.is_ok_and(|output| output.status.success())
    })
}

fn read_in_thread(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// What a command that ended has left.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

//! Starting the executable: to serve, or to run to its end.

use std::env;
use std::ffi::OsStr;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::{Connection, Http2, Log, PATIENCE, Process, Record, Response, guest, timed};

/// A command line to be. Its environment holds nothing of the caller's.
pub struct Wasmserve {
    command: Command,
    args: Vec<String>,
}

impl Wasmserve {
    pub fn new(args: &[&str]) -> Self {
        let executable = env::var_os("WASMSERVE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_wasmserve").into());
        let mut command = Command::new(executable);
        // One cache for all tests: each guest is compiled once. Tests about the cache use their own.
        let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("wasmserve-cache");
        command
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("WASMSERVE_CACHE_DIR", cache)
            .stdin(Stdio::null());
        Self { command, args: Vec::new() }.args(args)
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

    pub fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub fn current_dir(mut self, folder: impl AsRef<std::path::Path>) -> Self {
        self.command.current_dir(folder);
        self
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
        let Some(ready) = server.log.find_from(0, |r| r.is_event("ready")) else {
            let exit = server.child.try_wait();
            panic!("not ready (exit: {exit:?})\nlog:\n{}", server.log);
        };
        server.url = ready.text("url").to_owned();
        server.ready = Some(ready);
        server
    }

    /// Starts without waiting for anything.
    pub fn launch(mut self) -> Server {
        let given = |name: &str| self.args.iter().any(|arg| arg == name);
        let port_is_given = given("--bind")
            || given("--port")
            || self.command.get_envs().any(|(name, _)| name == "WASMSERVE_PORT" || name == "WASMSERVE_BIND");
        let mut args = Vec::new();
        if !port_is_given {
            args.extend(["--port", "0"]);
        }
        if !given("--log-format") {
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
        let command = self.args.join(" ");
        Server { command, child, log, url: String::new(), ready: None }
    }

    /// Runs a command that ends by itself.
    #[track_caller]
    pub fn run(mut self) -> Finished {
        self.command.args(&self.args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (finished, took) = timed(|| {
            let mut child = self.command.spawn().expect("the executable starts");
            let stdout = read_in_thread(child.stdout.take().unwrap());
            let stderr = read_in_thread(child.stderr.take().unwrap());
            let code = wait_or_kill(&mut child, "the command to end").code();
            // Whoever still holds a pipe has outlived the command.
            let read = |pipe: mpsc::Receiver<String>| pipe.recv_timeout(PATIENCE).expect("no process is left behind");
            (code, read(stdout), read(stderr))
        });
        let (code, stdout, stderr) = finished;
        Finished { code, stdout, stderr, took }
    }
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

#[track_caller]
fn wait_or_kill(child: &mut Child, what: &str) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        thread::park_timeout(Duration::from_millis(2));
    }
    let _ = child.kill();
    let _ = child.wait();
    panic!("waited in vain for {what}");
}

/// What a command that ended has left.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

/// A running server; killed when dropped.
pub struct Server {
    /// For a failed test's message.
    command: String,
    child: Child,
    log: Log,
    /// The URL of the first listener.
    pub url: String,
    ready: Option<Record>,
}

/// Its log.
impl Deref for Server {
    type Target = Log;

    fn deref(&self) -> &Log {
        &self.log
    }
}

impl Server {
    /// Serves a prebuilt guest with these flags.
    #[track_caller]
    pub fn start(component: &str, args: &[&str]) -> Self {
        Wasmserve::serving(component, args).start()
    }

    pub fn ready(&self) -> &Record {
        self.ready.as_ref().expect("a server that was waited for")
    }

    /// The same with a log for people: its records are lines without fields.
    #[track_caller]
    pub fn start_as_text(component: &str, args: &[&str]) -> Self {
        let command = Wasmserve::serving(component, &["--log-format", "text"]).args(args);
        let mut server = command.launch();
        let line = server.wait_for("the ready line", |r| r.line.contains("http://")).line;
        let url = &line[line.find("http://").unwrap()..];
        let end = url.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(url.len());
        server.url = url[..end].to_owned();
        server
    }

    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        let authority = self.url.strip_prefix("http://").unwrap_or(&self.url);
        authority.trim_end_matches('/').parse().unwrap_or_else(|_| panic!("not the URL of an address: {:?}", self.url))
    }

    pub fn supervisor(&self) -> Process {
        Process { pid: self.child.id() as i32 }
    }

    pub fn signal(&self, signal: Signal) {
        self.supervisor().signal(signal);
    }

    /// The process that serves a slot now.
    #[track_caller]
    pub fn worker(&self, slot: u64) -> Process {
        self.wait_for("a worker", |r| is_worker_ready(r, slot));
        let newest = self.all(|r| is_worker_ready(r, slot)).pop().unwrap();
        Process { pid: newest.number("pid") as i32 }
    }

    #[track_caller]
    pub fn workers(&self) -> Vec<Process> {
        (0..self.ready().number("workers")).map(|slot| self.worker(slot)).collect()
    }

    /// Waits until another process than `old` serves the slot.
    #[track_caller]
    pub fn replacement(&self, slot: u64, old: Process) -> Process {
        let record = self
            .wait_for("the worker's replacement", |r| is_worker_ready(r, slot) && r.number("pid") != old.pid as u64);
        Process { pid: record.number("pid") as i32 }
    }

    #[track_caller]
    pub fn wait_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            thread::park_timeout(Duration::from_millis(2));
        }
        panic!("the server does not end\nlog:\n{}", self.log);
    }

    /// SIGTERM, and a clean end.
    #[track_caller]
    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.wait_exit();
        assert_eq!(status.code(), Some(0), "exit after SIGTERM\nlog:\n{}", self.log);
        self.log.wait_for_end();
    }

    #[track_caller]
    pub fn connect(&self) -> Connection {
        Connection::open(self.address())
    }

    #[track_caller]
    pub fn http2(&self) -> Http2 {
        Http2::open(self.address())
    }

    pub fn refuses_connections(&self) -> bool {
        TcpStream::connect_timeout(&self.address(), PATIENCE).is_err()
    }

    /// GET over a new connection.
    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        self.connect().get(target)
    }

    /// A request over a new connection.
    #[track_caller]
    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Response {
        self.connect().exchange(method, target, headers, body.as_ref())
    }

    /// GET of a path that answers JSON.
    #[track_caller]
    pub fn get_json(&self, target: &str) -> Value {
        let response = self.get(target);
        assert_eq!(response.status, 200, "{target}: {}", response.text());
        response.json()
    }
}

fn is_worker_ready(record: &Record, slot: u64) -> bool {
    record.is_event("worker-ready") && record.number("worker") == slot
}

impl Drop for Server {
    fn drop(&mut self) {
        let children = self.supervisor().children();
        let _ = self.child.kill();
        let _ = self.child.wait();
        // They end by themselves, which is a test of its own; no other test shall leave any.
        for child in children {
            let _ = kill(Pid::from_raw(child.pid), Signal::SIGKILL);
        }
        self.log.resume();
        if thread::panicking() {
            eprintln!("log of {}:\n{}", self.command, self.log);
        }
    }
}

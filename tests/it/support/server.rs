//! A running server.

use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    Connection, Control, Finished, Http2, Load, Log, Metrics, PATIENCE, Process, Record, Response, Wasmserve,
    eventually, request,
};

/// A running server; killed when dropped.
pub struct Server {
    /// For a failed test's message.
    command: String,
    child: Child,
    log: Log,
    /// The URL of the first listener.
    pub url: String,
    pub(super) ready: Option<Record>,
    runtime: Runtime,
}

/// Where a server has its control socket.
pub struct Runtime {
    /// The runtime folder, its own unless the test said something else.
    pub folder: PathBuf,
    /// What `--control` says.
    pub control: Option<PathBuf>,
    /// Removed when dropped.
    pub _own: TempDir,
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

    /// The same where a test looks into its processes: at their descriptors, mappings or system calls. In the sandbox
    /// only root may.
    #[track_caller]
    pub fn start_inspectable(component: &str, args: &[&str]) -> Self {
        Wasmserve::serving(component, args).inspectable().start()
    }

    pub fn ready(&self) -> &Record {
        self.ready.as_ref().expect("a server that was waited for")
    }

    pub fn new(command: String, child: Child, log: Log, runtime: Runtime) -> Self {
        Self { command, child, log, url: String::new(), ready: None, runtime }
    }

    /// Where control sockets are that nobody has put elsewhere.
    pub fn runtime_folder(&self) -> PathBuf {
        self.runtime.folder.join("wasmserve")
    }

    #[track_caller]
    pub fn control_path(&self) -> PathBuf {
        self.control_path_of(self.supervisor())
    }

    /// The same of a process that took over.
    #[track_caller]
    pub fn control_path_of(&self, supervisor: Process) -> PathBuf {
        let default = || self.runtime_folder().join(format!("{}.sock", supervisor.pid));
        let path = self.runtime.control.clone().unwrap_or_else(default);
        eventually("a control socket", || path.exists().then_some(()));
        path
    }

    /// Runs `wasmserve COMMAND` for this server.
    #[track_caller]
    pub fn control(&self, args: &[&str]) -> Finished {
        let path = self.control_path();
        Wasmserve::new(args).args(&["--control", path.to_str().unwrap()]).run()
    }

    /// The same, and it is done.
    #[track_caller]
    pub fn do_control(&self, args: &[&str]) -> Finished {
        let finished = self.control(args);
        assert_eq!(finished.code, Some(0), "{args:?}: {finished:?}\nlog:\n{}", self.log);
        finished
    }

    /// What the server tells of itself.
    #[track_caller]
    pub fn status(&self) -> Value {
        let answer = Control::open(&self.control_path()).ask(&json!({"version": 1, "command": "status"}));
        assert_eq!(answer["result"], "status", "{answer}");
        answer["status"].clone()
    }

    /// HUP, and the new generation serves.
    #[track_caller]
    pub fn reload(&self) {
        let mark = self.len();
        self.signal(Signal::SIGHUP);
        self.wait_from(mark, "the end of the reload", |r| r.is_event("reload-finished"));
    }

    #[track_caller]
    pub fn admin_address(&self) -> SocketAddr {
        let url = self.wait_for("the admin listener", |r| r.is_event("admin-ready")).text("url").to_owned();
        let authority = url.strip_prefix("http://").unwrap_or(&url).trim_end_matches('/').to_owned();
        authority.parse().unwrap_or_else(|_| panic!("not the URL of an address: {url:?}"))
    }

    /// GET from the admin listener.
    #[track_caller]
    pub fn admin(&self, target: &str) -> Response {
        Connection::open(self.admin_address()).get(target)
    }

    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let response = self.admin("/metrics");
        assert_eq!(response.status, 200, "{}", response.text());
        Metrics::parse(&response.text())
    }

    /// So many clients that ask again and again, over a new connection each time.
    #[track_caller]
    pub fn load(&self, clients: usize) -> Load {
        Load::begin(self.address(), clients)
    }

    /// The URL in a ready line that has no fields.
    #[track_caller]
    pub fn wait_for_url(&self) -> String {
        let line = self.wait_for("the ready line", |r| r.line.contains("http://")).line;
        let url = &line[line.find("http://").unwrap()..];
        let end = url.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(url.len());
        url[..end].trim_end_matches(':').to_owned()
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

    /// Stops the compiler process of a server that was just launched, so that the compilation takes long anywhere.
    #[track_caller]
    pub fn hold_compiler(&self) -> Process {
        let compiler = eventually("a compiler process", || self.supervisor().children().first().copied());
        compiler.signal(Signal::SIGSTOP);
        compiler
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

    /// Waits until the successor of `old` serves the slot.
    #[track_caller]
    pub fn replacement(&self, slot: u64, old: Process) -> Process {
        let is_old = |r: &Record| is_worker_ready(r, slot) && r.number("pid") == old.pid as u64;
        let start = self.records().iter().rposition(is_old).expect("a worker that was ready");
        let record = self.wait_from(start + 1, "the worker's replacement", |r| is_worker_ready(r, slot));
        Process { pid: record.number("pid") as i32 }
    }

    /// A new connection to the worker in this slot of a server with `--identify`.
    #[track_caller]
    pub fn connect_to(&self, slot: u64) -> Connection {
        eventually("a connection to the worker", || {
            let mut connection = self.connect();
            (connection.get("/hello").place().0 == slot).then_some(connection)
        })
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    #[track_caller]
    pub fn wait_exit(&mut self) -> ExitStatus {
        eventually("the server ends", || self.child.try_wait().unwrap())
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

    /// Begins a request that keeps its guest busy, and returns when the guest is: when something of the
    /// answer is there, which is left unread, or when a worker computes.
    #[track_caller]
    pub fn occupy(&self, target: &str) -> Connection {
        let mut connection = self.connect();
        let workers = self.workers();
        let used = || workers.iter().map(|worker| worker.cpu().0).sum::<Duration>();
        let before = used();
        connection.write(request("GET", target, &[], b""));
        eventually("the guest is busy", || {
            let computes = used() - before > Duration::from_millis(100);
            (computes || connection.answers_within(Duration::from_millis(10))).then_some(())
        });
        connection
    }

    /// A client whose request for `/count` waits for the one instance of a server with a queue of one place.
    #[track_caller]
    pub fn fill_the_queue(&self) -> Connection {
        eventually("the queue is full", || {
            let mut waiting = self.connect();
            waiting.write(request("GET", "/count", &[], b""));
            let mut refused = self.connect();
            refused.write(request("GET", "/count", &[], b""));
            // Which of the two came first shows in which of them is refused.
            let is_refused = refused.answers_within(Duration::from_millis(500));
            is_refused.then_some(waiting)
        })
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

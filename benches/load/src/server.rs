//! A wasmserve of its own, ended when dropped.

use crate::process;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(60);

/// Where servers have their sockets; in memory, as such folders are (`/run`): on a disk each socket costs a millisecond
/// while others come and go. To be removed at the end.
pub fn runtime_folder() -> PathBuf {
    let shared = Path::new("/dev/shm");
    let place = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
    place.join(format!("wasmserve-bench-{}", std::process::id()))
}

pub struct Server {
    child: Child,
    executable: PathBuf,
    control: PathBuf,
    pub address: SocketAddr,
}

impl Server {
    /// Serves this component with one worker.
    pub fn alone(executable: &Path, folder: &Path, component: &Path, options: &[String]) -> io::Result<Self> {
        let address = free_address()?;
        let control = folder.join(format!("control-{}", address.port()));
        let mut command = Command::new(executable);
        command.arg(component).args(["--port", &address.port().to_string(), "--no-access-log"]).args(options);
        command.arg("--control").arg(&control);
        Self::start(executable, command, folder, control, address)
    }

    /// Hosts the apps that are written here.
    pub fn host(executable: &Path, folder: &Path, apps: &str) -> io::Result<Self> {
        let address = free_address()?;
        let control = folder.join(format!("control-{}", address.port()));
        let shown = control.display();
        let server = format!("[server]\nbind = [\"{address}\"]\ncontrol = \"{shown}\"\nno-access-log = true\n");
        let path = folder.join("wasmserve.toml");
        fs::write(&path, format!("{server}log-level = \"error\"\n{apps}"))?;
        let mut command = Command::new(executable);
        command.arg("--config").arg(&path);
        Self::start(executable, command, folder, control, address)
    }

    fn start(
        executable: &Path,
        mut command: Command,
        folder: &Path,
        control: PathBuf,
        address: SocketAddr,
    ) -> io::Result<Self> {
        let runtime = runtime_folder();
        fs::create_dir_all(&runtime)?;
        command.env_clear().env("XDG_RUNTIME_DIR", runtime).env("XDG_CACHE_HOME", folder);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.map_err(|error| io::Error::other(format!("{}: {error}", executable.display())))?;
        let mut server = Self { child, executable: executable.to_owned(), control, address };
        server.wait()?;
        Ok(server)
    }

    fn wait(&mut self) -> io::Result<()> {
        let began = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("wasmserve ended with {status}")));
            }
            if began.elapsed() > START_LIMIT {
                return Err(io::Error::other("wasmserve does not listen"));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs one of wasmserve's commands for it, and returns what that prints.
    pub fn control(&self, arguments: &[&str]) -> io::Result<String> {
        let output = Command::new(&self.executable).args(arguments).arg("--control").arg(&self.control).output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let error = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(format!("wasmserve {}: {}", arguments.join(" "), error.trim())))
    }

    /// The process that is the server of this hosted app: `wasmserve app NAME …`. Not by `wasmserve status`, which would
    /// be work for the server that is measured.
    pub fn pid_of_app(&self, name: &str) -> io::Result<u32> {
        let is_it = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).skip(1).take(2).eq([b"app", name.as_bytes()])
        };
        let found = process::children(self.pid()).into_iter().rfind(is_it);
        found.ok_or_else(|| io::Error::other(format!("{name} has no process")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Not asked to end: it would wait for guests that never do. All below it end with it.
        let all = process::tree(self.pid());
        let _ = self.child.kill();
        let _ = self.child.wait();
        process::await_end(&all);
        let _ = fs::remove_file(&self.control);
    }
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

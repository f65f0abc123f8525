//! A wasmserve of its own, ended when dropped.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(60);

pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

/// The top of wasmserve's sources, where its build and its guests are.
pub fn repository() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_owned()
}

impl Server {
    /// Serves a prebuilt guest with one worker, at this nice value if there is one.
    pub fn start(executable: &Path, guest: &str, folder: &Path, nice: Option<u32>) -> io::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = match nice {
            Some(nice) => {
                let mut command = Command::new("nice");
                command.args(["-n", &nice.to_string()]).arg(executable);
                command
            }
            None => Command::new(executable),
        };
        let component = repository().join(format!("guests/prebuilt/{guest}.wasm"));
        command.arg(component).args(["--port", &port.to_string(), "--no-access-log", "--control", "off"]);
        // For the guests that attack files.
        command.arg("--dir").arg(format!("{}::/data", folder.display())).arg("--cache-dir").arg(folder.join("cache"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WASMSERVE_")) {
            command.env_remove(name);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut server = Self { child, address: (Ipv4Addr::LOCALHOST, port).into() };
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
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its workers end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! The app that comes, changes and goes.

use load::client::{self, Target};
use load::server::Server;
use load::{guest, process};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
const APP: &str = "changing";

#[derive(Clone, Copy)]
pub enum Change {
    /// It is there for a moment.
    Presence,
    Option,
    /// One that was never compiled.
    Component,
}

pub struct Changing<'a> {
    host: &'a Server,
    folder: &'a Path,
    target: Target,
    /// So that each version has an option, and a component, of its own.
    version: u64,
    /// Requests for it that failed after `wasmserve reload` had returned.
    pub early: usize,
}

impl<'a> Changing<'a> {
    pub fn new(host: &'a Server, folder: &'a Path) -> Self {
        let target = Target { address: host.address, host: format!("{APP}.test") };
        Self { host, folder, target, version: 0, early: 0 }
    }

    /// What has to be there before such a change.
    pub fn begin(&mut self, change: Change) -> io::Result<()> {
        if let Change::Presence = change { Ok(()) } else { self.put(&guest("hello-sync")) }
    }

    pub fn end(&mut self, change: Change) -> io::Result<()> {
        if let Change::Presence = change { Ok(()) } else { self.remove() }
    }

    /// Returns how many changes it made.
    pub fn make(&mut self, change: Change) -> io::Result<f64> {
        let component = guest("hello-sync");
        match change {
            Change::Presence => {
                self.put(&component)?;
                self.remove()?;
                return Ok(2.0);
            }
            Change::Option => self.replace(&component)?,
            Change::Component => {
                let new = self.folder.join(format!("{}.wasm", self.version));
                fs::write(&new, another(&fs::read(&component)?, self.version))?;
                self.replace(&new)?;
            }
        }
        Ok(1.0)
    }

    /// Serves it with this component, and with an option that it did not have before.
    fn put(&mut self, component: &Path) -> io::Result<()> {
        self.version += 1;
        let (component, version) = (component.display(), self.version);
        let route = format!("route = \"{APP}.test\"\nworkers = 1\nenv = {{ VERSION = \"{version}\" }}");
        fs::write(self.file(), format!("[app.{APP}]\ncomponent = \"{component}\"\n{route}\n"))?;
        self.host.control(&["reload"])?;
        let began = Instant::now();
        // A gateway that is about to leave may not know it yet.
        while let Err(error) = client::once(&self.target) {
            self.early += 1;
            if began.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("{APP} was to be served and is not: {error}")));
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Returns once the new server has taken over and the old one is gone.
    fn replace(&mut self, component: &Path) -> io::Result<()> {
        let before = self.host.pid_of_app(APP)?;
        self.put(component)?;
        wait_for_end(before)
    }

    fn remove(&mut self) -> io::Result<()> {
        let before = self.host.pid_of_app(APP)?;
        fs::remove_file(self.file())?;
        self.host.control(&["reload"])?;
        wait_for_end(before)
    }

    fn file(&self) -> PathBuf {
        self.folder.join(format!("{APP}.toml"))
    }
}

fn wait_for_end(pid: u32) -> io::Result<()> {
    let began = Instant::now();
    while process::runs(pid) {
        if began.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("process {pid} of {APP} was to end and did not")));
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// The same component with a custom section at its end.
fn another(component: &[u8], number: u64) -> Vec<u8> {
    let content = [&[1, b'n'], number.to_be_bytes().as_slice()].concat();
    [component, &[0, content.len() as u8], &content].concat()
}

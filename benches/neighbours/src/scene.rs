//! The servers of one measurement: the neighbour's, and the one that is attacked.

use crate::args::Args;
use crate::attacks::{Attack, Means};
use load::client::{self, Target};
use load::server::Server;
use load::weight::Low;
use load::{guest, process};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

const NEIGHBOUR: &str = "hello-async";

pub struct Scene {
    servers: Vec<Server>,
    pub neighbour: Target,
    pub attacked: Target,
    attacked_pid: u32,
}

impl Scene {
    /// Starts all anew. Both apps have answered when this returns.
    pub fn start(args: &Args, folder: &Path, attack: &Attack) -> io::Result<Self> {
        // For the guests that attack files.
        let data = folder.join("data");
        fs::create_dir_all(&data)?;
        let mut scene = if args.tenants { one(args, folder, &data, attack) } else { two(args, folder, &data, attack) }?;
        if let Means::Clients(_) = attack.means {
            scene.attacked = scene.neighbour.clone();
        }
        client::once(&scene.neighbour)?;
        client::once(&scene.attacked)?;
        Ok(scene)
    }

    /// Gives the attacked app's processes less weight than all others.
    pub fn weigh(&self, low: &Low) -> io::Result<()> {
        low.add(self.attacked_pid)
    }

    /// Of all processes of all servers, in KiB.
    pub fn private_memory(&self) -> u64 {
        self.servers.iter().flat_map(|server| process::tree(server.pid())).map(process::private).sum()
    }
}

/// Two servers side by side.
fn two(args: &Args, folder: &Path, data: &Path, attack: &Attack) -> io::Result<Scene> {
    let neighbour = Server::alone(&args.wasmserve, folder, &guest(NEIGHBOUR), &[])?;
    let dir = ["--dir".to_owned(), format!("{}::/data", data.display())];
    let attacked = Server::alone(&args.wasmserve, folder, &guest(attack.guest()), &dir)?;
    let target = |server: &Server| Target { address: server.address, host: server.address.to_string() };
    Ok(Scene {
        neighbour: target(&neighbour),
        attacked: target(&attacked),
        attacked_pid: attacked.pid(),
        servers: vec![neighbour, attacked],
    })
}

/// Two apps of one server, which come by the same gateways.
fn one(args: &Args, folder: &Path, data: &Path, attack: &Attack) -> io::Result<Scene> {
    let mut apps = String::new();
    for (name, component) in [("neighbour", NEIGHBOUR), ("attacked", attack.guest())] {
        let component = guest(component);
        let component = component.display();
        let _ = write!(apps, "[app.{name}]\ncomponent = \"{component}\"\nroute = \"{name}.test\"\nworkers = 1\n");
    }
    let _ = writeln!(apps, "dirs = [{{ host = \"{}\", guest = \"/data\" }}]", data.display());
    let server = Server::host(&args.wasmserve, folder, &apps)?;
    let target = |name: &str| Target { address: server.address, host: format!("{name}.test") };
    let (neighbour, attacked) = (target("neighbour"), target("attacked"));
    client::once(&attacked)?;
    Ok(Scene { neighbour, attacked, attacked_pid: server.pid_of_app("attacked")?, servers: vec![server] })
}

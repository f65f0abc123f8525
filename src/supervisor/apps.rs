//! The apps that a server hosts (`--config`). Each has a socket of its own, and while there is something to do a server
//! of its own: this same executable, started anew, with the app's options and nothing of the others in its memory.
//! Connections that come before it listens wait in the socket's queue.

use super::cgroup::Groups;
use super::hosted::Hosted;
use super::room::{self, Place, Step};
use crate::config::file::Most;
use crate::config::{Settings, Work};
use crate::control::client::runtime_folder;
use crate::exit::Failure;
use crate::sandbox;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollTimeout};
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, chown};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Instant;

/// Apps that are looked at in one turn of the loop.
const MOST_ASKED: usize = 64;

pub struct Apps {
    hosted: BTreeMap<String, Hosted>,
    /// Apps that were ever hosted.
    numbers: u64,
    /// The sockets to which a connection makes a server start: there may be thousands, and the loop is not to look at
    /// each of them each time.
    awaited: Option<Epoll>,
    most: Most,
    folder: Option<PathBuf>,
    groups: Groups,
    stopping: bool,
}

impl Apps {
    /// The apps of what was loaded; none if that is an app itself.
    pub fn open(loaded: &super::Loaded, settings: &Settings) -> Result<Self, Failure> {
        let (hosted, groups) = (BTreeMap::new(), Groups::default());
        let most = Most::UNLIMITED;
        let mut apps = Self { hosted, numbers: 0, awaited: None, most, folder: None, groups, stopping: false };
        let Work::Gateway(config) = &loaded.work else { return Ok(apps) };
        apps.most = config.most;
        apps.groups = Groups::open();
        // Each app has a socket.
        sandbox::raise_descriptor_limit();
        let folder = runtime_folder().join(format!("{}.apps", std::process::id()));
        let failure = |error: std::io::Error| Failure::internal(format!("{}: {error}", folder.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failure)?;
        if let Some(identity) = settings.identity {
            // Gateways run as this user, and connect.
            chown(&folder, Some(identity.user), Some(identity.group))?;
        }
        apps.awaited = Some(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        apps.folder = Some(folder);
        apps.prepare(&loaded.work)?;
        Ok(apps)
    }

    /// Where the apps' sockets are.
    pub fn folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_default()
    }

    /// Listens for apps that are new. Those there are go on as they are.
    pub fn prepare(&mut self, work: &Work) -> Result<(), Failure> {
        let Work::Gateway(config) = work else { return Ok(()) };
        self.groups.check(&config.apps)?;
        let is_limited = self.is_limited();
        for (name, app) in &config.apps {
            if let Some(hosted) = self.hosted.get_mut(name) {
                if hosted.removed {
                    hosted.revive(app.clone());
                }
            } else {
                self.numbers += 1;
                let path = self.folder().join(format!("{name}.sock"));
                let mut hosted = Hosted::new(name, self.numbers, path, app.clone(), is_limited);
                self.awaited.iter().for_each(|awaited| hosted.watch(awaited));
                self.hosted.insert(name.clone(), hosted);
            }
        }
        Ok(())
    }

    /// From now on it is this that is served: an app that has changed gets a new server, which takes over once it is
    /// ready; one that is gone finishes what it has.
    pub fn apply(&mut self, work: &Work) {
        let Work::Gateway(config) = work else { return };
        let was_limited = self.is_limited();
        self.most = config.most;
        let is_limited = self.is_limited();
        if is_limited != was_limited {
            self.hosted.values_mut().for_each(|hosted| hosted.set_limited(is_limited));
        }
        for (name, hosted) in &mut self.hosted {
            match config.apps.get(name) {
                Some(app) => hosted.update(app, &config.server, &self.groups),
                None => hosted.remove(),
            }
        }
    }

    /// What is served stays this: apps that were prepared for what is given up go again.
    pub fn forget_new(&mut self, work: &Work) {
        let Work::Gateway(config) = work else { return };
        let new = self.hosted.iter_mut().filter(|(name, _)| !config.apps.contains_key(*name));
        new.for_each(|(_, hosted)| hosted.remove());
    }

    fn is_limited(&self) -> bool {
        self.most != Most::UNLIMITED
    }

    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.awaited.iter().map(|awaited| awaited.0.as_fd()).chain(self.hosted.values().flat_map(Hosted::channels))
    }

    /// Does what is due: servers that are asked for start, those that were overtaken end.
    pub fn advance(&mut self, settings: &Settings) {
        let may_start = !self.stopping;
        let asked = if may_start { self.asked() } else { BTreeSet::new() };
        for hosted in self.hosted.values_mut() {
            hosted.listen_to_servers();
            hosted.leave_group();
            if may_start {
                hosted.advance(asked.contains(&hosted.number));
            }
        }
        if may_start {
            self.make_room(settings);
        }
        if let Some(awaited) = &self.awaited {
            self.hosted.values_mut().for_each(|hosted| hosted.watch(awaited));
        }
        self.hosted.retain(|_, hosted| !(hosted.removed && hosted.has_ended() && !hosted.has_group()));
    }

    /// Starts what there is room for, and has others make room.
    fn make_room(&mut self, settings: &Settings) {
        let is_limited = self.is_limited();
        if !is_limited && !self.hosted.values().any(Hosted::is_asking) {
            return;
        }
        let mut hosted: Vec<_> = self.hosted.values_mut().collect();
        if is_limited {
            hosted.iter_mut().for_each(|hosted| hosted.settle());
        }
        let places: Vec<Place> = hosted.iter().map(|hosted| hosted.place()).collect();
        for step in room::steps(self.most, &places, Instant::now()) {
            match step {
                Step::Start(at) => hosted[at].start(settings, &self.groups),
                Step::Grow(at) => hosted[at].grant(places[at].workers + 1),
                Step::Shrink(at) => hosted[at].grant(places[at].workers - 1),
                Step::End(at) => {
                    let name = &hosted[at].name;
                    tracing::info!(event = "app-makes-room", app = name, "{name}: makes room for others");
                    hosted[at].end();
                }
            }
        }
        hosted.iter_mut().filter(|hosted| hosted.is_asking()).for_each(|hosted| hosted.wait());
    }

    /// Apps without a server to which somebody has connected, by their numbers.
    fn asked(&self) -> BTreeSet<u64> {
        let mut events = [EpollEvent::empty(); MOST_ASKED];
        let count = self.awaited.as_ref().and_then(|awaited| awaited.wait(&mut events, EpollTimeout::ZERO).ok());
        events[..count.unwrap_or(0)].iter().map(EpollEvent::data).collect()
    }

    /// Whether the process that has ended was the server of an app.
    pub fn ended(&mut self, pid: Pid, status: WaitStatus) -> bool {
        let stopping = self.stopping;
        self.hosted.values_mut().any(|hosted| hosted.ended(pid, status, stopping))
    }

    /// Ends all; true once they have ended.
    pub fn stop(&mut self) -> bool {
        if !self.stopping {
            self.stopping = true;
            // Servers have these too, and who connects from here on is not to wait for nobody.
            self.hosted.values_mut().for_each(Hosted::stop_listening);
            self.signal(Signal::SIGTERM);
        }
        let ended = self.hosted.values().all(Hosted::has_ended);
        if ended {
            self.hosted.values_mut().for_each(Hosted::close);
            self.hosted.values_mut().for_each(Hosted::leave_group);
            self.folder.take().iter().for_each(|folder| drop(fs::remove_dir(folder)));
        }
        ended
    }

    /// Tells every server.
    pub fn signal(&self, signal: Signal) {
        self.hosted.values().for_each(|hosted| hosted.signal(signal));
    }

    pub fn status(&self) -> Vec<crate::status::App> {
        self.hosted.values().map(Hosted::status).collect()
    }
}

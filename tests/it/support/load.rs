//! Clients that ask again and again, each time over a new connection, and keep count of what they get.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread::{self, JoinHandle};

use super::{Connection, Response, eventually, request};

pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Tally>>,
}

#[derive(Default)]
struct Shared {
    served: AtomicU64,
    failed: AtomicU64,
    /// Requests still to begin.
    left: AtomicU64,
}

/// What the clients got.
#[derive(Debug, Default)]
pub struct Tally {
    pub served: u64,
    /// Why requests failed.
    pub failures: Vec<String>,
    /// Requests by the worker that served them, if the server was started with `--identify`.
    pub workers: BTreeMap<u64, u64>,
}

impl Load {
    /// Until they are told to end.
    pub fn begin(address: SocketAddr, clients: usize) -> Self {
        Self::of(address, clients, u64::MAX)
    }

    /// So many requests in all.
    pub fn of(address: SocketAddr, clients: usize, requests: u64) -> Self {
        let shared = Arc::new(Shared { left: requests.into(), ..Shared::default() });
        let client = |_| {
            let shared = shared.clone();
            thread::spawn(move || shared.ask_on(address))
        };
        let clients = (0..clients).map(client).collect();
        Self { shared, clients }
    }

    pub fn served(&self) -> u64 {
        self.shared.served.load(SeqCst)
    }

    /// Returns when so many more requests were answered.
    #[track_caller]
    pub fn wait_for_more(&self, requests: u64) {
        let until = self.served() + requests;
        eventually("the clients are served", || (self.served() >= until || self.is_over()).then_some(()));
    }

    /// Whether all that was to be asked was asked.
    pub fn is_over(&self) -> bool {
        self.clients.iter().all(JoinHandle::is_finished)
    }

    /// Tells the clients to end.
    pub fn end(self) -> Tally {
        self.shared.left.store(0, SeqCst);
        self.finish()
    }

    /// Waits until all was asked.
    pub fn finish(self) -> Tally {
        let mut all = Tally::default();
        for client in self.clients {
            let tally = client.join().unwrap();
            all.served += tally.served;
            all.failures.extend(tally.failures);
            for (worker, requests) in tally.workers {
                *all.workers.entry(worker).or_default() += requests;
            }
        }
        all
    }
}

impl Shared {
    fn ask_on(&self, address: SocketAddr) -> Tally {
        let mut tally = Tally::default();
        while self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            match ask(address) {
                Ok(response) => {
                    tally.served += 1;
                    self.served.fetch_add(1, SeqCst);
                    if response.header("x-wasmserve-instance").is_some() {
                        *tally.workers.entry(response.place().0).or_default() += 1;
                    }
                }
                Err(why) => {
                    tally.failures.push(why);
                    // A server that is gone would be asked for ever.
                    if self.failed.fetch_add(1, SeqCst) > 1000 {
                        break;
                    }
                }
            }
        }
        tally
    }
}

fn ask(address: SocketAddr) -> Result<Response, String> {
    let mut connection = Connection::try_open(address).map_err(|error| format!("cannot connect: {error}"))?;
    connection.try_write(request("GET", "/", &[], b"")).map_err(|error| format!("cannot send: {error}"))?;
    let response = connection.try_receive().map_err(|error| format!("no whole response: {error}"))?;
    if response.status == 200 { Ok(response) } else { Err(format!("{}: {}", response.status, response.text())) }
}

impl Tally {
    /// Asserts that some requests were served, and that none failed.
    #[track_caller]
    pub fn assert_none_lost(&self) {
        let (failed, first) = (self.failures.len(), self.failures.first());
        assert!(self.failures.is_empty() && self.served > 0, "{failed} failed, {} served: {first:?}", self.served);
    }
}

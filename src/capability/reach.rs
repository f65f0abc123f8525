//! What all instances of a worker share to reach outside.

use super::address::Addresses;
use super::outbound::client::{self, Client};
use super::outbound::permit::Permits;
use super::resolver::{Resolver, Unresolved};
use crate::config::Grants;
use crate::exit::Failure;
use crate::scoreboard::{Board, Row};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::Semaphore;

pub struct Reach {
    pub grants: Grants,
    pub names: Arc<Names>,
    pub client: Client,
    pub permits: Arc<Permits>,
}

/// Resolves names, and keeps the addresses that guests may reach.
pub struct Names {
    pub addresses: Addresses,
    resolver: Resolver,
    turns: Semaphore,
}

/// Look-ups of a worker at a time; each has sockets of its own.
const LOOK_UPS: usize = 32;

/// Why there is no address to connect to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NoAddress {
    Unresolved(Unresolved),
    /// There are addresses, and a guest may reach none of them.
    Prohibited,
}

impl Reach {
    /// Reads certificates and the resolver's configuration: to be called while the file system is still open. None if
    /// the guest may reach nothing, which then costs nothing.
    pub fn new(grants: &Grants, row: &'static Row, board: Board) -> Result<Option<Arc<Self>>, Failure> {
        if !grants.any() {
            return Ok(None);
        }
        let resolver = Resolver::from_system()
            .map_err(|error| Failure::internal(format!("names cannot be resolved for guests: {error}")))?;
        let names = Arc::new(Names::new(Addresses::new(grants.private_networks.clone()), resolver));
        Ok(Some(Arc::new(Self {
            client: client::new(grants, names.clone())?,
            permits: Arc::new(Permits::new(grants.max_outbound, row, board)),
            grants: grants.clone(),
            names,
        })))
    }
}

impl Names {
    pub fn new(addresses: Addresses, resolver: Resolver) -> Self {
        Self { addresses, resolver, turns: Semaphore::new(LOOK_UPS) }
    }

    /// Addresses of a host, a name or an address without brackets, that a guest may reach; at least one.
    pub async fn find(&self, host: &str) -> Result<Vec<IpAddr>, NoAddress> {
        let mut found = match host.parse() {
            Ok(address) => vec![address],
            Err(_) => {
                // Never closed.
                let _turn = self.turns.acquire().await.ok();
                self.resolver.look_up(host).await.map_err(NoAddress::Unresolved)?
            }
        };
        found.retain(|address| self.addresses.allow(*address));
        if found.is_empty() { Err(NoAddress::Prohibited) } else { Ok(found) }
    }
}

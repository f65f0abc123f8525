//! TCP and UDP of one instance: to hosts that were granted, and never as a server.

use super::reach::{NoAddress, Reach};
use super::resolver::Unresolved;
use crate::config::Endpoint;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::sockets::SocketAddrUse;

pub struct Sockets {
    reach: Arc<Reach>,
    /// Addresses that the guest has looked up, by the names that they are of.
    known: Mutex<HashMap<String, HashSet<IpAddr>>>,
}

/// Names that an instance may go on using; one that looks up more forgets.
const NAMES: usize = 256;
/// Addresses of a name.
const ADDRESSES: usize = 256;

impl Sockets {
    pub fn new(reach: Arc<Reach>) -> Arc<Self> {
        Arc::new(Self { reach, known: Mutex::default() })
    }

    /// Allows what was granted. Without this the library allows no address.
    pub fn configure(self: &Arc<Self>, wasi: &mut WasiCtxBuilder) {
        let this = self.clone();
        let grants = &self.reach.grants;
        wasi.allow_tcp(!grants.tcp.is_empty()).allow_udp(!grants.udp.is_empty());
        wasi.socket_addr_check(move |address, used| {
            let allowed = this.allow(address, used);
            Box::pin(std::future::ready(allowed))
        });
    }

    fn allow(&self, address: SocketAddr, used: SocketAddrUse) -> bool {
        let grants = &self.reach.grants;
        match used {
            SocketAddrUse::TcpConnect => self.reaches(&grants.tcp, address),
            SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => self.reaches(&grants.udp, address),
            // As it is done before a connection is made or a datagram sent. Nothing comes in by that.
            SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => address.ip().is_unspecified() && address.port() == 0,
            SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => false,
        }
    }

    fn reaches(&self, granted: &[Endpoint], address: SocketAddr) -> bool {
        let (ip, port) = (address.ip(), address.port());
        if !self.reach.names.addresses.allow(ip) {
            return false;
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let text = ip.to_string();
        granted.iter().any(|endpoint| {
            let is_of = |(name, addresses): (&String, &HashSet<IpAddr>)| {
                addresses.contains(&ip) && endpoint.includes(name, port)
            };
            endpoint.includes(&text, port) || known.iter().any(is_of)
        })
    }

    /// Resolves a host that the guest may connect to; None if it may not.
    pub async fn look_up(self: Arc<Self>, name: String) -> Option<Result<Vec<IpAddr>, Unresolved>> {
        let grants = &self.reach.grants;
        if !grants.tcp.iter().chain(&grants.udp).any(|granted| granted.host.includes(&name)) {
            return None;
        }
        let found = tokio::time::timeout(grants.timeout_connect, self.reach.names.find(&name)).await;
        match found.unwrap_or(Err(NoAddress::Unresolved(Unresolved::Timeout))) {
            Ok(addresses) => {
                self.remember(name, &addresses);
                Some(Ok(addresses))
            }
            Err(NoAddress::Prohibited) => None,
            Err(NoAddress::Unresolved(why)) => Some(Err(why)),
        }
    }

    fn remember(&self, name: String, addresses: &[IpAddr]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= NAMES && !known.contains_key(&name) {
            known.clear();
        }
        let of_name = known.entry(name).or_default();
        // A service may answer with other addresses each time; the connections made to earlier ones go on anyway.
        if of_name.len() + addresses.len() > ADDRESSES {
            of_name.clear();
        }
        of_name.extend(addresses);
    }
}

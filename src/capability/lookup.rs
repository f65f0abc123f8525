//! `wasi:sockets/ip-name-lookup` in place of the library's, which asks the C library and knows no limits by name.

use super::resolver::Unresolved;
use super::sockets::Sockets;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use wasmtime::component::{Accessor, HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup as p2;
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddress, Network};
use wasmtime_wasi::p2::{DynPollable, Pollable, SocketError, subscribe};
use wasmtime_wasi::p3::bindings::sockets::{ip_name_lookup as p3, types};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};

/// What the functions need of an instance's state.
pub struct Names<'a> {
    pub table: &'a mut ResourceTable,
    /// None if the guest may reach nothing.
    pub sockets: Option<Arc<Sockets>>,
}

struct HasNames;

impl HasData for HasNames {
    type Data<'a> = Names<'a>;
}

/// Puts these functions in place of those that are in the linker.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    concurrent: bool,
    names: fn(&mut T) -> Names<'_>,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    p2::add_to_linker::<T, HasNames>(linker, names)?;
    if concurrent {
        p3::add_to_linker::<T, HasNames>(linker, names)?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

type Found = Option<Result<Vec<IpAddr>, Unresolved>>;

/// A look-up under way, or what it has found.
enum Lookup {
    Pending(AbortOnDropJoinHandle<Found>),
    Found(std::vec::IntoIter<IpAddr>),
    Failed(ErrorCode),
}

impl Lookup {
    fn take(&mut self, found: Found) {
        *self = match found {
            Some(Ok(addresses)) => Self::Found(addresses.into_iter()),
            Some(Err(Unresolved::Unknown)) => Self::Failed(ErrorCode::NameUnresolvable),
            Some(Err(_)) => Self::Failed(ErrorCode::TemporaryResolverFailure),
            None => Self::Failed(ErrorCode::AccessDenied),
        };
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lookup {
    async fn ready(&mut self) {
        if let Self::Pending(task) = self {
            let found = task.await;
            self.take(found);
        }
    }
}

/// The library's type stands for ours in the signatures: what counts is the number of the entry in the table.
fn ours(stream: &Resource<p2::ResolveAddressStream>) -> Resource<Lookup> {
    Resource::new_borrow(stream.rep())
}

/// Asked for only to convert errors: the library's own functions of this interface stay in the linker.
impl network::Host for Names<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(&mut self, _: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(None)
    }
}

impl network::HostNetwork for Names<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}

impl p2::Host for Names<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> Result<Resource<p2::ResolveAddressStream>, SocketError> {
        self.table.get(&network)?;
        let sockets = self.sockets.clone().ok_or(ErrorCode::AccessDenied)?;
        let stream = self.table.push(Lookup::Pending(spawn(sockets.look_up(name))))?;
        Ok(Resource::new_own(stream.rep()))
    }
}

impl p2::HostResolveAddressStream for Names<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<p2::ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        let lookup = self.table.get_mut(&ours(&stream))?;
        if let Lookup::Pending(task) = lookup {
            let mut now = std::task::Context::from_waker(std::task::Waker::noop());
            match Pin::new(task).poll(&mut now) {
                std::task::Poll::Ready(found) => lookup.take(found),
                std::task::Poll::Pending => return Err(ErrorCode::WouldBlock.into()),
            }
        }
        match lookup {
            Lookup::Found(addresses) => Ok(addresses.next().map(IpAddress::from)),
            Lookup::Failed(code) => Err((*code).into()),
            Lookup::Pending(_) => Err(ErrorCode::WouldBlock.into()),
        }
    }

    fn subscribe(&mut self, stream: Resource<p2::ResolveAddressStream>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, ours(&stream))
    }

    fn drop(&mut self, stream: Resource<p2::ResolveAddressStream>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Lookup>::new_own(stream.rep()))?;
        Ok(())
    }
}

impl p3::Host for Names<'_> {}

impl<U> p3::HostWithStore<U> for HasNames {
    async fn resolve_addresses(
        store: &Accessor<U, Self>,
        name: String,
    ) -> wasmtime::Result<Result<Vec<types::IpAddress>, p3::ErrorCode>> {
        let Some(sockets) = store.with(|mut access| access.get().sockets) else {
            return Ok(Err(p3::ErrorCode::AccessDenied));
        };
        Ok(match spawn(sockets.look_up(name)).await {
            Some(Ok(addresses)) => Ok(addresses.into_iter().map(types::IpAddress::from).collect()),
            Some(Err(Unresolved::Unknown)) => Err(p3::ErrorCode::NameUnresolvable),
            Some(Err(_)) => Err(p3::ErrorCode::TemporaryResolverFailure),
            None => Err(p3::ErrorCode::AccessDenied),
        })
    }
}

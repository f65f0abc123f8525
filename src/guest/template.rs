//! What all instances of a component share: the mapped code, linked and with its exports looked up once.

use super::engine;
use super::limits::Memory;
use super::output::Budget;
use super::state::{Place, State};
use crate::capability::lookup;
use crate::capability::reach::Reach;
use crate::config::{GuestLimits, Plan, Settings};
use crate::lane::slice::Slice;
use crate::scoreboard::Row;
use crate::sys;
use std::fs::File;
use std::sync::Arc;
use wasmtime::component::{
    Component, ComponentExportIndex, Instance as Exports, InstancePre, Linker, Resource, TypedFunc,
};
use wasmtime::{Engine, Result, Store, UpdateDeadline, format_err};
use wasmtime_wasi_http::p2::types::{HostIncomingRequest, HostResponseOutparam};
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::{Request, Response};

/// `wasi:http/incoming-handler@0.2.x#handle`.
pub type HandleSync = TypedFunc<(Resource<HostIncomingRequest>, Resource<HostResponseOutparam>), ()>;
/// `wasi:http/handler@0.3.x#handle`.
pub type HandleAsync = TypedFunc<(Resource<Request>,), (std::result::Result<Resource<Response>, ErrorCode>,)>;

#[derive(Clone, Copy)]
pub enum Handle {
    Sync(HandleSync),
    Async(HandleAsync),
}

/// The lifespan functions of one instance.
#[derive(Clone, Copy)]
pub struct Lifespan {
    startup: TypedFunc<(), (std::result::Result<(), String>,)>,
    shutdown: TypedFunc<(), ()>,
}

/// One instance: a store of its own with the functions that we call.
pub struct Instance {
    pub store: Store<State>,
    pub handle: Handle,
    pub lifespan: Option<Lifespan>,
}

pub struct Template {
    engine: Engine,
    pre: InstancePre<State>,
    is_async: bool,
    handle: ComponentExportIndex,
    lifespan: Option<(ComponentExportIndex, ComponentExportIndex)>,
    settings: Arc<Settings>,
    /// For the output of all instances together.
    log: Arc<Budget>,
    reach: Option<Arc<Reach>>,
    /// Machine code is this large: what large components do in one go is kept off the loop.
    large: bool,
}

/// From this size of machine code on, making and disposing of an instance is work for the pool.
const LARGE: u64 = 8 << 20;

/// More instances than this would take too much address space for a pool (some gigabytes each).
const MOST_POOLED: usize = 1000;

/// Bytes that one call of a host function may make the host copy.
const HOSTCALL_FUEL: usize = 16 << 20;

fn linker(engine: &Engine, concurrent: bool) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    if concurrent {
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    }
    lookup::add_to_linker(&mut linker, concurrent, State::names)?;
    Ok(linker)
}

/// Whether everything that the component imports is there, with the types it expects.
pub fn check_links(engine: &Engine, component: &Component, concurrent: bool) -> Result<()> {
    linker(engine, concurrent)?.instantiate_pre(component).map(drop)
}

/// Maps the code with the engine that suits the plan.
fn map(limits: &GuestLimits, plan: &Plan, artefact: &File) -> Result<(Engine, Component)> {
    let engine = engine::for_running(plan.concurrent, limits)?;
    let component = sys::map_component(&engine, artefact)?;
    if !plan.fresh || plan.instances > MOST_POOLED {
        return Ok((engine, component));
    }
    let Some(needs) = component.resources_required() else {
        return Ok((engine, component));
    };
    // What does not fit a pool still runs without one.
    match engine::for_fresh_instances(plan, limits, &needs) {
        Ok(pooled) => {
            let component = sys::map_component(&pooled, artefact)?;
            Ok((pooled, component))
        }
        Err(error) => {
            tracing::warn!("instances are made without a pool: {error:#}");
            Ok((engine, component))
        }
    }
}

impl Template {
    pub fn new(
        settings: Arc<Settings>,
        plan: &Plan,
        artefact: &File,
        row: &'static Row,
        reach: Option<Arc<Reach>>,
    ) -> Result<Self> {
        let (engine, component) = map(&settings.guest, plan, artefact)?;
        let function = |interface: &str, name: &str| {
            let (_, instance) = component.get_export(None, interface)?;
            component.get_export_index(Some(&instance), name)
        };
        let handle = function(&plan.interface, "handle")
            .ok_or_else(|| format_err!("{} has no function handle", plan.interface))?;
        let lifespan = match &plan.lifespan {
            None => None,
            Some(interface) => {
                let missing = || format_err!("{interface} lacks a function");
                let startup = function(interface, "startup").ok_or_else(missing)?;
                Some((startup, function(interface, "shutdown").ok_or_else(missing)?))
            }
        };
        let pre = linker(&engine, plan.concurrent)?.instantiate_pre(&component)?;
        let large = artefact.metadata().is_ok_and(|metadata| metadata.len() >= LARGE);
        let log = Arc::new(Budget::new(settings.guest.log, row));
        Ok(Self { engine, pre, is_async: plan.is_async, handle, lifespan, settings, log, reach, large })
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub fn is_large(&self) -> bool {
        self.large
    }

    pub async fn instantiate(&self, place: &Place, slice: Arc<Slice>, memory: Arc<Memory>) -> Result<Instance> {
        let state = State::new(&self.settings, self.reach.as_ref(), place, slice, memory, &self.log)?;
        let mut store = Store::new(&self.engine, state);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        // Handles, and what concurrency needs: both are made without a host function.
        store.set_max_component_handles(self.settings.guest.resources);
        if let Some(table) = store.concurrent_resource_table() {
            table.set_max_capacity(self.settings.guest.resources);
        }
        store.limiter(|state| &mut state.limiter);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| {
            let slice = &store.data().slice;
            if let Some(why) = slice.killed() {
                return Err(format_err!("the instance was ended: {why}"));
            }
            Ok(if slice.overrun() { UpdateDeadline::Yield(1) } else { UpdateDeadline::Continue(1) })
        });
        let exports = self.pre.instantiate_async(&mut store).await.map_err(name_limit)?;
        let handle = self.handle(&exports, &mut store)?;
        let lifespan = self.lifespan.map(|(startup, shutdown)| -> Result<_> {
            Ok(Lifespan {
                startup: exports.get_typed_func(&mut store, startup)?,
                shutdown: exports.get_typed_func(&mut store, shutdown)?,
            })
        });
        Ok(Instance { handle, lifespan: lifespan.transpose()?, store })
    }

    fn handle(&self, exports: &Exports, store: &mut Store<State>) -> Result<Handle> {
        Ok(match self.is_async {
            true => Handle::Async(exports.get_typed_func(store, self.handle)?),
            false => Handle::Sync(exports.get_typed_func(store, self.handle)?),
        })
    }
}

/// wasmtime counts core instances, memories and tables itself, and has no type for the error.
fn name_limit(error: wasmtime::Error) -> wasmtime::Error {
    match error.root_cause().to_string().starts_with("resource limit exceeded") {
        true => error.context("it consists of more parts than it may (--max-core-instances)"),
        false => error,
    }
}

impl Lifespan {
    /// Calls `startup`; the inner error is the guest's own message.
    pub async fn startup(&self, store: &mut Store<State>) -> Result<std::result::Result<(), String>> {
        Ok(self.startup.call_async(store, ()).await?.0)
    }

    pub async fn shutdown(&self, store: &mut Store<State>) -> Result<()> {
        self.shutdown.call_async(store, ()).await
    }
}

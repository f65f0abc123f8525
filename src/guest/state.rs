//! What belongs to one instance on the host's side: its WASI context, its resources, its time slice, how much memory
//! it has.

use super::output::{Output, Stream};
use crate::capability::outbound::Denied;
use crate::config::Settings;
use crate::lane::slice::Slice;
use crate::scoreboard::Row;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// Where an instance stands, as its environment and our records tell.
#[derive(Clone, Debug)]
pub struct Place {
    pub app: Arc<str>,
    pub worker: usize,
    pub instance: u64,
    pub generation: u64,
}

pub struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Denied,
    table: ResourceTable,
    pub slice: Arc<Slice>,
    pub growth: Growth,
}

impl State {
    pub fn new(settings: &Settings, place: &Place, slice: Arc<Slice>, memory: Arc<Memory>) -> wasmtime::Result<Self> {
        let mut wasi = WasiCtx::builder();
        wasi.arg(&place.app);
        for (key, value) in &settings.env {
            wasi.env(key, value);
        }
        wasi.env("WASMSERVE_APP", &place.app)
            .env("WASMSERVE_WORKER", place.worker.to_string())
            .env("WASMSERVE_INSTANCE", place.instance.to_string())
            .env("WASMSERVE_GENERATION", place.generation.to_string());
        if settings.demo {
            wasi.env("WASMSERVE_PID", std::process::id().to_string());
        }
        for dir in &settings.dirs {
            let perms = if dir.read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
            wasi.preopened_dir(&dir.host, &dir.guest, perms)?;
        }
        wasi.stdout(Output::new(place, Stream::Stdout)).stderr(Output::new(place, Stream::Stderr));
        // The library allows sockets unless told otherwise.
        wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        Ok(Self {
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outbound: Denied,
            table: ResourceTable::new(),
            slice,
            growth: Growth { memory, last: 0 },
        })
    }
}

/// How much memory an instance has, in bytes: its linear memories, and its tables at a pointer for each element.
pub struct Memory {
    bytes: AtomicU64,
    /// Where those of all instances are added up.
    row: &'static Row,
}

impl Memory {
    pub fn new(row: &'static Row) -> Self {
        Self { bytes: AtomicU64::new(0), row }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
        self.row.memory.fetch_add(bytes, Relaxed);
    }

    fn subtract(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Relaxed);
        self.row.memory.fetch_sub(bytes, Relaxed);
    }
}

/// Is told by the store of everything that grows in it, from nothing at first; limits nothing.
pub struct Growth {
    memory: Arc<Memory>,
    /// What was added last, should it turn out not to be there.
    last: u64,
}

impl Growth {
    fn add(&mut self, current: usize, desired: usize, maximum: Option<usize>, size: u64) -> wasmtime::Result<bool> {
        // Beyond its maximum nothing grows.
        let fits = maximum.is_none_or(|maximum| desired <= maximum);
        self.last = if fits { (desired - current) as u64 * size } else { 0 };
        self.memory.add(self.last);
        Ok(true)
    }

    fn take_back(&mut self) {
        self.memory.subtract(std::mem::take(&mut self.last));
    }
}

impl ResourceLimiter for Growth {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.add(current, desired, maximum, 1)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.add(current, desired, maximum, size_of::<usize>() as u64)
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }
}

/// With the store its memory goes.
impl Drop for Growth {
    fn drop(&mut self) {
        self.memory.subtract(self.memory.bytes());
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outbound }
    }
}

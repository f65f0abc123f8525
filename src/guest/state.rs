//! What belongs to one instance on the host's side: its WASI context, its resources, its time slice, its limits.

use super::limits::{Limiter, Memory};
use super::output::{Budget, Output, Stream};
use crate::capability::clocks::{CoarseMonotonic, CoarseWall};
use crate::capability::lookup::Names;
use crate::capability::outbound::Outbound;
use crate::capability::reach::Reach;
use crate::capability::sockets::Sockets;
use crate::config::Settings;
use crate::lane::slice::Slice;
use std::sync::Arc;
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
    pub outbound: Outbound,
    /// None if the guest may reach nothing.
    sockets: Option<Arc<Sockets>>,
    table: ResourceTable,
    pub slice: Arc<Slice>,
    pub limiter: Limiter,
}

/// Bytes that a guest may have of the random generators in one call.
const RANDOM: u64 = 1 << 20;

impl State {
    pub fn new(
        settings: &Settings,
        reach: Option<&Arc<Reach>>,
        place: &Place,
        slice: Arc<Slice>,
        memory: Arc<Memory>,
        log: &Arc<Budget>,
    ) -> wasmtime::Result<Self> {
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
        wasi.stdout(Output::new(place, Stream::Stdout, log.clone()));
        wasi.stderr(Output::new(place, Stream::Stderr, log.clone()));
        // The library's own look-up is never used: see `capability::lookup`.
        wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        let sockets = reach.cloned().map(Sockets::new);
        if let Some(sockets) = &sockets {
            sockets.configure(&mut wasi);
        }
        wasi.max_random_size(RANDOM);
        if !settings.guest.fine_clocks {
            wasi.wall_clock(CoarseWall::default()).monotonic_clock(CoarseMonotonic::default());
        }
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(settings.guest.response_header_size);
        let mut table = ResourceTable::new();
        table.set_max_capacity(settings.guest.resources);
        Ok(Self {
            wasi: wasi.build(),
            http,
            outbound: Outbound::new(reach.cloned()),
            sockets,
            table,
            slice,
            limiter: Limiter::new(&settings.guest, memory),
        })
    }
}

/// For the look-up of names.
impl State {
    pub fn names(&mut self) -> Names<'_> {
        Names { table: &mut self.table, sockets: self.sockets.clone() }
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

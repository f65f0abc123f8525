//! wasmtime's settings: one set for compiling, which the running side must repeat exactly.

use crate::config::{GuestLimits, Plan};
use std::sync::Arc;
use wasmtime::{
    Config, CustomCodeMemory, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, ResourcesRequired, Result,
};

/// The settings that shape machine code. Whatever changes here changes `key`. An engine without support for
/// concurrency spares each call, of the guest and of the host, the bookkeeping of tasks.
fn config(concurrent: bool) -> Config {
    let mut config = Config::new();
    // The only way to interrupt a guest that computes: see `lane::offload`.
    config.epoch_interruption(true);
    config.concurrency_support(concurrent);
    if concurrent {
        config.wasm_component_model_async(true);
    }
    config
}

/// The engine of the compiler process.
pub fn for_compiling(concurrent: bool) -> Result<Engine> {
    Engine::new(&config(concurrent))
}

/// The engine with which the compiler process looks whether what it made can be linked. It runs nothing, so its code
/// is not made executable, which would not be allowed there.
pub fn for_linking(concurrent: bool) -> Result<Engine> {
    let mut config = config(concurrent);
    config.with_custom_code_memory(Some(Arc::new(NotExecutable)));
    Engine::new(&config)
}

struct NotExecutable;

impl CustomCodeMemory for NotExecutable {
    fn required_alignment(&self) -> usize {
        1
    }

    fn publish_executable(&self, _: *const u8, _: usize) -> Result<()> {
        Ok(())
    }

    fn unpublish_executable(&self, _: *const u8, _: usize) -> Result<()> {
        Ok(())
    }
}

/// The engine of a worker: it maps machine code and never compiles.
pub fn for_running(concurrent: bool, limits: &GuestLimits) -> Result<Engine> {
    Engine::new(&running(concurrent, limits))
}

fn running(concurrent: bool, limits: &GuestLimits) -> Config {
    let mut config = config(concurrent);
    config.max_wasm_stack(limits.stack).async_stack_size(limits.stack + HOST_STACK);
    config
}

/// The engine of a worker that makes an instance for each request: their memories, tables and stacks come from
/// a pool, which saves the system calls that would map and unmap them each time.
pub fn for_fresh_instances(plan: &Plan, limits: &GuestLimits, needs: &ResourcesRequired) -> Result<Engine> {
    let instances = plan.instances as u32;
    let core_instances = limits.core_instances as u32;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(core_instances))
        .max_core_instances_per_component(core_instances)
        .max_component_instance_size(MOST_INSTANCE_SIZE)
        .max_core_instance_size(MOST_INSTANCE_SIZE)
        .total_memories(instances.saturating_mul(needs.num_memories.max(1)))
        .max_memories_per_component(needs.num_memories.max(1))
        .max_memories_per_module(needs.num_memories.max(1))
        .total_tables(instances.saturating_mul(needs.num_tables.max(1)))
        .max_tables_per_component(needs.num_tables.max(1))
        .max_tables_per_module(needs.num_tables.max(1))
        .table_elements(needs.max_initial_table_size.unwrap_or(0).max(TABLE_ELEMENTS) as usize)
        .total_stacks(instances.saturating_mul(2))
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .async_stack_keep_resident(KEEP_RESIDENT);
    let mut config = running(plan.concurrent, limits);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}

/// What host functions have of a fiber's stack beside the guest's.
const HOST_STACK: usize = 3 << 19;
/// Bytes of wasmtime's own for one instance in a pool at most.
const MOST_INSTANCE_SIZE: usize = 16 << 20;
/// Elements that a table in a pool may grow to, unless it begins with more.
const TABLE_ELEMENTS: u64 = 100_000;
/// Bytes of a memory, table or stack that are zeroed by hand for the next instance instead of given back.
const KEEP_RESIDENT: usize = 256 << 10;

/// What compiled code is valid for and of: the component's bytes, wasmtime's version and settings, this
/// processor's features, our own version.
pub fn key(component: &[u8]) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    let mut settings = Collect(blake3::Hasher::new());
    for concurrent in [false, true] {
        std::hash::Hash::hash(&for_compiling(concurrent)?.precompile_compatibility_hash(), &mut settings);
    }
    hasher.update(settings.0.finalize().as_bytes());
    hasher.update(component);
    Ok(hasher.finalize().to_hex().to_string())
}

/// Feeds what is hashed to a cryptographic hash: 64 bits would not do for a name that stands for code.
struct Collect(blake3::Hasher);

impl std::hash::Hasher for Collect {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

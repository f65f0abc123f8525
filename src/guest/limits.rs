//! What an instance may take of the host's memory, and how much it has taken.

use crate::config::GuestLimits;
use crate::scoreboard::Row;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wasmtime::ResourceLimiter;

/// A guest wanted more than it may have: its instance ends with this.
#[derive(Debug)]
pub struct LimitHit {
    /// For programs.
    pub kind: &'static str,
    text: String,
}

impl fmt::Display for LimitHit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for LimitHit {}

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

/// Is asked by the store before anything in it grows. Beyond a limit the guest traps: one that is told that there is
/// no more memory mostly ends itself anyway, without saying why.
pub struct Limiter {
    memory: Arc<Memory>,
    most_memory: u64,
    elements: usize,
    most_elements: usize,
    most_instances: usize,
    /// Bytes and elements that were added last, should they turn out not to be there.
    last: (u64, usize),
}

impl Limiter {
    pub fn new(limits: &GuestLimits, memory: Arc<Memory>) -> Self {
        Self {
            memory,
            most_memory: limits.memory,
            elements: 0,
            most_elements: limits.table_elements,
            most_instances: limits.core_instances,
            last: (0, 0),
        }
    }

    fn add(&mut self, bytes: u64, elements: usize) -> wasmtime::Result<bool> {
        self.last = (0, 0);
        if bytes > self.most_memory.saturating_sub(self.memory.bytes()) {
            let text =
                format!("it needs more memory than the {} bytes that it may have (--max-memory)", self.most_memory);
            return Err(LimitHit { kind: "memory-limit", text }.into());
        }
        if elements > self.most_elements.saturating_sub(self.elements) {
            let text = format!("its tables need more than {} elements (--max-table-elements)", self.most_elements);
            return Err(LimitHit { kind: "table-limit", text }.into());
        }
        self.last = (bytes, elements);
        self.memory.add(bytes);
        self.elements += elements;
        Ok(true)
    }

    fn take_back(&mut self) {
        let (bytes, elements) = std::mem::take(&mut self.last);
        self.memory.subtract(bytes);
        self.elements -= elements;
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // Beyond its own maximum nothing grows.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.add((desired - current) as u64, 0)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let elements = desired - current;
        self.add((elements * size_of::<usize>()) as u64, elements)
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn instances(&self) -> usize {
        self.most_instances
    }

    fn memories(&self) -> usize {
        self.most_instances
    }

    fn tables(&self) -> usize {
        self.most_instances
    }
}

/// With the store its memory goes.
impl Drop for Limiter {
    fn drop(&mut self) {
        self.memory.subtract(self.memory.bytes());
    }
}

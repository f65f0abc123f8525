//! jemalloc for the whole executable: a request makes some fifty allocations, its connection's read buffer among
//! them, and glibc's malloc is slow with those above a kilobyte.

use std::ffi::c_char;
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// One arena: a worker allocates on its loop nearly always, and every further arena costs idle workers memory. Buffers
/// begin at page borders (cache_oblivious:false), so that those of idle connections touch fewer pages.
// SAFETY: jemalloc reads this name as a `const char *` when it starts, and what it points to is a C string.
#[unsafe(export_name = "_rjem_malloc_conf")]
static CONF: Conf = Conf(c"narenas:1,cache_oblivious:false,dirty_decay_ms:1000,muzzy_decay_ms:0".as_ptr());

#[repr(transparent)]
struct Conf(*const c_char);

// SAFETY: what it points to is never written.
unsafe impl Sync for Conf {}

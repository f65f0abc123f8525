//! What the log and the counters say of an instance's end.

use super::actor::End;
use super::exchange::Refusal;
use super::handle::{Handle, Reason};
use super::offload::Ended;
use super::queue::StartError;
use super::slice::Why;
use crate::guest::limits::LimitHit;
use crate::guest::state::Place;
use crate::log;
use crate::scoreboard::{Row, TRAPS};
use std::sync::atomic::Ordering::Relaxed;
use wasmtime::Trap;

/// An instance that ended otherwise than it should.
struct Death {
    /// For programs.
    kind: String,
    /// Name of the trap, where it was one of the code's own.
    trap: Option<String>,
    /// For people.
    why: &'static str,
    detail: String,
}

impl Death {
    fn new(kind: impl Into<String>, why: &'static str, detail: String) -> Self {
        Self { kind: kind.into(), trap: None, why, detail }
    }
}

/// An instance takes no more requests: its successor does.
pub fn recycled(handle: &Handle, reason: Reason, row: &Row) {
    let Place { app, worker, instance, .. } = &handle.place;
    let served = handle.served.load(Relaxed);
    row.recycles.fetch_add(1, Relaxed);
    let (why, text) = (
        reason.name(),
        match reason {
            Reason::Requests => "its share (--max-requests)",
            Reason::Age => "its age (--max-lifetime)",
            Reason::Memory => "its memory (--max-instance-memory)",
            Reason::Deadline => "a request without a response in time (--timeout-request)",
        },
    );
    tracing::info!(
        event = "instance-recycled",
        app = &**app,
        worker,
        instance,
        served,
        why,
        "instance {instance} of worker {worker} is replaced after {served} requests: {text}"
    );
}

/// A request that the instance has had is late; whoever waits for it logs that.
pub fn late(handle: &Handle, row: &Row) {
    let Place { app, worker, instance, .. } = &handle.place;
    row.timeouts.fetch_add(1, Relaxed);
    tracing::debug!(
        event = "request-late",
        app = &**app,
        worker,
        instance,
        "a request in instance {instance} of worker {worker} has had its time"
    );
}

/// Logs how an instance ended, unless somebody is told, and answers what it leaves unanswered. Some(error) if
/// it never started up.
pub fn ended(
    handle: &Handle,
    end: Result<End, Ended>,
    row: &Row,
    failed: bool,
    somebody_is_told: bool,
) -> Option<StartError> {
    let Place { app, worker, instance, .. } = &handle.place;
    let served = handle.served.load(Relaxed);
    let unusable = matches!(end, Ok(End::Unusable(_)));
    let Some(death) = death(handle, end) else {
        tracing::debug!(
            event = "instance-ended",
            app = &**app,
            worker,
            instance,
            served,
            "instance {instance} was {} after {served} requests",
            if abandoned(handle) { "dropped, its client has left," } else { "shut down" }
        );
        return None;
    };
    count(handle, &death, row);
    let Death { kind, trap, why, detail } = death;
    handle.abort_all(&Refusal::Died(detail.clone().into()));
    let text = &detail[..log::fitting(&detail, log::MAX_TEXT - 300)];
    let shutdown = if failed { "" } else { "; shutdown was not called" };
    let in_flight = handle.lost();
    if !somebody_is_told {
        tracing::error!(
            event = "instance-died",
            app = &**app,
            worker,
            instance,
            kind,
            trap,
            served,
            in_flight,
            "instance {instance} of worker {worker} is gone after {served} requests, {in_flight} in flight: {why}{shutdown}: {text}"
        );
    }
    match (failed, unusable) {
        (true, true) => Some(StartError::Instance(detail)),
        (true, false) => Some(StartError::Startup(detail)),
        (false, _) => None,
    }
}

fn abandoned(handle: &Handle) -> bool {
    handle.slice.killed() == Some(&Why::Abandoned)
}

/// None if the instance ended as it was meant to.
fn death(handle: &Handle, end: Result<End, Ended>) -> Option<Death> {
    Some(match (end, handle.slice.killed()) {
        (Ok(End::Retired), _) | (Ok(End::Trapped(_)) | Err(Ended::Killed), Some(Why::Abandoned)) => return None,
        (Ok(End::Trapped(_)) | Err(Ended::Killed), Some(Why::Limit { phase, text })) => {
            Death::new(format!("{phase}-limit"), "it was ended", text.clone())
        }
        (Ok(End::StartupFailed(message)), _) => Death::new("startup", "its startup failed", message),
        (Ok(End::Trapped(error) | End::Unusable(error)), None) if error.is::<LimitHit>() => {
            let kind = error.downcast_ref::<LimitHit>().map_or("limit", |hit| hit.kind);
            Death::new(kind, "it wanted too much", error.root_cause().to_string())
        }
        (Ok(End::Trapped(error)), None) => {
            // Requests that were in flight log the whole of it.
            let detail = if handle.has_told() { error.root_cause().to_string() } else { describe(&error) };
            Death { trap: error.downcast_ref().map(name), ..Death::new("trap", "it trapped", detail) }
        }
        (Ok(End::Unusable(error)), _) => Death::new("instantiation", "it could not be instantiated", describe(&error)),
        (Err(Ended::Killed), None) => Death::new("ended", "it was ended", String::new()),
        (Err(Ended::Panicked(text)), _) => Death::new("panic", "the host's code panicked", text),
    })
}

fn count(handle: &Handle, death: &Death, row: &Row) {
    if death.kind == "trap" {
        row.count_trap(death.trap.as_deref());
    } else if TRAPS.contains(&&*death.kind) {
        row.count_trap(Some(&death.kind));
    } else if matches!(handle.slice.killed(), Some(Why::Limit { phase, .. }) if *phase != "request") {
        row.timeouts.fetch_add(1, Relaxed);
    }
}

/// An error with its causes and the guest's backtrace.
pub fn describe(error: &wasmtime::Error) -> String {
    format!("{error:?}")
}

/// A trap's name in records: the shorter ones by hand, all others as wasmtime calls them.
fn name(trap: &Trap) -> String {
    match trap {
        Trap::UnreachableCodeReached => "unreachable".to_owned(),
        Trap::MemoryOutOfBounds => "out-of-bounds".to_owned(),
        other => kebab(&format!("{other:?}")),
    }
}

fn kebab(camel: &str) -> String {
    let mut kebab = String::new();
    for (at, character) in camel.char_indices() {
        if character.is_ascii_uppercase() && at > 0 {
            kebab.push('-');
        }
        kebab.push(character.to_ascii_lowercase());
    }
    kebab
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps_have_names() {
        assert_eq!(name(&Trap::UnreachableCodeReached), "unreachable");
        assert_eq!(name(&Trap::StackOverflow), "stack-overflow");
        assert_eq!(name(&Trap::IntegerDivisionByZero), "integer-division-by-zero");
    }
}

//! From what a component is and what was asked for to how it is served.

use super::inspect::{self, HandlerKind, Report};
use crate::cli::{Isolation, Lifespan};
use crate::config::{INSTANCES_SYNC, Plan, Settings};
use crate::exit::{Exit, Failure};

pub fn plan(settings: &Settings, report: &Report) -> Result<Plan, Failure> {
    if settings.lifespan == Lifespan::On && report.lifespan.is_none() {
        return Err(Failure::new(
            Exit::Load,
            format!(
                "{}: --lifespan on, but the component does not export wasmserve:lifespan: \
                 export it (see docs/guests.md), or leave the option out",
                settings.source.name()
            ),
        ));
    }
    let fresh = match settings.isolation {
        Isolation::Auto => report.serves_once.is_some(),
        Isolation::Worker => false,
        Isolation::Request => true,
    };
    let is_async = report.handler.kind == HandlerKind::Async;
    // One instance serves one request at a time if its calls are synchronous or if it serves only one.
    let alone = fresh || !is_async;
    Ok(Plan {
        is_async,
        concurrent: report.concurrent,
        interface: report.handler.interface.clone(),
        lifespan: interface(report).filter(|_| settings.lifespan != Lifespan::Off),
        fresh,
        why_fresh: report.serves_once.clone().filter(|_| settings.isolation == Isolation::Auto),
        instances: settings.instances.unwrap_or(if alone { INSTANCES_SYNC } else { 1 }),
        concurrency: if alone { 1 } else { settings.concurrency },
    })
}

/// The lifespan interface that the component exports, with its version.
fn interface(report: &Report) -> Option<String> {
    let prefix = match report.lifespan? {
        inspect::Lifespan::Sync => "wasmserve:lifespan/lifespan@",
        inspect::Lifespan::Async => "wasmserve:lifespan/lifespan-async@",
    };
    report.exports.iter().find(|name| name.starts_with(prefix)).cloned()
}

//! The line that tells that everything works.

use crate::config::{Plan, Settings, Work, file};
use crate::log;

pub fn tell(settings: &Settings, work: &Work, addresses: &[String]) {
    match work {
        Work::App { plan, .. } => tell_app(settings, plan, addresses),
        Work::Gateway(config) => tell_gateway(settings, config, addresses),
    }
}

fn tell_gateway(settings: &Settings, config: &file::Config, addresses: &[String]) {
    let (apps, routes, gateways) = (config.apps.len(), config.routes.len(), settings.workers);
    let config = settings.source.name();
    let text =
        format!("serving {apps} apps of {config} on {}, {routes} routes, {gateways} gateways", addresses.join(", "));
    if log::is_text() {
        tracing::info!("{text}");
    } else {
        let url = addresses.first().map_or("", String::as_str);
        tracing::info!(event = "ready", url, config, apps, routes, gateways, "{text}");
    }
}

fn tell_app(settings: &Settings, plan: &Plan, addresses: &[String]) {
    let handler = if plan.is_async { "async" } else { "sync" };
    let lifespan = if plan.lifespan.is_some() { "on" } else { "off" };
    let isolation = if plan.fresh { "request" } else { "worker" };
    let (workers, threads) = (settings.workers, settings.threads);
    let component = settings.source.name();
    let processes = if workers == 1 { "1 worker".to_owned() } else { format!("{workers} workers") };
    let text = format!(
        "serving {component} on {} with its {handler} handler ({}), lifespan {lifespan}, {processes}, {threads} threads each, isolation {isolation}",
        addresses.join(", "),
        plan.interface
    );
    if log::is_text() {
        tracing::info!("{text}");
    } else {
        tracing::info!(
            event = "ready",
            url = addresses.first().map_or("", String::as_str),
            component,
            handler,
            interface = plan.interface,
            lifespan,
            workers,
            threads,
            isolation,
            "{text}"
        );
    }
    if let Some(why) = &plan.why_fresh {
        tracing::info!(event = "isolation", "each request gets a fresh instance: {why}");
    }
}

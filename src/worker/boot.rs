//! From a fork to a worker that is ready: the order of steps is the design's.

use super::serve;
use crate::exit::{Exit, Failure};
use crate::guest::template::Template;
use crate::http::connection::Front;
use crate::lane::pool::Pool;
use crate::lane::queue::{Lane, Shop, StartError};
use crate::lane::slice::Ticker;
use crate::message::{FromWorker, Start, send_message, shorten};
use crate::sandbox::{die_with, drop_privileges};
use crate::sys::{self, Share};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// The loop has little to do at a time, and clients wait for it: it goes ahead of guests that compute.
const LOOP_SHARE: Share = Share { nice: 0, slice: Duration::from_micros(100) };
/// Threads for what blocks in the host itself: a guest's files and look-ups.
const HOST_THREADS: usize = 4;

pub fn boot(start: Start) -> Result<(), Failure> {
    die_with(start.supervisor)?;
    let mut keep = vec![start.artefact, start.channel];
    keep.extend(&start.listeners);
    keep.extend(crate::log::descriptors());
    sys::close_all_except(&keep);
    let artefact = File::from(sys::inherited(start.artefact));
    let channel = sys::inherited(start.channel);
    let listeners = start.listeners.iter().copied().map(sys::inherited).collect();

    let template = match Template::new(start.settings.clone(), &start.plan, &artefact, start.row) {
        Ok(template) => template,
        Err(error) => return refuse(&channel, FromWorker::LoadFailed { message: shorten(&format!("{error:#}")) }),
    };
    drop(artefact);
    // After the code was mapped, as the cache's files are the supervisor's alone and wasmtime opens them by name.
    drop_privileges(start.settings.identity, start.supervisor)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(HOST_THREADS).build()?;
    sys::share_processor(&LOOP_SHARE);
    runtime.block_on(async {
        let ticker = Ticker::start(template.engine())?;
        let lane = Lane::new(Shop {
            template,
            app: start.settings.app.as_str().into(),
            worker: start.slot,
            generation: start.generation,
            ticker,
            pool: Pool::new(start.settings.threads, tokio::runtime::Handle::current()),
            longest_poll: Default::default(),
            row: start.row,
            plan: start.plan,
            settings: start.settings.clone(),
        });
        serve::start_heartbeat(start.row, start.settings.timeout_worker_healthcheck);
        match lane.start_first().await {
            Ok(()) => {}
            Err(StartError::Startup(message)) => {
                return refuse(&channel, FromWorker::StartupFailed { message: shorten(&message) });
            }
            Err(StartError::Instance(message)) => {
                return refuse(&channel, FromWorker::LoadFailed { message: shorten(&message) });
            }
        }
        let front = Arc::new(Front::new(lane.clone(), start.settings.clone()));
        serve::serve(&front, &lane, channel, listeners, start.slot).await
    })
}

/// Tells the supervisor why there will be no worker; it decides what that means and says so.
fn refuse(channel: &OwnedFd, message: FromWorker) -> Result<(), Failure> {
    let exit = if matches!(message, FromWorker::StartupFailed { .. }) { Exit::Startup } else { Exit::Load };
    send_message(channel.as_fd(), &message)?;
    std::process::exit(exit as i32)
}

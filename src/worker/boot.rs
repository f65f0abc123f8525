//! From a fork to a worker that is ready: the order of steps is the design's.

use super::{drain, serve};
use crate::capability::reach::Reach;
use crate::config::{Plan, Settings};
use crate::exit::{Exit, Failure};
use crate::guest::template::Template;
use crate::http::connection::Front;
use crate::lane::pool::Pool;
use crate::lane::queue::{Lane, Shop, StartError};
use crate::message::{FromWorker, Start, send_message, shorten};
use crate::sandbox::{self, Role};
use crate::sys::{self, Share, Ticker};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// The loop has little to do at a time, and clients wait for it: it goes ahead of guests that compute.
pub const LOOP_SHARE: Share = Share { nice: 0, slice: Duration::from_micros(100) };
/// Threads for what blocks in the host itself: a guest's files and look-ups.
const HOST_THREADS: usize = 4;

pub fn boot(start: Start, artefact: RawFd, plan: Plan) -> Result<(), Failure> {
    let (channel, listeners) = settle(&start, &[artefact])?;
    let artefact = File::from(sys::inherited(artefact));
    let settings = match with_secrets(&start.settings) {
        Ok(settings) => Arc::new(settings),
        Err(message) => return refuse(&channel, FromWorker::FileFailed { message }),
    };
    if let Err(failure) = sandbox::give_up_rights(settings.sandbox, settings.identity, start.supervisor) {
        return unconfined(&channel, failure);
    }
    // It reads files of /etc: not as a privileged user, and while they can still be read.
    let reach = Reach::new(&settings.grants, start.row, start.board)?;
    let template = match Template::new(settings.clone(), &plan, &artefact, start.row, reach) {
        Ok(template) => template,
        Err(error) => return refuse(&channel, FromWorker::LoadFailed { message: shorten(&format!("{error:#}")) }),
    };
    drop(artefact);
    let role = Role::Worker { dirs: &settings.dirs, connects: settings.grants.any() };
    let confined =
        sandbox::close_files(settings.sandbox, &role).and_then(|()| sandbox::close_calls(settings.sandbox, &role));
    if let Err(failure) = confined {
        return unconfined(&channel, failure);
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(HOST_THREADS).build()?;
    sys::share_processor(&LOOP_SHARE);
    runtime.block_on(async {
        let ticker = Ticker::start(template.engine())?;
        let lane = Lane::new(Shop {
            template,
            app: settings.app.as_str().into(),
            worker: start.slot,
            generation: start.generation,
            ticker,
            pool: Pool::new(settings.threads, tokio::runtime::Handle::current()),
            longest_poll: Default::default(),
            row: start.row,
            plan,
            settings: settings.clone(),
        });
        serve::start_heartbeat(start.row, settings.timeout_worker_healthcheck);
        match lane.start_first().await {
            Ok(()) => {}
            Err(StartError::Startup(message)) => {
                return refuse(&channel, FromWorker::StartupFailed { message: shorten(&message) });
            }
            Err(StartError::Instance(message)) => {
                return refuse(&channel, FromWorker::LoadFailed { message: shorten(&message) });
            }
        }
        let front = Arc::new(Front::new(lane.clone(), settings.clone(), start.board));
        let listeners = serve::serve(&front, start.row, channel, listeners, start.slot).await?;
        drain::drain(&front, &lane, listeners).await;
        Ok(())
    })
}

/// A child's first steps: it ends with the supervisor, and has nothing open but what it was given.
pub fn settle(start: &Start, others: &[RawFd]) -> Result<(OwnedFd, Vec<OwnedFd>), Failure> {
    sandbox::die_with(start.supervisor)?;
    sandbox::raise_descriptor_limit();
    let mut keep = others.to_vec();
    keep.push(start.channel);
    keep.extend(&start.listeners);
    keep.extend(crate::log::descriptors());
    sys::close_all_except(&keep);
    Ok((sys::inherited(start.channel), start.listeners.iter().copied().map(sys::inherited).collect()))
}

/// The settings with the values of variables that only we may read: of all processes of this server they are in its
/// workers alone.
fn with_secrets(settings: &Settings) -> Result<Settings, String> {
    let mut settings = settings.clone();
    for (key, path) in &settings.env_files {
        let value = std::fs::read_to_string(path)
            .map_err(|error| format!("--env-from-file {key}={}: {error}", path.display()))?;
        let value = value.strip_suffix('\n').unwrap_or(&value);
        settings.env.push((key.clone(), value.to_owned()));
    }
    Ok(settings)
}

/// A failure of the operating system's is told here; a sandbox that cannot be had is the supervisor's to tell.
pub fn unconfined(channel: &OwnedFd, failure: Failure) -> Result<(), Failure> {
    match failure.exit {
        Exit::Sandbox => refuse(channel, FromWorker::SandboxFailed { message: shorten(&failure.message) }),
        _ => Err(failure),
    }
}

/// Tells the supervisor why there will be no worker; it decides what that means and says so.
fn refuse(channel: &OwnedFd, message: FromWorker) -> Result<(), Failure> {
    let exit = match message {
        FromWorker::StartupFailed { .. } => Exit::Startup,
        FromWorker::FileFailed { .. } => Exit::Usage,
        FromWorker::SandboxFailed { .. } => Exit::Sandbox,
        _ => Exit::Load,
    };
    send_message(channel.as_fd(), &message)?;
    std::process::exit(exit as i32)
}

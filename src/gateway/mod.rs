//! A gateway process: accepts for all apps, finds the app by host and path, and passes the request on to the server of
//! that app over its Unix socket. It holds no guest code.

mod client;
mod relay;

use crate::config::Dir;
use crate::config::file::Config;
use crate::exit::Failure;
use crate::http::connection::Front;
use crate::message::Start;
use crate::sandbox::{self, Role};
use crate::sys;
use crate::worker::{self, boot, serve};
use relay::Gateway;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How often to look whether the last connection has ended.
const LOOK: Duration = Duration::from_millis(5);
/// Threads that read files.
const FILE_THREADS: usize = 4;

/// Runs a gateway in a freshly forked process.
pub fn run(start: Start, config: &Config, folder: PathBuf) -> ! {
    worker::end(boot(start, config, folder))
}

fn boot(start: Start, config: &Config, folder: PathBuf) -> Result<(), Failure> {
    let (channel, listeners) = boot::settle(&start, &[])?;
    let settings = start.settings.clone();
    if let Err(failure) = sandbox::give_up_rights(settings.sandbox, settings.identity, start.supervisor) {
        return boot::unconfined(&channel, failure);
    }
    let gateway = Arc::new(Gateway::new(config.relay_table()?, folder));
    let dirs = folders(config);
    let role = Role::Gateway { dirs: &dirs };
    sys::share_processor(&boot::LOOP_SHARE);
    let confined =
        sandbox::close_files(settings.sandbox, &role).and_then(|()| sandbox::close_calls(settings.sandbox, &role));
    if let Err(failure) = confined {
        return boot::unconfined(&channel, failure);
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(FILE_THREADS).build()?;
    runtime.block_on(async {
        serve::start_heartbeat(start.row, settings.timeout_worker_healthcheck);
        tokio::spawn(gateway.clone().tidy());
        let front = Front::relaying(Box::new(gateway), settings.clone(), start.slot, start.row, start.board);
        let front = Arc::new(front);
        let listeners = serve::serve(&front, start.row, channel, listeners, start.slot).await?;
        let deadline = Instant::now() + settings.timeout_graceful_shutdown;
        listeners.close().await;
        front.close();
        let drained = timeout_at(deadline, async {
            while front.crowd.open() > 0 {
                sleep(LOOK).await;
            }
        });
        if drained.await.is_err() {
            let connections = front.crowd.open();
            tracing::warn!(
                event = "drain-timeout",
                worker = start.slot,
                connections,
                "{connections} connections are ended"
            );
        }
        Ok(())
    })
}

/// Folders whose files are served.
fn folders(config: &Config) -> Vec<Dir> {
    let dir = |host: &Path| Dir { host: host.to_owned(), guest: String::new(), read_only: true };
    config.folders().into_iter().map(dir).collect()
}

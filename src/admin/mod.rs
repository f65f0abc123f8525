//! The admin process: health, metrics and status over HTTP. It is forked by the supervisor, holds no guest code and
//! knows nothing but what the supervisor answers, so that it still tells when every worker is stuck.

mod metrics;
mod serve;
mod source;

use crate::exit::{Exit, Failure};
use crate::message::AdminStart;
use crate::sandbox::{self, Role};
use crate::sys;
use source::Source;
use tokio::net::{TcpListener, UnixStream};

/// Runs the admin process in a freshly forked process.
pub fn run(start: AdminStart) -> ! {
    let exit = match boot(&start) {
        Ok(()) => Exit::Success,
        Err(failure) => {
            tracing::error!("the admin listener: {failure}");
            failure.exit
        }
    };
    std::process::exit(exit as i32)
}

/// Serves until the supervisor is gone.
fn boot(start: &AdminStart) -> Result<(), Failure> {
    sandbox::die_with(start.supervisor)?;
    let mut keep = vec![start.listener, start.channel];
    keep.extend(crate::log::descriptors());
    sys::close_all_except(&keep);
    sandbox::give_up_rights(start.sandbox, start.identity, start.supervisor)?;
    sandbox::close_files(start.sandbox, &Role::Admin)?;
    sandbox::close_calls(start.sandbox, &Role::Admin)?;
    let listener = std::net::TcpListener::from(sys::inherited(start.listener));
    let channel = std::os::unix::net::UnixStream::from(sys::inherited(start.channel));
    listener.set_nonblocking(true)?;
    channel.set_nonblocking(true)?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let source = Source::default();
        tokio::select! {
            gone = source.run(UnixStream::from_std(channel)?) => gone,
            () = serve::serve(TcpListener::from_std(listener)?, &source) => Ok(()),
        }
    })
}

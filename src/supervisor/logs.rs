//! The log files: opened by the supervisor, passed on to workers, which could not open them in their jail.

use crate::config::Settings;
use crate::log;
use crate::message::{ToWorker, send_with};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Files that were just opened.
pub struct Files {
    log: Option<OwnedFd>,
    access: Option<OwnedFd>,
}

/// Opens the files that there are anew and writes to them from here on. None if they cannot be opened: then the old
/// ones are kept.
pub fn reopen(settings: &Settings) -> Option<Files> {
    let open = |path: &Option<std::path::PathBuf>| path.as_deref().map(log::open).transpose();
    let files = match (open(&settings.log_file), open(&settings.access_log_file)) {
        (Ok(log), Ok(access)) => Files { log, access },
        (Err(failure), _) | (_, Err(failure)) => {
            tracing::error!(event = "logs-not-reopened", "the log files stay as they are: {failure}");
            return None;
        }
    };
    let copy = |file: &Option<OwnedFd>| file.as_ref().and_then(|file| file.try_clone().ok());
    log::replace(copy(&files.log), copy(&files.access));
    Some(files)
}

impl Files {
    /// Gives them to a worker.
    pub fn send(&self, channel: BorrowedFd<'_>) {
        let message = ToWorker::LogFiles { log: self.log.is_some(), access: self.access.is_some() };
        let descriptors: Vec<_> = [&self.log, &self.access].into_iter().flatten().map(AsFd::as_fd).collect();
        // A worker whose socket is full does not read: its heartbeat tells.
        let _ = send_with(channel, &message, &descriptors);
    }
}

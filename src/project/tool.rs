//! Tools that a project needs to be built, and whether they are on the PATH.

use nix::unistd::{AccessFlags, access};
use serde::Deserialize;
use std::env;
use std::path::Path;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its name on the PATH.
    pub command: String,
    /// The command that installs it.
    pub install: String,
}

impl Tool {
    pub fn is_there(&self) -> bool {
        let folders = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&folders).any(|folder| is_executable(&folder.join(&self.command)))
    }
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}

/// Those that are missing, with how to install them, a line for each.
pub fn missing(tools: &[Tool]) -> Option<String> {
    let missing = tools.iter().filter(|tool| !tool.is_there());
    let lines: Vec<_> = missing.map(|tool| format!("  {}: {}", tool.command, tool.install)).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

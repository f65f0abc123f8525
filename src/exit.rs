//! Exit codes, typed in one place: every way in which the process can end, and the error that carries it.

use std::process::ExitCode;

/// What the process tells whoever started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Did what was asked, a graceful shutdown included.
    Success = 0,
    /// A fault of our own or of the operating system.
    Internal = 1,
    /// The command line, the configuration or an address cannot be used.
    Usage = 2,
    /// The component was loaded, but its instances do not start up.
    Startup = 3,
    /// The component cannot be loaded.
    Load = 4,
    /// The sandbox that has to be there cannot be had on this machine.
    Sandbox = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// An error that ends the process: what was wrong, where and what to do, and the exit code for it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Exit::Internal, message)
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }
}

impl From<nix::Error> for Failure {
    fn from(error: nix::Error) -> Self {
        Self::internal(format!("the operating system refused a call: {error}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::internal(format!("the operating system refused a call: {error}"))
    }
}

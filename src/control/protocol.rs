//! The lines that go over the control socket.

use crate::status::Status;
use serde::{Deserialize, Serialize};

/// Version of the protocol, in every request and every answer.
pub const VERSION: u32 = 1;
/// Longest request, in bytes.
pub const MAX_REQUEST: usize = 4096;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub version: u32,
    #[serde(flatten)]
    pub command: Command,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "command")]
pub enum Command {
    Status,
    /// Answered when the new generation serves, or has failed.
    Reload,
    /// Answered when the generation before serves again, or has failed.
    Rollback,
    Scale {
        workers: usize,
    },
    /// Answered at once: the replacements are on their way.
    Recycle {
        worker: Option<usize>,
    },
    /// Answered at once: what is in flight is being finished.
    Stop,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub version: u32,
    #[serde(flatten)]
    pub result: Outcome,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum Outcome {
    /// Done; what there is to say.
    Done {
        message: String,
    },
    Status {
        status: Box<Status>,
    },
    /// Not done, why, and the exit code that says so (see `exit::Exit`).
    Failed {
        message: String,
        exit_code: u8,
    },
}

impl Request {
    /// What a line asks for, or what is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Command, String> {
        // The version first: a request of another one may look like nothing that we know.
        let value: serde_json::Value =
            serde_json::from_slice(line).map_err(|_| "the request is not JSON".to_owned())?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => return Err(format!("version {version} is not spoken here, but {VERSION}")),
            None => return Err(format!("the request has no version; it is {VERSION}")),
        }
        let request: Request = serde_json::from_value(value).map_err(|error| format!("not understood: {error}"))?;
        Ok(request.command)
    }
}

impl Answer {
    pub fn new(result: Outcome) -> Self {
        Self { version: VERSION, result }
    }
}

//! What each kind of process runs, put together for the supervisor.

use crate::config::{Plan, Settings};
use crate::exit::Failure;
use crate::guest::inspect::Report;
use crate::guest::{compile, engine, plan};
use crate::message::{Start, Task};
use crate::supervisor::Roles;
use crate::{admin, gateway, worker};
use std::fs::File;

pub const ROLES: Roles = Roles { key, compile: compile_to_json, plan: plan_from_json, worker: work, admin: admin::run };

fn work(start: Start, task: Task) -> ! {
    match task {
        Task::App { artefact, plan } => worker::run(start, artefact, plan),
        Task::Gateway { config, folder } => gateway::run(start, &config, folder),
    }
}

fn key(component: &[u8]) -> Result<String, String> {
    engine::key(component).map_err(|error| format!("wasmtime does not run on this machine: {error:#}"))
}

fn compile_to_json(bytes: Vec<u8>, artefact: &mut File) -> Result<String, String> {
    let report = compile::compile(bytes, artefact)?;
    serde_json::to_string(&report).map_err(|error| error.to_string())
}

fn plan_from_json(settings: &Settings, report: &str) -> Result<Plan, Failure> {
    let report: Report = serde_json::from_str(report).map_err(|error| Failure::internal(error.to_string()))?;
    plan::plan(settings, &report)
}

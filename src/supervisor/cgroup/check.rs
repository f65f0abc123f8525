//! Limits that apps ask for and cannot have.

use super::Groups;
use crate::cli::Sandbox;
use crate::config::file::Apps;
use crate::exit::{Exit, Failure};

const ADVICE: &str =
    "start the server alone in a control group that is its own to change, as Delegate=yes of systemd does";

impl Groups {
    /// Tells it once; in `strict` they have to be there.
    pub fn check(&mut self, apps: &Apps) -> Result<(), Failure> {
        let lacking = apps.iter().filter_map(|(name, app)| Some((name, app, self.lacks(&app.cgroup)?)));
        let lacking: Vec<_> = lacking.collect();
        let strict = lacking.iter().find(|(_, app, _)| app.settings.sandbox == Sandbox::Strict);
        let Some((name, _, why)) = strict.or(lacking.first()) else { return Ok(()) };
        let others = match lacking.len() {
            1 => String::new(),
            number => format!(" (and those of {} others)", number - 1),
        };
        let what = format!("the limits in [app.{name}.cgroup]{others} cannot be set: {why}; {ADVICE}");
        if strict.is_some() {
            let message = format!("sandbox = \"strict\": {what}, or use \"best-effort\" to do without");
            return Err(Failure::new(Exit::Sandbox, message));
        }
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(event = "cgroup-missing", "{what}");
        }
        Ok(())
    }
}

//! What gateways know: where requests go, and how many may be under way. A reload gives it to those that run.

use super::{Action, App, Config, Route};
use crate::exit::Failure;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a server that starts gets beyond its own limits.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize, Deserialize)]
pub struct RelayTable {
    pub routes: Vec<Route>,
    pub apps: BTreeMap<String, Budget>,
    /// Texts of the maintenance pages, as gateways cannot read them.
    pub pages: BTreeMap<PathBuf, String>,
    /// Whether a host that no route is for gets 421 instead of 404.
    pub misdirected: bool,
}

/// What an app may take of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Until its server must have answered, be it that it had to start first.
    pub patience: Duration,
    /// Requests at a time, if it says so.
    pub requests: Option<u64>,
}

impl Config {
    pub fn relay_table(&self) -> Result<RelayTable, Failure> {
        let budget = |app: &App| Budget {
            patience: app.settings.guest.request + app.settings.timeout_startup + GRACE,
            requests: app.settings.client.concurrency.map(|most| most.get()),
        };
        let mut pages = BTreeMap::new();
        for route in &self.routes {
            if let Action::Maintenance(page) = &route.action {
                let text = fs::read_to_string(page);
                let text = text.map_err(|error| Failure::usage(format!("{}: {error}", page.display())))?;
                pages.insert(page.clone(), text);
            }
        }
        Ok(RelayTable {
            routes: self.routes.clone(),
            apps: self.apps.iter().map(|(name, app)| (name.clone(), budget(app))).collect(),
            pages,
            misdirected: self.misdirected,
        })
    }

    /// Folders whose files are served.
    pub fn folders(&self) -> BTreeSet<&Path> {
        fn folder(route: &Route) -> Option<&Path> {
            match &route.action {
                Action::Static(folder) => Some(folder),
                _ => None,
            }
        }
        self.routes.iter().filter_map(folder).collect()
    }
}

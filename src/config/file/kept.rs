//! What the files said when they were last read. A reload of a thousand apps, of which one has changed, mostly compares
//! texts then.

use super::apps::Reader;
use super::mistakes::Text;
use super::routes::{Action, Route};
use super::users::Users;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Default)]
pub struct Kept {
    /// What apps have from the server.
    inherited: Vec<String>,
    users: Option<Users>,
    files: BTreeMap<PathBuf, File>,
}

#[derive(Debug)]
struct File {
    text: String,
    /// Names of its apps and its routes, with their places.
    apps: Vec<(String, String)>,
    routes: Vec<(Route, String)>,
}

impl Kept {
    pub fn new(inherited: Vec<String>, users: Option<Users>) -> Self {
        Self { inherited, users, files: BTreeMap::new() }
    }

    /// Whether what another one keeps was read with the same options of the server.
    pub fn is_like(&self, other: &Self) -> bool {
        (&self.inherited, &self.users) == (&other.inherited, &other.users)
    }

    /// Has the reader take over what a file said in `old`. False if it has changed, or stands for something that has to
    /// be looked at again.
    pub fn take_over(&mut self, text: &Text, old: &Self, reader: &mut Reader) -> bool {
        let Some(file) = old.files.get(&text.path).filter(|file| file.text == text.text) else { return false };
        let is_app = |(route, _): &(Route, String)| matches!(route.action, Action::App { .. });
        if !file.routes.iter().all(is_app) || !file.apps.iter().all(|(name, _)| reader.still_has(name)) {
            return false;
        }
        let (apps, routes) = (reader.names.len(), reader.routes.len());
        file.apps.iter().for_each(|(name, place)| reader.take_over(name, place));
        reader.routes.extend(file.routes.iter().cloned());
        self.keep(text, reader, apps, routes);
        true
    }

    /// Keeps what was read last: from these numbers of apps and routes on.
    pub fn keep(&mut self, text: &Text, reader: &Reader, apps: usize, routes: usize) {
        let names = &reader.names[apps..];
        let apps = names.iter().map(|name| (name.clone(), reader.places[name].clone())).collect();
        let routes = reader.routes[routes..].to_vec();
        self.files.insert(text.path.clone(), File { text: text.text.clone(), apps, routes });
    }
}

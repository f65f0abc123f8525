//! `[server]` and `[app.NAME]`: a table becomes the options that the command line would have, and is then checked as those
//! are.

use super::cgroup::Limits;
use super::keys::{self, Key, Scope};
use super::mistakes::{Mistakes, Text};
use super::routes::{Action, Match, Route};
use super::table::{Entry, Table};
use super::{App, Apps, Workers};
use crate::config::{Bind, MAX_WORKERS, Settings, Source};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Keys of an app that are no options of the command line.
pub const APP_KEYS: [&str; 8] = ["component", "route", "workers", "env", "dirs", "limits", "allow", "cgroup"];
/// Seconds after which an app that may have no worker loses them all, if nothing else is said.
const IDLE_TIMEOUT: &str = "60";

/// A table's options, with the places that they come from.
#[derive(Default)]
pub struct Options {
    arguments: Vec<String>,
    /// Option, its key in the file, and where it stands.
    places: Vec<(String, String, Range<usize>)>,
}

impl Options {
    /// The server's options, as they are for each of its apps unless that has its own.
    pub fn inherited(&self, keys: &[Key]) -> Vec<String> {
        let is_common = |argument: &&String| {
            let option = argument.trim_start_matches("--").split('=').next().unwrap_or_default();
            let key = keys.iter().find(|key| key.option == option);
            key.is_some_and(|key| key.scope == Scope::Both && !is_address(&key.option))
        };
        self.arguments.iter().filter(is_common).cloned().collect()
    }

    fn has(&self, option: &str) -> bool {
        let start = format!("--{option}=");
        self.arguments.iter().any(|argument| argument.starts_with(&start))
    }

    fn push(&mut self, option: &str, value: Option<&str>, path: &str, span: &Range<usize>) {
        let flag = format!("--{option}");
        self.arguments.push(value.map_or(flag.clone(), |value| format!("{flag}={value}")));
        self.places.push((flag, path.to_owned(), span.clone()));
    }

    /// Takes the options of one scope from a table and from those in it.
    pub fn take(&mut self, keys: &[Key], scope: Scope, table: &mut Table, mistakes: &mut Mistakes) {
        self.take_from(keys, scope, "", table, mistakes);
        for name in ["limits", "allow"] {
            if name == "allow" && scope == Scope::Server {
                continue;
            }
            let Some(mut inner) = table.take_table(name, mistakes) else { continue };
            self.take_from(keys, scope, name, &mut inner, mistakes);
            inner.finish(names(keys, scope, name), mistakes);
        }
    }

    fn take_from(&mut self, keys: &[Key], scope: Scope, name: &str, table: &mut Table, mistakes: &mut Mistakes) {
        let text = table.text;
        for key in of_table(keys, scope, name) {
            let Some(entry) = table.take(&key.name) else { continue };
            let entries = if key.is_list() { entry.into_list() } else { vec![entry] };
            // What the server says is replaced, not added to.
            let flag = format!("--{}", key.option);
            self.arguments.retain(|argument| argument.split('=').next() != Some(flag.as_str()));
            for entry in entries {
                self.take_value(key, &entry, text, mistakes);
            }
        }
    }

    fn take_value(&mut self, key: &Key, entry: &Entry, text: &Text, mistakes: &mut Mistakes) {
        if key.is_switch() {
            if entry.boolean(text, mistakes) == Some(true) {
                self.push(&key.option, None, &entry.path, &entry.span);
            }
            return;
        }
        let Some(value) = entry.scalar() else {
            return entry.mistake(text, "must be a text or a number", mistakes);
        };
        let value = match key.option.as_str() {
            // A path is relative to its file.
            "pid-file" | "log-file" | "access-log-file" | "cache-dir" => {
                text.relative(&value).to_string_lossy().into_owned()
            }
            _ => value,
        };
        match key.try_value(&[format!("--{}={value}", key.option)]) {
            Ok(()) => self.push(&key.option, Some(&value), &entry.path, &entry.span),
            Err(why) => entry.mistake(text, &why, mistakes),
        }
    }

    /// What follows from the form that the file has for them.
    fn finish(&mut self, name: &str, workers: Workers) {
        self.arguments.push(format!("--name={name}"));
        self.arguments.push(format!("--workers={}", workers.min.max(1)));
        self.arguments.push(format!("--max-workers={}", workers.max));
        match workers.min {
            0 if !self.has("idle-timeout") => self.arguments.push(format!("--idle-timeout={IDLE_TIMEOUT}")),
            0 => {}
            // It has workers whether or not there is something to do.
            _ => self.arguments.retain(|argument| !argument.starts_with("--idle-timeout=")),
        }
    }

    /// Checks the options together. What is wrong with one is told at its place.
    pub fn check(&self, source: Source, table: &(&Text, Range<usize>), mistakes: &mut Mistakes) -> Option<Settings> {
        let (text, span) = table;
        let args = match keys::options(&self.arguments) {
            Ok(args) => args,
            Err(why) => {
                mistakes.at(text, span, why);
                return None;
            }
        };
        match Settings::check(source, &args) {
            Ok(settings) => Some(settings),
            Err(failure) => {
                for line in failure.message.lines() {
                    let place = self.places.iter().find(|(flag, ..)| {
                        line.strip_prefix(flag.as_str()).is_some_and(|rest| rest.starts_with([' ', ':', ',']))
                    });
                    match place {
                        Some((flag, path, span)) => mistakes.at(text, span, line.replacen(flag.as_str(), path, 1)),
                        None => mistakes.at(text, span, line),
                    }
                }
                None
            }
        }
    }
}

fn is_any_port(bind: &Bind) -> bool {
    matches!(bind, Bind::Tcp(address) if address.port() == 0)
}

/// Where each listens is its own.
fn is_address(option: &str) -> bool {
    matches!(option, "bind" | "uds-mode")
}

fn fits(key: &Key, scope: Scope) -> bool {
    key.scope == scope || key.scope == Scope::Both
}

/// The keys that a table takes.
pub fn of_table<'a>(keys: &'a [Key], scope: Scope, table: &str) -> impl Iterator<Item = &'a Key> {
    keys.iter().filter(move |key| fits(key, scope) && key.table == table)
}

pub fn names<'a>(keys: &'a [Key], scope: Scope, table: &str) -> impl Iterator<Item = &'a str> {
    of_table(keys, scope, table).map(|key| key.name.as_str())
}

/// Reads the files' apps and routes.
pub struct Reader<'a> {
    keys: &'a [Key],
    /// The server's options that apps have too.
    inherited: &'a [String],
    /// The apps that there were.
    old: Option<&'a Apps>,
    pub mistakes: &'a mut Mistakes,
    pub apps: Apps,
    /// With their places.
    pub routes: Vec<(Route, String)>,
    /// Addresses of the apps' own, and whose they are.
    binds: Vec<(Bind, String)>,
    /// Names in the order of the files, and where each was first seen.
    pub names: Vec<String>,
    pub places: BTreeMap<String, String>,
}

impl<'a> Reader<'a> {
    pub fn new(keys: &'a [Key], inherited: &'a [String], old: Option<&'a Apps>, mistakes: &'a mut Mistakes) -> Self {
        let (apps, routes, binds, names) = (Apps::new(), Vec::new(), Vec::new(), Vec::new());
        Self { keys, inherited, old, mistakes, apps, routes, binds, names, places: BTreeMap::new() }
    }

    /// Whether an app that there was can be taken over as it is.
    pub fn still_has(&self, name: &str) -> bool {
        let app = self.old.and_then(|old| old.get(name));
        !self.places.contains_key(name) && app.is_some_and(|app| app.component().is_file())
    }

    /// Takes over an app that there was.
    pub fn take_over(&mut self, name: &str, place: &str) {
        let Some(app) = self.old.and_then(|old| old.get(name)) else { return };
        self.names.push(name.to_owned());
        self.places.insert(name.to_owned(), place.to_owned());
        self.own_addresses(name, app, place);
        self.apps.insert(name.to_owned(), app.clone());
    }

    /// No two have the same.
    fn own_addresses(&mut self, name: &str, app: &App, place: &str) {
        for bind in app.own_addresses().iter().filter(|bind| !is_any_port(bind)) {
            match self.binds.iter().find(|(other, _)| other == bind) {
                Some((_, other)) => {
                    self.mistakes.add(format!("{place}: app.{name}.bind: app {other} has the same address"));
                }
                None => self.binds.push((bind.clone(), name.to_owned())),
            }
        }
    }

    /// One file. Only the first may have more than apps and routes.
    pub fn file(&mut self, mut top: Table, is_main: bool) {
        let text = top.text;
        let apps = top.take_table("app", self.mistakes).map(|mut apps| apps.take_all());
        for entry in apps.into_iter().flatten() {
            let (name, span) = (entry.key.clone(), entry.span.clone());
            let Some(table) = entry.into_table(text, self.mistakes) else { continue };
            if let Some(other) = self.places.get(&name) {
                self.mistakes.at(text, &span, format!("app.{name}: there is one already, at {other}"));
                continue;
            }
            self.names.push(name.clone());
            self.places.insert(name.clone(), text.place(span.start));
            if let Some(app) = self.app(&name, table) {
                self.apps.insert(name, Arc::new(app));
            }
        }
        for kind in ["redirect", "static", "maintenance"] {
            self.plain_routes(kind, &mut top);
        }
        if is_main {
            top.take("dev");
        }
        top.finish(super::TOP_KEYS, self.mistakes);
    }

    /// `[redirect]`, `[static]`, `[maintenance]`: a match and where it leads.
    fn plain_routes(&mut self, kind: &str, top: &mut Table) {
        let text = top.text;
        let entries = top.take_table(kind, self.mistakes).map(|mut table| table.take_all());
        for entry in entries.into_iter().flatten() {
            let Some(target) = entry.text(text, self.mistakes) else { continue };
            let action = match kind {
                "redirect" => Action::Redirect(target),
                "static" => Action::Static(text.relative(&target)),
                _ => Action::Maintenance(text.relative(&target)),
            };
            match &action {
                Action::Redirect(url) if !url.starts_with("http://") && !url.starts_with("https://") => {
                    entry.mistake(text, "must be a URL that begins with http:// or https://", self.mistakes);
                }
                Action::Static(folder) if !folder.is_dir() => {
                    entry.mistake(text, &format!("{}: there is no such folder", folder.display()), self.mistakes);
                }
                Action::Maintenance(page) if !page.is_file() => {
                    entry.mistake(text, &format!("{}: there is no such file", page.display()), self.mistakes);
                }
                _ => {}
            }
            match Match::parse(&entry.key) {
                Ok(matches) => self.routes.push((Route { matches, action }, text.place(entry.span.start))),
                Err(why) => entry.mistake(text, &why, self.mistakes),
            }
        }
    }

    /// Reads `[app.NAME]`. Its routes go to the others.
    fn app(&mut self, name: &str, mut table: Table) -> Option<App> {
        let text = table.text;
        let place = (text, table.span.clone());
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            self.mistakes.at(text, &table.span, format!("app.{name}: a name has letters, digits, - and _ only"));
        }
        let mut options = Options { arguments: self.inherited.to_vec(), places: Vec::new() };
        options.take(self.keys, Scope::App, &mut table, self.mistakes);
        let has_own_addresses = options.has("bind");
        let component = self.component(&mut table);
        let workers = self.workers(&mut table);
        self.routes_of(name, &mut table);
        self.env(&mut table, &mut options);
        self.dirs(&mut table, &mut options);
        let cgroup = Limits::take(&mut table, self.mistakes);
        table.finish(names(self.keys, Scope::App, "").chain(APP_KEYS), self.mistakes);
        options.finish(name, workers);
        let component = component?;
        let old = self.old.and_then(|old| old.get(name));
        let old = old.filter(|old| old.arguments == options.arguments && old.component() == component);
        let settings = match old {
            Some(old) => old.settings.clone(),
            None => options.check(Source::File(component), &place, self.mistakes)?,
        };
        let app = App { settings, workers, cgroup, arguments: options.arguments, has_own_addresses, user: None };
        self.own_addresses(name, &app, &text.place(place.1.start));
        Some(app)
    }

    fn component(&mut self, table: &mut Table) -> Option<PathBuf> {
        let text = table.text;
        let Some(entry) = table.take("component") else {
            self.mistakes.at(text, &table.span, format!("{}: component is missing: name a .wasm file", table.path));
            return None;
        };
        let path = text.relative(&entry.text(text, self.mistakes)?);
        if !path.is_file() {
            entry.mistake(text, &format!("{}: there is no such file", path.display()), self.mistakes);
        }
        Some(path)
    }

    /// A number, or `{ min = 0, max = 4 }`.
    fn workers(&mut self, table: &mut Table) -> Workers {
        let text = table.text;
        let default = Workers { min: 0, max: 1 };
        let Some(entry) = table.take("workers") else { return default };
        let (path, span) = (entry.path.clone(), entry.span.clone());
        let workers = match &entry.value {
            toml::de::DeValue::Table(_) => entry.into_table(text, self.mistakes).map(|mut inner| {
                let mut number = |key, default| {
                    inner.take(key).and_then(|entry| entry.number(text, self.mistakes)).unwrap_or(default)
                };
                let (min, max) = (number("min", 0), number("max", 1));
                inner.finish(["min", "max"], self.mistakes);
                (min, max)
            }),
            _ => entry.number(text, self.mistakes).map(|number| (number, number)),
        };
        let (min, max) = workers.unwrap_or((0, 1));
        if max == 0 || max > MAX_WORKERS as u64 || min > max {
            let what = format!("{path}: from min (0 or more) to max (1 to {MAX_WORKERS}) workers");
            self.mistakes.at(text, &span, what);
            return default;
        }
        Workers { min: min as usize, max: max as usize }
    }

    /// One match or several; each a text, or a table with `match` and `strip-prefix`.
    fn routes_of(&mut self, app: &str, table: &mut Table) {
        let text = table.text;
        let Some(entry) = table.take("route") else { return };
        for entry in entry.into_list() {
            let span = entry.span.clone();
            let (matches, strip_prefix) = match &entry.value {
                toml::de::DeValue::Table(_) => {
                    let Some(mut inner) = entry.into_table(text, self.mistakes) else { continue };
                    let strip = inner.take("strip-prefix").and_then(|entry| entry.boolean(text, self.mistakes));
                    let matches = inner.take("match").and_then(|entry| entry.text(text, self.mistakes));
                    inner.finish(["match", "strip-prefix"], self.mistakes);
                    (matches, strip.unwrap_or(false))
                }
                _ => (entry.text(text, self.mistakes), false),
            };
            let Some(matches) = matches else { continue };
            match Match::parse(&matches) {
                Ok(matches) => {
                    let action = Action::App { name: app.to_owned(), strip_prefix };
                    self.routes.push((Route { matches, action }, text.place(span.start)));
                }
                Err(why) => self.mistakes.at(text, &span, why),
            }
        }
    }

    /// `KEY = "value"`, `KEY = { file = "path" }` or `KEY = { env = "NAME" }`.
    fn env(&mut self, table: &mut Table, options: &mut Options) {
        let text = table.text;
        let Some(mut inner) = table.take_table("env", self.mistakes) else { return };
        for entry in inner.take_all() {
            let (path, span, key) = (entry.path.clone(), entry.span.clone(), entry.key.clone());
            if !matches!(entry.value, toml::de::DeValue::Table(_)) {
                match entry.scalar() {
                    Some(value) => options.push("env", Some(&format!("{key}={value}")), &path, &span),
                    None => entry.mistake(text, "must be a text, { file = … } or { env = … }", self.mistakes),
                }
                continue;
            }
            let Some(mut from) = entry.into_table(text, self.mistakes) else { continue };
            if let Some(file) = from.take("file").and_then(|file| file.text(text, self.mistakes)) {
                let file = text.relative(&file);
                options.push("env-from-file", Some(&format!("{key}={}", file.display())), &path, &span);
            } else if let Some(name) = from.take("env").and_then(|name| name.text(text, self.mistakes)) {
                match std::env::var(&name) {
                    Ok(value) => options.push("env", Some(&format!("{key}={value}")), &path, &span),
                    Err(error) => self.mistakes.at(text, &span, format!("{path}: {name}: {error}")),
                }
            }
            from.finish(["file", "env"], self.mistakes);
        }
    }

    /// `dirs = [{ host = "data", guest = "/data", read-only = true }]`.
    fn dirs(&mut self, table: &mut Table, options: &mut Options) {
        let text = table.text;
        let Some(entry) = table.take("dirs") else { return };
        for entry in entry.into_list() {
            let (path, span) = (entry.path.clone(), entry.span.clone());
            let Some(mut dir) = entry.into_table(text, self.mistakes) else { continue };
            let mut wanted = |key| dir.take(key).and_then(|entry| entry.text(text, self.mistakes));
            let (host, guest) = (wanted("host"), wanted("guest"));
            let read_only = dir.take("read-only").and_then(|entry| entry.boolean(text, self.mistakes)).unwrap_or(false);
            dir.finish(["host", "guest", "read-only"], self.mistakes);
            let (Some(host), Some(guest)) = (host, guest) else {
                self.mistakes.at(text, &span, format!("{path}: host and guest are needed"));
                continue;
            };
            let host = text.relative(&host);
            let suffix = if read_only { ":ro" } else { "" };
            options.push("dir", Some(&format!("{}::{guest}{suffix}", host.display())), &path, &span);
        }
    }
}

/// Two routes with the same match are a mistake of whoever wrote the second.
pub fn check_routes(routes: Vec<(Route, String)>, mistakes: &mut Mistakes) -> Vec<Route> {
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for (route, place) in &routes {
        let text = route.matches.to_string();
        match first.get(&text) {
            Some(other) => mistakes.add(format!("{place}: {text} is routed already, at {other}")),
            None => drop(first.insert(text, place.clone())),
        }
    }
    routes.into_iter().map(|(route, _)| route).collect()
}

//! `--config`: one file, and those that it includes, for a server with many apps. Every option of the command line has
//! its key here, and everything that is wrong is told at once, with its place.

mod apps;
mod cgroup;
mod kept;
mod keys;
mod mistakes;
mod relay;
mod routes;
mod schema;
mod table;
mod users;

pub use cgroup::Limits;
pub use keys::options;
pub use mistakes::place;
pub use relay::{Budget, RelayTable};
pub use routes::{Action, Match, Route, Table as Routes, rest};
pub use schema::schema;

use self::apps::{Options, Reader};
use self::kept::Kept;
use self::keys::{Key, Scope};
use self::mistakes::{Mistakes, Text};
use self::table::{Entry, Table};
use self::users::Users;
use super::{Bind, Settings, Source, parse as values};
use crate::exit::Failure;
use nix::unistd::geteuid;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use toml::de::DeTable;

/// A server with its apps, checked.
#[derive(Debug)]
pub struct Config {
    pub server: Settings,
    pub apps: Apps,
    pub routes: Vec<Route>,
    /// Whether a host that no route is for gets 421 instead of 404.
    pub misdirected: bool,
    /// What all apps may have together.
    pub most: Most,
    kept: Kept,
}

pub type Apps = BTreeMap<String, Arc<App>>;

/// Workers and bytes of memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Most {
    pub workers: usize,
    pub memory: u64,
}

impl Most {
    pub const UNLIMITED: Self = Self { workers: usize::MAX, memory: u64::MAX };
}

#[derive(Clone, Debug)]
pub struct App {
    pub settings: Settings,
    pub workers: Workers,
    pub cgroup: Limits,
    /// Its options: whether a reload changes any shows in them.
    pub arguments: Vec<String>,
    /// Whether it listens where the settings say, besides being reached through the gateways.
    pub has_own_addresses: bool,
    /// Whom its workers run as (`server.users`), where it does not say so itself.
    pub user: Option<u32>,
}

impl App {
    pub fn component(&self) -> &Path {
        match &self.settings.source {
            Source::File(path) => path,
            _ => Path::new(""),
        }
    }

    pub fn own_addresses(&self) -> &[Bind] {
        if self.has_own_addresses { &self.settings.binds } else { &[] }
    }
}

/// How many workers an app has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Workers {
    pub min: usize,
    pub max: usize,
}

const MAX_GATEWAYS: u64 = 256;
/// Keys of `[server]` that are no options of the command line.
const SERVER_KEYS: [&str; 7] = ["include", "gateways", "unknown-host", "limits", "max-workers", "max-memory", "users"];
const TOP_KEYS: [&str; 6] = ["server", "app", "redirect", "static", "maintenance", "dev"];

/// Reads and checks everything; the failure lists every mistake. Files that say what they said in `old`, and apps with
/// the options that they had there, are taken from there, which is most of the work where one of a thousand has changed.
pub fn read(path: &Path, old: Option<&Config>) -> Result<Config, Failure> {
    check(Text::read(path).map_err(Failure::usage)?, old, include)
}

/// The same for a text that need not be in its file. Nothing is included.
pub fn read_text(path: &Path, text: String) -> Result<Config, Failure> {
    check(Text::new(path.to_owned(), text), None, |_, _, _| Vec::new())
}

/// Patterns of files, with their places.
type Patterns = [(String, Range<usize>)];

fn check(
    main: Text,
    old: Option<&Config>,
    include: impl FnOnce(&Text, &Patterns, &mut Mistakes) -> Vec<Text>,
) -> Result<Config, Failure> {
    let mut mistakes = Mistakes::default();
    let mut top = parse(&main, &mut mistakes);
    let keys = keys::keys();
    let mut server = Server::default();
    let mut span = 0..0;
    if let Some(table) = top.take_table("server", &mut mistakes) {
        span = table.span.clone();
        server = Server::read(table, &keys, &mut mistakes);
    }
    let included = include(&main, &server.include, &mut mistakes);
    let inherited = server.options.inherited(&keys);
    let mut kept = Kept::new(inherited.clone(), server.users.clone());
    let old_files = old.map(|old| &old.kept).filter(|old| old.is_like(&kept));
    let mut reader = Reader::new(&keys, &inherited, old.map(|old| &old.apps), &mut mistakes);
    let files = [(&main, Some(top))].into_iter().chain(included.iter().map(|text| (text, None)));
    for (text, parsed) in files {
        if old_files.is_some_and(|old| kept.take_over(text, old, &mut reader)) {
            continue;
        }
        let (apps, routes) = (reader.names.len(), reader.routes.len());
        let is_main = parsed.is_some();
        let top = parsed.unwrap_or_else(|| parse(text, reader.mistakes));
        reader.file(top, is_main);
        kept.keep(text, &reader, apps, routes);
    }
    let Reader { mut apps, routes, .. } = reader;
    if let Some(users) = &server.users {
        if !geteuid().is_root() {
            mistakes.at(&main, &span, "server.users: only root may run workers as somebody else");
        }
        for name in users.assign(&mut apps, old.map(|old| &old.apps)) {
            mistakes.at(&main, &span, format!("server.users: there is no user left for app.{name}"));
        }
    }
    let routes = apps::check_routes(routes, &mut mistakes);
    let least: usize = apps.values().map(|app| app.workers.min).sum();
    if least > server.most.workers {
        let most = server.most.workers;
        mistakes.at(&main, &span, format!("server.max-workers {most}: the apps have {least} at least, by their min"));
    }
    let settings = server.options.check(Source::Config(main.path.clone()), &(&main, span), &mut mistakes);
    let Server { gateways, misdirected, most, .. } = server;
    match (mistakes.into_result(), settings) {
        (Ok(()), Some(server)) => {
            let server = Settings { workers: gateways, max_workers: gateways, ..server };
            Ok(Config { server, apps, routes, misdirected, most, kept })
        }
        (mistakes, _) => Err(Failure::usage(mistakes.err().unwrap_or_default())),
    }
}

/// `[server]`, as far as it is no option of the command line.
struct Server {
    options: Options,
    include: Vec<(String, Range<usize>)>,
    gateways: usize,
    misdirected: bool,
    most: Most,
    users: Option<Users>,
}

impl Default for Server {
    fn default() -> Self {
        let gateways = std::thread::available_parallelism().map_or(1, usize::from);
        let (options, include) = (Options::default(), Vec::new());
        Self { options, include, gateways, misdirected: false, most: Most::UNLIMITED, users: None }
    }
}

impl Server {
    fn read(mut table: Table, keys: &[Key], mistakes: &mut Mistakes) -> Self {
        let mut server = Server::default();
        let text = table.text;
        server.options.take(keys, Scope::Server, &mut table, mistakes);
        for entry in table.take("include").into_iter().flat_map(Entry::into_list) {
            let pattern = entry.text(text, mistakes);
            server.include.extend(pattern.map(|pattern| (pattern, entry.span.clone())));
        }
        if let Some(entry) = table.take("gateways") {
            match entry.number(text, mistakes) {
                Some(number) if (1..=MAX_GATEWAYS).contains(&number) => server.gateways = number as usize,
                Some(_) => entry.mistake(text, &format!("must be from 1 to {MAX_GATEWAYS}"), mistakes),
                None => {}
            }
        }
        if let Some(entry) = table.take("unknown-host") {
            match entry.scalar().as_deref() {
                Some("404") => {}
                Some("421") => server.misdirected = true,
                _ => entry.mistake(text, "must be 404 or 421", mistakes),
            }
        }
        if let Some(entry) = table.take("max-workers") {
            match entry.number(text, mistakes) {
                Some(0) => entry.mistake(text, "must be at least 1", mistakes),
                Some(number) => server.most.workers = usize::try_from(number).unwrap_or(usize::MAX),
                None => {}
            }
        }
        if let Some(entry) = table.take("max-memory") {
            let value = entry.scalar().unwrap_or_default();
            let mut keep = |what: String| mistakes.at(text, &entry.span, what);
            server.most.memory = values::size(&entry.path, &value, &mut keep);
        }
        if let Some(entry) = table.take("users") {
            let range = entry.text(text, mistakes);
            server.users = range.and_then(|range| {
                let users = Users::parse(&range);
                users.inspect_err(|why| entry.mistake(text, why, mistakes)).ok()
            });
        }
        table.finish(apps::names(keys, Scope::Server, "").chain(SERVER_KEYS), mistakes);
        server
    }
}

/// A file's tables. What cannot be read is told, and the rest is there.
fn parse<'a>(text: &'a Text, mistakes: &mut Mistakes) -> Table<'a> {
    let (table, errors) = DeTable::parse_recoverable(&text.text);
    for error in errors {
        mistakes.at(text, &error.span().unwrap_or_default(), error.message());
    }
    let span = table.span();
    Table::new(text, "", span, table.into_inner())
}

/// The files that the patterns stand for, in the order of their names.
fn include(main: &Text, patterns: &Patterns, mistakes: &mut Mistakes) -> Vec<Text> {
    let mut texts = Vec::new();
    for (pattern, span) in patterns {
        let path = main.relative(pattern);
        let found = match glob::glob(&path.to_string_lossy()) {
            Ok(found) => found,
            Err(error) => {
                mistakes.at(main, span, format!("include: {pattern}: {error}"));
                continue;
            }
        };
        for path in found {
            let text = path.map_err(|error| error.to_string()).and_then(|path| Text::read(&path));
            match text {
                Ok(text) => texts.push(text),
                Err(why) => mistakes.at(main, span, format!("include: {why}")),
            }
        }
    }
    texts
}

//! Which key of the file stands for which option of the command line. The table is made from the command line's own
//! definition, so that neither can have what the other lacks.

use crate::cli::ServeArgs;
use clap::{Arg, ArgAction, Args, Command, FromArgMatches};
use std::cell::RefCell;

/// Where a key may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Server,
    App,
    /// In both; the server's is the default for its apps.
    Both,
}

pub struct Key {
    pub scope: Scope,
    /// The table below `[server]` or `[app.NAME]`: `limits`, `allow`, or nothing.
    pub table: &'static str,
    pub name: String,
    /// The option, without its dashes.
    pub option: String,
    pub arg: Arg,
}

/// Options of the command line alone, and those for which the file has a form of its own.
const NOT_HERE: [&str; 13] = [
    "chdir",
    "help",
    "host",
    "port",
    "name",
    "workers",
    "max-workers",
    "env",
    "env-from-file",
    "dir",
    "fd",
    "reload",
    "reload-dir",
];
/// What belongs to the server as a whole. Everything else belongs to an app.
const OF_SERVER: [&str; 7] = ["admin", "control", "pid-file", "log-file", "access-log-file", "log-level", "log-format"];
const OF_BOTH: [&str; 8] =
    ["bind", "uds-mode", "backlog", "umask", "no-access-log", "identify", "cache-dir", "sandbox"];

/// The options as clap has them, without the environment: what is set there is meant for a server without a file.
pub fn command() -> Command {
    ServeArgs::augment_args(empty_command()).mut_args(|arg| arg.env(None::<&'static str>))
}

fn empty_command() -> Command {
    Command::new("app").no_binary_name(true).disable_help_flag(true)
}

pub fn keys() -> Vec<Key> {
    command().get_arguments().filter_map(key).collect()
}

fn key(arg: &Arg) -> Option<Key> {
    let option = arg.get_long()?.to_owned();
    if NOT_HERE.contains(&option.as_str()) {
        return None;
    }
    let is_limit = arg.get_help_heading().is_some_and(|heading| heading.starts_with("Limits"));
    let is_outbound = option.contains("outbound");
    let (table, name) = match () {
        () if option.starts_with("allow-") => ("allow", option.replacen("allow-", "", 1)),
        () if is_limit || is_outbound => ("limits", limit(&option)),
        () => ("", option.clone()),
    };
    let scope = match option.as_str() {
        name if OF_SERVER.contains(&name) => Scope::Server,
        name if OF_BOTH.contains(&name) => Scope::Both,
        _ if arg.get_help_heading() == Some("Limits on a client") => Scope::Both,
        _ => Scope::App,
    };
    Some(Key { scope, table, name, option, arg: arg.clone() })
}

/// `max-memory` is `limits.memory`, `timeout-request` is `limits.request-timeout`.
fn limit(option: &str) -> String {
    if let Some(what) = option.strip_prefix("timeout-") {
        return format!("{what}-timeout");
    }
    let bare = option.strip_prefix("max-").or_else(|| option.strip_prefix("limit-"));
    bare.unwrap_or(option).to_owned()
}

impl Key {
    pub fn is_list(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::Append)
    }

    pub fn is_switch(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::SetTrue)
    }

    /// Whether the option takes this value, or what is wrong with it.
    pub fn try_value(&self, arguments: &[String]) -> Result<(), String> {
        let command = empty_command().arg(self.arg.clone());
        command.try_get_matches_from(arguments).map(drop).map_err(|error| {
            let text = error.render().to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            // Its first paragraph names the value and what is allowed; the rest is about the command line.
            let lines = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
            lines.collect::<Vec<_>>().join(" ")
        })
    }
}

/// The options as the command line would have them.
pub fn options(arguments: &[String]) -> Result<ServeArgs, String> {
    thread_local!(static COMMAND: RefCell<Command> = RefCell::new(command()));
    let matches = COMMAND.with_borrow_mut(|command| command.try_get_matches_from_mut(arguments));
    let matches = matches.map_err(|error| error.to_string())?;
    ServeArgs::from_arg_matches(&matches).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// As it is written in a message: `limits.memory`.
    fn path(key: &Key) -> String {
        if key.table.is_empty() { key.name.clone() } else { format!("{}.{}", key.table, key.name) }
    }

    #[test]
    fn every_option_has_one_key_and_no_two_have_the_same() {
        let keys = keys();
        let paths: BTreeSet<_> = keys.iter().map(path).collect();
        assert_eq!(paths.len(), keys.len());
        let options = command().get_arguments().filter_map(Arg::get_long).map(str::to_owned).collect::<Vec<_>>();
        for option in options.iter().filter(|option| !NOT_HERE.contains(&option.as_str())) {
            assert!(keys.iter().any(|key| key.option == *option), "{option}");
        }
        for option in NOT_HERE.into_iter().chain(OF_SERVER).chain(OF_BOTH).filter(|option| *option != "help") {
            assert!(options.iter().any(|known| known == option), "there is no option {option}");
        }
    }

    #[test]
    fn limits_and_grants_are_named_by_their_tables() {
        let path = |option: &str| keys().iter().find(|key| key.option == option).map(path).unwrap();
        assert_eq!(path("max-memory"), "limits.memory");
        assert_eq!(path("timeout-request"), "limits.request-timeout");
        assert_eq!(path("allow-http"), "allow.http");
        assert_eq!(path("timeout-outbound-connect"), "limits.outbound-connect-timeout");
        assert_eq!(path("threads"), "threads");
    }
}

//! `wasmserve generate`: man pages, shell completions and the schema of configuration files, all from the command line's
//! own definition.

use crate::cli::Cli;
use crate::config::file;
use crate::exit::Failure;
use clap::CommandFactory;
use clap_complete::Shell;
use std::fs;
use std::io;
use std::path::Path;

/// JSON Schema of what `--config` reads.
const SCHEMA: &str = "wasmserve.schema.json";

/// Writes a man page for each command and completions for each shell that people use.
pub fn generate(folder: &Path) -> Result<(), Failure> {
    let failure = |error: io::Error| Failure::internal(format!("{}: cannot be written: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failure)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(failure)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Cli::command(), "wasmserve", folder).map_err(failure)?;
    }
    let schema = serde_json::to_string_pretty(&file::schema()).map_err(io::Error::from).map_err(failure)?;
    fs::write(folder.join(SCHEMA), schema + "\n").map_err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_visible_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new/folder");
        generate(&folder).unwrap();
        generate(&folder).unwrap();
        let text = |name: &str| fs::read_to_string(folder.join(name)).expect(name);
        let command = Cli::command();
        for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            assert!(text(&format!("wasmserve-{name}.1")).contains(".SH SYNOPSIS"), "{name}");
            assert!(text("wasmserve.1").contains(&format!("wasmserve\\-{name}(1)")), "{name}");
        }
        assert!(!folder.join("wasmserve-generate.1").exists());
        let schema: serde_json::Value = serde_json::from_str(&text(SCHEMA)).unwrap();
        let app = &schema["properties"]["app"]["additionalProperties"]["properties"];
        assert!(app["component"].is_object() && app["limits"]["properties"]["memory"].is_object(), "{app}");
        assert!(app["cgroup"]["properties"]["pids-max"].is_object(), "{app}");
        for completions in ["wasmserve.bash", "_wasmserve", "wasmserve.fish"] {
            assert!(text(completions).contains("max-instance-memory"), "{completions}");
        }
    }
}

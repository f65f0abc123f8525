//! `wasmserve.toml`: how a project is built. Mistakes in it are told with their line and column.

use super::tool::Tool;
use crate::config::file::place;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;

pub const FILE: &str = "wasmserve.toml";

/// The section `[dev]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// A command for the shell, run in the project's folder.
    pub build: String,
    /// What it makes, relative to that folder.
    pub component: PathBuf,
    /// What a change of makes it build anew; nothing is named where everything counts.
    pub watch: Vec<PathBuf>,
    pub tools: Vec<Tool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    dev: Dev,
    /// For `--config`, which reads the same file.
    #[serde(default, rename = "server")]
    _server: IgnoredAny,
    #[serde(default, rename = "app")]
    _app: IgnoredAny,
    #[serde(default, rename = "redirect")]
    _redirect: IgnoredAny,
    #[serde(default, rename = "static")]
    _static: IgnoredAny,
    #[serde(default, rename = "maintenance")]
    _maintenance: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dev {
    build: Spanned<String>,
    component: Spanned<String>,
    #[serde(default)]
    watch: Vec<Spanned<String>>,
    #[serde(default)]
    tool: Vec<Tool>,
}

/// What is wrong, and where in the text.
struct Mistake {
    span: Range<usize>,
    what: String,
}

impl Manifest {
    /// Reads the one of a project. The error names the file.
    pub fn read(project: &Path) -> Result<Self, String> {
        let path = project.join(FILE);
        let text = fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => format!(
                "{}: there is no such file: name the folder of a project, or make one with `wasmserve new`",
                path.display()
            ),
            _ => format!("{}: cannot be read: {error}", path.display()),
        })?;
        Self::parse(&text).map_err(|error| format!("{}:{error}", path.display()))
    }

    /// The error begins with line and column.
    pub fn parse(text: &str) -> Result<Self, String> {
        check(text).map_err(|mistake| {
            let (line, column) = place(text, mistake.span.start);
            format!("{line}:{column}: {}", mistake.what)
        })
    }
}

fn check(text: &str) -> Result<Manifest, Mistake> {
    let raw: Raw = toml::from_str(text).map_err(|error| Mistake {
        span: error.span().unwrap_or_default(),
        what: error.message().split('\n').collect::<Vec<_>>().join(", "),
    })?;
    let dev = raw.dev;
    if dev.build.get_ref().trim().is_empty() {
        return Err(Mistake { span: dev.build.span(), what: "build is empty: give the command that builds".into() });
    }
    let component = inside(&dev.component, "component")?;
    let watch = dev.watch.iter().map(|path| inside(path, "watch")).collect::<Result<_, _>>()?;
    Ok(Manifest { build: dev.build.into_inner(), component, watch, tools: dev.tool })
}

/// A path that is relative to the project's folder.
fn inside(text: &Spanned<String>, key: &str) -> Result<PathBuf, Mistake> {
    let path = PathBuf::from(text.get_ref());
    if path.as_os_str().is_empty() || path.is_absolute() {
        let what = format!("{key} {:?}: give a path relative to the project's folder", text.get_ref());
        return Err(Mistake { span: text.span(), what });
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[dev]\nbuild = \"make\"\ncomponent = \"app.wasm\"\n";

    #[test]
    fn what_is_not_said_is_nothing() {
        let manifest = Manifest::parse(GOOD).unwrap();
        assert_eq!((manifest.build.as_str(), manifest.component.as_path()), ("make", Path::new("app.wasm")));
        assert!(manifest.watch.is_empty() && manifest.tools.is_empty());
        assert_eq!(Manifest::parse(&format!("{GOOD}[server]\nbind = []\n[app.x]\n")).unwrap(), manifest);
    }

    #[test]
    fn mistakes_have_their_place() {
        for (text, expected) in [
            (GOOD.replace("build", "biuld"), "2:1: unknown field `biuld`, expected"),
            (GOOD.replace("\"make\"", "3"), "2:9: invalid type: integer `3`, expected a string"),
            (GOOD.replace("make", " "), "2:9: build is empty"),
            (GOOD.replace("app.wasm", "/app.wasm"), "3:13: component \"/app.wasm\": give a path relative"),
            (format!("{GOOD}watch = [\"src\", \"\"]"), "4:17: watch \"\": give a path"),
            (format!("{GOOD}[[dev.tool]]\ncommand = \"npm\"\n"), "missing field `install`"),
            (format!("{GOOD}[devv]\n"), "4:2: unknown field `devv`"),
            (GOOD.replace("]", ""), "1:5: "),
            ("".into(), "1:1: missing field `dev`"),
        ] {
            let error = Manifest::parse(&text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}

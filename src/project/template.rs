//! Templates of projects: the folders `<language>-sync` and `<language>-async` of `templates`. One that is added there
//! needs no line of code here.

use super::embedded::{File, TEMPLATES};
use super::manifest::{self, Manifest};
use super::{folder, wit};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// A file whose name begins so gets a dot instead, and one that ends so loses that: real names would have git and cargo
/// take a template for a project.
const DOT: &str = "dot-";
const SUFFIX: &str = ".template";
/// Says of languages and generations that have no template why not.
const REASONS: &str = "impossible.toml";
/// Other names that people type.
const ALIASES: [(&str, &str); 8] = [
    ("js", "javascript"),
    ("ts", "typescript"),
    ("py", "python"),
    ("golang", "go"),
    ("c++", "cpp"),
    ("cxx", "cpp"),
    ("rs", "rust"),
    ("ziglang", "zig"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    pub language: &'static str,
    pub is_async: bool,
}

/// In the order of their folders.
pub fn all() -> Vec<Template> {
    let folders = TEMPLATES.iter().filter_map(|file| Some(file.path.split_once('/')?.0));
    let mut templates: Vec<Template> = folders.filter_map(Template::of_folder).collect();
    templates.dedup();
    templates
}

/// The one that was asked for, or why there is none.
pub fn find(language: &str, is_async: bool) -> Result<Template, String> {
    let typed = language.to_ascii_lowercase();
    let alias = ALIASES.iter().find(|(alias, _)| *alias == typed);
    let name = alias.map_or(typed.as_str(), |(_, name)| name);
    let all = all();
    let of_language: Vec<_> = all.iter().filter(|template| template.language == name).collect();
    if let Some(template) = of_language.iter().find(|template| template.is_async == is_async) {
        return Ok(**template);
    }
    let option = if is_async { " --async" } else { "" };
    let reasons = reasons();
    let reason = [folder_of(name, is_async), name.to_owned()].into_iter().find_map(|key| reasons.get(&key).cloned());
    let reason = reason.unwrap_or_else(|| "there is no template for that".to_owned());
    let instead = match (of_language.is_empty(), is_async) {
        (true, _) => format!("languages are {}", languages(&all).join(", ")),
        (false, true) => format!("without --async, for WASI 0.2, there is a template for {name}"),
        (false, false) => format!("with --async, for WASI 0.3, there is a template for {name}"),
    };
    Err(format!("--lang {language}{option}: {reason}; {instead}"))
}

fn reasons() -> BTreeMap<String, String> {
    let file = TEMPLATES.iter().find(|file| file.path == REASONS);
    let text = file.and_then(|file| std::str::from_utf8(file.content).ok());
    text.and_then(|text| toml::from_str(text).ok()).unwrap_or_default()
}

fn languages(all: &[Template]) -> Vec<&'static str> {
    let mut names: Vec<_> = all.iter().map(|template| template.language).collect();
    names.dedup();
    names
}

fn folder_of(language: &str, is_async: bool) -> String {
    format!("{language}-{}", if is_async { "async" } else { "sync" })
}

impl Template {
    fn of_folder(name: &'static str) -> Option<Self> {
        let (language, generation) = name.rsplit_once('-')?;
        matches!(generation, "sync" | "async").then_some(Self { language, is_async: generation == "async" })
    }

    /// Its files, with their paths in the project.
    pub fn files(self, name: &str) -> impl Iterator<Item = (String, Vec<u8>)> {
        let prefix = folder_of(self.language, self.is_async) + "/";
        TEMPLATES.iter().filter_map(move |file| {
            let path = file.path.strip_prefix(&prefix)?;
            Some((real_path(&fill_in(path, name)), content(file, name)))
        })
    }

    /// How a project of that name is built.
    pub fn manifest(self, name: &str) -> Result<Manifest, String> {
        let file = self.files(name).find(|(path, _)| path == manifest::FILE);
        let (_, content) = file.ok_or_else(|| format!("the template has no {}", manifest::FILE))?;
        Manifest::parse(&String::from_utf8_lossy(&content))
    }

    /// Makes the project, whole or not at all.
    pub fn write(self, path: &Path, name: &str) -> io::Result<()> {
        folder::create(path, |folder| {
            for (path, content) in self.files(name) {
                folder::write(&folder.join(path), &content)?;
            }
            wit::write(&folder.join("wit")).map_err(io::Error::other)?;
            Ok(())
        })
    }
}

fn content(file: &File, name: &str) -> Vec<u8> {
    match std::str::from_utf8(file.content) {
        Ok(text) => fill_in(text, name).into_bytes(),
        Err(_) => file.content.to_vec(),
    }
}

fn fill_in(text: &str, name: &str) -> String {
    text.replace("{{name}}", name).replace("{{name_snake}}", &name.replace('-', "_"))
}

fn real_path(path: &str) -> String {
    let real = |part: &str| {
        let part = part.strip_suffix(SUFFIX).unwrap_or(part);
        part.strip_prefix(DOT).map_or_else(|| part.to_owned(), |rest| format!(".{rest}"))
    };
    path.split('/').map(real).collect::<Vec<_>>().join("/")
}

/// Words that a language or a tool keeps for itself, so that a package of that name does not build.
const RESERVED: [&str; 24] = [
    "async",
    "await",
    "break",
    "class",
    "const",
    "continue",
    "core",
    "def",
    "else",
    "enum",
    "export",
    "fn",
    "for",
    "func",
    "if",
    "import",
    "interface",
    "return",
    "std",
    "struct",
    "test",
    "type",
    "while",
    "world",
];
/// What packages of all languages may have.
const LONGEST: usize = 64;

/// Checks a project's name, which becomes the name of packages, crates and files.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if !begins_well || !name.split('-').all(is_word) {
        return Err(format!(
            "{name:?} cannot be the name of a project: use words of lower-case letters and digits with - between them, such \
             as my-app2"
        ));
    }
    if name.len() > LONGEST {
        return Err(format!("{name:?} is too long for the name of a project: {LONGEST} characters at most"));
    }
    if RESERVED.contains(&name) {
        return Err(format!(
            "{name:?} is a word that some language keeps for itself: add another one, as in my-{name}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["a", "shop", "my-app2", "a1-2b"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "Shop", "my_app", "2x", "-x", "x-", "a--b", "é", "a b", "a.b", "world", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn paths() {
        assert_eq!(real_path("dot-gitignore"), ".gitignore");
        assert_eq!(real_path("dot-cargo/config.toml"), ".cargo/config.toml");
        assert_eq!(real_path("src/Cargo.toml.template"), "src/Cargo.toml");
    }

    #[test]
    fn every_template_says_how_it_is_built() {
        for template in all() {
            let manifest = template.manifest("my-app").unwrap_or_else(|error| panic!("{template:?}: {error}"));
            assert_eq!(manifest.component, Path::new("my-app.wasm"), "{template:?}");
            assert!(!manifest.tools.is_empty(), "{template:?}");
        }
    }

    #[test]
    fn reasons_are_of_what_is_not_there() {
        let reasons = reasons();
        assert!(!reasons.is_empty());
        for template in all() {
            let folder = folder_of(template.language, template.is_async);
            assert!(!reasons.contains_key(&folder) && !reasons.contains_key(template.language), "{folder}");
        }
    }
}

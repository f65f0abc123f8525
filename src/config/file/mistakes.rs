//! What is wrong in a file, with its place.

use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A file's text, for lines and columns.
pub struct Text {
    pub path: PathBuf,
    pub text: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl Text {
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self::new(path.to_owned(), text))
    }

    pub fn new(path: PathBuf, text: String) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { path, text, lines }
    }

    /// `FILE:LINE:COLUMN`.
    pub fn place(&self, at: usize) -> String {
        let at = at.min(self.text.len());
        let line = self.lines.partition_point(|begin| *begin <= at);
        let before = self.text.get(self.lines[line - 1]..at).unwrap_or_default();
        let column = before.chars().count() + 1;
        format!("{}:{line}:{column}", self.path.display())
    }

    /// A path in the file is relative to its folder.
    pub fn relative(&self, path: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }
}

/// Line and column of a byte, both counted from 1, columns in characters.
pub fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

#[derive(Default)]
pub struct Mistakes(Vec<String>);

impl Mistakes {
    pub fn at(&mut self, text: &Text, span: &Range<usize>, what: impl Display) {
        self.0.push(format!("{}: {what}", text.place(span.start)));
    }

    pub fn add(&mut self, what: impl Display) {
        self.0.push(what.to_string());
    }

    pub fn into_result(self) -> Result<(), String> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0.join("\n")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lines_and_columns() {
        let text = Text::new("a/b.toml".into(), "x = 1\nä = 2\n".into());
        assert_eq!(text.place(0), "a/b.toml:1:1");
        assert_eq!(text.place(4), "a/b.toml:1:5");
        assert_eq!(text.place(9), "a/b.toml:2:3");
        assert_eq!(text.place(999), "a/b.toml:3:1");
        assert_eq!(text.relative("c.wasm"), Path::new("a/c.wasm"));
    }
}

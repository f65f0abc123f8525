//! A table of the file, taken apart: each value is wanted by somebody, and what is left over is a mistake.

use super::mistakes::{Mistakes, Text};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A table whose keys are taken one after the other.
pub struct Table<'a> {
    pub text: &'a Text,
    /// Where it stands, as it is written in messages: `app.shop`.
    pub path: String,
    pub span: Range<usize>,
    entries: Vec<(String, Range<usize>, Spanned<DeValue<'a>>)>,
}

/// A value with its place.
pub struct Entry<'a> {
    pub path: String,
    pub key: String,
    pub span: Range<usize>,
    pub value: DeValue<'a>,
}

impl<'a> Table<'a> {
    pub fn new(text: &'a Text, path: &str, span: Range<usize>, table: DeTable<'a>) -> Self {
        let entries = table.into_iter();
        let entries = entries.map(|(key, value)| (key.get_ref().to_string(), key.span(), value)).collect();
        Self { text, path: path.to_owned(), span, entries }
    }

    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub fn take(&mut self, key: &str) -> Option<Entry<'a>> {
        let at = self.entries.iter().position(|(name, ..)| name == key)?;
        let (name, _, value) = self.entries.remove(at);
        Some(self.entry(name, value))
    }

    fn entry(&self, key: String, value: Spanned<DeValue<'a>>) -> Entry<'a> {
        Entry { path: self.path_of(&key), span: value.span(), key, value: value.into_inner() }
    }

    pub fn take_table(&mut self, key: &str, mistakes: &mut Mistakes) -> Option<Table<'a>> {
        let entry = self.take(key)?;
        entry.into_table(self.text, mistakes)
    }

    /// All that is left, in the order of the file.
    pub fn take_all(&mut self) -> Vec<Entry<'a>> {
        let entries = std::mem::take(&mut self.entries);
        entries.into_iter().map(|(key, _, value)| self.entry(key, value)).collect()
    }

    /// Whatever nobody wanted; `known` are the names there are.
    pub fn finish<'k>(self, known: impl IntoIterator<Item = &'k str>, mistakes: &mut Mistakes) {
        if self.entries.is_empty() {
            return;
        }
        let known: Vec<_> = known.into_iter().collect();
        for (key, span, _) in &self.entries {
            let like = nearest(key, &known).map(|name| format!(": did you mean {name}?")).unwrap_or_default();
            mistakes.at(self.text, span, format!("{}: there is no such key{like}", self.path_of(key)));
        }
    }
}

impl<'a> Entry<'a> {
    pub fn mistake(&self, text: &Text, what: &str, mistakes: &mut Mistakes) {
        mistakes.at(text, &self.span, format!("{}: {what}", self.path));
    }

    pub fn into_table(self, text: &'a Text, mistakes: &mut Mistakes) -> Option<Table<'a>> {
        match self.value {
            DeValue::Table(table) => Some(Table::new(text, &self.path, self.span, table)),
            _ => {
                self.mistake(text, "must be a table", mistakes);
                None
            }
        }
    }

    pub fn text(&self, text: &Text, mistakes: &mut Mistakes) -> Option<String> {
        let found = self.value.as_str().map(str::to_owned);
        if found.is_none() {
            self.mistake(text, "must be a text in quotation marks", mistakes);
        }
        found
    }

    /// One text or a list of them, as entries of their own.
    pub fn into_list(self) -> Vec<Entry<'a>> {
        let Entry { path, key, span, value } = self;
        match value {
            DeValue::Array(values) => {
                let one = |(at, value): (usize, Spanned<DeValue<'a>>)| Entry {
                    path: format!("{path}[{at}]"),
                    key: key.clone(),
                    span: value.span(),
                    value: value.into_inner(),
                };
                values.into_iter().enumerate().map(one).collect()
            }
            value => vec![Entry { path, key, span, value }],
        }
    }

    /// A text, a number or true and false, as one would type it.
    pub fn scalar(&self) -> Option<String> {
        Some(match &self.value {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok()?.to_string(),
            DeValue::Float(number) => number.as_str().to_owned(),
            DeValue::Boolean(value) => value.to_string(),
            _ => return None,
        })
    }

    pub fn boolean(&self, text: &Text, mistakes: &mut Mistakes) -> Option<bool> {
        let found = self.value.as_bool();
        if found.is_none() {
            self.mistake(text, "must be true or false", mistakes);
        }
        found
    }

    pub fn number(&self, text: &Text, mistakes: &mut Mistakes) -> Option<u64> {
        let found = self.value.as_integer().and_then(|_| self.scalar()).and_then(|number| number.parse().ok());
        if found.is_none() {
            self.mistake(text, "must be a whole number, 0 or more", mistakes);
        }
        found
    }
}

/// The known name that differs least, if it is near enough to be meant.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let by_distance = known.iter().map(|name| (strsim::levenshtein(key, name), *name));
    by_distance.filter(|(distance, name)| *distance <= 1 + name.len() / 4).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_key_is_recognised() {
        let known = ["workers", "threads", "component"];
        assert_eq!(nearest("wokers", &known), Some("workers"));
        assert_eq!(nearest("compnent", &known), Some("component"));
        assert_eq!(nearest("colour", &known), None);
    }
}

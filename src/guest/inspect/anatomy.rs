//! A walk through a whole component, nested components and core modules included: how big its parts are, which tools
//! made it, and whether it serves only once. `inspect` calls it for bytes that have been validated.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use wasmparser::{BinaryReader, ComponentExternalKind, ComponentTypeRef, Encoding, ExternalKind, Parser, Payload};

use super::error::printable;

/// How many bytes a component's parts take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sizes {
    pub total: usize,
    /// Code of all core modules.
    pub code: usize,
    /// Data of all core modules.
    pub data: usize,
    /// Custom sections anywhere: names, debug information, producers.
    pub custom: usize,
    /// How many core modules it holds.
    pub modules: usize,
}

#[derive(Debug, Default)]
pub(super) struct Anatomy<'a> {
    pub sizes: Sizes,
    pub producers: Vec<String>,
    pub imports: Vec<(&'a str, ComponentTypeRef)>,
    pub exports: Vec<(&'a str, ComponentExternalKind)>,
    made_by_componentize_js: bool,
    releases_responses: bool,
    seen: HashSet<String>,
}

impl<'a> Anatomy<'a> {
    pub fn of(bytes: &'a [u8]) -> wasmparser::Result<Self> {
        let mut anatomy = Anatomy { sizes: Sizes { total: bytes.len(), ..Sizes::default() }, ..Anatomy::default() };
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::Version { encoding, .. } => {
                    depth += 1;
                    anatomy.sizes.modules += usize::from(encoding == Encoding::Module);
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::CodeSectionStart { range, .. } => anatomy.sizes.code += range.len(),
                Payload::DataSection(section) => anatomy.sizes.data += section.range().len(),
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        anatomy.releases_responses |= export.kind == ExternalKind::Func && releases(export.name);
                    }
                }
                Payload::CustomSection(section) => {
                    anatomy.sizes.custom += section.range().len();
                    if section.name() == "producers" {
                        // Nothing depends on these being well-formed, so what cannot be read is left out.
                        let _ = anatomy.note_producers(BinaryReader::new(section.data(), section.data_offset()));
                    }
                }
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        let import = import?;
                        anatomy.imports.push((import.name.name, import.ty));
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        let export = export?;
                        anatomy.exports.push((export.name.name, export.kind));
                    }
                }
                _ => {}
            }
        }
        Ok(anatomy)
    }

    /// Why an instance can serve a single request, if it is known that it can.
    ///
    /// ComponentizeJS makes two kinds: around an exported handler, and around a `fetch` event listener that fails when
    /// it is asked to respond again. Only the first releases what `handle` returned.
    pub fn serves_once(&self) -> Option<String> {
        (self.made_by_componentize_js && !self.releases_responses).then(|| {
            "made by ComponentizeJS around a fetch event, which answers once per instance \
             (no core module exports cabi_post_…incoming-handler…#handle)"
                .to_string()
        })
    }

    /// wasmparser has a reader for this section, but it stops at field names it does not know.
    fn note_producers(&mut self, mut section: BinaryReader<'_>) -> wasmparser::Result<()> {
        // Enough for any toolchain; a component that claims more is only trying to be long.
        const MOST: usize = 100;
        for _ in 0..section.read_var_u32()? {
            let field = section.read_unlimited_string()?;
            self.made_by_componentize_js |= field.contains("ComponentizeJS");
            for _ in 0..section.read_var_u32()? {
                let name = section.read_unlimited_string()?;
                let version = section.read_unlimited_string()?;
                self.made_by_componentize_js |= name.contains("ComponentizeJS");
                let line = printable(format!("{field}: {name} {version}").trim_end());
                if self.producers.len() < MOST && self.seen.insert(line.clone()) {
                    self.producers.push(line);
                }
            }
        }
        Ok(())
    }
}

fn releases(export: &str) -> bool {
    export.starts_with("cabi_post_") && export.contains("incoming-handler") && export.ends_with("#handle")
}

/// Where a file stops in the middle of a section: the section's start, and where it says it ends.
pub(super) fn cut_short(bytes: &[u8]) -> Option<(usize, usize)> {
    const HEADER: usize = 8;
    const LAST_SECTION: u8 = 11;
    let mut start = HEADER;
    while let Some(id) = bytes.get(start) {
        // What follows is no section, so its size means nothing: damage, or something appended.
        if *id > LAST_SECTION {
            return None;
        }
        let mut reader = BinaryReader::new(bytes.get(start + 1..)?, start + 1);
        let Ok(size) = reader.read_var_u32() else {
            // A size has five bytes at most: if there were as many, it is wrong rather than cut.
            return (bytes.len() < start + 6).then_some((start, start + 6));
        };
        let end = reader.original_position().saturating_add(usize::try_from(size).ok()?);
        if end > bytes.len() {
            return Some((start, end));
        }
        start = end;
    }
    None
}

//! What a component is and wants, found by reading it, so that a file that cannot be served is refused with a clear
//! reason before anybody spends seconds on compiling it.
//!
//! The compiler process calls it ahead of compiling, and `wasmserve inspect` to print the report.

mod anatomy;
mod error;
mod foreign;
#[cfg(test)]
mod tests;

use semver::Version;
use serde::{Deserialize, Serialize};
use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType, ComponentInstanceTypeId};
use wasmparser::types::TypesRef;
use wasmparser::{ComponentExternalKind, ComponentTypeRef, Parser, Payload, TypeBounds, Validator, WasmFeatures};

use self::anatomy::Anatomy;
pub use self::anatomy::Sizes;
pub use self::error::InspectError;
use super::provided::{self, Capability, Found};

/// What a component is and wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The handler that is served; of both generations, 0.3 wins.
    pub handler: Handler,
    /// The kind of lifespan interface it exports, if it does.
    pub lifespan: Option<Lifespan>,
    /// Whether it uses the component model's async features or imports WASI 0.3.
    pub concurrent: bool,
    /// Why an instance can serve a single request only, if it is known that it can.
    pub serves_once: Option<String>,
    pub imports: Vec<Import>,
    /// Names of everything it exports, the handler included.
    pub exports: Vec<String>,
    /// The tools and languages it was made with, as they signed it: "processed-by: wit-component 0.244.0".
    pub producers: Vec<String>,
    pub sizes: Sizes,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Handler {
    pub kind: HandlerKind,
    /// Full name with version, as the component exports it.
    pub interface: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HandlerKind {
    /// `wasi:http/incoming-handler@0.2.x`: one request at a time in each instance.
    Sync,
    /// `wasi:http/handler@0.3.x`: many requests at a time in each instance.
    Async,
}

/// Which of the lifespan interfaces a component exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifespan {
    Sync,
    Async,
}

/// An interface the component imports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Import {
    pub name: String,
    pub capability: Capability,
    /// Names of its functions that the component asks for, methods of resources included.
    pub functions: Vec<String>,
}

const MAGIC: &[u8] = b"\0asm";
/// Version and layer, behind the magic number.
const CORE_MODULE: &[u8] = &[1, 0, 0, 0];

const SYNC_HANDLER: &str = "wasi:http/incoming-handler";
const ASYNC_HANDLER: &str = "wasi:http/handler";
const SYNC_LIFESPAN: &str = "wasmserve:lifespan/lifespan";
const ASYNC_LIFESPAN: &str = "wasmserve:lifespan/lifespan-async";
const LIFESPAN_VERSION: &str = "0.1.0";

/// A component as a binary: text is parsed, a binary is passed through as it is.
pub fn to_binary(bytes: Vec<u8>) -> Result<Vec<u8>, InspectError> {
    if bytes.is_empty() {
        return Err(InspectError::Empty);
    }
    if looks_binary(&bytes) {
        return Ok(bytes);
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) if looks_like_wat(text) => wat::parse_str(text).map_err(|error| InspectError::text(&error)),
        _ => Err(not_wasm(&bytes)),
    }
}

/// Validates a component binary and reports what it is and wants.
pub fn inspect(bytes: &[u8]) -> Result<Report, InspectError> {
    check_header(bytes)?;
    // All features, also those that the engine has off: the compiler has the last word and says more about them.
    let types =
        Validator::new_with_features(WasmFeatures::all()).validate_all(bytes).map_err(
            |error| match anatomy::cut_short(bytes) {
                Some((offset, end)) => InspectError::Truncated { offset, end, size: bytes.len() },
                None => InspectError::corrupt(&error),
            },
        )?;
    let anatomy = Anatomy::of(bytes).map_err(|error| InspectError::corrupt(&error))?;
    let handler = handler(&anatomy.exports)?;
    let concurrent = Validator::new_with_features(WasmFeatures::all() - CONCURRENCY).validate_all(bytes).is_err()
        || anatomy.imports.iter().any(|(name, _)| imports_0_3(name));
    Ok(Report {
        concurrent,
        lifespan: lifespan(&anatomy.exports, handler.kind),
        handler,
        serves_once: anatomy.serves_once(),
        imports: imports(&anatomy.imports, types.as_ref())?,
        exports: anatomy.exports.iter().map(|(name, _)| (*name).to_string()).collect(),
        producers: anatomy.producers,
        sizes: anatomy.sizes,
    })
}

/// What needs an engine with support for concurrency.
const CONCURRENCY: WasmFeatures = WasmFeatures::CM_ASYNC
    .union(WasmFeatures::CM_ASYNC_STACKFUL)
    .union(WasmFeatures::CM_MORE_ASYNC_BUILTINS)
    .union(WasmFeatures::CM_THREADING)
    .union(WasmFeatures::CM_ERROR_CONTEXT);

fn imports_0_3(name: &str) -> bool {
    let (_, version) = provided::split(name);
    let wanted = version.and_then(|text| Version::parse(text).ok());
    name.starts_with("wasi:") && wanted.is_some_and(|wanted| provided::compatible(&wanted, provided::WASI_0_3))
}

fn check_header(bytes: &[u8]) -> Result<(), InspectError> {
    if bytes.is_empty() {
        return Err(InspectError::Empty);
    }
    if !looks_binary(bytes) {
        return Err(not_wasm(bytes));
    }
    match bytes.get(4..8) {
        None => Err(InspectError::Truncated { offset: 0, end: 8, size: bytes.len() }),
        Some(CORE_MODULE) => Err(core_module(bytes)),
        // Other versions are the validator's business.
        Some(_) => Ok(()),
    }
}

/// Whether it is a core module, and not a component.
pub fn is_core_module(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC) && bytes.get(4..8) == Some(CORE_MODULE)
}

/// Also a file that ends within the magic number, so that it is called truncated.
fn looks_binary(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC) || (!bytes.is_empty() && MAGIC.starts_with(bytes))
}

/// Whether the first thing behind white space and comments is an opening parenthesis.
fn looks_like_wat(text: &str) -> bool {
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(comment) = rest.strip_prefix(";;") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after);
        } else if rest.starts_with("(;") {
            rest = after_block_comment(rest);
        } else {
            return rest.starts_with('(');
        }
    }
}

/// Block comments nest.
fn after_block_comment(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(pair) = text.as_bytes().get(at..at + 2) {
        match pair {
            b"(;" => depth += 1,
            b";)" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return text.get(at..).unwrap_or_default();
        }
    }
    ""
}

fn not_wasm(bytes: &[u8]) -> InspectError {
    let (what, hint) = foreign::describe(bytes);
    InspectError::NotWasm { what, hint: hint.to_string() }
}

fn core_module(bytes: &[u8]) -> InspectError {
    InspectError::CoreModule { typed: carries_component_type(bytes) }
}

/// Whether a core module carries its world, as a bindings generator puts it there. Reads as far as it can be read.
pub fn carries_component_type(module: &[u8]) -> bool {
    let mut payloads = Parser::new(0).parse_all(module).map_while(Result::ok);
    payloads.any(
        |payload| matches!(payload, Payload::CustomSection(section) if section.name().starts_with("component-type")),
    )
}

fn handler(exports: &[(&str, ComponentExternalKind)]) -> Result<Handler, InspectError> {
    let found =
        |kind, base, version| newest(exports, base, version).map(|name| Handler { kind, interface: name.to_string() });
    let served = found(HandlerKind::Async, ASYNC_HANDLER, provided::WASI_0_3)
        .or_else(|| found(HandlerKind::Sync, SYNC_HANDLER, provided::WASI_0_2));
    served.ok_or_else(|| {
        let names = exports.iter().map(|(name, _)| *name);
        let handlers = |name: &&str| matches!(provided::split(name).0, SYNC_HANDLER | ASYNC_HANDLER);
        let found: Vec<String> = names.clone().filter(handlers).map(str::to_string).collect();
        if found.is_empty() {
            InspectError::NoHandler { exports: names.map(str::to_string).collect() }
        } else {
            InspectError::HandlerVersion { found }
        }
    })
}

fn lifespan(exports: &[(&str, ComponentExternalKind)], handler: HandlerKind) -> Option<Lifespan> {
    let found = |lifespan, base| newest(exports, base, LIFESPAN_VERSION).map(|_| lifespan);
    let sync = found(Lifespan::Sync, SYNC_LIFESPAN);
    let concurrent = found(Lifespan::Async, ASYNC_LIFESPAN);
    // Of both, the one that the handler's generation is made for.
    match handler {
        HandlerKind::Sync => sync.or(concurrent),
        HandlerKind::Async => concurrent.or(sync),
    }
}

/// The newest export of an interface at a version that is compatible with ours: the one wasmtime would pick, too.
fn newest<'a>(exports: &[(&'a str, ComponentExternalKind)], base: &str, ours: &str) -> Option<&'a str> {
    let instances = exports.iter().filter(|(_, kind)| *kind == ComponentExternalKind::Instance);
    instances
        .filter_map(|(name, _)| {
            let (its_base, version) = provided::split(name);
            let version = Version::parse(version?).ok()?;
            (its_base == base && provided::compatible(&version, ours)).then_some((version, *name))
        })
        .max_by(|(a, _), (b, _)| a.cmp(b))
        .map(|(_, name)| name)
}

fn imports(imports: &[(&str, ComponentTypeRef)], types: TypesRef<'_>) -> Result<Vec<Import>, InspectError> {
    let mut known = Vec::new();
    let mut unknown = Vec::new();
    for (name, kind) in imports {
        let item = types.component_item_for_import(name).map(|item| item.ty);
        match (kind, item) {
            // It only gives a name to a type that is known already.
            (ComponentTypeRef::Type(TypeBounds::Eq(_)), _) => {}
            (ComponentTypeRef::Instance(_), Some(ComponentEntityType::Instance(id))) => {
                let provided = matches!(provided::find(name), Found::Provided(_));
                if provided || !needs_a_provider(id, types) {
                    known.push(Import {
                        name: (*name).to_string(),
                        capability: provided::capability(name),
                        functions: functions(id, types),
                    });
                } else {
                    unknown.push((*name).to_string());
                }
            }
            _ => unknown.push((*name).to_string()),
        }
    }
    if unknown.is_empty() { Ok(known) } else { Err(InspectError::Imports(unknown)) }
}

/// Wasmtime asks nobody for an interface of plain types, which exist in the component itself; resources and anything
/// that can be called must come from somewhere.
fn needs_a_provider(id: ComponentInstanceTypeId, types: TypesRef<'_>) -> bool {
    types.get(id).is_some_and(|instance| {
        instance.exports.values().any(|item| match item.ty {
            ComponentEntityType::Type { created, .. } => {
                matches!(created, ComponentAnyTypeId::Resource(_))
            }
            _ => true,
        })
    })
}

fn functions(id: ComponentInstanceTypeId, types: TypesRef<'_>) -> Vec<String> {
    let Some(instance) = types.get(id) else {
        return Vec::new();
    };
    let functions = instance.exports.iter().filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)));
    functions.map(|(name, _)| name.clone()).collect()
}

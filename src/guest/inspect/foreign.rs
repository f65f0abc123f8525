//! What a file that is not WebAssembly seems to be. Whoever passes the wrong file has usually picked the one next to
//! the right one: its source, its package, or what another tool made of it. `inspect::to_binary` asks.

use super::error::printable;

/// What the bytes look like ("a gzip archive"), and what to do about it.
pub(super) fn describe(bytes: &[u8]) -> (String, &'static str) {
    if let Some((what, hint)) = by_magic(bytes) {
        return (what.to_string(), hint);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|c| c.is_control() && !c.is_whitespace()) => by_text(text),
        _ => {
            let start: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            (format!("data of an unknown kind (it starts with {})", start.join(" ")), BUILD)
        }
    }
}

const BUILD: &str = "pass a component, as a binary (.wasm) or as text (.wat)";
const UNPACK: &str = "unpack it and pass the component inside";
const COMPILE: &str = "compile it to a component first and pass the .wasm file";
const DOWNLOAD: &str = "if it was downloaded, look at the address: this is a page or an answer, not the component";

fn by_magic(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let found = match bytes {
        // wasmtime puts compiled code into an ELF file whose sections carry its name.
        [0x7f, b'E', b'L', b'F', ..] if contains(bytes, b".wasmtime") => (
            "a component that wasmtime has compiled already (.cwasm)",
            "pass the .wasm file it was compiled from: wasmserve compiles and caches it by itself",
        ),
        [0x7f, b'E', b'L', b'F', ..] => (
            "a native Linux program or library (ELF)",
            "build it for a component target (Rust: --target wasm32-wasip2)",
        ),
        [b'M', b'Z', ..] => ("a Windows program", "build it for a component target (Rust: --target wasm32-wasip2)"),
        [0xcf, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => {
            ("a macOS program or Java class", "build it for a component target (Rust: --target wasm32-wasip2)")
        }
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => ("a static library (.a or .rlib)", COMPILE),
        [b'B', b'C', 0xc0, 0xde, ..] => ("LLVM bitcode", COMPILE),
        [0x1f, 0x8b, ..] => ("a gzip archive", UNPACK),
        [b'P', b'K', 3 | 5, 4 | 6, ..] => ("a zip archive", UNPACK),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ("a zstd archive", UNPACK),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => ("an xz archive", UNPACK),
        [b'B', b'Z', b'h', ..] => ("a bzip2 archive", UNPACK),
        _ if bytes.get(257..262) == Some(b"ustar") => ("a tar archive", UNPACK),
        [0, 0, 0, 0, ..] => ("a file that begins with zeros", "its copy was probably never finished: copy it again"),
        _ => return None,
    };
    Some(found)
}

fn by_text(text: &str) -> (String, &'static str) {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.is_empty() {
        return ("only white space".to_string(), BUILD);
    }
    let start: String = text.chars().take(64).collect::<String>().to_ascii_lowercase();
    if let Some(found) = by_opening(&start) {
        return (found.0.to_string(), found.1);
    }
    // Source text is told by how its first lines begin; one look at a few is enough.
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(40);
    if let Some(language) = lines.find_map(language) {
        let hint = if language == WIT { "pass the component that implements it, not its interface" } else { COMPILE };
        return (language.to_string(), hint);
    }
    let first: String = text.lines().next().unwrap_or_default().chars().take(40).collect();
    (format!("text that begins with \"{}\"", printable(&first)), BUILD)
}

fn by_opening(start: &str) -> Option<(&'static str, &'static str)> {
    let found = if start.starts_with("<!doctype html") || start.starts_with("<html") {
        ("an HTML page", DOWNLOAD)
    } else if start.starts_with('<') {
        ("an XML or HTML document", DOWNLOAD)
    } else if start.starts_with("version https://git-lfs") {
        ("a Git LFS pointer", "fetch the file itself with `git lfs pull`")
    } else if start.starts_with("#!") {
        ("a script", COMPILE)
    } else if start.starts_with(['{', '[']) && !start.contains("]\n") {
        ("JSON", DOWNLOAD)
    } else if start.starts_with('[') {
        ("a TOML or INI file", BUILD)
    } else {
        return None;
    };
    Some(found)
}

const WIT: &str = "a WIT file (an interface description)";

fn language(line: &str) -> Option<&'static str> {
    let starts = |words: &[&str]| words.iter().any(|word| line.starts_with(word));
    // `package` opens a file in WIT (`package a:b;`) and in Go (`package main`).
    if (line.starts_with("package ") && line.contains(':') && line.ends_with([';', '{']))
        || (starts(&["world ", "interface "]) && line.ends_with('{') && !line.contains('('))
    {
        Some(WIT)
    } else if line.starts_with("package ") && !line.ends_with(';') {
        Some("Go source text")
    } else if starts(&["use ", "pub ", "fn ", "#![", "mod ", "extern crate "]) {
        Some("Rust source text")
    } else if starts(&["#include", "#define", "#ifndef", "#pragma"]) {
        Some("C or C++ source text")
    } else if starts(&[
        "export ",
        "const ",
        "let ",
        "function ",
        "async function",
        "\"use strict\"",
        "addEventListener",
    ]) || (line.starts_with("import ")
        && (line.contains(" from ") || line.ends_with(';') || line.contains(['\'', '"'])))
    {
        Some("JavaScript or TypeScript source text")
    } else if starts(&["import ", "from ", "def ", "class ", "async def ", "\"\"\"", "@"]) {
        Some("Python source text")
    } else {
        None
    }
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn common_mistakes_are_recognised() {
        let cases: &[(&[u8], &str)] = &[
            (b"\x7fELF\x02\x01\x01", "native Linux program"),
            (b"\x7fELF\x02\x01\x01\0\0.wasmtime.engine\0", "compiled already"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"PK\x03\x04", "zip"),
            (b"<!DOCTYPE html><p>Not Found", "HTML"),
            (b"{\"error\": \"not found\"}", "JSON"),
            (b"[package]\nname = \"app\"", "TOML"),
            (b"package wasi:http@0.2.0;\nworld proxy {", "WIT"),
            (b"package main\n\nimport \"fmt\"\n", "Go"),
            (b"# a comment\nfrom spin import http\n", "Python"),
            (b"import json\n", "Python"),
            (b"// app\nimport { serve } from './x.js';\n", "JavaScript"),
            (b"use std::io;\n", "Rust"),
            (b"#include <stdio.h>\n", "C or C++"),
            (b"#!/bin/sh\n", "script"),
            (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
            (b"\0\0\0\0\0\0", "zeros"),
            (b"hello\x1b there", "68 65 6c 6c 6f 1b"),
            (b"hello there", "begins with \"hello there\""),
            (b" \n ", "white space"),
        ];
        for (bytes, expected) in cases {
            let (what, hint) = describe(bytes);
            assert!(what.contains(expected), "{what:?} should say {expected:?}");
            assert!(!hint.is_empty());
        }
    }
}

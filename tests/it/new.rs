//! `wasmserve new`: projects from templates, and what it says where there is none.

use std::fs;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Finished, Wasmserve};

/// The templates that there are: language and whether it is async.
fn templates() -> Vec<(String, bool)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let folders = fs::read_dir(root).unwrap().flatten().filter(|entry| entry.path().is_dir());
    let names = folders.map(|folder| folder.file_name().into_string().unwrap());
    let mut templates: Vec<_> = names
        .map(|name| {
            let (language, generation) = name.rsplit_once('-').expect("a language and a generation");
            (language.to_owned(), generation == "async")
        })
        .collect();
    templates.sort();
    templates
}

fn new(folder: &TempDir, name: &str, language: &str, is_async: bool) -> Finished {
    let option: &[&str] = if is_async { &["--async"] } else { &[] };
    Wasmserve::new(&["new", name, "--lang", language]).args(option).current_dir(folder).run()
}

#[track_caller]
fn make(folder: &TempDir, name: &str, language: &str, is_async: bool) -> (PathBuf, String) {
    let finished = new(folder, name, language, is_async);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    (folder.path().join(name), finished.stdout)
}

#[track_caller]
fn assert_refused(finished: &Finished, parts: &[&str]) {
    assert_eq!(finished.code, Some(2), "{finished:?}");
    for part in parts {
        assert!(finished.stderr.contains(part), "{part:?} is not in: {}", finished.stderr);
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn count(folder: &TempDir) -> usize {
    fs::read_dir(folder).unwrap().count()
}

fn build_command(project: &Path) -> String {
    let text = fs::read_to_string(project.join("wasmserve.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&text).unwrap();
    manifest["dev"]["build"].as_str().unwrap().to_owned()
}

#[test]
fn every_template_is_a_complete_project() {
    for (language, is_async) in templates() {
        let folder = TempDir::new().unwrap();
        let (project, told) = make(&folder, "my-shop2", &language, is_async);
        let what = format!("{language}, async: {is_async}");
        for file in files(&project) {
            let path = file.strip_prefix(&project).unwrap().to_str().unwrap().to_owned();
            let left = ["{{name", "dot-", ".template"].into_iter().find(|part| path.contains(part));
            assert_eq!(left, None, "{what}: {path}");
            let content = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
            assert!(!content.contains("{{name"), "{what}: {path}");
        }
        for file in ["README.md", "wasmserve.toml", ".gitignore", "wit/worlds.wit"] {
            assert!(project.join(file).is_file(), "{what}: {file}");
        }
        let readme = fs::read_to_string(project.join("README.md")).unwrap();
        let build = build_command(&project);
        assert!(readme.contains(&build), "{what}: the README has the build command: {build}");
        for command in ["wasmserve my-shop2.wasm", "curl "] {
            assert!(readme.contains(command), "{what}: {command}");
        }
        for command in ["  cd my-shop2\n", &format!("  {build}\n"), "  wasmserve my-shop2.wasm\n", "wasmserve dev"] {
            assert!(told.contains(command), "{what}: {told}");
        }
        assert_eq!(count(&folder), 1, "{what}");
    }
}

#[test]
fn the_list_has_every_language_and_its_tools() {
    let list = Wasmserve::new(&["new", "--list"]).run();
    assert_eq!(list.code, Some(0), "{list:?}");
    for (language, is_async) in templates() {
        let line = list.stdout.lines().find(|line| line.starts_with(&format!("{language} ")));
        let line = line.unwrap_or_else(|| panic!("no {language} in {}", list.stdout));
        assert!(line.contains(if is_async { "0.3 (--async)" } else { "0.2" }), "{line}");
        assert!(line.split_whitespace().count() > 2, "{line}");
    }
}

#[test]
fn a_tool_that_is_missing_is_named_with_what_installs_it() {
    let folder = TempDir::new().unwrap();
    let without = |args: &[&str]| Wasmserve::new(args).env("PATH", "/nowhere").current_dir(&folder).run();
    let list = without(&["new", "--list"]).stdout;
    assert!(list.contains("cargo (missing)") && list.contains("cargo: curl "), "{list}");
    let made = without(&["new", "shop", "--lang", "rust"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.stdout.contains("PATH") && made.stdout.contains("cargo: curl "), "{made:?}");
}

#[test]
fn the_last_part_of_a_path_is_the_name() {
    let folder = TempDir::new().unwrap();
    let (project, told) = make(&folder, "apps/web/shop/", "rs", false);
    assert!(fs::read_to_string(project.join("Cargo.toml")).unwrap().contains("name = \"shop\""));
    assert!(told.contains("  cd apps/web/shop/\n"), "{told}");
}

#[test]
fn nothing_is_overwritten() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("full")).unwrap();
    fs::write(folder.path().join("full/file"), "mine").unwrap();
    fs::write(folder.path().join("file"), "mine").unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
    for name in ["full", "file", "link"] {
        assert_refused(&new(&folder, name, "rust", false), &[name, "choose another name"]);
    }
    assert_refused(&new(&folder, "file/shop", "rust", false), &["file/shop"]);
    assert_eq!(files(folder.path()).len(), 3);
    assert_eq!(fs::read(folder.path().join("full/file")).unwrap(), b"mine");
    // An empty one is no loss.
    fs::create_dir(folder.path().join("empty")).unwrap();
    make(&folder, "empty", "rust", false);
}

#[test]
fn a_failure_half_way_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let shell = "trap '' XFSZ; ulimit -f 1";
    let command = Wasmserve::new(&["new", "apps/shop", "--lang", "rust"]).current_dir(&folder).through_shell(shell);
    assert_refused(&command.run(), &["apps/shop", "cannot be written"]);
    assert_eq!(count(&folder), 0);
}

#[test]
fn names_that_are_none_are_refused() {
    let folder = TempDir::new().unwrap();
    for name in ["Shop", "my_shop", "2shop", "my shop", "a--b", "a.b", "..", "."] {
        let refused = new(&folder, name, "rust", false);
        assert_refused(&refused, &["cannot be the name of a project"]);
    }
    assert_refused(&new(&folder, "test", "rust", false), &["my-test"]);
    assert_eq!(count(&folder), 0);
}

#[test]
fn what_there_is_no_template_for_is_told_with_what_there_is() {
    let folder = TempDir::new().unwrap();
    assert_refused(&new(&folder, "shop", "cobol", false), &["--lang cobol", "rust"]);
    assert_refused(&new(&folder, "shop", "go", true), &["--lang go --async", "Go's compiler"]);
    let nothing = Wasmserve::new(&["new"]).run();
    assert_eq!(nothing.code, Some(2), "{nothing:?}");
    assert!(nothing.stderr.contains("--lang"), "{nothing:?}");
    assert_eq!(count(&folder), 0);
}

#[test]
fn a_rust_project_is_built_and_served() {
    rust_project(false);
}

#[test]
fn a_rust_project_for_wasi_0_3_is_built_and_served() {
    rust_project(true);
}

fn rust_project(is_async: bool) {
    if !has_target() {
        // Not captured, as what is printed by macros is.
        let skipped = "NOT RUN: the Rust templates are not built: rustup target add wasm32-wasip2\n";
        stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    }
    let folder = TempDir::new().unwrap();
    let (project, _) = make(&folder, "my-shop", "rust", is_async);
    // Built once for all runs.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("templates");
    fs::create_dir_all(&target).unwrap();
    std::os::unix::fs::symlink(target, project.join("target")).unwrap();
    let mut build = Command::new("sh");
    build.args(["-c", &build_command(&project)]).current_dir(&project).env_remove("CARGO_TARGET_DIR");
    let output = build.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // One, as another would be made if a request came while the one before it ends.
    let mut server = Wasmserve::new(&["my-shop.wasm", "--instances", "1"]).current_dir(&project).start();
    assert_eq!(server.get("/").text(), "Hello, world!\n");
    assert_eq!(server.get("/count").text(), "1\n");
    assert_eq!(server.get("/count").text(), "2\n");
    let body = vec![b'x'; 1 << 20];
    assert_eq!(server.send("POST", "/echo", &[], &body).body, body);
    assert_eq!(server.get("/nowhere").status, 404);
    server.stop();
    for line in ["my-shop: startup", "my-shop: shutdown"] {
        assert_eq!(server.count(|r| r.is_guest_line(line)), 1, "{line}");
    }
}

fn has_target() -> bool {
    let output = Command::new("rustc").args(["--print", "target-libdir", "--target", "wasm32-wasip2"]).output();
    let folder = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    fs::read_dir(folder).is_ok_and(|mut files| files.next().is_some())
}

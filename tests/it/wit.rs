//! `wasmserve wit`: the WIT files in a project, written and brought up to date, and nobody's work overwritten.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::{Finished, Wasmserve};

fn wit(folder: &TempDir, args: &[&str]) -> Finished {
    Wasmserve::new(&["wit"]).args(args).current_dir(folder).run()
}

#[track_caller]
fn write(folder: &TempDir) -> String {
    let finished = wit(folder, &[]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished.stdout
}

fn worlds(folder: &Path) -> Vec<String> {
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_path(folder).unwrap();
    resolve.packages[package].worlds.keys().cloned().collect()
}

#[test]
fn the_files_and_the_worlds_in_them() {
    let folder = TempDir::new().unwrap();
    let told = write(&folder);
    let worlds = worlds(&folder.path().join("wit"));
    assert_eq!(worlds.len(), 4, "{worlds:?}");
    for world in worlds {
        assert!(told.contains(&format!("  {world} ")), "{world}: {told}");
    }
    assert!(told.contains("with `startup` and `shutdown`"), "{told}");
    assert!(folder.path().join("wit/deps/wasmserve-lifespan").is_dir());
}

#[test]
fn another_folder() {
    let folder = TempDir::new().unwrap();
    assert_eq!(wit(&folder, &["some/where"]).code, Some(0));
    assert_eq!(worlds(&folder.path().join("some/where")).len(), 4);
}

#[test]
fn a_second_time_nothing_is_written() {
    let folder = TempDir::new().unwrap();
    write(&folder);
    let told = write(&folder);
    assert!(told.contains(" 0 files written") && told.contains(" 0 removed"), "{told}");
}

#[test]
fn a_file_that_was_changed_is_in_the_way_and_nothing_is_written() {
    let folder = TempDir::new().unwrap();
    write(&folder);
    let (changed, gone) = (folder.path().join("wit/worlds.wit"), folder.path().join("wit/README.md"));
    fs::write(&changed, "package my:own;").unwrap();
    fs::remove_file(&gone).unwrap();
    let refused = wit(&folder, &[]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("wit/worlds.wit") && !refused.stderr.contains("README"), "{refused:?}");
    assert_eq!(fs::read_to_string(&changed).unwrap(), "package my:own;");
    assert!(!gone.exists());
    fs::remove_file(&changed).unwrap();
    assert!(write(&folder).contains(" 2 files written"));
}

#[test]
fn a_file_that_was_there_before_is_in_the_way() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("wit")).unwrap();
    fs::write(folder.path().join("wit/worlds.wit"), "").unwrap();
    assert!(wit(&folder, &[]).stderr.contains("wit/worlds.wit"));
    assert_eq!(fs::read_dir(folder.path().join("wit")).unwrap().count(), 1);
}

/// As if an older wasmserve had written other files.
#[test]
fn files_of_an_older_version_are_brought_up_to_date() {
    let folder = TempDir::new().unwrap();
    write(&folder);
    let path = |name: &str| folder.path().join("wit").join(name);
    let old = "package wasi:old;";
    fs::create_dir(path("deps/wasi-old-0.1.0")).unwrap();
    fs::write(path("deps/wasi-old-0.1.0/package.wit"), old).unwrap();
    fs::write(path("worlds.wit"), old).unwrap();
    let hash = blake3::hash(old.as_bytes());
    let record = fs::read_to_string(path(".wasmserve")).unwrap();
    let others: String =
        record.lines().filter(|line| !line.ends_with("  worlds.wit")).map(|l| format!("{l}\n")).collect();
    let record = format!("{others}{hash}  worlds.wit\n{hash}  deps/wasi-old-0.1.0/package.wit\n");
    fs::write(path(".wasmserve"), record).unwrap();

    let told = write(&folder);
    assert!(told.contains(" 1 files written") && told.contains(" 1 removed"), "{told}");
    assert!(!path("deps/wasi-old-0.1.0").exists());
    assert_eq!(worlds(&folder.path().join("wit")).len(), 4);
}
